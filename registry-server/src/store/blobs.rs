//! Which blobs are stored and since when. Refuses to know where their bytes are.

use super::{Store, StoreError, digest, failed, parsed, signed, unsigned};
use skep_artifact::digest::Digest;
use skep_artifact::name::PackageName;

/// A noted blob, and one of the packages that hold it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldBlob {
    pub digest: Digest,
    /// `None` for an upload that no version names.
    pub package: Option<PackageName>,
}

impl Store {
    /// Notes an upload; a repeated one renews the time from which an unused blob is kept.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn note_blob(
        &self,
        blob: &Digest,
        size_bytes: u64,
        now: i64,
    ) -> Result<(), StoreError> {
        let note = "INSERT INTO blobs (digest, size_bytes, stored_at) VALUES ($1, $2, $3) \
             ON CONFLICT (digest) DO UPDATE SET stored_at = excluded.stored_at";
        sqlx::query(note)
            .bind(&blob.as_bytes()[..])
            .bind(signed("blob size", size_bytes)?)
            .bind(now)
            .execute(&self.write)
            .await
            .map_err(failed("note a blob"))?;
        Ok(())
    }

    /// Whether a blob was noted.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn knows_blob(&self, blob: &Digest) -> Result<bool, StoreError> {
        let found: Option<i64> = sqlx::query_scalar("SELECT 1 FROM blobs WHERE digest = $1")
            .bind(&blob.as_bytes()[..])
            .fetch_optional(&self.read)
            .await
            .map_err(failed("look for a blob"))?;
        Ok(found.is_some())
    }

    /// The size in bytes of a blob of a published package; `None` when no version of it has that blob.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn published_size(
        &self,
        package: &PackageName,
        blob: &Digest,
    ) -> Result<Option<u64>, StoreError> {
        let select = "SELECT b.size_bytes FROM version_blobs b \
             JOIN packages p ON p.id = b.package_id WHERE p.name = $1 AND b.digest = $2 LIMIT 1";
        let found: Option<i64> = sqlx::query_scalar(select)
            .bind(package.to_string())
            .bind(&blob.as_bytes()[..])
            .fetch_optional(&self.read)
            .await
            .map_err(failed("look up the size of a blob"))?;
        found.map(|bytes| unsigned("blob size", bytes)).transpose()
    }

    /// Forgets at most `most` blobs that neither a version nor a repository names and that were uploaded before `before`.
    /// Returns them; their files may go now.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn forget_unused_blobs(
        &self,
        before: i64,
        most: u32,
    ) -> Result<Vec<Digest>, StoreError> {
        let forget = "DELETE FROM blobs WHERE digest IN (\
             SELECT digest FROM blobs b WHERE stored_at < $1 AND NOT EXISTS (\
             SELECT 1 FROM version_blobs v WHERE v.digest = b.digest) AND NOT EXISTS (\
             SELECT 1 FROM oci_blobs o WHERE o.content = b.digest) AND NOT EXISTS (\
             SELECT 1 FROM oci_manifests m WHERE m.content = b.digest) LIMIT $2) \
             AND stored_at < $1 RETURNING digest";
        let rows: Vec<Vec<u8>> = sqlx::query_scalar(forget)
            .bind(before)
            .bind(i64::from(most))
            .fetch_all(&self.write)
            .await
            .map_err(failed("forget unused blobs"))?;
        rows.iter().map(|row| digest(row)).collect()
    }

    /// How many blobs are noted.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn count_blobs(&self) -> Result<u64, StoreError> {
        let count: i64 = sqlx::query_scalar("SELECT count(*) FROM blobs")
            .fetch_one(&self.read)
            .await
            .map_err(failed("count blobs"))?;
        unsigned("count", count)
    }

    /// Every blob after `after`, in order, at most `most`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn blobs_after(
        &self,
        after: Option<&Digest>,
        most: u32,
    ) -> Result<Vec<HeldBlob>, StoreError> {
        let from = after.map(|d| d.as_bytes().to_vec()).unwrap_or_default();
        let list = "SELECT b.digest, (SELECT min(p.name) FROM version_blobs v \
             JOIN packages p ON p.id = v.package_id WHERE v.digest = b.digest) \
             FROM blobs b WHERE b.digest > $1 ORDER BY b.digest LIMIT $2";
        let rows: Vec<(Vec<u8>, Option<String>)> = sqlx::query_as(list)
            .bind(from)
            .bind(i64::from(most))
            .fetch_all(&self.read)
            .await
            .map_err(failed("list blobs"))?;
        let read = |(bytes, package): (Vec<u8>, Option<String>)| {
            let package = package.map(|name| parsed("package name", &name)).transpose()?;
            Ok(HeldBlob { digest: digest(&bytes)?, package })
        };
        rows.into_iter().map(read).collect()
    }

    /// Takes away at most `most` blobs that were pushed before `before` and that no manifest of their
    /// repository names; returns how many.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn drop_unnamed_oci_blobs(&self, before: i64, most: u32) -> Result<u64, StoreError> {
        let mut change = self.begin().await?;
        let select = "SELECT b.repository, b.digest FROM oci_blobs b WHERE b.pushed_at < $1 \
             AND NOT EXISTS (SELECT 1 FROM oci_links l \
             WHERE l.repository = b.repository AND l.target = b.digest) LIMIT $2";
        let due: Vec<(String, String)> = sqlx::query_as(select)
            .bind(before)
            .bind(i64::from(most))
            .fetch_all(&mut *change)
            .await
            .map_err(failed("look for blobs that nothing names"))?;
        for (repository, digest) in &due {
            sqlx::query("DELETE FROM oci_blobs WHERE repository = $1 AND digest = $2")
                .bind(repository.clone())
                .bind(digest.clone())
                .execute(&mut *change)
                .await
                .map_err(failed("take a blob away that nothing names"))?;
        }
        change.commit().await.map_err(failed("commit a collection"))?;
        Ok(due.len() as u64)
    }
}
