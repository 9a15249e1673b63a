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
    /// Nanoseconds that the timed packets spent in it, all together; what reading the clock cost is
    /// taken off.
    pub ns: u64,
    /// How many packets were timed.
    pub timed: u64,
    /// Verdicts that occurred, with how often.
    pub verdicts: Vec<(Verdict, u64)>,
    /// Answers that are no verdict of the hook.
    pub unknown: u64,
}

impl MemberCounters {
    /// Mean time of a packet in this member, in nanoseconds; none where no packet was timed.
    pub fn ns_per_packet(&self) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "a mean needs no 53 bits")]
        (self.timed > 0).then(|| self.ns as f64 / self.timed as f64)
    }
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
    let refused = |source| ObserveError::Kernel { what: "the counters", source };
    let value = sys::map_lookup(map.as_fd(), &0u32.to_ne_bytes()).map_err(refused)?;
    let bytes = sys::map_info(map.as_fd()).map_err(refused)?.shape.value_size;
    let keep_length: Vec<bool> = record.members.iter().map(|m| m.keeps_length).collect();
    let counts = layout::counts(hook, &keep_length, bytes as usize, &value.unwrap_or_default())
        .ok_or(ObserveError::CountersUnreadable { bytes })?;
    Ok(record
        .members
        .iter()
        .zip(counts.members)
        .map(|(member, counts)| MemberCounters {
            policy: member.policy.clone(),
            name: member.name.clone(),
            packets: counts.packets,
            bytes: counts.bytes,
            missed: counts.missed,
            ns: counts.ns,
            timed: counts.timed,
            verdicts: counts.verdicts,
            unknown: counts.unknown,
        })
        .collect())
}
