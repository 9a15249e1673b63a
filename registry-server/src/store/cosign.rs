//! Manifests by which the registry's own key signs an index. Refuses to know keys and signatures.

use super::{Store, StoreError, digest, failed, parsed, signed};
use skep_artifact::digest::Digest;
use skep_artifact::name::{PackageName, Version};

/// A signature ready to be served: payload, config and, last, the manifest.
pub struct NewSignature<'a> {
    pub package: &'a PackageName,
    pub version: &'a Version,
    pub index: Digest,
    pub artifact_type: &'static str,
    /// Of the manifest: a JSON object.
    pub annotations: String,
    pub blobs: Vec<SignatureBlob>,
}

/// One blob of it.
pub struct SignatureBlob {
    pub digest: Digest,
    pub media_type: &'static str,
    pub size_bytes: u64,
}

impl Store {
    /// The version whose index has this digest.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn version_with_index(
        &self,
        name: &PackageName,
        index: &Digest,
    ) -> Result<Option<Version>, StoreError> {
        let select = "SELECT v.version FROM versions v JOIN packages p ON p.id = v.package_id \
             WHERE p.name = $1 AND v.index_digest = $2 ORDER BY v.id LIMIT 1";
        let found: Option<String> = sqlx::query_scalar(select)
            .bind(name.to_string())
            .bind(index.as_bytes().to_vec())
            .fetch_optional(&self.read)
            .await
            .map_err(failed("look for a version"))?;
        found.map(|version| parsed("version", &version)).transpose()
    }

    /// The manifest of this form that signs an index, if it was made.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn cosign_manifest(
        &self,
        name: &PackageName,
        index: &Digest,
        artifact_type: &str,
    ) -> Result<Option<Digest>, StoreError> {
        let select = "SELECT b.digest FROM version_blobs b JOIN packages p ON p.id = b.package_id \
             WHERE p.name = $1 AND b.subject = $2 AND b.artifact_type = $3 ORDER BY b.digest LIMIT 1";
        let found: Option<Vec<u8>> = sqlx::query_scalar(select)
            .bind(name.to_string())
            .bind(index.as_bytes().to_vec())
            .bind(artifact_type.to_owned())
            .fetch_optional(&self.read)
            .await
            .map_err(failed("look for a signature"))?;
        found.map(|bytes| digest(&bytes)).transpose()
    }

    /// Makes a signature visible, unless the index has one.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn put_cosign_signature(&self, new: &NewSignature<'_>) -> Result<(), StoreError> {
        let mut change = self.begin().await?;
        let index = || new.index.as_bytes().to_vec();
        let select = "SELECT v.id, v.package_id, (SELECT COUNT(*) FROM version_blobs b \
             WHERE b.version_id = v.id AND b.subject = $3 AND b.artifact_type = $4) \
             FROM versions v JOIN packages p ON p.id = v.package_id \
             WHERE p.name = $1 AND v.version = $2";
        let found: Option<(i64, i64, i64)> = sqlx::query_as(select)
            .bind(new.package.to_string())
            .bind(new.version.to_string())
            .bind(index())
            .bind(new.artifact_type)
            .fetch_optional(&mut *change)
            .await
            .map_err(failed("look a version up"))?;
        let Some((version, package, 0)) = found else { return Ok(()) };
        let put = "INSERT INTO version_blobs (version_id, digest, package_id, is_manifest, \
             media_type, size_bytes, subject, artifact_type, annotations) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (version_id, digest) DO NOTHING";
        let last = new.blobs.len().saturating_sub(1);
        for (at, blob) in new.blobs.iter().enumerate() {
            let manifest = at == last;
            sqlx::query(put)
                .bind(version)
                .bind(blob.digest.as_bytes().to_vec())
                .bind(package)
                .bind(i64::from(manifest))
                .bind(blob.media_type)
                .bind(signed("size", blob.size_bytes)?)
                .bind(manifest.then(index))
                .bind(manifest.then_some(new.artifact_type))
                .bind(manifest.then(|| new.annotations.clone()))
                .execute(&mut *change)
                .await
                .map_err(failed("write a signature"))?;
        }
        change.commit().await.map_err(failed("commit a signature"))
    }
}
