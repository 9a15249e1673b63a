//! Content that OCI clients push: blobs, manifests and tags of repositories. What was published is never
//! changed from here. Refuses to know OCI's JSON and who may push.

use super::oci::published_key;
use super::{Change, Store, StoreError, failed, signed};
use crate::oci::digest::OciDigest;
use crate::oci::name::{Repository, Tag};
use skep_artifact::digest::Digest;

/// Bytes that are stored, under the name their pusher gave them.
pub struct NewBlob<'a> {
    pub repository: &'a Repository,
    pub digest: &'a OciDigest,
    pub content: Digest,
    pub size_bytes: u64,
    pub pushed_at: i64,
}

/// A manifest that was read and whose bytes are stored.
pub struct NewManifest<'a> {
    pub blob: NewBlob<'a>,
    pub media_type: &'a str,
    /// Manifests it names.
    pub manifests: &'a [OciDigest],
    /// Blobs it names.
    pub blobs: &'a [OciDigest],
    pub subject: Option<&'a OciDigest>,
    pub artifact_type: Option<&'a str>,
    /// JSON object.
    pub annotations: String,
    pub tags: &'a [Tag],
    pub pushed_by: &'a str,
}

/// Why a push or a deletion was not carried out. Nothing was changed then.
#[derive(Debug, thiserror::Error)]
pub enum PushConflict {
    #[error("the namespace is not claimed")]
    NoNamespace,
    #[error("the repository lacks what the manifest names")]
    Unknown { digests: Vec<String> },
    #[error("{what} is part of a published version")]
    Published { what: String },
    #[error("manifest {manifest} names the blob")]
    InUse { manifest: String },
    #[error("there is no such thing")]
    Missing,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Store {
    /// Gives stored bytes a name in a repository.
    ///
    /// # Errors
    /// [`PushConflict`].
    pub async fn put_oci_blob(&self, blob: &NewBlob<'_>) -> Result<(), PushConflict> {
        let mut change = self.begin().await?;
        need_namespace(&mut change, blob.repository).await?;
        note(&mut change, blob).await?;
        link(&mut change, blob).await?;
        change.commit().await.map_err(failed("commit a pushed blob"))?;
        Ok(())
    }

    /// Gives a blob of one repository a name in another; `false` when the first has none.
    ///
    /// # Errors
    /// [`PushConflict`].
    pub async fn mount_oci_blob(
        &self,
        from: &Repository,
        into: &Repository,
        wanted: &OciDigest,
        now: i64,
    ) -> Result<bool, PushConflict> {
        let mut change = self.begin().await?;
        need_namespace(&mut change, into).await?;
        let mount = "INSERT INTO oci_blobs (repository, digest, content, size_bytes, pushed_at) \
             SELECT $1, $2, found.content, found.size_bytes, $3 FROM (\
             SELECT content, size_bytes FROM oci_blobs WHERE repository = $4 AND digest = $2 \
             UNION ALL SELECT b.digest, b.size_bytes FROM version_blobs b \
             JOIN packages p ON p.id = b.package_id WHERE p.name = $4 AND b.digest = $5 \
             LIMIT 1) AS found WHERE 1 = 1 \
             ON CONFLICT (repository, digest) DO UPDATE SET pushed_at = excluded.pushed_at";
        let done = sqlx::query(mount)
            .bind(into.to_string())
            .bind(wanted.to_string())
            .bind(now)
            .bind(from.to_string())
            .bind(published_key(wanted))
            .execute(&mut *change)
            .await
            .map_err(failed("mount a blob"))?;
        change.commit().await.map_err(failed("commit a mounted blob"))?;
        Ok(done.rows_affected() == 1)
    }

    /// Makes a manifest and its tags visible, or nothing. `before_commit` runs when all is written and
    /// nothing is decided.
    ///
    /// # Errors
    /// [`PushConflict`].
    pub async fn put_oci_manifest(
        &self,
        new: &NewManifest<'_>,
        before_commit: impl FnOnce(),
    ) -> Result<(), PushConflict> {
        let mut change = self.begin().await?;
        let NewBlob { repository, digest, content, .. } = new.blob;
        need_namespace(&mut change, repository).await?;
        let mut free = Vec::new();
        for tag in new.tags {
            match published_tag(&mut change, repository, tag).await? {
                None => free.push(tag),
                // Pushing what is there already changes nothing: a mirror does so.
                Some(index) if index == content.as_bytes() => {}
                Some(_) => return Err(PushConflict::Published { what: format!("tag {tag}") }),
            }
        }
        need_links(&mut change, new).await?;
        note(&mut change, &new.blob).await?;
        put_manifest(&mut change, new).await?;
        for tag in free {
            let put = "INSERT INTO oci_tags (repository, tag, digest, pushed_at, pushed_by) \
                 VALUES ($1, $2, $3, $4, $5) ON CONFLICT (repository, tag) DO UPDATE SET \
                 digest = excluded.digest, pushed_at = excluded.pushed_at, \
                 pushed_by = excluded.pushed_by";
            sqlx::query(put)
                .bind(repository.to_string())
                .bind(tag.to_string())
                .bind(digest.to_string())
                .bind(new.blob.pushed_at)
                .bind(new.pushed_by.to_owned())
                .execute(&mut *change)
                .await
                .map_err(failed("set a tag"))?;
        }
        before_commit();
        change.commit().await.map_err(failed("commit a pushed manifest"))?;
        Ok(())
    }

    /// Takes a tag away; the manifest stays.
    ///
    /// # Errors
    /// [`PushConflict`].
    pub async fn delete_oci_tag(
        &self,
        repository: &Repository,
        tag: &Tag,
    ) -> Result<(), PushConflict> {
        let mut change = self.begin().await?;
        if published_tag(&mut change, repository, tag).await?.is_some() {
            return Err(PushConflict::Published { what: format!("tag {tag}") });
        }
        let done = sqlx::query("DELETE FROM oci_tags WHERE repository = $1 AND tag = $2")
            .bind(repository.to_string())
            .bind(tag.to_string())
            .execute(&mut *change)
            .await
            .map_err(failed("take a tag away"))?;
        change.commit().await.map_err(failed("commit a deletion"))?;
        if done.rows_affected() == 0 { Err(PushConflict::Missing) } else { Ok(()) }
    }

    /// Takes a manifest away, and every tag that names it. Returns those tags.
    ///
    /// # Errors
    /// [`PushConflict`].
    pub async fn delete_oci_manifest(
        &self,
        repository: &Repository,
        digest: &OciDigest,
    ) -> Result<Vec<String>, PushConflict> {
        let mut change = self.begin().await?;
        refuse_published(&mut change, repository, digest).await?;
        let delete = "DELETE FROM oci_tags WHERE repository = $1 AND digest = $2 RETURNING tag";
        let tags: Vec<String> = sqlx::query_scalar(delete)
            .bind(repository.to_string())
            .bind(digest.to_string())
            .fetch_all(&mut *change)
            .await
            .map_err(failed("take a manifest's tags away"))?;
        unlink(&mut change, repository, digest).await?;
        let done = sqlx::query("DELETE FROM oci_manifests WHERE repository = $1 AND digest = $2")
            .bind(repository.to_string())
            .bind(digest.to_string())
            .execute(&mut *change)
            .await
            .map_err(failed("take a manifest away"))?;
        change.commit().await.map_err(failed("commit a deletion"))?;
        if done.rows_affected() == 0 { Err(PushConflict::Missing) } else { Ok(tags) }
    }

    /// Takes a blob away that no manifest of the repository names.
    ///
    /// # Errors
    /// [`PushConflict`].
    pub async fn delete_oci_blob(
        &self,
        repository: &Repository,
        digest: &OciDigest,
    ) -> Result<(), PushConflict> {
        let mut change = self.begin().await?;
        refuse_published(&mut change, repository, digest).await?;
        let select = "SELECT manifest FROM oci_links WHERE repository = $1 AND target = $2 LIMIT 1";
        let user: Option<String> = sqlx::query_scalar(select)
            .bind(repository.to_string())
            .bind(digest.to_string())
            .fetch_optional(&mut *change)
            .await
            .map_err(failed("look for a blob's manifests"))?;
        if let Some(manifest) = user {
            return Err(PushConflict::InUse { manifest });
        }
        let done = sqlx::query("DELETE FROM oci_blobs WHERE repository = $1 AND digest = $2")
            .bind(repository.to_string())
            .bind(digest.to_string())
            .execute(&mut *change)
            .await
            .map_err(failed("take a blob away"))?;
        change.commit().await.map_err(failed("commit a deletion"))?;
        if done.rows_affected() == 0 { Err(PushConflict::Missing) } else { Ok(()) }
    }
}

pub(super) async fn need_namespace(
    change: &mut Change,
    repository: &Repository,
) -> Result<(), PushConflict> {
    let found: Option<i64> = sqlx::query_scalar("SELECT 1 FROM namespaces WHERE name = $1")
        .bind(repository.namespace().to_string())
        .fetch_optional(&mut **change)
        .await
        .map_err(failed("look a namespace up"))?;
    found.map(drop).ok_or(PushConflict::NoNamespace)
}

/// The index of the published version that a tag names.
async fn published_tag(
    change: &mut Change,
    repository: &Repository,
    tag: &Tag,
) -> Result<Option<Vec<u8>>, StoreError> {
    let select = "SELECT v.index_digest FROM versions v JOIN packages p ON p.id = v.package_id \
         WHERE p.name = $1 AND v.version = CASE WHEN $2 = 'latest' THEN p.version ELSE $2 END";
    sqlx::query_scalar(select)
        .bind(repository.to_string())
        .bind(tag.to_string())
        .fetch_optional(&mut **change)
        .await
        .map_err(failed("look a published tag up"))
}

async fn is_published(
    change: &mut Change,
    repository: &Repository,
    wanted: &OciDigest,
) -> Result<bool, StoreError> {
    let select = "SELECT 1 FROM version_blobs b JOIN packages p ON p.id = b.package_id \
         WHERE p.name = $1 AND b.digest = $2 LIMIT 1";
    let found: Option<i64> = sqlx::query_scalar(select)
        .bind(repository.to_string())
        .bind(published_key(wanted))
        .fetch_optional(&mut **change)
        .await
        .map_err(failed("look a published blob up"))?;
    Ok(found.is_some())
}

async fn refuse_published(
    change: &mut Change,
    repository: &Repository,
    wanted: &OciDigest,
) -> Result<(), PushConflict> {
    if is_published(change, repository, wanted).await? {
        return Err(PushConflict::Published { what: wanted.to_string() });
    }
    Ok(())
}

/// Everything a manifest names must be in its repository, as what it names it. Blobs are kept from
/// being collected by this very look.
async fn need_links(change: &mut Change, new: &NewManifest<'_>) -> Result<(), PushConflict> {
    let repository = new.blob.repository;
    let mut unknown = Vec::new();
    for wanted in new.blobs {
        let touch = "UPDATE oci_blobs SET pushed_at = $1 WHERE repository = $2 AND digest = $3";
        let held = sqlx::query(touch)
            .bind(new.blob.pushed_at)
            .bind(repository.to_string())
            .bind(wanted.to_string())
            .execute(&mut **change)
            .await
            .map_err(failed("look a pushed blob up"))?;
        if held.rows_affected() == 0 && !is_published(change, repository, wanted).await? {
            unknown.push(wanted.to_string());
        }
    }
    for wanted in new.manifests {
        let select = "SELECT 1 FROM oci_manifests WHERE repository = $1 AND digest = $2";
        let held: Option<i64> = sqlx::query_scalar(select)
            .bind(repository.to_string())
            .bind(wanted.to_string())
            .fetch_optional(&mut **change)
            .await
            .map_err(failed("look a pushed manifest up"))?;
        if held.is_none() && !is_published(change, repository, wanted).await? {
            unknown.push(wanted.to_string());
        }
    }
    if unknown.is_empty() { Ok(()) } else { Err(PushConflict::Unknown { digests: unknown }) }
}

async fn note(change: &mut Change, blob: &NewBlob<'_>) -> Result<(), StoreError> {
    let note = "INSERT INTO blobs (digest, size_bytes, stored_at) VALUES ($1, $2, $3) \
         ON CONFLICT (digest) DO UPDATE SET stored_at = excluded.stored_at";
    sqlx::query(note)
        .bind(blob.content.as_bytes().to_vec())
        .bind(signed("blob size", blob.size_bytes)?)
        .bind(blob.pushed_at)
        .execute(&mut **change)
        .await
        .map_err(failed("note a pushed blob"))?;
    Ok(())
}

async fn link(change: &mut Change, blob: &NewBlob<'_>) -> Result<(), StoreError> {
    let link = "INSERT INTO oci_blobs (repository, digest, content, size_bytes, pushed_at) \
         VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (repository, digest) DO UPDATE SET pushed_at = excluded.pushed_at";
    sqlx::query(link)
        .bind(blob.repository.to_string())
        .bind(blob.digest.to_string())
        .bind(blob.content.as_bytes().to_vec())
        .bind(signed("blob size", blob.size_bytes)?)
        .bind(blob.pushed_at)
        .execute(&mut **change)
        .await
        .map_err(failed("name a pushed blob"))?;
    Ok(())
}

async fn unlink(
    change: &mut Change,
    repository: &Repository,
    manifest: &OciDigest,
) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM oci_links WHERE repository = $1 AND manifest = $2")
        .bind(repository.to_string())
        .bind(manifest.to_string())
        .execute(&mut **change)
        .await
        .map_err(failed("forget what a manifest names"))?;
    Ok(())
}

