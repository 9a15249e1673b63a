//! What is said about versions. Refuses to know signatures and documents: what it is given was checked.

use super::log::append;
use super::{
    Change, Store, StoreError, digest, facets, failed, from_json, signed, to_json, unsigned,
};
use skep_api::v1::attestations::Attestation;
use skep_artifact::digest::Digest;
use skep_artifact::log::{Entry, Event};
use skep_artifact::name::{PackageName, Version};
use skep_trust::Wanted;
use skep_trust::attestation::ATTESTATIONS_MAX;

/// A checked attestation, ready to become visible.
pub struct NewAttestation {
    pub wanted: Wanted,
    pub content: Digest,
    pub content_bytes: u64,
    pub manifest: Digest,
    pub manifest_bytes: u64,
    pub media_type: &'static str,
    pub artifact_type: &'static str,
    /// JSON object.
    pub annotations: String,
    pub predicate_type: String,
    pub signed_by: Vec<String>,
    pub added_by: String,
    pub added_at: i64,
    /// The kernel series it says every program was accepted on.
    pub series: Option<String>,
}

/// Why an attestation did not become visible.
#[derive(Debug, thiserror::Error)]
pub enum AttestConflict {
    #[error("there is no such version")]
    NoVersion,
    #[error("the version has as many attestations as it may")]
    TooMany,
    #[error("the version has this attestation")]
    Exists,
    #[error(transparent)]
    Store(#[from] StoreError),
}

#[derive(sqlx::FromRow)]
struct AttestationRow {
    content: Vec<u8>,
    manifest: Vec<u8>,
    media_type: String,
    predicate_type: String,
    signed_by: String,
    size_bytes: i64,
    added_by: String,
    added_at: i64,
    log_position: i64,
}

impl AttestationRow {
    fn read(self) -> Result<Attestation, StoreError> {
        Ok(Attestation {
            content: digest(&self.content)?,
            manifest: digest(&self.manifest)?,
            media_type: self.media_type,
            predicate_type: self.predicate_type,
            signed_by: from_json("key ids", &self.signed_by)?,
            size_bytes: unsigned("size", self.size_bytes)?,
            added_by: self.added_by,
            added_at: self.added_at,
            log_index: unsigned("log index", self.log_position)?,
        })
    }
}

impl Store {
    /// What is said about a version, oldest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn attestations(
        &self,
        name: &PackageName,
        version: &Version,
    ) -> Result<Vec<Attestation>, StoreError> {
        let select = "SELECT a.content, a.manifest, a.media_type, a.predicate_type, a.signed_by, \
             a.size_bytes, a.added_by, a.added_at, a.log_position FROM attestations a \
             JOIN versions v ON v.id = a.version_id JOIN packages p ON p.id = v.package_id \
             WHERE p.name = $1 AND v.version = $2 ORDER BY a.log_position";
        let rows: Vec<AttestationRow> = sqlx::query_as(select)
            .bind(name.to_string())
            .bind(version.to_string())
            .fetch_all(&self.read)
            .await
            .map_err(failed("list attestations"))?;
        rows.into_iter().map(AttestationRow::read).collect()
    }

    /// Makes an attestation visible, or nothing: list, referrer and log entry in one transaction.
    ///
    /// # Errors
    /// [`AttestConflict`].
    pub async fn add_attestation(
        &self,
        new: &NewAttestation,
    ) -> Result<Attestation, AttestConflict> {
        let mut change = self.begin().await?;
        let (version, package) = version_of(&mut change, &new.wanted).await?;
        let held = held(&mut change, version, new).await?;
        match held {
            (_, there) if there > 0 => return Err(AttestConflict::Exists),
            (count, _) if count >= ATTESTATIONS_MAX as u64 => return Err(AttestConflict::TooMany),
            _ => {}
        }
        put_blobs(&mut change, version, package, new).await?;
        let event = Event::Attestation {
            package: new.wanted.name.clone(),
            version: new.wanted.version.clone(),
            index: new.wanted.index,
            predicate_type: new.predicate_type.clone(),
            content: new.content,
        };
        let log_index = append(&mut change, &Entry { at: new.added_at, event }).await?;
        put_row(&mut change, version, new, log_index).await?;
        if let Some(series) = &new.series {
            facets::add_series(&mut change, version, series).await?;
        }
        change.commit().await.map_err(failed("commit an attestation"))?;
        Ok(Attestation {
            content: new.content,
            media_type: new.media_type.to_owned(),
            predicate_type: new.predicate_type.clone(),
            signed_by: new.signed_by.clone(),
            size_bytes: new.content_bytes,
            manifest: new.manifest,
            added_by: new.added_by.clone(),
            added_at: new.added_at,
            log_index,
        })
    }
}

