//! Attestations on the wire: statements about a version, stored beside it as OCI referrers.

use serde::{Deserialize, Serialize};
use skep_artifact::digest::Digest;

/// A DSSE envelope that holds an in-toto statement.
pub const DSSE_TYPE: &str = "application/vnd.dsse.envelope.v1+json";
/// An SPDX document.
pub const SPDX_TYPE: &str = "application/spdx+json";
/// A CycloneDX document.
pub const CYCLONEDX_TYPE: &str = "application/vnd.cyclonedx+json";

/// Says something about a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AddAttestation {
    /// [`DSSE_TYPE`], [`SPDX_TYPE`] or [`CYCLONEDX_TYPE`].
    pub media_type: String,
    /// The envelope or document, base64.
    pub content: String,
}

/// One attestation of a version. The bytes are the blob `content` of the package's repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Attestation {
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub content: Digest,
    pub media_type: String,
    /// The statement's predicate type; the media type for a document that is no statement.
    pub predicate_type: String,
    /// Key ids the envelope names. Whether they are to be believed is the reader's to decide.
    pub signed_by: Vec<String>,
    pub size_bytes: u64,
    /// The OCI manifest that refers to the index.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub manifest: Digest,
    /// Name of the account or token that added it.
    pub added_by: String,
    pub added_at: i64,
    /// Its number in the transparency log.
    pub log_index: u64,
}

/// Everything that is attested about a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AttestationList {
    pub attestations: Vec<Attestation>,
}

/// The registry's own signature of a version's index, in cosign's own form and as a sigstore bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CosignSignature {
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub index: Digest,
    /// The OCI manifest that carries the signature and refers to the index.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub manifest: Digest,
    /// What was signed, base64: JSON that names the index's digest.
    pub payload: String,
    /// ECDSA P-256 over sha256 of the payload, DER, base64.
    pub signature: String,
    /// The OCI manifest that carries the bundle and refers to the index.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub bundle_manifest: Digest,
    /// A sigstore bundle v0.3, base64 of its JSON: an in-toto statement about the index, signed with the same key.
    pub bundle: String,
    /// The registry's key, PEM.
    pub public_key: String,
}
