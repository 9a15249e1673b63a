//! The decision: what is seen on a hook and what is wanted there → ordered steps. Pure; every
//! prefix of a plan leaves the whole old chain or the whole new one. Knows no file descriptor.

#[cfg(test)]
mod props;
mod text;

use serde::{Deserialize, Serialize};
use skep_artifact::Digest;

use crate::chain::{Foreign, HookPoint};
use crate::kernel::netlink::XdpMode;
use crate::kernel::objects::MapShape;
use crate::load::{DeclaredMap, Outline};
use crate::record::{Backend, ChainRecord, MemberRecord};

/// A `BPF_MAP_TYPE_PROG_ARRAY`: holds the old version's programs, so it is never carried over.
const PROG_ARRAY: u32 = 3;

/// What to do on one hook, in order. Printable; empty when what is wanted already runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SwapPlan {
    /// Where.
    pub at: HookPoint,
    /// In order; carried out one by one.
    pub steps: Vec<Step>,
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
    /// Make the hook's link run the new chain instead of the old one: the one live change.
    Switch {
        /// The link.
        link: u32,
        /// The dispatcher that must be running, else the switch is refused.
        from: u32,
        /// The folder the new chain is pinned in.
        folder: u64,
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

/// A program on the hook that is not ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForeignProgram {
    /// The kernel's number for it.
    pub program_id: u32,
    /// Its name, at most 15 bytes; empty if it has none.
    pub name: String,
    /// Its link; none for a program attached by netlink.
    pub link_id: Option<u32>,
    /// For XDP: in which mode it runs.
    pub mode: Option<XdpMode>,
}

/// What is on a hook now.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Seen {
    /// Our pinned link, alive.
    pub(crate) link: Option<SeenLink>,
    /// The folders that lie under the hook, ascending.
    pub(crate) folders: Vec<SeenFolder>,
    /// Everybody else's programs.
    pub(crate) foreign: Vec<ForeignProgram>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SeenLink {
    pub(crate) id: u32,
    pub(crate) program_id: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SeenFolder {
    pub(crate) number: u64,
    pub(crate) dispatcher_id: Option<u32>,
    pub(crate) record: Option<ChainRecord>,
    /// Every slot holds its member's program.
    pub(crate) intact: bool,
    pub(crate) maps: Vec<SeenMap>,
}

/// A pinned map of a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SeenMap {
    pub(crate) policy: String,
    pub(crate) member: String,
    pub(crate) map: String,
    pub(crate) shape: MapShape,
}

/// What should be there.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub(crate) record: ChainRecord,
    /// One per member, in order.
    pub(crate) members: Vec<WantedMember>,
    pub(crate) foreign: Foreign,
}

#[derive(Debug, Clone)]
pub(crate) struct WantedMember {
    pub(crate) outline: Outline,
    /// Names of the maps that the config fills: fresh for every revision.
    pub(crate) config_maps: Vec<String>,
}

/// The hook is held by somebody else's XDP program and the caller did not ask to take it over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Held(pub(crate) ForeignProgram);

impl Seen {
    /// The folder whose dispatcher the link runs.
    pub(crate) fn running(&self) -> Option<&SeenFolder> {
        let link = self.link?;
        self.folders.iter().find(|folder| folder.dispatcher_id == Some(link.program_id))
    }

    /// Folders that belong to no running chain: leftovers of a killed change.
    pub(crate) fn leftovers(&self) -> Vec<u64> {
        let running = self.running().map(|folder| folder.number);
        // A link that runs a dispatcher we cannot find was changed behind our back: keep the pins
        // of its members alive until the next apply has replaced it.
        if self.link.is_some() && running.is_none() {
            return Vec::new();
        }
        self.folders.iter().map(|folder| folder.number).filter(|n| Some(*n) != running).collect()
    }
}

