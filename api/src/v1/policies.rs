//! Signed policy revisions on the wire.

use serde::{Deserialize, Serialize};
use skep_artifact::digest::Digest;
use skep_fleet::policy::PolicyRevision;

/// Hands the server a signed revision. The server stores and distributes it; nodes decide.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ApplyRequest {
    /// The DSSE envelope, base64 of its JSON bytes.
    pub envelope: String,
}

/// What an apply led to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ApplyReceipt {
    pub policy: String,
    pub revision: u64,
    /// Names of the nodes whose desired state changed.
    pub nodes: Vec<String>,
}

/// The newest revision of a policy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PolicyInfo {
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub revision: PolicyRevision,
    /// Digest of the envelope.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub digest: Digest,
    /// The envelope itself, base64, so that anyone can verify it.
    pub envelope: String,
    pub applied_at: i64,
    pub applied_by: String,
    /// Names of the nodes it selects now.
    pub nodes: Vec<String>,
}

/// Every policy the registry holds, by name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PolicyList {
    pub policies: Vec<PolicyInfo>,
}
