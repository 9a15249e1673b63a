ALTER TABLE attestations DROP COLUMN series;
DROP INDEX packages_unfaceted;
ALTER TABLE packages DROP COLUMN faceted;
DROP TABLE package_facets;
DROP TABLE facet_values;
