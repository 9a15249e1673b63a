-- Why a version was yanked, what is deprecated, and which packages were deleted. What is not set is NULL.
ALTER TABLE versions ADD COLUMN yank_message TEXT;
ALTER TABLE versions ADD COLUMN deprecated TEXT;
ALTER TABLE versions ADD COLUMN deprecated_for TEXT;
ALTER TABLE packages ADD COLUMN deprecated TEXT;
ALTER TABLE packages ADD COLUMN deprecated_for TEXT;
-- Why the package was deleted; its row stays, so that its name stays taken and its bytes stay named.
ALTER TABLE packages ADD COLUMN tombstone TEXT;

CREATE TABLE life_events (
    id INTEGER PRIMARY KEY,
    package_id INTEGER NOT NULL REFERENCES packages (id),
    -- NULL when it was done to the whole package.
    version TEXT,
    action TEXT NOT NULL,
    message TEXT NOT NULL,
    replacement TEXT,
    done_at INTEGER NOT NULL,
    done_by TEXT NOT NULL
);
CREATE INDEX life_events_by_package ON life_events (package_id, id);
