//! The transparency log on the wire: proofs, checkpoints, alarms. Tiles have no type: they are bytes.

use serde::{Deserialize, Serialize};
use skep_artifact::digest::Digest;
use skep_fleet::ids::NodeName;

use crate::v1::nodes::Refused;

/// Which log this registry keeps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LogDescription {
    /// The name in every checkpoint.
    pub origin: String,
    /// The verifier key, as a node policy names it. Compare it with what you were told on another way.
    pub key: String,
    /// Entries.
    pub size: u64,
    /// Root of the tree.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub root: Digest,
    /// Verifier keys of the witnesses whose cosignatures are taken.
    pub witnesses: Vec<String>,
}

/// What narrows the choice of a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams))]
#[cfg_attr(feature = "openapi", into_params(parameter_in = Query))]
pub struct CheckpointQuery {
    /// Entries of the tree the caller knows already: the answer proves that it was continued.
    #[serde(default)]
    pub from: u64,
    /// At least so many witnesses must have cosigned.
    #[serde(default)]
    pub witnesses: u64,
}

/// A checkpoint, and the proof that it continues an earlier one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CheckpointAnswer {
    /// A signed note.
    pub checkpoint: String,
    /// Hashes from the tree of `from` entries to this one; empty when `from` is 0 or not smaller than it.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub consistency: Vec<Digest>,
}

/// An entry with the proof that it is in the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LogProof {
    /// Its number, from 0.
    pub index: u64,
    /// Its bytes (canonical JSON), base64.
    pub entry: String,
    /// Hashes from the entry to the root, lowest first.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub inclusion: Vec<Digest>,
    /// The signed note whose root that is.
    pub checkpoint: String,
    /// Hashes from the tree the caller knows to that of the checkpoint.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub consistency: Vec<Digest>,
}

/// A checkpoint that a witness cosigned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Cosigned {
    /// The signed note with the witness's line.
    pub checkpoint: String,
}

/// What a node last saw of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LogSeen {
    pub origin: String,
    pub size: u64,
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub root: Digest,
    /// The signed note: the proof, should the log deny it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub checkpoint: String,
    /// Why the node refuses what the log shows now, when it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<Refused>,
}

/// A node whose view of the log is not this registry's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LogAlarm {
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub node: NodeName,
    /// `log.split_view`, `log.node_ahead`, `log.other_origin`, or the code the node itself gave.
    pub code: String,
    pub message: String,
    /// Entries of the checkpoint the node saw.
    pub size: u64,
    /// Its root.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub root: Digest,
    /// Seconds since 1970 when it was first noticed.
    pub since: i64,
}

/// Every alarm that stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LogAlarms {
    pub alarms: Vec<LogAlarm>,
}
