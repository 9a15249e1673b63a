-- What operators and publishers signed beside policy revisions, as it was handed in.
CREATE TABLE policy_sets (
    environment TEXT NOT NULL PRIMARY KEY,
    epoch INTEGER NOT NULL,
    version INTEGER NOT NULL,
    envelope BLOB NOT NULL,
    applied_at INTEGER NOT NULL,
    applied_by TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE approvals (
    policy TEXT NOT NULL REFERENCES policies (name),
    -- Of the envelope: the same one again is no second approval.
    digest BLOB NOT NULL CHECK (length(digest) = 32),
    envelope BLOB NOT NULL,
    approved_at INTEGER NOT NULL,
    approved_by TEXT NOT NULL,
    PRIMARY KEY (policy, digest)
) WITHOUT ROWID;

-- Only ever grows: nodes ask for what is behind the last number they were given.
CREATE TABLE revocations (
    number INTEGER NOT NULL PRIMARY KEY,
    digest BLOB NOT NULL UNIQUE CHECK (length(digest) = 32),
    envelope BLOB NOT NULL,
    revoked_at INTEGER NOT NULL,
    revoked_by TEXT NOT NULL
);
