//! Chains as a node reports them: what runs, in which order, with which counters.

use serde::{Deserialize, Serialize};
use skep_artifact::digest::Digest;
use skep_artifact::hook::{Failure, Hook, Mode, VerdictSet};
use skep_artifact::name::PackageName;

/// The chain that runs on one (interface, hook) of a node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ChainStatus {
    pub interface: String,
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub hook: Hook,
    /// `slots`, `tcx`, …
    pub backend: String,
    /// Why that backend was chosen, one sentence.
    pub backend_reason: String,
    /// `native`, `generic` or, for tc, empty.
    pub attach_mode: String,
    /// Generation of the desired state that put it there.
    pub generation: u64,
    /// Seconds since 1970 when it was switched live, by the node's clock.
    pub applied_at: i64,
    /// In the order packets meet them.
    pub members: Vec<MemberStatus>,
}

/// One member of a running chain.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MemberStatus {
    pub policy: String,
    pub name: String,
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub package: PackageName,
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub version: semver::Version,
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub index: Digest,
    pub program: String,
    /// The kernel's id of the loaded program.
    pub program_id: u32,
    pub priority: u32,
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub proceed_on: VerdictSet,
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub mode: Mode,
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub failure: Failure,
    pub counters: MemberCounters,
}

/// What a member did since its chain went live; sums over all CPUs.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MemberCounters {
    pub packets: u64,
    pub bytes: u64,
    /// Packets that should have met the member and could not.
    pub missed: u64,
    /// Nanoseconds that the timed packets spent in the member, all together. Timing is off unless the
    /// node's own settings or somebody on it switch it on.
    #[serde(default)]
    pub ns: u64,
    /// How many packets were timed.
    #[serde(default)]
    pub timed: u64,
    /// Packets per verdict, by the verdict's name; verdicts never given are left out.
    pub verdicts: Vec<VerdictCount>,
}

impl MemberCounters {
    /// Mean time of a packet in this member in nanoseconds; `None` where no packet was timed.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a mean of nanoseconds needs no 53 bits")]
    pub fn ns_per_packet(&self) -> Option<f64> {
        (self.timed > 0).then(|| self.ns as f64 / self.timed as f64)
    }
}

/// How often one verdict was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct VerdictCount {
    pub verdict: String,
    pub packets: u64,
}
