//! Nodes on the wire: enrolment, listing, detail.

use crate::v1::chains::ChainStatus;
use crate::v1::log::LogSeen;
use crate::v1::operators::Standing;
use serde::{Deserialize, Serialize};
use skep_artifact::key::PublicKey;
use skep_fleet::ids::{Generation, NodeName};
use skep_fleet::selector::Labels;

/// Asks for a token with which nodes may enrol.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CreateNodeToken {
    /// Labels every node enrolled with it gets; the node cannot override them.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub labels: Labels,
    /// How many nodes may use it, 1 to 10,000.
    pub uses: u32,
    /// Seconds it stays valid, 60 to 2,592,000 (30 days).
    pub valid_secs: u64,
}

/// A fresh node token; shown once.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CreatedNodeToken {
    pub secret: String,
    pub expires_at: i64,
}

/// A node introduces itself.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EnrolRequest {
    pub token: String,
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub name: NodeName,
    /// Labels the node gives itself; the token's labels win.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub labels: Labels,
    /// 32 random bytes in hex that the node drew before it asked. Enrolling again with the same
    /// name and instance is answered with a fresh credential; with another instance it is refused.
    pub instance: String,
}

/// The credential that identifies the node from now on.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EnrolResponse {
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub name: NodeName,
    pub credential: String,
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub labels: Labels,
    /// The key the server signs assignments with; the node pins it. Absent from a server of the release before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub server_key: Option<PublicKey>,
}

/// What the kernel and the machine of a node are like.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NodeFacts {
    pub hostname: String,
    /// `uname -r`.
    pub kernel: String,
    /// `amd64`, `arm64`, `riscv64`, …
    pub arch: String,
    pub agent_version: String,
    /// Names of the network interfaces, sorted.
    pub interfaces: Vec<String>,
    /// What was probed: feature name to `yes`, or the reason why not.
    pub features: Vec<Feature>,
}

/// One probed feature of a node's kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Feature {
    pub name: String,
    pub supported: bool,
    /// Why not, when it is not.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// How a node is doing, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum NodeState {
    /// Enrolled, never synced.
    New,
    /// Runs the generation it should.
    Healthy,
    /// Was told a newer generation and has not answered yet.
    Converging,
    /// Refused the newest generation; what ran before still runs.
    Refused,
    /// Has not been heard of for longer than the server allows: unknown, not failed.
    Unreachable,
}

/// One row of the node list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NodeSummary {
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub name: NodeName,
    pub state: NodeState,
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub labels: Labels,
    pub kernel: String,
    pub arch: String,
    pub chains: u32,
    #[cfg_attr(feature = "openapi", schema(value_type = u64))]
    pub wanted_generation: Generation,
    #[cfg_attr(feature = "openapi", schema(value_type = u64))]
    pub applied_generation: Generation,
    /// Seconds since 1970; absent when it never synced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen_at: Option<i64>,
    /// Why the newest generation was refused, when it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<Refused>,
    /// Network interfaces, sorted.
    pub interfaces: Vec<String>,
}

/// Why a node did not accept or could not apply something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Refused {
    /// Stable code, like `package.signature_untrusted`.
    pub code: String,
    pub message: String,
}

/// The node list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NodeList {
    pub nodes: Vec<NodeSummary>,
}

/// Everything the registry knows of a node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NodeDetail {
    pub summary: NodeSummary,
    pub facts: NodeFacts,
    pub chains: Vec<ChainStatus>,
    /// Programs of others on hooks of this node, and everything else worth knowing.
    pub notes: Vec<String>,
    /// The checkpoint of the transparency log it saw last, when it follows one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<LogSeen>,
    /// How the node stands to what operators signed; absent for an agent of the release before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standing: Option<Standing>,
    /// Seconds since 1970 of the report the chains come from; absent when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reported_at: Option<i64>,
    /// Server time when this answer was made, to tell how old the report is.
    pub now: i64,
}
