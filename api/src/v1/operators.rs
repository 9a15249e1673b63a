//! What operators and publishers sign beside policy revisions, on the wire: policy sets, approvals, revocations. All of
//! it travels as signed; whoever acts on it verifies it.

use serde::{Deserialize, Serialize};
use skep_artifact::digest::Digest;
use std::collections::BTreeMap;

/// Hands the server a signed document: a DSSE envelope, base64 of its JSON bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HandIn {
    pub envelope: String,
}

/// The policy set the server holds, and what the fleet says beyond it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PolicySetInfo {
    /// The newest set; absent before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set: Option<StoredSet>,
    /// The highest revision of each policy that any node accepted. Higher than the server's after a restore.
    pub accepted: BTreeMap<String, u64>,
    /// The newest epoch that any node accepted.
    pub epoch_accepted: u64,
}

/// A policy set as it was handed in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StoredSet {
    pub environment: String,
    pub epoch: u64,
    pub version: u64,
    /// Lowest revision a node may follow, by policy.
    pub policies: BTreeMap<String, u64>,
    /// The envelope, base64.
    pub envelope: String,
    pub applied_at: i64,
    pub applied_by: String,
}

/// An approval of a wave, as it was handed in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ApprovalInfo {
    pub policy: String,
    /// Digest of the revision's signed bytes.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub revision: Digest,
    pub wave: String,
    /// Ids of the keys that claim to have signed.
    pub signed_by: Vec<String>,
    pub envelope: String,
    pub approved_at: i64,
    pub approved_by: String,
}

/// Approvals of the newest revisions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ApprovalList {
    pub approvals: Vec<ApprovalInfo>,
}

/// A revocation, or the lift of one, as it was handed in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RevocationInfo {
    /// Digest of the signed bytes: what a lift names.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub digest: Digest,
    pub package: String,
    pub versions: Vec<String>,
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub digests: Vec<Digest>,
    pub reason: String,
    /// low, medium, high or critical; empty for a lift.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub severity: String,
    /// The revocation this one takes back; absent for a revocation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub lifts: Option<Digest>,
    /// Ids of the keys that claim to have signed.
    pub signed_by: Vec<String>,
    pub envelope: String,
    pub revoked_at: i64,
    pub revoked_by: String,
}

/// Every revocation, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RevocationList {
    pub revocations: Vec<RevocationInfo>,
}

/// What a node has seen of sets, approvals and revocations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NoticesSeen {
    /// [`Notices::digest`] of the newest it looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub digest: Option<Digest>,
    /// How many revocations it was given, counted from the server's first.
    #[serde(default)]
    pub revocations: u64,
}

/// What was signed beside the policies: every one a DSSE envelope in base64.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Notices {
    /// Digest over set and approvals, see [`Notices::digest_of`].
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub digest: Digest,
    /// The policy set of the environment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set: Option<String>,
    /// Approvals of the newest revisions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approvals: Vec<String>,
    /// Revocations the node was not given yet, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub revocations: Vec<String>,
    /// How many revocations there are in all.
    pub revocations_in_all: u64,
}

impl Notices {
    /// The content address of a set and approvals: sha256 over each envelope's own digest, one a line, the set first.
    #[must_use]
    pub fn digest_of(set: Option<&str>, approvals: &[String]) -> Digest {
        let line = |text: &str| format!("{}\n", Digest::of(text.as_bytes()));
        let mut lines = set.map_or_else(|| "none\n".to_owned(), line);
        lines.extend(approvals.iter().map(|approval| line(approval)));
        Digest::of(lines.as_bytes())
    }

    /// What a node has seen that looked at these.
    #[must_use]
    pub fn seen(&self) -> NoticesSeen {
        NoticesSeen { digest: Some(self.digest), revocations: self.revocations_in_all }
    }
}

/// How a node stands to what operators signed, in its report.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Standing {
    /// The newest policy set it accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set: Option<SetSeen>,
    /// The revision it accepted of each policy, removed ones included.
    #[serde(default)]
    pub accepted: BTreeMap<String, u64>,
    /// Policies that the set names, that are for this node, and that the server left out or kept too old.
    #[serde(default)]
    pub left_out: Vec<String>,
    /// How many revocations it knows.
    #[serde(default)]
    pub revocations: u64,
    /// Revoked content that its policies ask for, and what became of it.
    #[serde(default)]
    pub revoked: Vec<RevokedHere>,
    /// Whether the server's assignments are verified with a pinned key.
    #[serde(default)]
    pub server_pinned: bool,
}

/// A policy set by its number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SetSeen {
    pub environment: String,
    pub epoch: u64,
    pub version: u64,
}

/// Revoked content on one place of a node.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RevokedHere {
    /// Interface and hook.
    pub place: String,
    /// `acme/limiter 1.4.2`
    pub package: String,
    pub reason: String,
    pub severity: String,
    /// `kept`, `replaced` by its fallback, or `taken off`.
    pub action: String,
}
