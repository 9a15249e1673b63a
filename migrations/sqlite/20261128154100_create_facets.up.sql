-- By what packages can be narrowed: each value once, and by its number the packages that have it, so that counting
-- reads little.
CREATE TABLE facet_values (
    id INTEGER PRIMARY KEY,
    facet TEXT NOT NULL,
    value TEXT NOT NULL,
    UNIQUE (facet, value)
);

CREATE TABLE package_facets (
    value_id INTEGER NOT NULL REFERENCES facet_values (id),
    package_id INTEGER NOT NULL REFERENCES packages (id),
    PRIMARY KEY (value_id, package_id)
) WITHOUT ROWID;
CREATE INDEX package_facets_by_package ON package_facets (package_id, value_id);

-- 0 for packages that are older than the facets: the server fills them in while it runs.
ALTER TABLE packages ADD COLUMN faceted INTEGER NOT NULL DEFAULT 0;
CREATE INDEX packages_unfaceted ON packages (id) WHERE faceted = 0;

-- The kernel series an attestation says that every program was accepted on.
ALTER TABLE attestations ADD COLUMN series TEXT;
