-- Makes of one package with one version 100,000 packages with ten versions each. Their words come from two lists of 41
-- and 37, so that one word is found in some 2,400 packages and two words in some 66.
PRAGMA synchronous = OFF;
BEGIN;
CREATE TEMP TABLE n AS
    WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 99998) SELECT i FROM n;
INSERT INTO packages
    (namespace, name, release, version, description, license, hooks, lowest_kernel, signed_by, published_at, faceted)
    SELECT p.namespace, 'bench/pack-w' || (i % 41) || '-load-' || i, 10, '1.9.0',
        'Counts w' || (i % 41) || ' and limits x' || (i % 37) || ' of senders that flood an interface, number ' || i,
        p.license, p.hooks, p.lowest_kernel, p.signed_by, p.published_at - i, 1
    FROM n, packages p WHERE p.name = 'bench/load';
INSERT INTO package_search (rowid, name, description, keywords)
    SELECT id, name, description, 'xdp flood' FROM packages WHERE name LIKE 'bench/pack-%';
INSERT INTO package_hooks (package_id, hook)
    SELECT p.id, h.hook FROM packages p, package_hooks h
    WHERE p.name LIKE 'bench/pack-%' AND h.package_id = (SELECT id FROM packages WHERE name = 'bench/load');
-- What the one package can be narrowed by, and one of 41 categories.
INSERT INTO facet_values (facet, value) SELECT 'category', 'w' || i FROM n WHERE i <= 41;
INSERT INTO package_facets (value_id, package_id)
    SELECT f.value_id, p.id FROM packages p, package_facets f
    WHERE p.name LIKE 'bench/pack-%' AND f.package_id = (SELECT id FROM packages WHERE name = 'bench/load')
    UNION ALL
    SELECT v.id, p.id FROM packages p JOIN facet_values v ON v.facet = 'category' AND v.value = 'w' || (1 + p.id % 41)
    WHERE p.name LIKE 'bench/pack-%';
CREATE TEMP TABLE k AS
    WITH RECURSIVE k (j) AS (SELECT 0 UNION ALL SELECT j + 1 FROM k WHERE j < 9) SELECT j FROM k;
-- All share one entry of the log, because a version without one is logged when the server starts. Facts and README are
-- left out: with them the file has tens of gigabytes, and no listing reads them.
INSERT INTO versions
    (package_id, version, release, index_digest, published_at, size_bytes, manifest, facts, readme_html, signed_by,
     threshold, role_version, published_by, log_position)
    SELECT p.id, '1.' || j || '.0', j + 1, v.index_digest, v.published_at, v.size_bytes, v.manifest, '[]', '', v.signed_by,
        v.threshold, v.role_version, v.published_by, v.log_position
    FROM packages p, k, versions v
    WHERE p.name LIKE 'bench/pack-%' AND v.package_id = (SELECT id FROM packages WHERE name = 'bench/load');
COMMIT;
ANALYZE;
SELECT (SELECT count(*) FROM packages), (SELECT count(*) FROM versions);
