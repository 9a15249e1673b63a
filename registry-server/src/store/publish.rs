//! The one transaction that makes a version visible. Refuses to know signatures and ELF files:
//! what it is given was verified.

use super::log::append;
use super::quotas::{QuotaExceeded, refuse_overfull};
use super::shown::{self, Shown};
use super::{Change, Store, StoreError, digest, failed, parsed, signed, to_json, unsigned};
use skep_artifact::digest::Digest;
use skep_artifact::key::KeyId;
use skep_artifact::log::{Entry, Event};
use skep_artifact::name::{Namespace, PackageName, Version};
use skep_artifact::object::ObjectFacts;

/// A verified version, ready to become visible.
pub struct NewVersion {
    pub name: PackageName,
    pub version: Version,
    pub release: u64,
    pub index: Digest,
    pub published_at: i64,
    pub published_by: String,
    pub threshold: u32,
    pub signed_by: Vec<KeyId>,
    /// The namespace's new role file.
    pub role: Vec<u8>,
    pub role_version: u64,
    /// Canonical JSON.
    pub manifest: String,
    pub facts: Vec<ObjectFacts>,
    pub readme_html: String,
    pub blobs: Vec<NewBlob>,
    pub shown: Shown,
}

/// One blob of a version and how the OCI API serves it.
pub struct NewBlob {
    pub digest: Digest,
    pub size_bytes: u64,
    pub media_type: String,
    pub role: BlobRole,
}

/// What a blob is to the version it belongs to.
#[derive(Clone)]
pub enum BlobRole {
    /// Config, layer or other content.
    Content,
    /// An index or image manifest.
    Manifest,
    /// A manifest that says something about another one.
    Referrer { subject: Digest, artifact_type: String, annotations: String },
}

