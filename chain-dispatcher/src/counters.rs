//! What the members of a running chain counted. Reads only.

use serde::{Deserialize, Serialize};
use skep_artifact::hook::{Hook, Verdict};

use crate::error::ObserveError;
use crate::kernel::sys;
use crate::layout;
use crate::observe;
use crate::pins::HookDir;
use crate::swap::Seen;
use std::os::fd::AsFd;

/// What one member counted since its chain went live, over all CPUs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberCounters {
    /// The policy that asked for it.
    pub policy: String,
    /// Its name within the policy.
    pub name: String,
    /// Packets that met it.
    pub packets: u64,
    /// Their bytes. XDP counts the first buffer of a packet in several buffers.
    pub bytes: u64,
    /// Packets for which it could not run: its `failure` verdict applied.
    pub missed: u64,
    /// Verdicts that occurred, with how often.
    pub verdicts: Vec<(Verdict, u64)>,
    /// Answers that are no verdict of the hook.
    pub unknown: u64,
}

/// The counters of a hook's running chain, in the members' order; empty where none runs.
pub(crate) fn read(
    dir: &HookDir,
    hook: Hook,
    seen: &Seen,
) -> Result<Vec<MemberCounters>, ObserveError> {
    let Some((folder, record)) = seen.running().and_then(|f| Some((f.number, f.record.as_ref()?)))
    else {
        return Ok(Vec::new());
    };
    let Some(map) = observe::open_pin(&dir.generation(folder).counters())? else {
        return Ok(Vec::new());
    };
    let value = sys::map_lookup(map.as_fd(), &0u32.to_ne_bytes())
        .map_err(|source| ObserveError::Kernel { what: "the counters", source })?
        .unwrap_or_default();
    let counts = layout::slot_counts(hook, record.members.len(), &value);
    Ok(record
        .members
        .iter()
        .zip(counts)
        .map(|(member, counts)| MemberCounters {
            policy: member.policy.clone(),
            name: member.name.clone(),
            packets: counts.packets,
            bytes: counts.bytes,
            missed: counts.missed,
            verdicts: counts.verdicts,
            unknown: counts.unknown,
        })
        .collect())
}
