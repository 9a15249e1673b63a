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
    /// In how many waves it goes to its nodes; 0 when it went to all at once.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub waves: usize,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_zero(number: &usize) -> bool {
    *number == 0
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
    /// The lowest revision that some node it selects may still have, while a rollout is under way or after it went back;
    /// 0 when some have none. Absent when every node is offered the newest. The next policy set names no higher one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lowest: Option<u64>,
    /// Whether its rollout went back, so that its fallback is what runs well.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rolled_back: bool,
}

/// Every policy the registry holds, by name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PolicyList {
    pub policies: Vec<PolicyInfo>,
}
