//! Which tables and columns there are, and which refer to which, asked of the database itself: what a
//! later version adds is found without a list. Refuses to know what they mean.

use super::{Dialect, StoreError, failed};
use sqlx::AnyConnection;
use sqlx::migrate::Migrator;
use std::collections::{BTreeMap, BTreeSet};

/// The index of words, which each database keeps in its own way.
pub(super) const SEARCH: &str = "package_search";

/// One table.
pub(super) struct Table {
    pub(super) name: String,
    pub(super) columns: Vec<String>,
}

/// The number of the newest step.
pub(super) fn newest_step(migrations: &Migrator) -> i64 {
    migrations.iter().map(|step| step.version).max().unwrap_or(0)
}

/// Every table, those first that others refer to.
pub(super) async fn tables(
    look: &mut AnyConnection,
    dialect: Dialect,
) -> Result<Vec<Table>, StoreError> {
    // What SQLite keeps for its index of words is part of that index; the record of steps is the driver's.
    let columns = match dialect {
        Dialect::Sqlite => {
            "SELECT m.name, c.name FROM sqlite_master m JOIN pragma_table_info(m.name) c \
             WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite\\_%' ESCAPE '\\' \
             AND m.name NOT LIKE 'package\\_search\\_%' ESCAPE '\\' AND m.name <> '_sqlx_migrations' \
             ORDER BY m.name, c.cid"
        }
        Dialect::Postgres => {
            "SELECT CAST(table_name AS TEXT), CAST(column_name AS TEXT) \
             FROM information_schema.columns WHERE table_schema = current_schema() \
             AND data_type <> 'tsvector' AND table_name <> '_sqlx_migrations' \
             ORDER BY table_name, ordinal_position"
        }
    };
    let references = match dialect {
        Dialect::Sqlite => {
            "SELECT m.name, f.\"table\" FROM sqlite_master m JOIN pragma_foreign_key_list(m.name) f \
             WHERE m.type = 'table'"
        }
        Dialect::Postgres => {
            "SELECT CAST(a.relname AS TEXT), CAST(b.relname AS TEXT) FROM pg_constraint c \
             JOIN pg_class a ON a.oid = c.conrelid JOIN pg_class b ON b.oid = c.confrelid \
             WHERE c.contype = 'f' AND a.relnamespace = CAST(current_schema() AS regnamespace)"
        }
    };
    let columns: Vec<(String, String)> =
        sqlx::query_as(columns).fetch_all(&mut *look).await.map_err(failed("list tables"))?;
    let references: Vec<(String, String)> = sqlx::query_as(references)
        .fetch_all(&mut *look)
        .await
        .map_err(failed("list references"))?;
    let mut by_name: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (table, column) in columns {
        by_name.entry(table).or_default().push(column);
    }
    let order = in_order(by_name.keys().cloned().collect(), &references);
    let table = |name: String| Table { columns: by_name.remove(&name).unwrap_or_default(), name };
    Ok(order.into_iter().map(table).collect())
}

/// Puts a table behind all that it refers to. What refers in a circle comes last, by name.
fn in_order(mut left: BTreeSet<String>, references: &[(String, String)]) -> Vec<String> {
    let mut order = Vec::with_capacity(left.len());
    loop {
        let waits = |name: &String| {
            let mut targets = references.iter().filter(|(from, _)| from == name);
            targets.any(|(from, to)| from != to && left.contains(to))
        };
        let ready: Vec<String> = left.iter().filter(|name| !waits(name)).cloned().collect();
        if ready.is_empty() {
            order.extend(left);
            return order;
        }
        left.retain(|name| !ready.contains(name));
        order.extend(ready);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_comes_behind_what_it_refers_to() {
        let names = ["a", "b", "c", "d"].map(str::to_owned);
        let refer = |from: &str, to: &str| (from.to_owned(), to.to_owned());
        let references = [refer("a", "c"), refer("c", "d"), refer("c", "c"), refer("b", "a")];
        assert_eq!(in_order(names.into(), &references), ["d", "c", "a", "b"]);
        let circle = [refer("a", "b"), refer("b", "a")];
        assert_eq!(in_order(["a", "b"].map(str::to_owned).into(), &circle), ["a", "b"]);
    }
}
