-- What OCI clients push. None of it is a package: only a publish makes a version.
-- Digests are texts here (sha256:… or sha512:…), as clients name them; content is the sha256 by which the bytes
-- are stored. Times are seconds since 1970 (UTC).

CREATE TABLE oci_blobs (
    repository TEXT NOT NULL,
    digest TEXT NOT NULL,
    content BLOB NOT NULL REFERENCES blobs (digest),
    size_bytes INTEGER NOT NULL,
    -- Renewed by every push; what no manifest names is taken away a day later.
    pushed_at INTEGER NOT NULL,
    PRIMARY KEY (repository, digest)
) WITHOUT ROWID;
CREATE INDEX oci_blobs_by_content ON oci_blobs (content);
CREATE INDEX oci_blobs_by_time ON oci_blobs (pushed_at);

CREATE TABLE oci_manifests (
    repository TEXT NOT NULL,
    digest TEXT NOT NULL,
    content BLOB NOT NULL REFERENCES blobs (digest),
    size_bytes INTEGER NOT NULL,
    media_type TEXT NOT NULL,
    subject TEXT,
    artifact_type TEXT,
    -- JSON object.
    annotations TEXT NOT NULL,
    pushed_at INTEGER NOT NULL,
    pushed_by TEXT NOT NULL,
    PRIMARY KEY (repository, digest)
) WITHOUT ROWID;
CREATE INDEX oci_manifests_by_content ON oci_manifests (content);
CREATE INDEX oci_manifests_by_subject ON oci_manifests (repository, subject, digest) WHERE subject IS NOT NULL;

-- What a manifest names and the repository must therefore keep.
CREATE TABLE oci_links (
    repository TEXT NOT NULL,
    target TEXT NOT NULL,
    manifest TEXT NOT NULL,
    PRIMARY KEY (repository, target, manifest),
    FOREIGN KEY (repository, manifest) REFERENCES oci_manifests (repository, digest)
) WITHOUT ROWID;
CREATE INDEX oci_links_by_manifest ON oci_links (repository, manifest);

CREATE TABLE oci_tags (
    repository TEXT NOT NULL,
    tag TEXT NOT NULL,
    digest TEXT NOT NULL,
    pushed_at INTEGER NOT NULL,
    pushed_by TEXT NOT NULL,
    PRIMARY KEY (repository, tag),
    FOREIGN KEY (repository, digest) REFERENCES oci_manifests (repository, digest)
) WITHOUT ROWID;
CREATE INDEX oci_tags_by_digest ON oci_tags (repository, digest);

-- Uploads that are not finished, and the parts of them that were acknowledged.
CREATE TABLE oci_uploads (
    id TEXT NOT NULL PRIMARY KEY,
    repository TEXT NOT NULL,
    received_bytes INTEGER NOT NULL,
    parts INTEGER NOT NULL,
    touched_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX oci_uploads_by_time ON oci_uploads (touched_at);

CREATE TABLE oci_upload_parts (
    upload TEXT NOT NULL REFERENCES oci_uploads (id),
    start_byte INTEGER NOT NULL,
    name TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    PRIMARY KEY (upload, start_byte)
) WITHOUT ROWID;

-- Secrets that every replica must share: the key of the tokens that OCI clients get.
CREATE TABLE server_secrets (
    name TEXT NOT NULL PRIMARY KEY,
    secret BLOB NOT NULL,
    made_at INTEGER NOT NULL
) WITHOUT ROWID;
