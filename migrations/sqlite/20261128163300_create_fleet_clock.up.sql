-- Counts changes to policies, to what operators signed beside them, and to what is wanted of nodes. A server that remembers a number finds
-- out with one row whether another server changed anything since, and then asks for what is newer.
CREATE TABLE fleet_clock (
    id BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    stamp BIGINT NOT NULL,
    -- The stamp of the newest change to policy sets, approvals and revocations.
    documents BIGINT NOT NULL
);
INSERT INTO fleet_clock (id, stamp, documents) VALUES (1, 0, 0);
ALTER TABLE nodes ADD COLUMN stamp BIGINT NOT NULL DEFAULT 0;
ALTER TABLE policies ADD COLUMN stamp BIGINT NOT NULL DEFAULT 0;
CREATE INDEX nodes_by_stamp ON nodes (stamp);
CREATE INDEX nodes_by_sight ON nodes (last_seen_at);