async fn put_manifest(change: &mut Change, new: &NewManifest<'_>) -> Result<(), StoreError> {
    let NewBlob { repository, digest, content, size_bytes, pushed_at } = new.blob;
    let put = "INSERT INTO oci_manifests (repository, digest, content, size_bytes, media_type, \
         subject, artifact_type, annotations, pushed_at, pushed_by) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) \
         ON CONFLICT (repository, digest) DO UPDATE SET media_type = excluded.media_type, \
         artifact_type = excluded.artifact_type, pushed_at = excluded.pushed_at, \
         pushed_by = excluded.pushed_by";
    sqlx::query(put)
        .bind(repository.to_string())
        .bind(digest.to_string())
        .bind(content.as_bytes().to_vec())
        .bind(signed("manifest size", size_bytes)?)
        .bind(new.media_type.to_owned())
        .bind(new.subject.map(ToString::to_string))
        .bind(new.artifact_type.map(ToOwned::to_owned))
        .bind(new.annotations.clone())
        .bind(pushed_at)
        .bind(new.pushed_by.to_owned())
        .execute(&mut **change)
        .await
        .map_err(failed("put a manifest"))?;
    unlink(change, repository, digest).await?;
    for target in new.manifests.iter().chain(new.blobs) {
        let add = "INSERT INTO oci_links (repository, target, manifest) VALUES ($1, $2, $3) \
             ON CONFLICT (repository, target, manifest) DO NOTHING";
        sqlx::query(add)
            .bind(repository.to_string())
            .bind(target.to_string())
            .bind(digest.to_string())
            .execute(&mut **change)
            .await
            .map_err(failed("note what a manifest names"))?;
    }
    Ok(())
}
