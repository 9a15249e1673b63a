//! What the OCI API reads: which bytes a tag or digest of a repository names, be it published or pushed.
//! What was published comes first: nothing pushed can stand before it. Refuses to know OCI's JSON.

use super::{Store, StoreError, digest, failed, unsigned};
use crate::oci::digest::OciDigest;
use crate::oci::lookups::Served;
use crate::oci::name::{Reference, Repository, Tag};

/// How content that was pushed without a type of its own is served.
const BLOB_TYPE: &str = "application/octet-stream";
/// Most referrers in one answer; the rest comes in further pages.
pub const REFERRERS_MAX: u32 = 100;

/// One manifest that refers to another.
#[derive(Debug, Clone)]
pub struct Referrer {
    pub digest: String,
    pub media_type: String,
    pub size_bytes: u64,
    pub artifact_type: Option<String>,
    /// JSON object.
    pub annotations: String,
}

#[derive(sqlx::FromRow)]
struct ServedRow {
    content: Vec<u8>,
    /// Empty for what is known by the digest of its content.
    digest: String,
    media_type: String,
    size_bytes: i64,
}

#[derive(sqlx::FromRow)]
struct ReferrerRow {
    content: Vec<u8>,
    digest: String,
    media_type: String,
    size_bytes: i64,
    artifact_type: Option<String>,
    annotations: Option<String>,
}

impl ServedRow {
    fn read(self) -> Result<Served, StoreError> {
        let content = digest(&self.content)?;
        let named = self.digest;
        let digest = if named.is_empty() { content.to_string() } else { named };
        let size_bytes = unsigned("size", self.size_bytes)?;
        Ok(Served { content, digest, media_type: self.media_type, size_bytes })
    }
}

/// The raw bytes by which a published blob is known; none for a digest of another algorithm.
pub(super) fn published_key(wanted: &OciDigest) -> Vec<u8> {
    match wanted {
        OciDigest::Sha256(digest) => digest.as_bytes().to_vec(),
        OciDigest::Sha512(_) => Vec::new(),
    }
}

