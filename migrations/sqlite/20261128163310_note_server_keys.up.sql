-- Public halves of the keys that every server of this database must hold; one with others does not start.
CREATE TABLE server_keys (
    name TEXT NOT NULL PRIMARY KEY,
    public_key TEXT NOT NULL,
    noted_at INTEGER NOT NULL
) WITHOUT ROWID;
