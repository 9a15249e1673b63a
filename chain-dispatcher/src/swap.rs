//! The decision: what is seen on a hook and what is wanted there → ordered steps. Pure; every
//! prefix of a plan leaves the whole old chain or the whole new one. Knows no file descriptor.

mod carry;
pub(crate) mod migrate;
#[cfg(test)]
mod props;
mod seen;
mod state;
mod text;

use std::collections::BTreeMap;

pub use migrate::FieldCopy;
pub use seen::{ForeignProgram, How, Live};
pub(crate) use seen::{Seen, SeenFolder, SeenLibxdp, SeenMap};
use serde::Serialize;
use skep_artifact::Digest;
use skep_artifact::hook::Hook;
use skep_artifact::manifest::Migration;

use crate::chain::{Foreign, Gap, HookPoint, LostState, XdpModeChoice};
use crate::kernel::netlink::XdpMode;
use crate::kinds::{Attachment, Backend, Chosen};
use crate::load::Outline;
use crate::record::ChainRecord;

/// What to do on one hook, in order. Printable; empty when what is wanted already runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SwapPlan {
    /// Where.
    pub at: HookPoint,
    /// How the chain is built and attached, and why so.
    pub chosen: Chosen,
    /// In order; carried out one by one.
    pub steps: Vec<Step>,
    /// What a person should know before.
    pub warnings: Vec<Warning>,
}

/// What a change costs beyond itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "warning", rename_all = "kebab-case")]
pub enum Warning {
    /// Some drivers reset their queues when the first XDP program comes: packets may be lost.
    FirstAttach,
    /// The chain runs, or will run, in the kernel's generic path.
    Generic,
    /// The hook runs no chain for a moment.
    Gap {
        /// What is crossed.
        crossing: Crossing,
    },
    /// Somebody else's program goes.
    TakeOver {
        /// Whose.
        program: ForeignProgram,
    },
}

/// One step of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "step", rename_all = "kebab-case")]
pub enum Step {
    /// Load one member's program with its maps and config. Nothing live changes.
    LoadMember {
        /// Its place in the chain, from 0.
        slot: usize,
        /// The policy that asked for it.
        policy: String,
        /// Its name.
        name: String,
        /// The function.
        program: String,
        /// The digest of the object's bytes.
        object: Digest,
        /// State maps whose content the new program takes over.
        carried: Vec<String>,
        /// State maps that start empty although the old version had one of that name, and why.
        restarted: Vec<Restarted>,
    },
    /// Load the dispatcher with the order, masks and modes. Nothing live changes.
    LoadDispatcher {
        /// How.
        backend: Backend,
        /// How many members it calls.
        members: usize,
    },
    /// Pin everything new in a folder of its own. Nothing live changes.
    Pin {
        /// Number of the folder.
        folder: u64,
    },
    /// Copy a map's entries into the new version's map, field by field, as its package declares. What
    /// the running program writes from here to the switch is not in the copy.
    Migrate {
        /// The member's place in the chain, from 0.
        slot: usize,
        /// The policy that asked for it.
        policy: String,
        /// Its name.
        name: String,
        /// The new version's map.
        map: String,
        /// The running version's map.
        from: String,
        /// What of a value is copied where.
        fields: Vec<FieldCopy>,
    },
    /// Take a foreign XDP program off; packets pass unseen until the next step is done.
    TakeOver {
        /// Whose.
        program: ForeignProgram,
    },
    /// Attach the new chain to a hook where nothing of ours runs.
    Attach {
        /// The folder it is pinned in.
        folder: u64,
    },
    /// Make the hook run the new chain instead of the old one: the one live change.
    Switch {
        /// What is changed.
        how: How,
        /// The dispatcher that must be running, else the switch is refused.
        from: u32,
        /// The folder the new chain is pinned in.
        folder: u64,
    },
    /// Take our own chain off, because the kernel keeps its attachment and the new one apart; packets
    /// pass unseen until the next step is done. Only where the caller allowed a gap.
    Leave {
        /// The chain that runs.
        live: Live,
    },
    /// Wait until no packet is inside the old chain any more.
    Settle,
    /// Write the caller's number beside a chain that stays as it is.
    Renumber {
        /// The folder it is pinned in.
        folder: u64,
        /// The number.
        generation: u64,
    },
    /// Remove the pins of the old chain.
    RemoveOld {
        /// Its folder.
        folder: u64,
    },
}

/// A state map that could not be carried over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Restarted {
    /// Its name.
    pub map: String,
    /// Why.
    pub why: String,
}

/// What should be there.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub(crate) record: ChainRecord,
    /// One per member, in order.
    pub(crate) members: Vec<WantedMember>,
    pub(crate) foreign: Foreign,
    pub(crate) mode: XdpModeChoice,
    pub(crate) gap: Gap,
    pub(crate) lost_state: LostState,
}

#[derive(Debug, Clone)]
pub(crate) struct WantedMember {
    pub(crate) outline: Outline,
    /// Names of the maps that the config fills: fresh for every revision.
    pub(crate) config_maps: Vec<String>,
    /// How state of another layout becomes this version's, by the map's name.
    pub(crate) migrations: BTreeMap<String, Migration>,
}

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Blocked {
    /// The hook is held by somebody else's XDP program and the caller did not ask to take it over.
    Held(ForeignProgram),
    /// The chain would have to leave its attachment first, and the caller allowed no gap.
    Gap(Crossing),
    /// A map's state would be lost, and the caller did not agree to that.
    State(LostMap),
}

/// A map whose content the new version cannot take over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LostMap {
    pub(crate) policy: String,
    pub(crate) member: String,
    pub(crate) map: Restarted,
}

