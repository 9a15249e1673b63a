-- The log takes in what is older than it, oldest first; without this each step walks over every version.
CREATE INDEX versions_unlogged ON versions (id) WHERE log_position IS NULL;
