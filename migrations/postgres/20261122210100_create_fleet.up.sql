CREATE TABLE node_tokens (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    hash BYTEA NOT NULL CHECK (octet_length(hash) = 32),
    labels TEXT NOT NULL,
    uses_left BIGINT NOT NULL CHECK (uses_left >= 0),
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    created_by TEXT NOT NULL
);

CREATE TABLE nodes (
    name TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    instance_hash BYTEA NOT NULL CHECK (octet_length(instance_hash) = 32),
    credential_hash BYTEA NOT NULL UNIQUE CHECK (octet_length(credential_hash) = 32),
    -- The token it enrolled with: lets an enrolment whose answer was lost be repeated.
    node_token TEXT NOT NULL,
    labels TEXT NOT NULL,
    enrolled_at BIGINT NOT NULL,
    -- The number and content of what is wanted of the node. The number only grows.
    generation BIGINT NOT NULL,
    desired_digest BYTEA NOT NULL CHECK (octet_length(desired_digest) = 32),
    -- Written in coarse batches.
    last_seen_at BIGINT,
    report TEXT,
    reported_at BIGINT
);

CREATE TABLE policies (
    name TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    revision BIGINT NOT NULL,
    envelope BYTEA NOT NULL,
    payload BYTEA NOT NULL,
    applied_at BIGINT NOT NULL,
    applied_by TEXT NOT NULL
);

-- Policies that were ever part of a node's desired state: it goes on getting their newest revision,
-- so that a removal reaches it as the operator signed it and not as a silence.
CREATE TABLE node_policies (
    node TEXT COLLATE "C" NOT NULL REFERENCES nodes (name),
    policy TEXT COLLATE "C" NOT NULL REFERENCES policies (name),
    PRIMARY KEY (node, policy)
);
