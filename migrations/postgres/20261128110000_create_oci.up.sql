-- What OCI clients push. None of it is a package: only a publish makes a version.
-- Digests are texts here (sha256:… or sha512:…), as clients name them; content is the sha256 by which the bytes
-- are stored. Times are seconds since 1970 (UTC).

CREATE TABLE oci_blobs (
    repository TEXT COLLATE "C" NOT NULL,
    digest TEXT COLLATE "C" NOT NULL,
    content BYTEA NOT NULL REFERENCES blobs (digest),
    size_bytes BIGINT NOT NULL,
    -- Renewed by every push; what no manifest names is taken away a day later.
    pushed_at BIGINT NOT NULL,
    PRIMARY KEY (repository, digest)
);
CREATE INDEX oci_blobs_by_content ON oci_blobs (content);
CREATE INDEX oci_blobs_by_time ON oci_blobs (pushed_at);

CREATE TABLE oci_manifests (
    repository TEXT COLLATE "C" NOT NULL,
    digest TEXT COLLATE "C" NOT NULL,
    content BYTEA NOT NULL REFERENCES blobs (digest),
    size_bytes BIGINT NOT NULL,
    media_type TEXT NOT NULL,
    subject TEXT COLLATE "C",
    artifact_type TEXT COLLATE "C",
    -- JSON object.
    annotations TEXT NOT NULL,
    pushed_at BIGINT NOT NULL,
    pushed_by TEXT NOT NULL,
    PRIMARY KEY (repository, digest)
);
CREATE INDEX oci_manifests_by_content ON oci_manifests (content);
CREATE INDEX oci_manifests_by_subject ON oci_manifests (repository, subject, digest) WHERE subject IS NOT NULL;

-- What a manifest names and the repository must therefore keep.
CREATE TABLE oci_links (
    repository TEXT COLLATE "C" NOT NULL,
    target TEXT COLLATE "C" NOT NULL,
    manifest TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (repository, target, manifest),
    FOREIGN KEY (repository, manifest) REFERENCES oci_manifests (repository, digest)
);
CREATE INDEX oci_links_by_manifest ON oci_links (repository, manifest);

CREATE TABLE oci_tags (
    repository TEXT COLLATE "C" NOT NULL,
    tag TEXT COLLATE "C" NOT NULL,
    digest TEXT COLLATE "C" NOT NULL,
    pushed_at BIGINT NOT NULL,
    pushed_by TEXT NOT NULL,
    PRIMARY KEY (repository, tag),
    FOREIGN KEY (repository, digest) REFERENCES oci_manifests (repository, digest)
);
CREATE INDEX oci_tags_by_digest ON oci_tags (repository, digest);

-- Uploads that are not finished, and the parts of them that were acknowledged.
CREATE TABLE oci_uploads (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    repository TEXT COLLATE "C" NOT NULL,
    received_bytes BIGINT NOT NULL,
    parts BIGINT NOT NULL,
    touched_at BIGINT NOT NULL
);
CREATE INDEX oci_uploads_by_time ON oci_uploads (touched_at);

CREATE TABLE oci_upload_parts (
    upload TEXT COLLATE "C" NOT NULL REFERENCES oci_uploads (id),
    start_byte BIGINT NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    size_bytes BIGINT NOT NULL,
    PRIMARY KEY (upload, start_byte)
);

-- Secrets that every replica must share: the key of the tokens that OCI clients get.
CREATE TABLE server_secrets (
    name TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    secret BYTEA NOT NULL,
    made_at BIGINT NOT NULL
);
