//! The documents of the TUF repository. Refuses to know what they say and who signed them.

use super::log::append;
use super::{Change, Store, StoreError, digest, failed, parsed, signed, unsigned};
use skep_artifact::digest::Digest;
use skep_artifact::key::PublicKey;
use skep_artifact::log::{Entry, Event};
use skep_artifact::name::Namespace;

/// Versions of a role that are kept: a client in the middle of a refresh finds what its snapshot named.
/// Roots are all kept, because a client walks them one by one.
const VERSIONS_KEPT: i64 = 16;

/// One document, without its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileRow {
    pub role: String,
    pub version: u64,
    pub length: u64,
    pub digest: Digest,
    pub expires_at: i64,
}

/// A document to keep.
pub struct NewFile {
    pub role: String,
    pub version: u64,
    pub bytes: Vec<u8>,
    pub expires_at: i64,
}

/// A namespace and who signs for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    pub namespace: Namespace,
    pub keys: Vec<PublicKey>,
    pub threshold: u32,
    /// 0 when nothing was published.
    pub role_version: u64,
}

/// A namespace that an offline role delegates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    pub namespace: Namespace,
    pub keys: Vec<PublicKey>,
    pub threshold: u32,
    /// Whether the role before it said something else.
    pub is_new: bool,
}

impl Store {
    /// The newest document of every role.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn tuf_newest(&self) -> Result<Vec<FileRow>, StoreError> {
        let select = "SELECT f.role, f.version, length(f.bytes), f.digest, f.expires_at \
             FROM tuf_files f JOIN (SELECT role, max(version) AS version FROM tuf_files GROUP BY role) n \
             ON f.role = n.role AND f.version = n.version ORDER BY f.role";
        let rows: Vec<(String, i64, i64, Vec<u8>, i64)> = sqlx::query_as(select)
            .fetch_all(&self.read)
            .await
            .map_err(failed("list trust documents"))?;
        rows.into_iter()
            .map(|(role, version, length, hash, expires_at)| {
                Ok(FileRow {
                    role,
                    version: unsigned("document version", version)?,
                    length: unsigned("document length", length)?,
                    digest: digest(&hash)?,
                    expires_at,
                })
            })
            .collect()
    }

    /// One document; the newest of its role when no version is named.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn tuf_file(
        &self,
        role: &str,
        version: Option<u64>,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let version = version.map(|v| signed("document version", v)).transpose()?;
        let select = "SELECT bytes FROM tuf_files WHERE role = $1 \
             AND (version = $2 OR $2 < 0) ORDER BY version DESC LIMIT 1";
        sqlx::query_scalar(select)
            .bind(role)
            .bind(version.unwrap_or(-1))
            .fetch_optional(&self.read)
            .await
            .map_err(failed("read a trust document"))
    }

    /// Keeps documents together, if the newest timestamp still has the version they were made after (0 for none).
    /// `taken` are the namespaces whose keys an offline role now names. Gives whether it was so. What keepers signed is
    /// logged, with every namespace that it gives to other keys.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn tuf_put(
        &self,
        after: u64,
        files: &[NewFile],
        taken: &[Taken],
        now: i64,
    ) -> Result<bool, StoreError> {
        let mut change = self.begin().await?;
        let newest: i64 = sqlx::query_scalar(
            "SELECT coalesce(max(version), 0) FROM tuf_files WHERE role = 'timestamp'",
        )
        .fetch_one(&mut *change)
        .await
        .map_err(failed("read the timestamp's version"))?;
        if unsigned("document version", newest)? != after {
            return Ok(false);
        }
        for file in files {
            let version = signed("document version", file.version)?;
            let add = "INSERT INTO tuf_files (role, version, bytes, digest, expires_at) \
                 VALUES ($1, $2, $3, $4, $5) ON CONFLICT (role, version) DO NOTHING";
            let done = sqlx::query(add)
                .bind(file.role.as_str())
                .bind(version)
                .bind(file.bytes.clone())
                .bind(Digest::of(&file.bytes).as_bytes().to_vec())
                .bind(file.expires_at)
                .execute(&mut *change)
                .await
                .map_err(failed("keep a trust document"))?;
            if done.rows_affected() == 0 {
                return Ok(false);
            }
            if file.role != "root" {
                let drop = "DELETE FROM tuf_files WHERE role = $1 AND version NOT IN \
                     (SELECT version FROM tuf_files WHERE role = $1 ORDER BY version DESC LIMIT $2)";
                sqlx::query(drop)
                    .bind(file.role.as_str())
                    .bind(VERSIONS_KEPT)
                    .execute(&mut *change)
                    .await
                    .map_err(failed("drop old trust documents"))?;
            }
        }
        for signed in taken {
            take(&mut change, signed, now).await?;
        }
        for event in logged(files, taken) {
            append(&mut change, &Entry { at: now, event }).await?;
        }
        change.commit().await.map_err(failed("commit trust documents"))?;
        Ok(true)
    }

    /// Every namespace with its keys, in one query.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn signed_namespaces(&self) -> Result<Vec<Signed>, StoreError> {
        let select = "SELECT n.name, n.threshold, n.role_version, k.public_key FROM namespaces n \
             JOIN namespace_keys k ON k.namespace = n.name ORDER BY n.created_at, n.name, k.position";
        let rows: Vec<(String, i64, i64, String)> = sqlx::query_as(select)
            .fetch_all(&self.read)
            .await
            .map_err(failed("list the keys of namespaces"))?;
        let mut all: Vec<Signed> = Vec::new();
        for (name, threshold, role_version, key) in rows {
            let key: PublicKey = parsed("public key", &key)?;
            match all.last_mut() {
                Some(last) if last.namespace.as_str() == name => last.keys.push(key),
                _ => all.push(Signed {
                    namespace: parsed("namespace", &name)?,
                    keys: vec![key],
                    threshold: u32::try_from(threshold).unwrap_or(u32::MAX),
                    role_version: unsigned("role version", role_version)?,
                }),
            }
        }
        Ok(all)
    }

    /// Replaces a namespace's role file by the one that follows it, and logs it; `false` when another one is there.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn replace_role(
        &self,
        namespace: &Namespace,
        version: u64,
        role: &[u8],
        now: i64,
    ) -> Result<bool, StoreError> {
        let mut change = self.begin().await?;
        let swap = "UPDATE namespaces SET role = $1, role_version = $2 \
             WHERE name = $3 AND role_version = $4";
        let done = sqlx::query(swap)
            .bind(role.to_vec())
            .bind(signed("role version", version)?)
            .bind(namespace.as_str())
            .bind(signed("role version", version.saturating_sub(1))?)
            .execute(&mut *change)
            .await
            .map_err(failed("replace a role file"))?;
        if done.rows_affected() == 0 {
            return Ok(false);
        }
        let event = Event::Trust {
            role: namespace.to_string(),
            namespace: Some(namespace.clone()),
            version,
            document: Digest::of(role),
        };
        append(&mut change, &Entry { at: now, event }).await?;
        change.commit().await.map_err(failed("commit a role file"))?;
        Ok(true)
    }
}

