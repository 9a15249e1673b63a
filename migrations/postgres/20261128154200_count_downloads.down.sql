ALTER TABLE packages DROP COLUMN downloads;
DROP TABLE version_downloads;
