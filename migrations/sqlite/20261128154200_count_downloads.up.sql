-- How often the index of a version was fetched on each day since 1970 (UTC); by whom is noted nowhere.
CREATE TABLE version_downloads (
    version_id INTEGER NOT NULL REFERENCES versions (id),
    day INTEGER NOT NULL,
    downloads INTEGER NOT NULL,
    PRIMARY KEY (version_id, day)
) WITHOUT ROWID;
-- The sum over all versions and days, for listings.
ALTER TABLE packages ADD COLUMN downloads INTEGER NOT NULL DEFAULT 0;
