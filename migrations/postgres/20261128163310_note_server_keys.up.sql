-- Public halves of the keys that every server of this database must hold; one with others does not start.
CREATE TABLE server_keys (
    name TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    public_key TEXT NOT NULL,
    noted_at BIGINT NOT NULL
);