/// Decides the steps. The members of `wanted` are in order and within all limits.
pub(crate) fn plan(at: &HookPoint, seen: &Seen, wanted: &Wanted) -> Result<SwapPlan, Held> {
    let running = seen.running();
    if let Some((folder, record)) = running.and_then(|f| Some((f, f.record.as_ref()?)))
        && folder.intact
        && record.same_chain(&wanted.record)
    {
        let steps = if record.generation == wanted.record.generation {
            Vec::new()
        } else {
            vec![Step::Renumber { folder: folder.number, generation: wanted.record.generation }]
        };
        return Ok(SwapPlan { at: at.clone(), steps });
    }
    let folder = seen.folders.last().map_or(1, |last| last.number + 1);
    let mut steps: Vec<Step> = wanted
        .record
        .members
        .iter()
        .zip(&wanted.members)
        .enumerate()
        .map(|(slot, (record, member))| load_step(slot, record, member, running))
        .collect();
    steps.push(Step::LoadDispatcher {
        backend: wanted.record.backend,
        members: wanted.record.members.len(),
    });
    steps.push(Step::Pin { folder });
    match seen.link {
        Some(link) => {
            steps.push(Step::Switch { link: link.id, from: link.program_id, folder });
            // The old chain's program array loses its entries with its last pin: a packet still
            // inside would find its members missing and be dropped.
            steps.push(Step::Settle);
        }
        None => {
            steps.extend(take_over(seen, wanted)?);
            steps.push(Step::Attach { folder });
        }
    }
    steps.extend(seen.folders.iter().map(|old| Step::RemoveOld { folder: old.number }));
    Ok(SwapPlan { at: at.clone(), steps })
}

fn take_over(seen: &Seen, wanted: &Wanted) -> Result<Vec<Step>, Held> {
    // On tc everybody keeps their place.
    if wanted.record.backend == Backend::Tcx {
        return Ok(Vec::new());
    }
    match (seen.foreign.first(), wanted.foreign) {
        (Some(holder), Foreign::Refuse) => Err(Held(holder.clone())),
        _ => Ok(seen.foreign.iter().map(|p| Step::TakeOver { program: p.clone() }).collect()),
    }
}

fn load_step(
    slot: usize,
    record: &MemberRecord,
    member: &WantedMember,
    running: Option<&SeenFolder>,
) -> Step {
    let old = running.and_then(|folder| {
        folder
            .record
            .as_ref()?
            .members
            .iter()
            .find(|old| (&old.policy, &old.name) == (&record.policy, &record.name))
    });
    let mut carried = Vec::new();
    let mut restarted = Vec::new();
    for declared in &member.outline.maps {
        if member.config_maps.contains(&declared.name) {
            continue;
        }
        let live = running.and_then(|folder| {
            folder.maps.iter().find(|map| {
                (&map.policy, &map.member, &map.map)
                    == (&record.policy, &record.name, &declared.name)
            })
        });
        let (Some(live), Some(old)) = (live, old) else { continue };
        match whether_carried(declared, live.shape, old, record) {
            Carry::Yes => carried.push(declared.name.clone()),
            Carry::Fresh => {}
            Carry::No(why) => restarted.push(Restarted { map: declared.name.clone(), why }),
        }
    }
    Step::LoadMember {
        slot,
        policy: record.policy.clone(),
        name: record.name.clone(),
        program: record.program.clone(),
        object: record.object,
        carried,
        restarted,
    }
}

enum Carry {
    Yes,
    /// Its content belongs to the program's version or config: nothing is lost.
    Fresh,
    No(String),
}

fn whether_carried(
    declared: &DeclaredMap,
    live: MapShape,
    old: &MemberRecord,
    new: &MemberRecord,
) -> Carry {
    const RDONLY_PROG: u32 = 1 << 7;
    if declared.shape.kind == PROG_ARRAY || declared.shape.flags & RDONLY_PROG != 0 {
        return Carry::Fresh;
    }
    if declared.section {
        // Plain globals have no declared layout: only the same object knows what the bytes mean.
        return if old.object == new.object {
            Carry::Yes
        } else {
            Carry::No("global variables belong to one version of the object".to_owned())
        };
    }
    if declared.shape == live {
        return Carry::Yes;
    }
    Carry::No(difference(live, declared.shape))
}

fn difference(live: MapShape, new: MapShape) -> String {
    let parts = [
        ("type", live.kind, new.kind),
        ("key size", live.key_size, new.key_size),
        ("value size", live.value_size, new.value_size),
        ("number of entries", live.max_entries, new.max_entries),
        ("flags", live.flags, new.flags),
    ];
    let differ: Vec<String> = parts
        .iter()
        .filter(|(_, old, new)| old != new)
        .map(|(what, old, new)| format!("its {what} was {old} and is {new}"))
        .collect();
    differ.join(", ")
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
