//! Every row of the database as plain values, in one consistent look, whatever the database: for backups
//! and for moving. Refuses to know what a table means.

use super::connect::migrations;
use super::tables::{SEARCH, Table, newest_step, tables};
use super::{Dialect, Store, StoreError, failed};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use futures::TryStreamExt as _;
use serde_json::{Map, Value, json};
use sqlx::any::{AnyRow, AnyTypeInfoKind};
use sqlx::{Any, AssertSqlSafe, Column as _, Row as _, Transaction, TypeInfo as _, ValueRef as _};

/// A look at the database that stays the same however long it takes, while others write.
pub struct Export {
    look: Transaction<'static, Any>,
    dialect: Dialect,
    /// The newest step that brought the schema to its form.
    pub schema: i64,
    tables: Vec<Table>,
}

impl Store {
    /// Begins to look at everything.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn export(&self) -> Result<Export, StoreError> {
        let begin = match self.dialect {
            Dialect::Sqlite => "BEGIN",
            Dialect::Postgres => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        };
        let mut look = self.read.begin_with(begin).await.map_err(failed("begin to look"))?;
        if self.dialect == Dialect::Postgres {
            // A look takes as long as the disk takes; a reader's ten seconds are for requests.
            for setting in [
                "SET LOCAL statement_timeout = 0",
                "SET LOCAL idle_in_transaction_session_timeout = 0",
            ] {
                sqlx::query(setting).execute(&mut *look).await.map_err(failed("begin to look"))?;
            }
        }
        let tables = tables(&mut look, self.dialect).await?;
        Ok(Export {
            look,
            dialect: self.dialect,
            schema: newest_step(migrations(self.dialect)),
            tables,
        })
    }
}

impl Export {
    /// The names of all tables.
    #[must_use]
    pub fn tables(&self) -> Vec<String> {
        self.tables.iter().map(|table| table.name.clone()).collect()
    }

    /// Hands out every row of a table, one by one.
    ///
    /// # Errors
    /// [`StoreError`], or what `take` refused with.
    pub async fn rows<E: From<StoreError>>(
        &mut self,
        name: &str,
        mut take: impl FnMut(Map<String, Value>) -> Result<(), E>,
    ) -> Result<(), E> {
        let refused = failed("read a table");
        let Some(table) = self.tables.iter().find(|table| table.name == name) else {
            return Ok(());
        };
        let columns = table.columns.join(", ");
        let columns = match (self.dialect, name) {
            // The index of words keeps its rows by number.
            (Dialect::Sqlite, SEARCH) => format!("rowid AS package_id, {columns}"),
            _ => columns,
        };
        let select = AssertSqlSafe(format!("SELECT {columns} FROM {name}"));
        let mut rows = sqlx::query(select).fetch(&mut *self.look);
        while let Some(row) = rows.try_next().await.map_err(&refused)? {
            take(plain(&row).map_err(&refused)?)?;
        }
        Ok(())
    }
}

fn plain(row: &AnyRow) -> Result<Map<String, Value>, sqlx::Error> {
    let mut values = Map::new();
    for column in row.columns() {
        let at = column.ordinal();
        let raw = row.try_get_raw(at)?;
        let kind = raw.type_info().kind();
        let value = match kind {
            _ if raw.is_null() || raw.type_info().is_null() => Value::Null,
            AnyTypeInfoKind::Text => row.try_get::<String, _>(at)?.into(),
            AnyTypeInfoKind::Blob => {
                json!({ "bytes": BASE64.encode(row.try_get::<Vec<u8>, _>(at)?) })
            }
            AnyTypeInfoKind::Real => f64::from(row.try_get::<f32, _>(at)?).into(),
            AnyTypeInfoKind::Double => row.try_get::<f64, _>(at)?.into(),
            AnyTypeInfoKind::Bool => i64::from(row.try_get::<bool, _>(at)?).into(),
            _ => row.try_get::<i64, _>(at)?.into(),
        };
        values.insert(column.name().to_owned(), value);
    }
    Ok(values)
}
