-- How often the index of a version was fetched on each day since 1970 (UTC); by whom is noted nowhere.
CREATE TABLE version_downloads (
    version_id BIGINT NOT NULL REFERENCES versions (id),
    day BIGINT NOT NULL,
    downloads BIGINT NOT NULL,
    PRIMARY KEY (version_id, day)
);
-- The sum over all versions and days, for listings.
ALTER TABLE packages ADD COLUMN downloads BIGINT NOT NULL DEFAULT 0;