async fn version_of(change: &mut Change, wanted: &Wanted) -> Result<(i64, i64), AttestConflict> {
    let select = "SELECT v.id, v.package_id FROM versions v JOIN packages p \
         ON p.id = v.package_id WHERE p.name = $1 AND v.version = $2";
    let found: Option<(i64, i64)> = sqlx::query_as(select)
        .bind(wanted.name.to_string())
        .bind(wanted.version.to_string())
        .fetch_optional(&mut **change)
        .await
        .map_err(failed("look a version up"))?;
    found.ok_or(AttestConflict::NoVersion)
}

/// How many attestations the version has, and how many of them are this one.
async fn held(
    change: &mut Change,
    version: i64,
    new: &NewAttestation,
) -> Result<(u64, u64), StoreError> {
    let contents: Vec<Vec<u8>> =
        sqlx::query_scalar("SELECT content FROM attestations WHERE version_id = $1")
            .bind(version)
            .fetch_all(&mut **change)
            .await
            .map_err(failed("count attestations"))?;
    let same = contents.iter().filter(|held| held[..] == new.content.as_bytes()[..]).count();
    Ok((contents.len() as u64, same as u64))
}

async fn put_blobs(
    change: &mut Change,
    version: i64,
    package: i64,
    new: &NewAttestation,
) -> Result<(), StoreError> {
    // Content that another attestation or the package itself holds already stays as it is.
    let put = "INSERT INTO version_blobs (version_id, digest, package_id, is_manifest, media_type, \
         size_bytes, subject, artifact_type, annotations) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (version_id, digest) DO NOTHING";
    let manifest_type = "application/vnd.oci.image.manifest.v1+json";
    let subject = new.wanted.index.as_bytes().to_vec();
    let referrer = (Some(subject), Some(new.artifact_type), Some(&new.annotations));
    let blobs = [
        (new.content, 0i64, new.media_type, new.content_bytes, (None, None, None)),
        (new.manifest, 1, manifest_type, new.manifest_bytes, referrer),
    ];
    for (blob, is_manifest, media_type, bytes, (subject, artifact_type, annotations)) in blobs {
        sqlx::query(put)
            .bind(version)
            .bind(&blob.as_bytes()[..])
            .bind(package)
            .bind(is_manifest)
            .bind(media_type)
            .bind(signed("size", bytes)?)
            .bind(subject)
            .bind(artifact_type)
            .bind(annotations)
            .execute(&mut **change)
            .await
            .map_err(failed("write an attestation's blob"))?;
    }
    Ok(())
}

async fn put_row(
    change: &mut Change,
    version: i64,
    new: &NewAttestation,
    log_index: u64,
) -> Result<(), StoreError> {
    let put = "INSERT INTO attestations (version_id, content, manifest, media_type, \
         predicate_type, signed_by, size_bytes, added_by, added_at, log_position, series) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
    sqlx::query(put)
        .bind(version)
        .bind(&new.content.as_bytes()[..])
        .bind(&new.manifest.as_bytes()[..])
        .bind(new.media_type)
        .bind(&new.predicate_type)
        .bind(to_json("key ids", &new.signed_by)?)
        .bind(signed("size", new.content_bytes)?)
        .bind(&new.added_by)
        .bind(new.added_at)
        .bind(signed("log index", log_index)?)
        .bind(&new.series)
        .execute(&mut **change)
        .await
        .map_err(failed("write an attestation"))?;
    Ok(())
}
