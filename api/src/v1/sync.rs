//! The agent's two calls: `sync` (long poll for desired state) and `report` (what runs).

use crate::v1::chains::ChainStatus;
use crate::v1::log::LogSeen;
use crate::v1::nodes::{NodeFacts, Refused};
use crate::v1::operators::{Notices, NoticesSeen, Standing};
use serde::{Deserialize, Serialize};
use skep_artifact::digest::Digest;
use skep_fleet::ids::Generation;

/// Longest wait of one long poll, in seconds. Below the five minutes after which common proxies
/// and NAT devices forget an idle connection.
pub const WAIT_SECS_MAX: u32 = 240;
/// Most policies in one desired state: more than this on one host is a mistake in a selector.
pub const POLICIES_MAX: usize = 256;
/// Largest desired state, in bytes of JSON: 16 MiB holds 10 policies of the largest size, base64.
pub const DESIRED_BYTES_MAX: usize = 16 << 20;

/// `POST /v1/agent/sync`: answered with 200 and a [`DesiredState`] when it differs from `have`,
/// 204 after `wait_secs` when it does not.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SyncRequest {
    /// Generation and digest of the newest desired state the node knows, accepted or not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub have: Option<Have>,
    /// 0 to [`WAIT_SECS_MAX`]; 0 answers at once.
    pub wait_secs: u32,
    /// What the node has seen of sets, approvals and revocations. An agent of the release before sends none, and is
    /// told none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notices: Option<NoticesSeen>,
}

/// A desired state by number and content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Have {
    #[cfg_attr(feature = "openapi", schema(value_type = u64))]
    pub generation: Generation,
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub digest: Digest,
}

/// Everything that policies ask of one node. Chosen by the server, signed by operators: the node
/// verifies each envelope and decides by its own labels whether it is meant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DesiredState {
    #[cfg_attr(feature = "openapi", schema(value_type = u64))]
    pub generation: Generation,
    /// Digest over `policies`, see [`DesiredState::digest_of`].
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub digest: Digest,
    /// DSSE envelopes, base64, sorted by policy name.
    pub policies: Vec<String>,
    /// What the server's online key signed for this node: a DSSE envelope, base64. Absent from a server of the release
    /// before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assignment: Option<String>,
    /// What was signed beside the policies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notices: Option<Notices>,
}

impl DesiredState {
    /// The content address of a list of envelopes: sha256 over each envelope's own digest, one a
    /// line, in the order given.
    #[must_use]
    pub fn digest_of(policies: &[String]) -> Digest {
        let lines: String =
            policies.iter().map(|p| format!("{}\n", Digest::of(p.as_bytes()))).collect();
        Digest::of(lines.as_bytes())
    }
}

/// `POST /v1/agent/report`: what the node accepted and what runs. Sent after every change and, while
/// counters move, every few seconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Report {
    /// Changes at every boot of the host.
    pub boot_id: String,
    /// Grows with every report of one agent process.
    pub seq: u64,
    pub facts: NodeFacts,
    /// The newest desired state the node looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<Have>,
    /// The newest one it applied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied: Option<Have>,
    /// Why `seen` is not `applied`, when it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<Refused>,
    pub chains: Vec<ChainStatus>,
    #[serde(default)]
    pub notes: Vec<String>,
    /// The checkpoint of the transparency log that the node saw last, when it follows one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<LogSeen>,
    /// How the node stands to what operators signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standing: Option<Standing>,
}
