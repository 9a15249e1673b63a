//! Filling an empty database with the rows of another, all or nothing. Refuses to mix them with rows
//! that are there.

use super::connect::migrations;
use super::search_index::{self, SearchTexts};
use super::tables::{SEARCH, Table, newest_step, tables};
use super::{Change, Dialect, Store, StoreError, failed};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Map, Value};
use sqlx::Arguments as _;
use sqlx::AssertSqlSafe;
use sqlx::any::AnyArguments;

/// An import that is not committed; dropping it leaves the database empty.
pub struct Import {
    change: Change,
    tables: Vec<Table>,
    /// The newest step of this database's form.
    pub schema: i64,
}

impl Store {
    /// Begins to fill the database; `None` when somebody uses it already.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn import(&self) -> Result<Option<Import>, StoreError> {
        let mut change = self.begin().await?;
        if self.dialect == Dialect::Postgres {
            // While bytes are copied, nothing is said to the database.
            sqlx::query("SET LOCAL idle_in_transaction_session_timeout = 0")
                .execute(&mut *change)
                .await
                .map_err(failed("begin an import"))?;
        }
        let tables = tables(&mut change, self.dialect).await?;
        let used = "SELECT (SELECT count(*) FROM namespaces) + (SELECT count(*) FROM nodes) \
             + (SELECT count(*) FROM tokens) + (SELECT count(*) FROM blobs) \
             + (SELECT count(*) FROM accounts)";
        let used: i64 = sqlx::query_scalar(used)
            .fetch_one(&mut *change)
            .await
            .map_err(failed("look whether the database is empty"))?;
        if used > 0 {
            return Ok(None);
        }
        // Rows that a step of the schema brought come from the other database, too.
        for table in tables.iter().rev() {
            sqlx::query(AssertSqlSafe(format!("DELETE FROM {}", table.name)))
                .execute(&mut *change)
                .await
                .map_err(failed("empty a table"))?;
        }
        let schema = newest_step(migrations(self.dialect));
        Ok(Some(Import { change, tables, schema }))
    }
}

impl Import {
    /// The tables in the order in which they are filled.
    #[must_use]
    pub fn tables(&self) -> Vec<String> {
        self.tables.iter().map(|table| table.name.clone()).collect()
    }

    /// Adds a row to one of [`Import::tables`].
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] for a row that is none of this table; [`StoreError`].
    pub async fn add(&mut self, name: &str, row: &Map<String, Value>) -> Result<(), StoreError> {
        if name == SEARCH {
            return self.add_words(row).await;
        }
        let corrupt = |reason: String| StoreError::Corrupt { what: "row of a backup", reason };
        let table = self.tables.iter().find(|table| table.name == name);
        let table = table.ok_or_else(|| corrupt(format!("there is no table {name}")))?;
        let mut arguments = AnyArguments::default();
        let (mut columns, mut values) = (Vec::new(), Vec::new());
        for (column, value) in row {
            // A name that the database itself gave holds nothing but a name.
            let known = table.columns.iter().find(|known| *known == column);
            columns.push(known.ok_or_else(|| corrupt(format!("{name} has no {column}")))?.as_str());
            values.push(bind(&mut arguments, value).map_err(corrupt)?);
        }
        // Numbers that PostgreSQL alone may give out are given by the rows here.
        let given = match self.change.dialect {
            Dialect::Sqlite => "",
            Dialect::Postgres => "OVERRIDING SYSTEM VALUE",
        };
        let (columns, values) = (columns.join(", "), values.join(", "));
        let insert = format!("INSERT INTO {name} ({columns}) {given} VALUES ({values})");
        sqlx::query_with(AssertSqlSafe(insert), arguments)
            .execute(&mut *self.change)
            .await
            .map_err(failed("write a row of a backup"))?;
        Ok(())
    }

    async fn add_words(&mut self, row: &Map<String, Value>) -> Result<(), StoreError> {
        let text =
            |name: &str| row.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let texts = SearchTexts {
            name: text("name"),
            description: text("description"),
            keywords: text("keywords"),
        };
        let package = row.get("package_id").and_then(Value::as_i64).unwrap_or_default();
        search_index::put(&mut self.change, package, &texts).await
    }

    /// Makes everything visible.
    ///
    /// # Errors
    /// [`StoreError`]; the database is empty then.
    pub async fn commit(mut self) -> Result<(), StoreError> {
        if self.change.dialect == Dialect::Postgres {
            count_on(&mut self.change).await?;
        }
        self.change.commit().await.map_err(failed("commit an import"))
    }
}

/// Adds a value and returns its place in the statement. NULL is written out: a bound one has a type,
/// and PostgreSQL minds.
fn bind(arguments: &mut AnyArguments, value: &Value) -> Result<String, String> {
    let added = match value {
        Value::Null => return Ok("NULL".to_owned()),
        Value::String(text) => arguments.add(text.clone()),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(number), _) => arguments.add(number),
            (None, Some(number)) => arguments.add(number),
            (None, None) => return Err(format!("{number} is no number of a database")),
        },
        Value::Object(bytes) => {
            let text =
                bytes.get("bytes").and_then(Value::as_str).ok_or("an object without bytes")?;
            arguments.add(BASE64.decode(text).map_err(|e| e.to_string())?)
        }
        Value::Bool(_) | Value::Array(_) => return Err(format!("{value} is in no table")),
    };
    added.map_err(|e| e.to_string())?;
    Ok(format!("${}", arguments.len()))
}

/// Numbers that PostgreSQL gives out go on behind those that came with the rows.
async fn count_on(change: &mut Change) -> Result<(), StoreError> {
    let refused = failed("count on behind the rows of a backup");
    let select = "SELECT CAST(table_name AS TEXT), CAST(column_name AS TEXT) \
         FROM information_schema.columns \
         WHERE table_schema = current_schema() AND is_identity = 'YES'";
    let counted: Vec<(String, String)> =
        sqlx::query_as(select).fetch_all(&mut **change).await.map_err(&refused)?;
    for (table, column) in counted {
        let set = format!(
            "SELECT setval(pg_get_serial_sequence('{table}', '{column}'), \
             (SELECT coalesce(max({column}), 0) + 1 FROM {table}), false)"
        );
        sqlx::query(AssertSqlSafe(set)).execute(&mut **change).await.map_err(&refused)?;
    }
    Ok(())
}
