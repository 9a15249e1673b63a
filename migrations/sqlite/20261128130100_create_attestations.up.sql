-- What is said about a version: the rows of its list, beside the referrers in version_blobs.
CREATE TABLE attestations (
    version_id INTEGER NOT NULL REFERENCES versions (id),
    content BLOB NOT NULL REFERENCES blobs (digest),
    manifest BLOB NOT NULL REFERENCES blobs (digest),
    media_type TEXT NOT NULL,
    predicate_type TEXT NOT NULL,
    -- JSON array of key ids.
    signed_by TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    added_by TEXT NOT NULL,
    added_at INTEGER NOT NULL,
    log_position INTEGER NOT NULL,
    PRIMARY KEY (version_id, content)
);
