//! What the OCI API asks of the database: tags, and which digests a repository holds.
//! Refuses to know OCI's JSON.

use super::{Store, StoreError, digest, failed, unsigned};
use skep_artifact::digest::Digest;
use skep_artifact::name::PackageName;

/// How a digest is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServedBlob {
    pub digest: Digest,
    pub media_type: String,
    pub size_bytes: u64,
}

/// One manifest that refers to another.
#[derive(Debug, Clone)]
pub struct Referrer {
    pub blob: ServedBlob,
    pub artifact_type: String,
    /// JSON object.
    pub annotations: String,
}

#[derive(sqlx::FromRow)]
struct ServedRow {
    digest: Vec<u8>,
    media_type: String,
    size_bytes: i64,
}

#[derive(sqlx::FromRow)]
struct ReferrerRow {
    #[sqlx(flatten)]
    served: ServedRow,
    artifact_type: String,
    annotations: String,
}

impl ServedRow {
    fn read(self) -> Result<ServedBlob, StoreError> {
        Ok(ServedBlob {
            digest: digest(&self.digest)?,
            media_type: self.media_type,
            size_bytes: unsigned("size", self.size_bytes)?,
        })
    }
}

impl Store {
    /// The index a tag names: a version, or `latest` for the one a listing shows.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn tagged(
        &self,
        name: &PackageName,
        tag: &str,
    ) -> Result<Option<ServedBlob>, StoreError> {
        let select = "SELECT b.digest, b.media_type, b.size_bytes FROM packages p \
             JOIN versions v ON v.package_id = p.id \
             JOIN version_blobs b ON b.version_id = v.id AND b.digest = v.index_digest \
             WHERE p.name = $1 AND p.tombstone IS NULL AND v.version = \
             CASE WHEN $2 = 'latest' THEN p.version ELSE $2 END";
        let row: Option<ServedRow> = sqlx::query_as(select)
            .bind(name.to_string())
            .bind(tag)
            .fetch_optional(&self.read)
            .await
            .map_err(failed("look a tag up"))?;
        row.map(ServedRow::read).transpose()
    }

    /// A manifest of this repository by digest.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn manifest_in(
        &self,
        name: &PackageName,
        wanted: &Digest,
    ) -> Result<Option<ServedBlob>, StoreError> {
        let select = "SELECT b.digest, b.media_type, b.size_bytes FROM version_blobs b \
             JOIN packages p ON p.id = b.package_id \
             WHERE p.name = $1 AND b.digest = $2 AND b.is_manifest = 1 LIMIT 1";
        let row: Option<ServedRow> = sqlx::query_as(select)
            .bind(name.to_string())
            .bind(&wanted.as_bytes()[..])
            .fetch_optional(&self.read)
            .await
            .map_err(failed("look a manifest up"))?;
        row.map(ServedRow::read).transpose()
    }

    /// Any blob of this repository by digest, manifests included.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn blob_in(
        &self,
        name: &PackageName,
        wanted: &Digest,
    ) -> Result<Option<ServedBlob>, StoreError> {
        let select = "SELECT b.digest, b.media_type, b.size_bytes FROM version_blobs b \
             JOIN packages p ON p.id = b.package_id WHERE p.name = $1 AND b.digest = $2 LIMIT 1";
        let row: Option<ServedRow> = sqlx::query_as(select)
            .bind(name.to_string())
            .bind(&wanted.as_bytes()[..])
            .fetch_optional(&self.read)
            .await
            .map_err(failed("look a blob up"))?;
        row.map(ServedRow::read).transpose()
    }

    /// Tags in their own order after `last`, at most `most`; `None` for an unknown package.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn tags(
        &self,
        name: &PackageName,
        last: &str,
        most: u32,
    ) -> Result<Option<Vec<String>>, StoreError> {
        let id: Option<i64> =
            sqlx::query_scalar("SELECT id FROM packages WHERE name = $1 AND tombstone IS NULL")
                .bind(name.to_string())
                .fetch_optional(&self.read)
                .await
                .map_err(failed("look a package up"))?;
        let Some(id) = id else { return Ok(None) };
        let select = "SELECT version FROM versions \
             WHERE package_id = $1 AND version > $2 ORDER BY version LIMIT $3";
        let tags = sqlx::query_scalar(select)
            .bind(id)
            .bind(last)
            .bind(i64::from(most))
            .fetch_all(&self.read)
            .await
            .map_err(failed("list tags"))?;
        Ok(Some(tags))
    }

    /// What refers to a digest of this repository.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn referrers(
        &self,
        name: &PackageName,
        subject: &Digest,
    ) -> Result<Vec<Referrer>, StoreError> {
        let select = "SELECT DISTINCT b.digest, b.media_type, b.size_bytes, b.artifact_type, \
             b.annotations FROM version_blobs b JOIN packages p ON p.id = b.package_id \
             WHERE p.name = $1 AND b.subject = $2 ORDER BY b.artifact_type, b.digest";
        let rows: Vec<ReferrerRow> = sqlx::query_as(select)
            .bind(name.to_string())
            .bind(&subject.as_bytes()[..])
            .fetch_all(&self.read)
            .await
            .map_err(failed("list referrers"))?;
        let read = |row: ReferrerRow| {
            let ReferrerRow { served, artifact_type, annotations } = row;
            Ok(Referrer { blob: served.read()?, artifact_type, annotations })
        };
        rows.into_iter().map(read).collect()
    }
}
