//! The audit log: added to and read, never changed. Refuses to know who may read it.

use super::{Store, StoreError, failed};
use skep_api::v1::audit::{AuditEntry, AuditPage};

#[derive(sqlx::FromRow)]
struct AuditRow {
    id: i64,
    at: i64,
    actor: String,
    action: String,
    namespace: Option<String>,
    subject: String,
    detail: String,
    address: String,
}

/// Which entries to read; an absent field does not narrow.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    pub namespace: Option<String>,
    /// Exactly this actor, and what it did by its tokens.
    pub account: Option<String>,
    pub action: Option<String>,
    pub before: Option<i64>,
    pub limit: u32,
}

impl Store {
    /// Adds an entry; its id is given here.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn add_audit(&self, entry: &AuditEntry) -> Result<(), StoreError> {
        let add = "INSERT INTO audit (at, actor, action, namespace, subject, detail, address) \
            VALUES ($1, $2, $3, $4, $5, $6, $7)";
        sqlx::query(add)
            .bind(entry.at)
            .bind(&entry.actor)
            .bind(&entry.action)
            .bind(&entry.namespace)
            .bind(&entry.subject)
            .bind(&entry.detail)
            .bind(&entry.address)
            .execute(&self.write)
            .await
            .map_err(failed("add to the audit log"))?;
        Ok(())
    }

    /// A page of entries, newest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn audit(&self, filter: &AuditFilter) -> Result<AuditPage, StoreError> {
        // An empty text stands for "whatever": one statement, whose plan both databases keep.
        let select = "SELECT id, at, actor, action, namespace, subject, detail, address FROM audit \
            WHERE id < $1 AND ($2 = '' OR namespace = $2) AND ($3 = '' OR action = $3) \
            AND ($4 = '' OR actor = $4 OR substr(actor, 1, length($4) + 2) = $4 || ' (') \
            ORDER BY id DESC LIMIT $5";
        let rows: Vec<AuditRow> = sqlx::query_as(select)
            .bind(filter.before.unwrap_or(i64::MAX))
            .bind(filter.namespace.clone().unwrap_or_default())
            .bind(filter.action.clone().unwrap_or_default())
            .bind(filter.account.clone().unwrap_or_default())
            .bind(i64::from(filter.limit) + 1)
            .fetch_all(&self.read)
            .await
            .map_err(failed("read the audit log"))?;
        let limit = usize::try_from(filter.limit).unwrap_or(usize::MAX);
        let more = rows.len() > limit;
        let read = |row: AuditRow| {
            let AuditRow { id, at, actor, action, namespace, subject, detail, address } = row;
            AuditEntry { id, at, actor, action, namespace, subject, detail, address }
        };
        let entries: Vec<AuditEntry> = rows.into_iter().take(limit).map(read).collect();
        let next = entries.last().filter(|_| more).map(|entry| entry.id);
        Ok(AuditPage { entries, next })
    }
}
