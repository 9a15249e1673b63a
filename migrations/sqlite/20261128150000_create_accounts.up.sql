-- People: accounts, how they log in, and what they are in which namespace.

CREATE TABLE accounts (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    email TEXT,
    -- A PHC string; NULL for who logs in elsewhere only.
    password TEXT,
    -- member, operator or admin.
    role TEXT NOT NULL,
    created_at INTEGER NOT NULL
) WITHOUT ROWID;

-- Names that look alike have one skeleton; the first of them has it.
CREATE TABLE name_skeletons (
    kind TEXT NOT NULL,
    skeleton TEXT NOT NULL,
    name TEXT NOT NULL,
    PRIMARY KEY (kind, skeleton)
) WITHOUT ROWID;

CREATE TABLE account_identities (
    issuer TEXT NOT NULL,
    subject TEXT NOT NULL,
    account TEXT NOT NULL REFERENCES accounts (id),
    linked_at INTEGER NOT NULL,
    PRIMARY KEY (issuer, subject)
) WITHOUT ROWID;

CREATE TABLE sessions (
    -- First eight bytes of the hash, in hexadecimal digits.
    id TEXT NOT NULL PRIMARY KEY,
    hash BLOB NOT NULL CHECK (length(hash) = 32),
    account TEXT NOT NULL REFERENCES accounts (id),
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    used_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX sessions_by_account ON sessions (account);

CREATE TABLE namespace_members (
    namespace TEXT NOT NULL REFERENCES namespaces (name),
    account TEXT NOT NULL REFERENCES accounts (id),
    -- owner, maintainer or reader.
    role TEXT NOT NULL,
    added_at INTEGER NOT NULL,
    PRIMARY KEY (namespace, account)
) WITHOUT ROWID;
CREATE INDEX namespace_members_by_account ON namespace_members (account);

-- Invites into a namespace, and (without one) invites to sign up.
CREATE TABLE invites (
    id TEXT NOT NULL PRIMARY KEY,
    hash BLOB NOT NULL CHECK (length(hash) = 32),
    namespace TEXT REFERENCES namespaces (name),
    role TEXT NOT NULL,
    invited_by TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    -- open, accepted, declined or revoked.
    state TEXT NOT NULL,
    answered_by TEXT
) WITHOUT ROWID;
CREATE INDEX invites_by_namespace ON invites (namespace);

-- NULL for tokens that no account made.
ALTER TABLE tokens ADD COLUMN account TEXT;
-- Coarse: written at most once an hour.
ALTER TABLE tokens ADD COLUMN last_used_at INTEGER;
CREATE INDEX tokens_by_account ON tokens (account);
