//! Saying something about a version: an envelope or document is checked, made an OCI referrer of the index, and logged.
//! Refuses to decide whom to believe: readers do, by their own keys.

use crate::app::App;
use crate::blob::BlobError;
use crate::clock;
use crate::store::StoreError;
use crate::store::attestations::{AttestConflict, NewAttestation};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use serde_json::{Value, json};
use skep_api::v1::attestations::{
    AddAttestation, Attestation, CYCLONEDX_TYPE, DSSE_TYPE, SPDX_TYPE,
};
use skep_artifact::digest::Digest;
use skep_artifact::dsse::ENVELOPE_BYTES_MAX;
use skep_artifact::json::{JsonError, canonical};
use skep_artifact::key::PublicKey;
use skep_artifact::name::{PackageName, Version};
use skep_trust::Wanted;
use skep_trust::attestation::{
    ATTESTATIONS_MAX, AttestationRefusal, AttestationRule, STATEMENT_PAYLOAD_TYPE, read_unverified,
};
use skep_trust::policy::Signers;

/// The annotation that says what kind of statement a referrer holds.
const PREDICATE_ANNOTATION: &str = "dev.skep.predicate.type";
const INDEX_TYPE: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
const EMPTY_TYPE: &str = "application/vnd.oci.empty.v1+json";