/// A change that the kernel cannot make in one operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "of", rename_all = "kebab-case")]
pub enum Crossing {
    /// From one attachment to another.
    Attachment {
        /// What ties the running chain to the hook.
        from: Attachment,
        /// What would tie the new one.
        to: Attachment,
    },
    /// From one XDP mode to another.
    Mode {
        /// Where the running chain is.
        from: XdpMode,
        /// Where the new one shall be.
        to: XdpModeChoice,
    },
}

/// Decides the steps. The members of `wanted` are in order and within all limits.
pub(crate) fn plan(at: &HookPoint, seen: &Seen, wanted: &Wanted) -> Result<SwapPlan, Blocked> {
    let chosen = Chosen { backend: wanted.record.backend, why: wanted.record.why.clone() };
    let planned = |steps: Vec<Step>| {
        let warnings = warnings(at.hook, seen, wanted, &steps);
        Ok(SwapPlan { at: at.clone(), chosen, steps, warnings })
    };
    let running = seen.running();
    let crossing = seen.crossing(wanted, at.hook.is_tc());
    if let Some((folder, record)) = running.and_then(|f| Some((f, f.record.as_ref()?)))
        && folder.intact
        && crossing.is_none()
        && record.same_chain(&wanted.record)
    {
        let steps = if record.generation == wanted.record.generation {
            Vec::new()
        } else {
            vec![Step::Renumber { folder: folder.number, generation: wanted.record.generation }]
        };
        return planned(steps);
    }
    let folder = seen.folders.last().map_or(1, |last| last.number + 1);
    let state::Loading { mut steps, migrations } = state::load_steps(wanted, running)?;
    steps.push(Step::Pin { folder });
    // As late as can be: what is written after the copy is not in it.
    steps.extend(migrations);
    steps.extend(live_steps(seen, wanted, crossing, folder)?);
    steps.extend(seen.folders.iter().map(|old| Step::RemoveOld { folder: old.number }));
    planned(steps)
}

/// What the steps cost beyond themselves.
fn warnings(hook: Hook, seen: &Seen, wanted: &Wanted, steps: &[Step]) -> Vec<Warning> {
    let mut found = Vec::new();
    let attaches = steps.iter().any(|step| matches!(step, Step::Attach { .. }));
    if hook == Hook::Xdp && steps.iter().any(Step::is_live) {
        let stays = seen.mode.filter(|_| !attaches);
        if wanted.mode == XdpModeChoice::Generic || stays == Some(XdpMode::Generic) {
            found.push(Warning::Generic);
        } else if attaches {
            found.push(Warning::FirstAttach);
        }
    }
    for step in steps {
        match step {
            Step::Leave { .. } => found.extend(
                seen.crossing(wanted, hook.is_tc()).map(|(_, crossing)| Warning::Gap { crossing }),
            ),
            Step::TakeOver { program } => {
                found.push(Warning::TakeOver { program: program.clone() });
            }
            _ => {}
        }
    }
    found
}

/// The live change, and what goes right before and after it.
fn live_steps(
    seen: &Seen,
    wanted: &Wanted,
    crossing: Option<(Live, Crossing)>,
    folder: u64,
) -> Result<Vec<Step>, Blocked> {
    // Who leaves a shared chain leaves the others on the hook, where nothing else can be attached.
    if let (Some(_), Some(other)) = (crossing, seen.shared_with()) {
        return Err(Blocked::Held(other.clone()));
    }
    match (seen.live, crossing) {
        (Some(_), Some((live, crossing))) => match wanted.gap {
            Gap::Refuse => Err(Blocked::Gap(crossing)),
            Gap::Allow => Ok(vec![Step::Leave { live }, Step::Attach { folder }, Step::Settle]),
        },
        // The old chain's program array loses its entries with its last pin: a packet still inside
        // would find its members missing and be dropped.
        (Some(live), None) => {
            let switch = Step::Switch { how: live.how, from: live.program_id, folder };
            Ok(vec![switch, Step::Settle])
        }
        (None, _) => match (wanted.record.backend, &seen.libxdp) {
            // In a chain that others made, ours run where theirs do.
            (Backend::Libxdp, Some(there)) if wanted.mode.allows(there.mode) => {
                let from = there.program_id;
                Ok(vec![Step::Switch { how: How::Netlink, from, folder }, Step::Settle])
            }
            _ => {
                let mut steps = take_over(seen, wanted)?;
                steps.push(Step::Attach { folder });
                Ok(steps)
            }
        },
    }
}

fn take_over(seen: &Seen, wanted: &Wanted) -> Result<Vec<Step>, Blocked> {
    // On tc everybody keeps their place.
    if matches!(wanted.record.backend.attachment(), Attachment::Tcx | Attachment::Clsact) {
        return Ok(Vec::new());
    }
    match (seen.foreign.first(), wanted.foreign) {
        (Some(holder), Foreign::Refuse) => Err(Blocked::Held(holder.clone())),
        // With a dispatcher of libxdp's go its members, which are told but not attached themselves.
        _ => Ok(seen
            .foreign
            .iter()
            .filter(|program| program.run_priority.is_none())
            .map(|program| Step::TakeOver { program: program.clone() })
            .collect()),
    }
}

impl Step {
    /// Whether the hook runs the new chain once this is done.
    pub(crate) fn is_live(&self) -> bool {
        matches!(self, Self::Attach { .. } | Self::Switch { .. })
    }
}

impl SwapPlan {
    /// Whether what is wanted already runs.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// The folder that a new chain is pinned in; none where nothing is built.
    pub(crate) fn folder(&self) -> Option<u64> {
        self.steps.iter().find_map(|step| match step {
            Step::Pin { folder } => Some(*folder),
            _ => None,
        })
    }
}
