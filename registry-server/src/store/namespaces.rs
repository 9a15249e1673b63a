//! Namespaces, their keys and their newest role file. Refuses to know how a role is verified.

use super::log::append;
use super::{Store, StoreError, failed, parsed, to_json, unsigned};
use skep_api::v1::accounts::MemberRole;
use skep_api::v1::namespaces::{ClaimNamespace, NamespaceInfo};
use skep_artifact::key::PublicKey;
use skep_artifact::log::{Entry, Event};
use skep_artifact::name::Namespace;

/// Who claims a namespace, and what its name looks like.
#[derive(Debug, Clone, Copy)]
pub struct Claimant<'a> {
    /// Id of the account that becomes the owner.
    pub owner: Option<&'a str>,
    pub skeleton: &'a str,
    pub looks: Looks,
}

/// Whether a name may look like another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Looks {
    MustBeNew,
    /// An admin decides.
    MayBeTaken,
}

/// Why a namespace is not claimed.
#[derive(Debug, thiserror::Error)]
pub enum ClaimConflict {
    #[error("somebody has it already")]
    Exists,
    #[error("it looks like {taken}")]
    LooksTaken { taken: String },
    #[error(transparent)]
    Store(#[from] StoreError),
}

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
    /// Claims a namespace, and makes its claimant the owner.
    ///
    /// # Errors
    /// [`ClaimConflict`]; nothing was claimed then.
    pub async fn claim_namespace(
        &self,
        claim: &ClaimNamespace,
        claimant: Claimant<'_>,
        now: i64,
    ) -> Result<(), ClaimConflict> {
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
            return Err(ClaimConflict::Exists);
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
        let look = "INSERT INTO name_skeletons (kind, skeleton, name) \
            VALUES ('namespace', $1, $2) ON CONFLICT (kind, skeleton) DO NOTHING";
        let looks_new = sqlx::query(look)
            .bind(claimant.skeleton)
            .bind(claim.name.as_str())
            .execute(&mut *change)
            .await
            .map_err(failed("take a name"))?;
        if looks_new.rows_affected() == 0 && claimant.looks == Looks::MustBeNew {
            let find = "SELECT name FROM name_skeletons WHERE kind = 'namespace' AND skeleton = $1";
            let taken: String = sqlx::query_scalar(find)
                .bind(claimant.skeleton)
                .fetch_one(&mut *change)
                .await
                .map_err(failed("look a likeness up"))?;
            return Err(ClaimConflict::LooksTaken { taken });
        }
        if let Some(owner) = claimant.owner {
            let own = "INSERT INTO namespace_members (namespace, account, role, added_at) \
                VALUES ($1, $2, $3, $4)";
            sqlx::query(own)
                .bind(claim.name.as_str())
                .bind(owner)
                .bind(to_json("member role", &MemberRole::Owner)?)
                .bind(now)
                .execute(&mut *change)
                .await
                .map_err(failed("add an owner"))?;
        }
        change.commit().await.map_err(failed("commit a namespace"))?;
        Ok(())
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