impl Store {
    /// The manifest a reference names.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn oci_manifest(
        &self,
        repository: &Repository,
        reference: &Reference,
    ) -> Result<Option<Served>, StoreError> {
        match reference {
            Reference::Tag(tag) => self.tagged(repository, tag).await,
            Reference::Digest(digest) => self.manifest_in(repository, digest).await,
        }
    }

    /// The index a tag names: a version, `latest` for the version a listing shows, or what was pushed.
    async fn tagged(
        &self,
        repository: &Repository,
        tag: &Tag,
    ) -> Result<Option<Served>, StoreError> {
        let select = "SELECT content, digest, media_type, size_bytes FROM (\
             SELECT 0 AS place, b.digest AS content, '' AS digest, b.media_type, b.size_bytes \
             FROM packages p JOIN versions v ON v.package_id = p.id \
             JOIN version_blobs b ON b.version_id = v.id AND b.digest = v.index_digest \
             WHERE p.name = $1 AND p.tombstone IS NULL \
             AND v.version = CASE WHEN $2 = 'latest' THEN p.version ELSE $2 END \
             UNION ALL SELECT 1, m.content, m.digest, m.media_type, m.size_bytes \
             FROM oci_tags t JOIN oci_manifests m \
             ON m.repository = t.repository AND m.digest = t.digest \
             WHERE t.repository = $1 AND t.tag = $2) AS found ORDER BY place LIMIT 1";
        let row: Option<ServedRow> = sqlx::query_as(select)
            .bind(repository.to_string())
            .bind(tag.to_string())
            .fetch_optional(&self.read)
            .await
            .map_err(failed("look a tag up"))?;
        row.map(ServedRow::read).transpose()
    }

    async fn manifest_in(
        &self,
        repository: &Repository,
        wanted: &OciDigest,
    ) -> Result<Option<Served>, StoreError> {
        let select = "SELECT b.digest AS content, '' AS digest, b.media_type, b.size_bytes \
             FROM version_blobs b JOIN packages p ON p.id = b.package_id \
             WHERE p.name = $1 AND b.digest = $2 AND b.is_manifest = 1 \
             UNION ALL SELECT content, digest, media_type, size_bytes FROM oci_manifests \
             WHERE repository = $1 AND digest = $3 LIMIT 1";
        let row: Option<ServedRow> = sqlx::query_as(select)
            .bind(repository.to_string())
            .bind(published_key(wanted))
            .bind(wanted.to_string())
            .fetch_optional(&self.read)
            .await
            .map_err(failed("look a manifest up"))?;
        row.map(ServedRow::read).transpose()
    }

    /// Any blob of a repository by digest; of published ones, manifests too.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn oci_blob(
        &self,
        repository: &Repository,
        wanted: &OciDigest,
    ) -> Result<Option<Served>, StoreError> {
        let select = "SELECT b.digest AS content, '' AS digest, b.media_type, b.size_bytes \
             FROM version_blobs b JOIN packages p ON p.id = b.package_id \
             WHERE p.name = $1 AND b.digest = $2 \
             UNION ALL SELECT content, digest, $4 AS media_type, size_bytes FROM oci_blobs \
             WHERE repository = $1 AND digest = $3 LIMIT 1";
        let row: Option<ServedRow> = sqlx::query_as(select)
            .bind(repository.to_string())
            .bind(published_key(wanted))
            .bind(wanted.to_string())
            .bind(BLOB_TYPE)
            .fetch_optional(&self.read)
            .await
            .map_err(failed("look a blob up"))?;
        row.map(ServedRow::read).transpose()
    }

    /// Whether anything was published or pushed under this name.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn has_repository(&self, repository: &Repository) -> Result<bool, StoreError> {
        let select = "SELECT 1 WHERE EXISTS (SELECT 1 FROM packages \
             WHERE name = $1 AND tombstone IS NULL) \
             OR EXISTS (SELECT 1 FROM oci_manifests WHERE repository = $1) \
             OR EXISTS (SELECT 1 FROM oci_blobs WHERE repository = $1)";
        let found: Option<i64> = sqlx::query_scalar(select)
            .bind(repository.to_string())
            .fetch_optional(&self.read)
            .await
            .map_err(failed("look a repository up"))?;
        Ok(found.is_some())
    }

    /// Tags in their own order after `last`, at most `most`: versions, and what was pushed.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn tags(
        &self,
        repository: &Repository,
        last: &str,
        most: u32,
    ) -> Result<Vec<String>, StoreError> {
        let select = "SELECT v.version AS tag FROM versions v \
             JOIN packages p ON p.id = v.package_id \
             WHERE p.name = $1 AND p.tombstone IS NULL AND v.version > $2 \
             UNION SELECT tag FROM oci_tags WHERE repository = $1 AND tag > $2 \
             ORDER BY tag LIMIT $3";
        sqlx::query_scalar(select)
            .bind(repository.to_string())
            .bind(last.to_owned())
            .bind(i64::from(most))
            .fetch_all(&self.read)
            .await
            .map_err(failed("list tags"))
    }

    /// What refers to a digest of this repository, in the order of digests after `after`, of one type when
    /// one is named. At most [`REFERRERS_MAX`] and one: when there is one more, there is another page.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn referrers(
        &self,
        repository: &Repository,
        subject: &OciDigest,
        artifact_type: Option<&str>,
        after: &str,
    ) -> Result<Vec<Referrer>, StoreError> {
        let select = "SELECT DISTINCT b.digest AS content, '' AS digest, b.media_type, b.size_bytes, \
             b.artifact_type, b.annotations FROM version_blobs b \
             JOIN packages p ON p.id = b.package_id WHERE p.name = $1 AND b.subject = $2 \
             AND ($3 = '' OR b.artifact_type = $3)";
        let wanted = artifact_type.unwrap_or_default().to_owned();
        let published: Vec<ReferrerRow> = sqlx::query_as(select)
            .bind(repository.to_string())
            .bind(published_key(subject))
            .bind(wanted.clone())
            .fetch_all(&self.read)
            .await
            .map_err(failed("list referrers"))?;
        let select = "SELECT content, digest, media_type, size_bytes, artifact_type, annotations \
             FROM oci_manifests WHERE repository = $1 AND subject = $2 AND digest > $3 \
             AND ($4 = '' OR artifact_type = $4) ORDER BY digest LIMIT $5";
        let pushed: Vec<ReferrerRow> = sqlx::query_as(select)
            .bind(repository.to_string())
            .bind(subject.to_string())
            .bind(after.to_owned())
            .bind(wanted)
            .bind(i64::from(REFERRERS_MAX) + 1)
            .fetch_all(&self.read)
            .await
            .map_err(failed("list pushed referrers"))?;
        let rows = published.into_iter().chain(pushed).map(ReferrerRow::read);
        let mut all = rows.collect::<Result<Vec<_>, _>>()?;
        all.retain(|referrer| referrer.digest.as_str() > after);
        all.sort_by(|a, b| a.digest.cmp(&b.digest));
        all.dedup_by(|a, b| a.digest == b.digest);
        all.truncate(REFERRERS_MAX as usize + 1);
        Ok(all)
    }
}

impl ReferrerRow {
    fn read(self) -> Result<Referrer, StoreError> {
        let named = self.digest;
        Ok(Referrer {
            digest: if named.is_empty() { digest(&self.content)?.to_string() } else { named },
            media_type: self.media_type,
            size_bytes: unsigned("size", self.size_bytes)?,
            artifact_type: self.artifact_type.filter(|kind| !kind.is_empty()),
            annotations: self.annotations.unwrap_or_else(|| "{}".to_owned()),
        })
    }
}
