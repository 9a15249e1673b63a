-- Logins on the way to an issuer and back.
CREATE TABLE oidc_logins (
    state_hash BYTEA NOT NULL PRIMARY KEY CHECK (length(state_hash) = 32),
    issuer TEXT NOT NULL,
    nonce TEXT NOT NULL,
    verifier TEXT NOT NULL,
    -- Set when a logged-in account links an identity to itself.
    account TEXT,
    invite TEXT,
    expires_at BIGINT NOT NULL
);

CREATE TABLE trusted_publishers (
    id TEXT NOT NULL PRIMARY KEY,
    namespace TEXT NOT NULL REFERENCES namespaces (name),
    -- NULL for every package of the namespace.
    package TEXT,
    issuer TEXT NOT NULL,
    -- A JSON object: claim to value.
    claims TEXT NOT NULL,
    created_by TEXT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX trusted_publishers_by_namespace ON trusted_publishers (namespace);

-- Tokens of issuers that were exchanged already, until they expire.
CREATE TABLE exchanged_tokens (
    issuer TEXT NOT NULL,
    jti TEXT NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (issuer, jti)
);