/// Why nothing was added.
#[derive(Debug, thiserror::Error)]
pub enum AttestError {
    #[error("there is no {package} {version}")]
    NoVersion { package: PackageName, version: Version },
    #[error("the content is not base64")]
    Text,
    #[error("the attestation has {bytes} bytes; at most {ENVELOPE_BYTES_MAX} are kept")]
    TooLarge { bytes: usize },
    #[error("'{found}' is not a media type of attestations")]
    MediaType { found: String },
    #[error("the attestation is refused")]
    Refused(#[from] AttestationRefusal),
    #[error("the document is not what its media type says")]
    Document,
    #[error("the version has {ATTESTATIONS_MAX} attestations already")]
    TooMany,
    #[error("this is attested already")]
    Exists,
    #[error("a manifest cannot be written")]
    Manifest(#[from] JsonError),
    #[error(transparent)]
    Blob(#[from] BlobError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What an attestation says it is.
struct Claim {
    artifact_type: &'static str,
    media_type: &'static str,
    predicate_type: String,
    signed_by: Vec<String>,
    series: Option<String>,
}

/// Adds an attestation to a version.
///
/// # Errors
/// [`AttestError`]; nothing became visible then.
pub async fn attest(
    app: &App,
    package: PackageName,
    version: Version,
    request: &AddAttestation,
    by: String,
) -> Result<Attestation, AttestError> {
    let found = app.store.version(&package, &version).await?;
    let Some(found) = found else { return Err(AttestError::NoVersion { package, version }) };
    let content = BASE64.decode(&request.content).map_err(|_| AttestError::Text)?;
    if content.len() > ENVELOPE_BYTES_MAX {
        return Err(AttestError::TooLarge { bytes: content.len() });
    }
    let index = found.summary.index;
    let wanted = Wanted { name: package, version, index };
    let keys = app.store.namespace(wanted.name.namespace()).await?.map(|info| info.keys);
    let claim = read(&request.media_type, &content, &wanted, keys.unwrap_or_default())?;
    let size = app.store.published_size(&wanted.name, &index).await?.unwrap_or_default();
    let manifest = manifest(&claim, &content, index, size)?;
    let _kept = app.collecting.read().await;
    let content_digest = keep(app, &content).await?;
    let manifest_digest = keep(app, &manifest).await?;
    let new = NewAttestation {
        wanted,
        content: content_digest,
        content_bytes: content.len() as u64,
        manifest: manifest_digest,
        manifest_bytes: manifest.len() as u64,
        media_type: claim.media_type,
        artifact_type: claim.artifact_type,
        annotations: json!({ PREDICATE_ANNOTATION: claim.predicate_type }).to_string(),
        predicate_type: claim.predicate_type,
        signed_by: claim.signed_by,
        series: claim.series,
        added_by: by,
        added_at: clock::now(),
    };
    let added = app.store.add_attestation(&new).await.map_err(|conflict| match conflict {
        AttestConflict::TooMany => AttestError::TooMany,
        AttestConflict::Exists => AttestError::Exists,
        AttestConflict::NoVersion => AttestError::NoVersion {
            package: new.wanted.name.clone(),
            version: new.wanted.version.clone(),
        },
        AttestConflict::Store(error) => AttestError::Store(error),
    })?;
    tracing::info!(package = %new.wanted.name, version = %new.wanted.version, by = %new.added_by,
        "{} was attested ({})", new.wanted, new.predicate_type);
    Ok(added)
}

/// Reads what the content is. A statement must be about the version's index, and a signature by one of the namespace's
/// own keys must hold; those of others are theirs to judge who trusts them.
fn read(
    media_type: &str,
    content: &[u8],
    wanted: &Wanted,
    keys: Vec<PublicKey>,
) -> Result<Claim, AttestError> {
    let document = |field: &str, expected: Option<&str>| -> Result<(), AttestError> {
        let value: Value = serde_json::from_slice(content).map_err(|_| AttestError::Document)?;
        let found = value.get(field).and_then(Value::as_str).ok_or(AttestError::Document)?;
        let fits = expected.is_none_or(|expected| found == expected);
        fits.then_some(()).ok_or(AttestError::Document)
    };
    let plain = |media_type: &'static str| Claim {
        artifact_type: media_type,
        media_type,
        predicate_type: media_type.to_owned(),
        signed_by: Vec::new(),
        series: None,
    };
    match media_type {
        SPDX_TYPE => document("spdxVersion", None).map(|()| plain(SPDX_TYPE)),
        CYCLONEDX_TYPE => document("bomFormat", Some("CycloneDX")).map(|()| plain(CYCLONEDX_TYPE)),
        DSSE_TYPE => {
            let statement = read_unverified(content)?;
            if !statement.is_about(&wanted.index) {
                return Err(AttestationRefusal::OtherSubject.into());
            }
            let predicate_type = statement.predicate_type().to_owned();
            let rule = AttestationRule {
                predicates: vec![predicate_type.clone()],
                signers: Signers { keys, threshold: 1 },
            };
            match rule.verify(wanted, &[content.to_vec()]) {
                Ok(_) | Err(AttestationRefusal::SignatureUntrusted) => {}
                Err(refusal) => return Err(refusal.into()),
            }
            let signed_by = statement.claimed_signers().iter().map(ToString::to_string).collect();
            Ok(Claim {
                artifact_type: STATEMENT_PAYLOAD_TYPE,
                media_type: DSSE_TYPE,
                predicate_type,
                signed_by,
                series: statement.claimed_series(),
            })
        }
        other => Err(AttestError::MediaType { found: other.chars().take(100).collect() }),
    }
}

/// The OCI 1.1 manifest that hangs the content on the index. The same content always makes the same manifest.
fn manifest(
    claim: &Claim,
    content: &[u8],
    index: Digest,
    index_bytes: u64,
) -> Result<Vec<u8>, AttestError> {
    let empty = b"{}";
    Ok(canonical(&json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "artifactType": claim.artifact_type,
        "config": { "mediaType": EMPTY_TYPE, "digest": Digest::of(empty), "size": empty.len() },
        "layers": [{
            "mediaType": claim.media_type,
            "digest": Digest::of(content),
            "size": content.len(),
        }],
        "subject": { "mediaType": INDEX_TYPE, "digest": index, "size": index_bytes },
        "annotations": { PREDICATE_ANNOTATION: claim.predicate_type },
    }))?)
}

async fn keep(app: &App, bytes: &[u8]) -> Result<Digest, AttestError> {
    let digest = Digest::of(bytes);
    let body = futures::stream::iter([Ok::<_, axum::Error>(Bytes::copy_from_slice(bytes))]);
    let received = app.blobs.receive(bytes.len() as u64, body).await?;
    let kept = app.blobs.keep(received, digest).await?;
    app.store.note_blob(&digest, kept, clock::now()).await?;
    Ok(digest)
}
