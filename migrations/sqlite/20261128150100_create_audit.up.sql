CREATE TABLE audit (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    namespace TEXT,
    -- What it was done to.
    subject TEXT NOT NULL,
    detail TEXT NOT NULL,
    address TEXT NOT NULL
);
CREATE INDEX audit_by_namespace ON audit (namespace, id);
CREATE INDEX audit_by_actor ON audit (actor, id);

-- What an admin allows a namespace instead of the defaults; NULL leaves a default as it is.
CREATE TABLE quotas (
    namespace TEXT NOT NULL PRIMARY KEY REFERENCES namespaces (name),
    packages INTEGER,
    versions_per_day INTEGER,
    size_bytes INTEGER
) WITHOUT ROWID;
