CREATE TABLE node_tokens (
    id TEXT NOT NULL PRIMARY KEY,
    hash BLOB NOT NULL CHECK (length(hash) = 32),
    labels TEXT NOT NULL,
    uses_left INTEGER NOT NULL CHECK (uses_left >= 0),
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    created_by TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE nodes (
    name TEXT NOT NULL PRIMARY KEY,
    instance_hash BLOB NOT NULL CHECK (length(instance_hash) = 32),
    credential_hash BLOB NOT NULL UNIQUE CHECK (length(credential_hash) = 32),
    -- The token it enrolled with: lets an enrolment whose answer was lost be repeated.
    node_token TEXT NOT NULL,
    labels TEXT NOT NULL,
    enrolled_at INTEGER NOT NULL,
    -- The number and content of what is wanted of the node. The number only grows.
    generation INTEGER NOT NULL,
    desired_digest BLOB NOT NULL CHECK (length(desired_digest) = 32),
    -- Written in coarse batches.
    last_seen_at INTEGER,
    report TEXT,
    reported_at INTEGER
) WITHOUT ROWID;

CREATE TABLE policies (
    name TEXT NOT NULL PRIMARY KEY,
    revision INTEGER NOT NULL,
    envelope BLOB NOT NULL,
    payload BLOB NOT NULL,
    applied_at INTEGER NOT NULL,
    applied_by TEXT NOT NULL
) WITHOUT ROWID;

-- Policies that were ever part of a node's desired state: it goes on getting their newest revision,
-- so that a removal reaches it as the operator signed it and not as a silence.
CREATE TABLE node_policies (
    node TEXT NOT NULL REFERENCES nodes (name),
    policy TEXT NOT NULL REFERENCES policies (name),
    PRIMARY KEY (node, policy)
) WITHOUT ROWID;
