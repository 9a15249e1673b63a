//! Namespaces, their keys and their newest role file. Refuses to know how a role is verified.

use super::log::append;
use super::{Store, StoreError, failed, parsed, unsigned};
use skep_api::v1::namespaces::{ClaimNamespace, NamespaceInfo};
use skep_artifact::key::PublicKey;
use skep_artifact::log::{Entry, Event};
use skep_artifact::name::Namespace;

#[derive(sqlx::FromRow)]
struct NamespaceRow {
    name: String,
    threshold: i64,
    role_version: i64,
    packages: i64,
}

/// The columns of a [`NamespaceRow`], for the statements that differ in what follows.
macro_rules! select_namespaces {
    ($rest:literal) => {
        concat!(
            "SELECT n.name, n.threshold, n.role_version, ",
            "(SELECT count(*) FROM packages p WHERE p.namespace = n.name AND p.tombstone IS NULL) AS packages ",
            "FROM namespaces n ",
            $rest
        )
    };
}

impl Store {
    /// Claims a namespace; `false` when somebody has it already.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn claim_namespace(
        &self,
        claim: &ClaimNamespace,
        now: i64,
    ) -> Result<bool, StoreError> {
        let mut change = self.begin().await?;
        let add = "INSERT INTO namespaces (name, threshold, created_at) VALUES ($1, $2, $3) \
             ON CONFLICT (name) DO NOTHING";
        let done = sqlx::query(add)
            .bind(claim.name.as_str())
            .bind(i64::from(claim.threshold))
            .bind(now)
            .execute(&mut *change)
            .await
            .map_err(failed("claim a namespace"))?;
        if done.rows_affected() == 0 {
            return Ok(false);
        }
        let add =
            "INSERT INTO namespace_keys (namespace, position, public_key) VALUES ($1, $2, $3)";
        for (position, key) in (0i64..).zip(&claim.keys) {
            sqlx::query(add)
                .bind(claim.name.as_str())
                .bind(position)
                .bind(key.to_string())
                .execute(&mut *change)
                .await
                .map_err(failed("add a namespace's key"))?;
        }
        let event = Event::Delegation {
            namespace: claim.name.clone(),
            keys: claim.keys.clone(),
            threshold: claim.threshold,
            document: None,
        };
        append(&mut change, &Entry { at: now, event }).await?;
        change.commit().await.map_err(failed("commit a namespace"))?;
        Ok(true)
    }

    /// One namespace with its keys.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn namespace(&self, name: &Namespace) -> Result<Option<NamespaceInfo>, StoreError> {
        let select = select_namespaces!("WHERE n.name = $1");
        let row: Option<NamespaceRow> = sqlx::query_as(select)
            .bind(name.as_str())
            .fetch_optional(&self.read)
            .await
            .map_err(failed("look a namespace up"))?;
        match row {
            Some(row) => self.with_keys(row).await.map(Some),
            None => Ok(None),
        }
    }

    /// Every namespace, by name.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn namespaces(&self) -> Result<Vec<NamespaceInfo>, StoreError> {
        let select = select_namespaces!("ORDER BY n.name");
        let rows: Vec<NamespaceRow> = sqlx::query_as(select)
            .fetch_all(&self.read)
            .await
            .map_err(failed("list namespaces"))?;
        let mut all = Vec::with_capacity(rows.len());
        for row in rows {
            all.push(self.with_keys(row).await?);
        }
        Ok(all)
    }

    async fn with_keys(&self, row: NamespaceRow) -> Result<NamespaceInfo, StoreError> {
        let select = "SELECT public_key FROM namespace_keys WHERE namespace = $1 ORDER BY position";
        let keys: Vec<String> = sqlx::query_scalar(select)
            .bind(&row.name)
            .fetch_all(&self.read)
            .await
            .map_err(failed("list a namespace's keys"))?;
        let keys: Result<Vec<PublicKey>, StoreError> =
            keys.iter().map(|key| parsed("public key", key)).collect();
        Ok(NamespaceInfo {
            name: parsed("namespace", &row.name)?,
            keys: keys?,
            threshold: u32::try_from(row.threshold).unwrap_or(u32::MAX),
            role_version: unsigned("role version", row.role_version)?,
            packages: unsigned("package count", row.packages)?,
        })
    }

    /// The newest role file as it was signed; `None` for an unknown namespace or one in which
    /// nothing was published.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn role(&self, name: &Namespace) -> Result<Option<Vec<u8>>, StoreError> {
        let found: Option<Option<Vec<u8>>> =
            sqlx::query_scalar("SELECT role FROM namespaces WHERE name = $1")
                .bind(name.as_str())
                .fetch_optional(&self.read)
                .await
                .map_err(failed("read a role file"))?;
        Ok(found.flatten())
    }
}
