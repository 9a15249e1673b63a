//! What is on a hook now: our chain and what ties it there, its pins, everybody else's programs. Plain
//! data; knows nothing of what should be there but how to tell a crossing.

use serde::{Deserialize, Serialize};

use super::{Crossing, Wanted};
use crate::kernel::netlink::XdpMode;
use crate::kernel::objects::MapShape;
use crate::kinds::Attachment;
use crate::meaning::MapTypes;
use crate::record::ChainRecord;

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
    /// For a member of a libxdp chain: its run priority; lower ones run first.
    #[serde(default)]
    pub run_priority: Option<u32>,
}

/// What is on a hook now.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Seen {
    /// What of ours is live.
    pub(crate) live: Option<Live>,
    /// For XDP: where in the packet's path it runs.
    pub(crate) mode: Option<XdpMode>,
    /// A chain in libxdp's protocol, whoever made it.
    pub(crate) libxdp: Option<SeenLibxdp>,
    /// The folders that lie under the hook, ascending.
    pub(crate) folders: Vec<SeenFolder>,
    /// Everybody else's programs.
    pub(crate) foreign: Vec<ForeignProgram>,
}

/// What of ours a hook runs, and what ties it there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Live {
    /// The kernel's number for the dispatcher.
    pub program_id: u32,
    /// What ties it to the hook.
    pub how: How,
}

/// What ties a running chain to its hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "by", rename_all = "kebab-case")]
pub enum How {
    /// Our pinned link.
    Link {
        /// The kernel's number for it.
        id: u32,
    },
    /// Netlink, XDP only.
    Netlink,
    /// A filter on clsact.
    Filter {
        /// Its preference: lower ones are asked first.
        preference: u16,
        /// Its number within the preference.
        handle: u32,
    },
}

impl How {
    /// The attachment that it is on this hook.
    pub(crate) fn attachment(self, tc: bool) -> Attachment {
        match (self, tc) {
            (Self::Link { .. }, false) => Attachment::XdpLink,
            (Self::Link { .. }, true) => Attachment::Tcx,
            (Self::Netlink, _) => Attachment::XdpNetlink,
            (Self::Filter { .. }, _) => Attachment::Clsact,
        }
    }
}

/// A chain in libxdp's protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SeenLibxdp {
    pub(crate) program_id: u32,
    /// The protocol's version, 2 or 3.
    pub(crate) version: u8,
    /// It is bound to the device, and so must be every member.
    pub(crate) dev_bound: bool,
    pub(crate) mode: XdpMode,
    /// The programs in it that are ours, in order.
    pub(crate) ours: Vec<u32>,
    /// Its other members, in order.
    pub(crate) others: Vec<ForeignProgram>,
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
    pub(crate) types: MapTypes,
}

impl Seen {
    /// The folder whose dispatcher is live.
    pub(crate) fn running(&self) -> Option<&SeenFolder> {
        let live = self.live?;
        self.folders.iter().find(|folder| folder.dispatcher_id == Some(live.program_id))
    }

    /// Folders that belong to no running chain: leftovers of a killed change.
    pub(crate) fn leftovers(&self) -> Vec<&SeenFolder> {
        let running = self.running().map(|folder| folder.number);
        // A link that runs a dispatcher we cannot find was changed behind our back: keep the pins
        // of its members alive until the next apply has replaced it.
        if self.live.is_some() && running.is_none() {
            return Vec::new();
        }
        self.folders.iter().filter(|folder| Some(folder.number) != running).collect()
    }

    /// Somebody else's member of the libxdp chain that ours are in.
    pub(super) fn shared_with(&self) -> Option<&ForeignProgram> {
        let ours = self.live.is_some_and(|live| live.how == How::Netlink);
        self.libxdp.as_ref().filter(|_| ours)?.others.first()
    }

    /// What a change to `wanted` must cross, if anything of ours runs.
    pub(super) fn crossing(&self, wanted: &Wanted, tc: bool) -> Option<(Live, Crossing)> {
        let live = self.live?;
        let (from, to) = (live.how.attachment(tc), wanted.record.backend.attachment());
        if from != to {
            return Some((live, Crossing::Attachment { from, to }));
        }
        let from = self.mode.filter(|mode| !wanted.mode.allows(*mode))?;
        Some((live, Crossing::Mode { from, to: wanted.mode }))
    }
}
