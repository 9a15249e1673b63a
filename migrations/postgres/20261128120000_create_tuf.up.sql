-- The documents of the TUF repository: root and targets as their keepers signed them, role files as their
-- publishers did, snapshot, timestamp and self-service role by this server. The newest of each and a few before it.
CREATE TABLE tuf_files (
    role TEXT NOT NULL,
    version BIGINT NOT NULL,
    bytes BYTEA NOT NULL,
    -- sha256 of the bytes.
    digest BYTEA NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (role, version)
);
