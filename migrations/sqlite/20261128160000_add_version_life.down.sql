DROP TABLE life_events;
ALTER TABLE packages DROP COLUMN tombstone;
ALTER TABLE packages DROP COLUMN deprecated_for;
ALTER TABLE packages DROP COLUMN deprecated;
ALTER TABLE versions DROP COLUMN deprecated_for;
ALTER TABLE versions DROP COLUMN deprecated;
ALTER TABLE versions DROP COLUMN yank_message;
