-- What is said about a version: the rows of its list, beside the referrers in version_blobs.
CREATE TABLE attestations (
    version_id BIGINT NOT NULL REFERENCES versions (id),
    content BYTEA NOT NULL REFERENCES blobs (digest),
    manifest BYTEA NOT NULL REFERENCES blobs (digest),
    media_type TEXT NOT NULL,
    predicate_type TEXT NOT NULL,
    -- JSON array of key ids.
    signed_by TEXT NOT NULL,
    size_bytes BIGINT NOT NULL,
    added_by TEXT NOT NULL,
    added_at BIGINT NOT NULL,
    log_position BIGINT NOT NULL,
    PRIMARY KEY (version_id, content)
);