/// Why a version did not become visible.
#[derive(Debug, thiserror::Error)]
pub enum PublishConflict {
    #[error("the namespace's role is at version {current}")]
    RoleMoved { current: u64 },
    #[error("the version exists with index {index}")]
    VersionExists { index: Digest },
    #[error("release {highest} was published before")]
    ReleaseNotNewer { highest: u64 },
    #[error("blob {digest} is not stored")]
    BlobGone { digest: Digest },
    #[error("the package was deleted: {message}")]
    Tombstoned { message: String },
    #[error(transparent)]
    Quota(#[from] QuotaExceeded),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Store {
    /// Makes a version visible, or nothing: role file, version, blobs, listing and log entry in one
    /// transaction. `before_commit` runs when all is written and nothing is decided. Gives the
    /// version's place in the log.
    ///
    /// # Errors
    /// [`PublishConflict`] says what stood in the way; nothing was changed then.
    pub async fn publish(
        &self,
        new: &NewVersion,
        before_commit: impl FnOnce(),
    ) -> Result<u64, PublishConflict> {
        let mut change = self.begin().await?;
        let package = find_open_package(&mut change, new).await?;
        move_role(&mut change, new).await?;
        if let Some(package) = &package
            && package.release >= new.release
        {
            return Err(PublishConflict::ReleaseNotNewer { highest: package.release });
        }
        refuse_overfull(&mut change, new, u64::from(package.is_none())).await??;
        let index = insert(&mut change, new, package.as_ref()).await?;
        before_commit();
        change.commit().await.map_err(failed("commit a version"))?;
        Ok(index)
    }
}

/// Writes a version, everything that hangs on it and, last, its log entry. Gives its place in the log.
pub(super) async fn insert(
    change: &mut Change,
    new: &NewVersion,
    package: Option<&FoundPackage>,
) -> Result<u64, PublishConflict> {
    let id = put_package(change, new, package).await?;
    let version = put_version(change, id, new).await?;
    put_blobs(change, id, version, new).await?;
    Ok(put_log(change, version, new).await?)
}

/// The package of a new version, as it stands.
pub(super) struct FoundPackage {
    id: i64,
    release: u64,
    /// The version that listings show, and whether it is yanked.
    version: Version,
    yanked: bool,
    tombstone: Option<String>,
}

/// The package, if there is one; a version that exists and a package that was deleted are refused.
pub(super) async fn find_open_package(
    change: &mut Change,
    new: &NewVersion,
) -> Result<Option<FoundPackage>, PublishConflict> {
    let Some(package) = find_package(change, &new.name).await? else { return Ok(None) };
    if let Some(message) = package.tombstone {
        return Err(PublishConflict::Tombstoned { message });
    }
    refuse_existing(change, package.id, &new.version).await?;
    Ok(Some(package))
}

async fn find_package(
    change: &mut Change,
    name: &PackageName,
) -> Result<Option<FoundPackage>, StoreError> {
    let select = "SELECT p.id, p.release, p.version, p.tombstone, v.yanked FROM packages p \
         JOIN versions v ON v.package_id = p.id AND v.version = p.version WHERE p.name = $1";
    let row: Option<(i64, i64, String, Option<String>, i64)> = sqlx::query_as(select)
        .bind(name.to_string())
        .fetch_optional(&mut **change)
        .await
        .map_err(failed("look a package up"))?;
    row.map(|(id, release, version, tombstone, yanked)| {
        let release = unsigned("release", release)?;
        let (version, yanked) = (parsed("version", &version)?, yanked != 0);
        Ok(FoundPackage { id, release, version, yanked, tombstone })
    })
    .transpose()
}

async fn refuse_existing(
    change: &mut Change,
    package: i64,
    version: &Version,
) -> Result<(), PublishConflict> {
    let select = "SELECT index_digest FROM versions WHERE package_id = $1 AND version = $2";
    let found: Option<Vec<u8>> = sqlx::query_scalar(select)
        .bind(package)
        .bind(version.to_string())
        .fetch_optional(&mut **change)
        .await
        .map_err(failed("look a version up"))?;
    match found {
        Some(index) => Err(PublishConflict::VersionExists { index: digest(&index)? }),
        None => Ok(()),
    }
}

/// Compare and swap: only the publish whose role follows the current one gets through.
async fn move_role(change: &mut Change, new: &NewVersion) -> Result<(), PublishConflict> {
    let namespace = new.name.namespace();
    let swap = "UPDATE namespaces SET role = $1, role_version = $2 \
         WHERE name = $3 AND role_version = $4";
    let done = sqlx::query(swap)
        .bind(&new.role)
        .bind(signed("role version", new.role_version)?)
        .bind(namespace.as_str())
        .bind(signed("role version", new.role_version.saturating_sub(1))?)
        .execute(&mut **change)
        .await
        .map_err(failed("replace a role file"))?;
    if done.rows_affected() == 1 {
        return Ok(());
    }
    let current = role_version(change, namespace).await?;
    Err(PublishConflict::RoleMoved { current })
}

pub(super) async fn role_version(
    change: &mut Change,
    namespace: &Namespace,
) -> Result<u64, StoreError> {
    let current: Option<i64> =
        sqlx::query_scalar("SELECT role_version FROM namespaces WHERE name = $1")
            .bind(namespace.as_str())
            .fetch_optional(&mut **change)
            .await
            .map_err(failed("read a role version"))?;
    unsigned("role version", current.unwrap_or(0))
}

async fn put_package(
    change: &mut Change,
    new: &NewVersion,
    existing: Option<&FoundPackage>,
) -> Result<i64, StoreError> {
    let id = match existing {
        None => add_package(change, new).await?,
        Some(package)
            if package.yanked || shown::is_shown_before(&new.version, &package.version) =>
        {
            show_version(change, new, package.id).await?;
            package.id
        }
        Some(package) => {
            let raise = "UPDATE packages SET release = $1 WHERE id = $2 AND release < $1";
            sqlx::query(raise)
                .bind(signed("release", new.release)?)
                .bind(package.id)
                .execute(&mut **change)
                .await
                .map_err(failed("raise a release"))?;
            return Ok(package.id);
        }
    };
    shown::put_search(change, id, &new.name, &new.shown).await?;
    Ok(id)
}

async fn add_package(change: &mut Change, new: &NewVersion) -> Result<i64, StoreError> {
    let add = "INSERT INTO packages (namespace, name, release, version, description, license, \
         hooks, lowest_kernel, signed_by, published_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) RETURNING id";
    sqlx::query_scalar(add)
        .bind(new.name.namespace().as_str())
        .bind(new.name.to_string())
        .bind(signed("release", new.release)?)
        .bind(new.version.to_string())
        .bind(&new.shown.description)
        .bind(&new.shown.license)
        .bind(to_json("hooks", &new.shown.hooks)?)
        .bind(&new.shown.lowest_kernel)
        .bind(to_json("key ids", &new.signed_by)?)
        .bind(new.published_at)
        .fetch_one(&mut **change)
        .await
        .map_err(failed("add a package"))
}

async fn show_version(change: &mut Change, new: &NewVersion, id: i64) -> Result<(), StoreError> {
    let show = "UPDATE packages SET release = CASE WHEN release < $1 THEN $1 ELSE release END, version = $2, description = $3, license = $4, \
         hooks = $5, lowest_kernel = $6, signed_by = $7, published_at = $8 WHERE id = $9";
    sqlx::query(show)
        .bind(signed("release", new.release)?)
        .bind(new.version.to_string())
        .bind(&new.shown.description)
        .bind(&new.shown.license)
        .bind(to_json("hooks", &new.shown.hooks)?)
        .bind(&new.shown.lowest_kernel)
        .bind(to_json("key ids", &new.signed_by)?)
        .bind(new.published_at)
        .bind(id)
        .execute(&mut **change)
        .await
        .map_err(failed("show a version of a package"))?;
    Ok(())
}

async fn put_version(
    change: &mut Change,
    package: i64,
    new: &NewVersion,
) -> Result<i64, PublishConflict> {
    let put = "INSERT INTO versions (package_id, version, release, index_digest, published_at, \
         size_bytes, manifest, facts, readme_html, signed_by, threshold, role_version, \
         published_by) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) RETURNING id";
    let size: u64 = new.blobs.iter().map(|blob| blob.size_bytes).sum();
    let id = sqlx::query_scalar(put)
        .bind(package)
        .bind(new.version.to_string())
        .bind(signed("release", new.release)?)
        .bind(&new.index.as_bytes()[..])
        .bind(new.published_at)
        .bind(signed("size", size)?)
        .bind(&new.manifest)
        .bind(to_json("facts", &new.facts)?)
        .bind(&new.readme_html)
        .bind(to_json("key ids", &new.signed_by)?)
        .bind(i64::from(new.threshold))
        .bind(signed("role version", new.role_version)?)
        .bind(&new.published_by)
        .fetch_one(&mut **change)
        .await;
    id.map_err(|source| blob_gone(source, new.index, "write a version"))
}

/// Logs the version. Last, because other writers wait from here on.
async fn put_log(change: &mut Change, version: i64, new: &NewVersion) -> Result<u64, StoreError> {
    let entry = Entry {
        at: new.published_at,
        event: Event::Publish {
            package: new.name.clone(),
            version: new.version.clone(),
            index: new.index,
            release: new.release,
            role_version: new.role_version,
            role: Some(Digest::of(&new.role)),
            signed_by: new.signed_by.clone(),
        },
    };
    let index = append(change, &entry).await?;
    sqlx::query("UPDATE versions SET log_position = $1 WHERE id = $2")
        .bind(signed("log index", index)?)
        .bind(version)
        .execute(&mut **change)
        .await
        .map_err(failed("note a version's place in the log"))?;
    Ok(index)
}

async fn put_blobs(
    change: &mut Change,
    package: i64,
    version: i64,
    new: &NewVersion,
) -> Result<(), PublishConflict> {
    let put = "INSERT INTO version_blobs (version_id, digest, package_id, is_manifest, media_type, \
         size_bytes, subject, artifact_type, annotations) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
    for blob in &new.blobs {
        let (is_manifest, referrer) = match &blob.role {
            BlobRole::Content => (false, None),
            BlobRole::Manifest => (true, None),
            BlobRole::Referrer { subject, artifact_type, annotations } => {
                (true, Some((subject, artifact_type, annotations)))
            }
        };
        sqlx::query(put)
            .bind(version)
            .bind(&blob.digest.as_bytes()[..])
            .bind(package)
            .bind(i64::from(is_manifest))
            .bind(&blob.media_type)
            .bind(signed("size", blob.size_bytes)?)
            .bind(referrer.map(|(subject, _, _)| subject.as_bytes().to_vec()))
            .bind(referrer.map(|(_, kind, _)| kind.clone()))
            .bind(referrer.map(|(_, _, annotations)| annotations.clone()))
            .execute(&mut **change)
            .await
            .map_err(|source| blob_gone(source, blob.digest, "write a version's blob"))?;
    }
    Ok(())
}

/// A broken foreign key means that the blob was collected between upload and publish.
fn blob_gone(source: sqlx::Error, digest: Digest, what: &'static str) -> PublishConflict {
    match &source {
        sqlx::Error::Database(database) if database.is_foreign_key_violation() => {
            PublishConflict::BlobGone { digest }
        }
        _ => failed(what)(source).into(),
    }
}
