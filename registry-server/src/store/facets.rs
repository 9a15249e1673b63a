//! By what packages can be narrowed: which values there are, which packages have them, how many. Refuses to know who
//! asks, and how long an answer is given again.

use super::listing::Words;
use super::sql::Sql;
use super::{Change, Store, StoreError, failed, from_json, search_index, unsigned};
use skep_api::v1::facets::{FACET_VALUES_MAX, Facet, FacetName, FacetValue};
use skep_artifact::key::KeyId;
use skep_artifact::object::KernelVersion;
use std::collections::BTreeSet;

/// What a listing is narrowed by.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filters {
    /// Values a package must have.
    pub exact: Vec<(FacetName, String)>,
    /// The release it must run on.
    pub kernel: Option<KernelVersion>,
}

/// What was counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted {
    pub packages: u64,
    pub facets: Vec<Facet>,
}

/// For each filter the numbers of the values it accepts; the one that fewest packages pass comes first.
#[derive(Debug, Default)]
pub(super) struct Narrowed(Vec<Vec<i64>>);

#[derive(sqlx::FromRow)]
struct ValueRow {
    id: i64,
    facet: String,
    value: String,
    packages: i64,
}

#[derive(sqlx::FromRow)]
struct CountRow {
    facet: String,
    value: String,
    packages: i64,
    /// Values of the facet, and packages that have any, counted once a value.
    kinds: i64,
    of_all: i64,
}

impl Filters {
    fn accepts(&self, filter: Option<&(FacetName, String)>, row: &ValueRow) -> bool {
        match (filter, self.kernel) {
            (Some((name, value)), _) => row.facet == name.as_str() && row.value == *value,
            (None, Some(release)) => {
                row.facet == FacetName::Kernel.as_str()
                    && row.value.parse().is_ok_and(|lowest: KernelVersion| lowest <= release)
            }
            (None, None) => false,
        }
    }

    /// Looks the values up; `None` when no package can pass.
    pub(super) async fn narrow(&self, store: &Store) -> Result<Option<Narrowed>, StoreError> {
        let every = self.exact.iter().map(Some).chain(self.kernel.map(|_| None));
        let every: Vec<_> = every.collect();
        if every.is_empty() {
            return Ok(Some(Narrowed::default()));
        }
        // In no value, and PostgreSQL refuses a text with a NUL.
        if self.exact.iter().any(|(_, value)| value.contains('\0')) {
            return Ok(None);
        }
        let mut look = Sql::new(
            "SELECT v.id, v.facet, v.value, (SELECT count(*) FROM package_facets f \
             WHERE f.value_id = v.id) AS packages FROM facet_values v WHERE ",
        );
        for (place, filter) in every.iter().enumerate() {
            let name = filter.map_or(FacetName::Kernel, |(name, _)| *name);
            look.push(if place == 0 { "(v.facet = " } else { " OR (v.facet = " });
            look.bind(name.as_str().to_owned());
            if let Some((_, value)) = filter {
                look.push(" AND v.value = ").bind(value.clone());
            }
            look.push(")");
        }
        let rows: Vec<ValueRow> =
            look.rows().fetch_all(&store.read).await.map_err(failed("look facets up"))?;
        let mut lists: Vec<(i64, Vec<i64>)> = Vec::new();
        for filter in every {
            let fit = rows.iter().filter(|row| row.packages > 0 && self.accepts(filter, row));
            let (packages, ids): (Vec<i64>, Vec<i64>) = fit.map(|r| (r.packages, r.id)).unzip();
            if ids.is_empty() {
                return Ok(None);
            }
            lists.push((packages.iter().sum(), ids));
        }
        lists.sort();
        Ok(Some(Narrowed(lists.into_iter().map(|(_, ids)| ids).collect())))
    }
}

impl Narrowed {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// ` AND EXISTS (…)` for every filter, about the package that `id` names.
    pub(super) fn push_conditions(&self, sql: &mut Sql, id: &'static str) {
        push_conditions(sql, &self.0, id);
    }

    /// A statement that gives the `id` of every package that passes. There must be a filter.
    pub(super) fn push_found(&self, sql: &mut Sql) {
        let Some((first, rest)) = self.0.split_first() else { return };
        sql.push("SELECT a.package_id AS id FROM package_facets a WHERE a.value_id IN (");
        sql.push_numbers(first).push(")");
        push_conditions(sql, rest, "a.package_id");
    }

