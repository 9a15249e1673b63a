//! The registry's trust documents on the wire: what is there, and what its keepers hand in.

use serde::{Deserialize, Serialize};
use skep_artifact::key::PublicKey;
use skep_artifact::name::Namespace;

/// Largest trust document that is taken, in bytes: the largest targets role.
pub const DOCUMENT_BYTES_MAX: usize = 4 << 20;

/// What the registry's TUF repository looks like.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TrustInfo {
    /// The server's own keys; a ceremony puts them into root and targets.
    pub online: OnlineInfo,
    /// The newest root; absent before a ceremony, when nodes trust the keys their own policies pin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<DocumentInfo>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub targets: Option<DocumentInfo>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<DocumentInfo>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<DocumentInfo>,
    /// The namespaces the offline role delegates.
    pub delegated: Vec<DelegatedInfo>,
    /// The namespaces only the self-service role speaks for.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub self_service: Vec<Namespace>,
}

/// The public halves of the keys a server signs with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OnlineInfo {
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub snapshot: PublicKey,
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub timestamp: PublicKey,
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub selfservice: PublicKey,
}

/// One document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DocumentInfo {
    pub version: u64,
    /// Seconds since 1970.
    pub expires_at: i64,
}

/// A namespace that the offline role delegates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DelegatedInfo {
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub namespace: Namespace,
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub keys: Vec<PublicKey>,
    pub threshold: u32,
}

/// A document that was taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DocumentReceipt {
    /// `root`, `targets`, or the namespace of a role file.
    pub role: String,
    pub version: u64,
}
