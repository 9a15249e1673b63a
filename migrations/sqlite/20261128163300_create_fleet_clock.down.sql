DROP INDEX nodes_by_sight;
DROP INDEX nodes_by_stamp;
ALTER TABLE policies DROP COLUMN stamp;
ALTER TABLE nodes DROP COLUMN stamp;
DROP TABLE fleet_clock;