    /// How many packages pass. There must be a filter.
    pub(super) async fn count(&self, store: &Store) -> Result<i64, StoreError> {
        let mut count = Sql::new("SELECT count(*) FROM (");
        self.push_found(&mut count);
        count.push(") found");
        count.scalar().fetch_one(&store.read).await.map_err(failed("count packages"))
    }
}

fn push_conditions(sql: &mut Sql, filters: &[Vec<i64>], id: &'static str) {
    for ids in filters {
        sql.push(" AND EXISTS (SELECT 1 FROM package_facets x WHERE x.package_id = ");
        sql.push(id).push(" AND x.value_id IN (").push_numbers(ids).push("))");
    }
}

impl Store {
    /// Counts the values of the packages that words and filters find.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn facets(
        &self,
        words: Option<&Words>,
        filters: &Filters,
    ) -> Result<Counted, StoreError> {
        let Some(narrowed) = filters.narrow(self).await? else {
            return Ok(Counted { packages: 0, facets: Vec::new() });
        };
        let mut count = Sql::default();
        if let Some(words) = words {
            count.push("WITH found AS MATERIALIZED (SELECT p.id FROM ");
            search_index::push_matches(&mut count, self.dialect, words);
            count.push(" m JOIN packages p ON p.id = m.id WHERE p.tombstone IS NULL");
            narrowed.push_conditions(&mut count, "p.id");
            count.push(") ");
        } else if !narrowed.is_empty() {
            count.push("WITH found AS MATERIALIZED (");
            narrowed.push_found(&mut count);
            count.push(") ");
        }
        count.push(
            "SELECT facet, value, packages, kinds, of_all FROM (SELECT v.facet, v.value, \
             c.packages, row_number() OVER (PARTITION BY v.facet ORDER BY c.packages DESC, \
             v.value) AS place, count(*) OVER (PARTITION BY v.facet) AS kinds, \
             CAST(sum(c.packages) OVER (PARTITION BY v.facet) AS BIGINT) AS of_all FROM ",
        );
        if words.is_none() && narrowed.is_empty() {
            count.push(
                "(SELECT value_id, count(*) AS packages FROM package_facets GROUP BY value_id)",
            );
        } else {
            count.push(
                "(SELECT f.value_id, count(*) AS packages FROM found m JOIN package_facets f \
                 ON f.package_id = m.id GROUP BY f.value_id)",
            );
        }
        count.push(" c JOIN facet_values v ON v.id = c.value_id) ranked WHERE place <= ");
        count.bind(i64::from(FACET_VALUES_MAX)).push(" ORDER BY facet, place");
        let rows: Vec<CountRow> =
            count.rows().fetch_all(&self.read).await.map_err(failed("count facets"))?;
        counted(rows)
    }

    /// Fills in the facets of at most `most` packages that are older than them; gives how many there were.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn fill_facets(&self, most: u32) -> Result<usize, StoreError> {
        let select = "SELECT id FROM packages WHERE faceted = 0 ORDER BY id LIMIT $1";
        let mut change = self.begin().await?;
        let ids: Vec<i64> = sqlx::query_scalar(select)
            .bind(i64::from(most))
            .fetch_all(&mut *change)
            .await
            .map_err(failed("look for packages without facets"))?;
        for id in &ids {
            super::shown::refacet(&mut change, *id).await?;
        }
        change.commit().await.map_err(failed("commit facets"))?;
        Ok(ids.len())
    }
}

fn counted(rows: Vec<CountRow>) -> Result<Counted, StoreError> {
    let (mut packages, mut facets) = (0, Vec::new());
    for name in FacetName::ALL {
        let mine: Vec<&CountRow> = rows.iter().filter(|row| row.facet == name.as_str()).collect();
        let Some(first) = mine.first() else { continue };
        if name == FacetName::Namespace {
            // Each package has exactly one.
            packages = unsigned("count", first.of_all)?;
        }
        let more = unsigned("count", first.kinds)?.saturating_sub(mine.len() as u64);
        let value = |row: &&CountRow| {
            let packages = unsigned("count", row.packages)?;
            Ok(FacetValue { value: row.value.clone(), packages })
        };
        let values = mine.iter().map(value).collect::<Result<_, StoreError>>()?;
        facets.push(Facet { name, values, more });
    }
    Ok(Counted { packages, facets })
}

