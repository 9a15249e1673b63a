-- What operators and publishers signed beside policy revisions, as it was handed in.
CREATE TABLE policy_sets (
    environment TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    epoch BIGINT NOT NULL,
    version BIGINT NOT NULL,
    envelope BYTEA NOT NULL,
    applied_at BIGINT NOT NULL,
    applied_by TEXT NOT NULL
);

CREATE TABLE approvals (
    policy TEXT COLLATE "C" NOT NULL REFERENCES policies (name),
    -- Of the envelope: the same one again is no second approval.
    digest BYTEA NOT NULL CHECK (octet_length(digest) = 32),
    envelope BYTEA NOT NULL,
    approved_at BIGINT NOT NULL,
    approved_by TEXT NOT NULL,
    PRIMARY KEY (policy, digest)
);

-- Only ever grows: nodes ask for what is behind the last number they were given.
CREATE TABLE revocations (
    number BIGINT NOT NULL PRIMARY KEY,
    digest BYTEA NOT NULL UNIQUE CHECK (octet_length(digest) = 32),
    envelope BYTEA NOT NULL,
    revoked_at BIGINT NOT NULL,
    revoked_by TEXT NOT NULL
);
