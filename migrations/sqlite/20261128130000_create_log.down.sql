ALTER TABLE versions DROP COLUMN log_position;
DROP TABLE log_alarms;
DROP TABLE log_cosignatures;
DROP TABLE log_state;
DROP TABLE log_hashes;
DROP TABLE log_entries;
