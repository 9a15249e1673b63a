-- The transparency log. Entries and hashes are only ever added; what is derived from them (tiles, checkpoints, proofs)
-- is made when it is asked for.

CREATE TABLE log_entries (
    position INTEGER NOT NULL PRIMARY KEY,
    -- Canonical JSON: what is hashed.
    entry BLOB NOT NULL
);

-- By the storage index that the tiles library computes: every complete subtree has one hash.
CREATE TABLE log_hashes (
    position INTEGER NOT NULL PRIMARY KEY,
    hash BLOB NOT NULL
);

-- One row. Its update is what writers wait for, so that positions have no gaps whoever writes.
CREATE TABLE log_state (
    id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    size INTEGER NOT NULL,
    -- The public key that signs this log; a server with another one does not start.
    log_key TEXT
);
INSERT INTO log_state (id, size) VALUES (1, 0);

CREATE TABLE log_cosignatures (
    size INTEGER NOT NULL,
    witness TEXT NOT NULL,
    -- The signature line as it stands in the note.
    line TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (size, witness)
);

-- Nodes whose checkpoint is not one of this log.
CREATE TABLE log_alarms (
    node TEXT NOT NULL PRIMARY KEY,
    code TEXT NOT NULL,
    message TEXT NOT NULL,
    size INTEGER NOT NULL,
    root BLOB NOT NULL,
    since INTEGER NOT NULL
);

ALTER TABLE versions ADD COLUMN log_position INTEGER;
