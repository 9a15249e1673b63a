//! A hook made of plain data, on which steps are performed as the executor would. Knows what a step
//! needs to be possible; refuses to know why it was planned.

use std::collections::BTreeMap;

use crate::chain::{Foreign, Gap, XdpModeChoice};
use crate::kernel::netlink::XdpMode;
use crate::kinds::{Attachment, Backend};
use crate::swap::{ForeignProgram, How, Live, Seen, SeenFolder, SeenLibxdp, Step, Wanted};

/// A hook, its pins, and what a plan has prepared so far.
#[derive(Debug, Clone)]
pub(super) struct World {
    /// What of ours runs.
    pub(super) live: Option<Live>,
    /// In which mode, for XDP.
    pub(super) mode: XdpMode,
    /// The dispatcher of somebody else's libxdp chain.
    pub(super) libxdp: Option<u32>,
    /// Others' members of the libxdp chain that is there, theirs or ours.
    pub(super) others: Vec<ForeignProgram>,
    pub(super) folders: BTreeMap<u64, SeenFolder>,
    pub(super) foreign: Vec<ForeignProgram>,
    pub(super) loaded: Vec<usize>,
    pub(super) dispatcher: Option<usize>,
    pub(super) settled: bool,
    pub(super) next_id: u32,
}

/// What ties a chain of this backend to its hook.
pub(super) fn how(backend: Backend) -> How {
    match backend.attachment() {
        Attachment::XdpLink | Attachment::Tcx => How::Link { id: 5 },
        Attachment::XdpNetlink => How::Netlink,
        Attachment::Clsact => How::Filter { preference: 49_000, handle: 1 },
    }
}

impl World {
    pub(super) fn seen(&self) -> Seen {
        let ours = self.live.filter(|live| live.how == How::Netlink).map(|live| live.program_id);
        let there = |program_id| SeenLibxdp {
            program_id,
            version: 2,
            dev_bound: false,
            mode: self.mode,
            ours: Vec::new(),
            others: self.others.clone(),
        };
        Seen {
            live: self.live,
            mode: self.live.map(|_| self.mode),
            libxdp: ours.or(self.libxdp).map(there),
            folders: self.folders.values().cloned().collect(),
            foreign: self.foreign.clone(),
        }
    }

    pub(super) fn running(&self) -> Option<&SeenFolder> {
        let live = self.live?.program_id;
        self.folders.values().find(|folder| folder.dispatcher_id == Some(live))
    }

    /// Performs a step as the executor would; a step that cannot be done is a fault of the plan.
    pub(super) fn perform(&mut self, step: &Step, wanted: &Wanted) -> Result<(), String> {
        let members = wanted.record.members.len();
        let backend = wanted.record.backend;
        let ok = match step {
            Step::LoadMember { slot, .. } => {
                let target = self.dispatcher.is_some() || backend != Backend::Libxdp;
                self.loaded.push(*slot);
                target && self.loaded.len() == *slot + 1
            }
            Step::LoadDispatcher { backend, members } => {
                let loaded = self.loaded.len() == *members || *backend == Backend::Libxdp;
                loaded && self.dispatcher.replace(*members).is_none()
            }
            Step::Pin { folder } => {
                let new = SeenFolder {
                    number: *folder,
                    dispatcher_id: Some(self.next_id),
                    record: Some(wanted.record.clone()),
                    intact: true,
                    maps: Vec::new(),
                };
                (self.dispatcher, self.loaded.len()) == (Some(members), members)
                    && self.folders.insert(*folder, new).is_none()
            }
            // A copy reads the running chain's map and writes one that is pinned and not yet live.
            Step::Migrate { slot, .. } => {
                let pinned = self.folders.values().any(|f| f.dispatcher_id == Some(self.next_id));
                pinned && *slot < members && self.running().is_some()
            }
            Step::TakeOver { program } => {
                self.foreign.retain(|other| other != program);
                self.libxdp = None;
                self.others.clear();
                self.live.is_none() && wanted.foreign == Foreign::TakeOver
            }
            Step::Attach { folder } => {
                let shared = matches!(
                    how(backend).attachment(is_tc(backend)),
                    Attachment::Tcx | Attachment::Clsact
                );
                let free = shared || self.foreign.is_empty();
                let live = Live { program_id: self.next_id, how: how(backend) };
                if wanted.mode == XdpModeChoice::Generic {
                    self.mode = XdpMode::Generic;
                } else {
                    self.mode = XdpMode::Native;
                }
                free && self.live.replace(live).is_none() && self.folders.contains_key(folder)
            }
            Step::Leave { live } => {
                self.settled = false;
                let alone = self.others.is_empty() && wanted.gap == Gap::Allow;
                alone && self.live.take() == Some(*live)
            }
            Step::Switch { how: by, from, folder } => {
                self.settled = false;
                let live = Live { program_id: self.next_id, how: *by };
                let before = match self.live.replace(live) {
                    Some(old) => old.how == *by && old.program_id == *from,
                    // Others' members go on in the chain that we build around them.
                    None => {
                        self.foreign.retain(|program| Some(program.program_id) != self.libxdp);
                        self.libxdp.take() == Some(*from) && *by == How::Netlink
                    }
                };
                before && *by == how(backend) && self.folders.contains_key(folder)
            }
            Step::Settle => {
                self.settled = true;
                true
            }
            Step::Renumber { folder, generation } => {
                let record = self.folders.get_mut(folder).and_then(|f| f.record.as_mut());
                record.map(|record| record.generation = *generation).is_some()
            }
            Step::RemoveOld { folder } => {
                let old = self.folders.remove(folder);
                let live = self.live.map(|live| live.program_id);
                self.settled && old.is_some_and(|old| old.dispatcher_id != live)
            }
        };
        if ok { Ok(()) } else { Err(format!("{step:?} cannot be done in {self:?}")) }
    }
}

pub(super) fn is_tc(backend: Backend) -> bool {
    matches!(backend.attachment(), Attachment::Tcx | Attachment::Clsact)
}
