-- Times are seconds since 1970 (UTC). Digests and hashes are 32 raw bytes of sha256.

CREATE TABLE blobs (
    digest BLOB NOT NULL PRIMARY KEY CHECK (length(digest) = 32),
    size_bytes INTEGER NOT NULL,
    -- Renewed by every upload of the same bytes; what no version names is collected a day later.
    stored_at INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE namespaces (
    name TEXT NOT NULL PRIMARY KEY,
    threshold INTEGER NOT NULL,
    -- 0 and NULL until something was published.
    role_version INTEGER NOT NULL DEFAULT 0,
    role BLOB,
    created_at INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE namespace_keys (
    namespace TEXT NOT NULL REFERENCES namespaces (name),
    position INTEGER NOT NULL,
    public_key TEXT NOT NULL,
    PRIMARY KEY (namespace, position)
) WITHOUT ROWID;

CREATE TABLE packages (
    id INTEGER PRIMARY KEY,
    namespace TEXT NOT NULL REFERENCES namespaces (name),
    name TEXT NOT NULL UNIQUE,
    -- The highest release counter ever accepted.
    release INTEGER NOT NULL,
    -- What a listing shows, copied from the version it shows.
    version TEXT NOT NULL,
    description TEXT NOT NULL,
    license TEXT NOT NULL,
    hooks TEXT NOT NULL,
    lowest_kernel TEXT,
    signed_by TEXT NOT NULL,
    published_at INTEGER NOT NULL
);
CREATE INDEX packages_by_time ON packages (published_at DESC, id DESC);
CREATE INDEX packages_by_namespace ON packages (namespace);

CREATE TABLE package_hooks (
    package_id INTEGER NOT NULL REFERENCES packages (id),
    hook TEXT NOT NULL,
    PRIMARY KEY (hook, package_id)
) WITHOUT ROWID;

CREATE VIRTUAL TABLE package_search USING fts5 (
    name, description, keywords, tokenize = 'unicode61 remove_diacritics 2', prefix = '2 3'
);

CREATE TABLE versions (
    id INTEGER PRIMARY KEY,
    package_id INTEGER NOT NULL REFERENCES packages (id),
    version TEXT NOT NULL,
    release INTEGER NOT NULL,
    index_digest BLOB NOT NULL REFERENCES blobs (digest),
    published_at INTEGER NOT NULL,
    yanked INTEGER NOT NULL DEFAULT 0,
    size_bytes INTEGER NOT NULL,
    manifest TEXT NOT NULL,
    facts TEXT NOT NULL,
    readme_html TEXT NOT NULL,
    signed_by TEXT NOT NULL,
    threshold INTEGER NOT NULL,
    role_version INTEGER NOT NULL,
    published_by TEXT NOT NULL,
    UNIQUE (package_id, version)
);

-- Which blobs a version is made of, and how the OCI API serves each.
CREATE TABLE version_blobs (
    version_id INTEGER NOT NULL REFERENCES versions (id),
    digest BLOB NOT NULL REFERENCES blobs (digest),
    package_id INTEGER NOT NULL REFERENCES packages (id),
    -- 1 for an index or image manifest, 0 for everything else.
    is_manifest INTEGER NOT NULL,
    media_type TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    -- Set for referrers only.
    subject BLOB,
    artifact_type TEXT,
    annotations TEXT,
    PRIMARY KEY (version_id, digest)
) WITHOUT ROWID;
CREATE INDEX version_blobs_by_package ON version_blobs (package_id, digest);
CREATE INDEX version_blobs_by_digest ON version_blobs (digest);
CREATE INDEX version_blobs_by_subject ON version_blobs (package_id, subject) WHERE subject IS NOT NULL;

CREATE TABLE tokens (
    -- First eight bytes of the hash, in hexadecimal digits.
    id TEXT NOT NULL PRIMARY KEY,
    hash BLOB NOT NULL CHECK (length(hash) = 32),
    name TEXT NOT NULL,
    scope TEXT NOT NULL,
    namespace TEXT,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) WITHOUT ROWID;