/// Gives a namespace to the keys that an offline role names.
async fn take(change: &mut Change, taken: &Taken, now: i64) -> Result<(), StoreError> {
    let name = taken.namespace.as_str();
    let put = "INSERT INTO namespaces (name, threshold, created_at) VALUES ($1, $2, $3) \
         ON CONFLICT (name) DO UPDATE SET threshold = excluded.threshold";
    sqlx::query(put)
        .bind(name)
        .bind(i64::from(taken.threshold))
        .bind(now)
        .execute(&mut **change)
        .await
        .map_err(failed("take a namespace over"))?;
    sqlx::query("DELETE FROM namespace_keys WHERE namespace = $1")
        .bind(name)
        .execute(&mut **change)
        .await
        .map_err(failed("drop a namespace's keys"))?;
    let add = "INSERT INTO namespace_keys (namespace, position, public_key) VALUES ($1, $2, $3)";
    for (position, key) in (0i64..).zip(&taken.keys) {
        sqlx::query(add)
            .bind(name)
            .bind(position)
            .bind(key.to_string())
            .execute(&mut **change)
            .await
            .map_err(failed("add a namespace's key"))?;
    }
    Ok(())
}

/// What the log says of these documents: of those that keepers sign. The server's own follow from them and from what
/// is published, and are renewed with the time.
fn logged(files: &[NewFile], taken: &[Taken]) -> Vec<Event> {
    let by_keepers = files.iter().filter(|file| ["root", "targets"].contains(&file.role.as_str()));
    let trust = by_keepers.map(|file| Event::Trust {
        role: file.role.clone(),
        namespace: None,
        version: file.version,
        document: Digest::of(&file.bytes),
    });
    let targets = files.iter().find(|file| file.role == "targets");
    let document = targets.map(|file| Digest::of(&file.bytes));
    let delegations = taken.iter().filter(|taken| taken.is_new).map(|taken| Event::Delegation {
        namespace: taken.namespace.clone(),
        keys: taken.keys.clone(),
        threshold: taken.threshold,
        document,
    });
    trust.chain(delegations).collect()
}