/// Replaces the values of a package: `own` are those of the version it shows, and what its row and the attestations of
/// that version say is added.
pub(super) async fn put(
    change: &mut Change,
    package: i64,
    own: &[(FacetName, String)],
) -> Result<(), StoreError> {
    let mut values: BTreeSet<(FacetName, String)> = own.iter().cloned().collect();
    values.extend(of_row(change, package).await?);
    forget(change, package).await?;
    // In one order whoever writes, so that two who bring the same new values do not wait for each other.
    for (facet, value) in &values {
        add_value(change, *facet, value).await?;
        let add = "INSERT INTO package_facets (value_id, package_id) \
             SELECT id, CAST($1 AS BIGINT) FROM facet_values WHERE facet = $2 AND value = $3";
        sqlx::query(add)
            .bind(package)
            .bind(facet.as_str())
            .bind(value)
            .execute(&mut **change)
            .await
            .map_err(failed("write a package's facet"))?;
    }
    mark(change, package).await
}

async fn of_row(change: &mut Change, package: i64) -> Result<Vec<(FacetName, String)>, StoreError> {
    let select = "SELECT namespace, license, lowest_kernel, signed_by FROM packages WHERE id = $1";
    let row: (String, String, Option<String>, String) = sqlx::query_as(select)
        .bind(package)
        .fetch_one(&mut **change)
        .await
        .map_err(failed("look a package up"))?;
    let select = "SELECT DISTINCT a.series FROM attestations a \
         JOIN versions v ON v.id = a.version_id \
         JOIN packages p ON p.id = v.package_id AND p.version = v.version \
         WHERE p.id = $1 AND a.series IS NOT NULL";
    let series: Vec<String> = sqlx::query_scalar(select)
        .bind(package)
        .fetch_all(&mut **change)
        .await
        .map_err(failed("look for kernels a version was verified on"))?;
    let (namespace, license, kernel, signed_by) = row;
    let keys: Vec<KeyId> = from_json("key ids", &signed_by)?;
    let mut values = vec![(FacetName::Namespace, namespace), (FacetName::License, license)];
    values.extend(kernel.map(|kernel| (FacetName::Kernel, kernel)));
    values.extend(series.into_iter().map(|series| (FacetName::VerifiedOn, series)));
    values.extend(keys.iter().map(|key| (FacetName::SignedBy, key.to_string())));
    Ok(values)
}

async fn add_value(change: &mut Change, facet: FacetName, value: &str) -> Result<(), StoreError> {
    let add = "INSERT INTO facet_values (facet, value) VALUES ($1, $2) \
         ON CONFLICT (facet, value) DO NOTHING";
    sqlx::query(add)
        .bind(facet.as_str())
        .bind(value)
        .execute(&mut **change)
        .await
        .map_err(failed("write a facet"))?;
    Ok(())
}

/// Notes that a version was verified on a kernel series, if it is the one its package shows.
pub(super) async fn add_series(
    change: &mut Change,
    version: i64,
    series: &str,
) -> Result<(), StoreError> {
    add_value(change, FacetName::VerifiedOn, series).await?;
    let add = "INSERT INTO package_facets (value_id, package_id) \
         SELECT f.id, p.id FROM facet_values f, packages p JOIN versions v \
         ON v.package_id = p.id AND v.version = p.version \
         WHERE f.facet = $1 AND f.value = $2 AND v.id = $3 AND p.tombstone IS NULL \
         ON CONFLICT (value_id, package_id) DO NOTHING";
    sqlx::query(add)
        .bind(FacetName::VerifiedOn.as_str())
        .bind(series)
        .bind(version)
        .execute(&mut **change)
        .await
        .map_err(failed("write a package's facet"))?;
    Ok(())
}

/// Takes a package out.
pub(super) async fn forget(change: &mut Change, package: i64) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM package_facets WHERE package_id = $1")
        .bind(package)
        .execute(&mut **change)
        .await
        .map_err(failed("replace a package's facets"))?;
    Ok(())
}

/// Notes that nothing is left to fill in.
pub(super) async fn mark(change: &mut Change, package: i64) -> Result<(), StoreError> {
    sqlx::query("UPDATE packages SET faceted = 1 WHERE id = $1")
        .bind(package)
        .execute(&mut **change)
        .await
        .map_err(failed("note a package's facets"))?;
    Ok(())
}
