//! What a caller wants on a hook: the members of a chain, in their own words. Plain data and its
//! order. Knows no slots, no kernel, no pins.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use skep_artifact::Digest;
use skep_artifact::config::EncodedConfig;
use skep_artifact::hook::{Failure, Hook, Mode, VerdictSet};
use skep_artifact::manifest::Migration;
use skep_trust::{LocallyTrusted, VerifiedObject};

use crate::kernel::netlink::XdpMode;
use crate::kinds::BackendChoice;

/// A hook of an interface, in the network namespace of the calling thread.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct HookPoint {
    /// Name of the interface, at most 15 bytes.
    pub interface: String,
    /// Which of its hooks.
    pub hook: Hook,
}

impl std::fmt::Display for HookPoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.interface, self.hook)
    }
}

/// An object that may be loaded: there is no way to hand over bytes nobody vouched for.
#[derive(Debug, Clone)]
pub enum Loadable {
    /// Out of a package whose signatures were verified against the node's policy.
    Verified(VerifiedObject),
    /// A local file that a person on this host chose to run. Never from fleet state.
    Local(LocallyTrusted),
}

impl Loadable {
    /// The ELF bytes.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Verified(object) => object.bytes(),
            Self::Local(object) => object.bytes(),
        }
    }

    /// Whether it may be attached to a hook. A person who chose a local file chose the hook, too.
    pub(crate) fn permits(&self, hook: Hook) -> bool {
        match self {
            Self::Verified(object) => object.hooks().contains(&hook),
            Self::Local(_) => true,
        }
    }

    /// The package it came from: name, version and digest of its index.
    pub(crate) fn origin(&self) -> Option<(String, String, Digest)> {
        match self {
            Self::Verified(object) => Some((
                object.package().to_string(),
                object.version().to_string(),
                object.index_digest(),
            )),
            Self::Local(_) => None,
        }
    }
}

/// One program of a chain.
#[derive(Debug, Clone)]
pub struct Member {
    /// The policy that asked for it.
    pub policy: String,
    /// Its name within the policy.
    pub name: String,
    /// The function in the object.
    pub program: String,
    /// Where the code comes from.
    pub object: Loadable,
    /// Lower runs first; equal ones by policy, then by name.
    pub priority: u32,
    /// The verdicts after which the next member runs.
    pub proceed_on: VerdictSet,
    /// Whether its verdicts count.
    pub mode: Mode,
    /// What happens to a packet for which it could not run: dropped (closed) or sent on (open).
    pub failure: Failure,
    /// Globals and map entries to write before the chain goes live.
    pub config: EncodedConfig,
    /// How state of another layout becomes this version's, by the map's name: out of its package.
    pub migrations: BTreeMap<String, Migration>,
}

/// What should run on a hook.
#[derive(Debug, Clone)]
pub struct Chain {
    /// Where.
    pub at: HookPoint,
    /// The caller's number for this wish; reported back by `observe`.
    pub generation: u64,
    /// Who; any order, the chain sorts them.
    pub members: Vec<Member>,
    /// What to do about an XDP program that somebody else attached.
    pub foreign: Foreign,
    /// How to build and attach it.
    pub backend: BackendChoice,
    /// For XDP: where in the packet's path.
    pub xdp_mode: XdpModeChoice,
    /// Whether packets may pass unseen while a chain moves from one attachment to another.
    pub gap: Gap,
    /// Whether a map's content may be lost where a new version cannot take it over.
    pub lost_state: LostState,
}

impl Chain {
    /// A chain with every choice left to the engine, which touches nobody else's program and leaves
    /// no gap.
    pub fn new(at: HookPoint, generation: u64, members: Vec<Member>) -> Self {
        Self {
            at,
            generation,
            members,
            foreign: Foreign::default(),
            backend: BackendChoice::default(),
            xdp_mode: XdpModeChoice::default(),
            gap: Gap::default(),
            lost_state: LostState::default(),
        }
    }
}

/// Where in the packet's path an XDP chain shall run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum XdpModeChoice {
    /// In the driver where it can, in the kernel's generic path elsewhere.
    #[default]
    Auto,
    /// In the driver, or not at all.
    Native,
    /// In the kernel's generic path: slower, works everywhere.
    Generic,
}

impl XdpModeChoice {
    /// Whether a chain that runs in `mode` is where it shall be.
    pub(crate) fn allows(self, mode: XdpMode) -> bool {
        match self {
            Self::Auto => true,
            Self::Native => mode == XdpMode::Native,
            Self::Generic => mode == XdpMode::Generic,
        }
    }
}

/// Whether packets may pass unseen while a chain moves between attachments that the kernel keeps
/// apart: an XDP link and netlink, a tcx link and a clsact filter, native and generic mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Gap {
    /// Refuse such a change.
    #[default]
    Refuse,
    /// Take the old chain off, then attach the new one.
    Allow,
}

/// What to do where a new version declares a map in another layout, and its package does not say how
/// the content becomes its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LostState {
    /// Keep what runs and refuse.
    #[default]
    Refuse,
    /// Begin with an empty map.
    Allow,
}

/// What to do about an XDP program that somebody else attached. On tc everybody keeps their place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Foreign {
    /// Leave it and refuse.
    #[default]
    Refuse,
    /// Take it off and attach ours: packets pass unseen in between.
    TakeOver,
}

/// Whether dispatchers count packets and verdicts per member. Costs a few nanoseconds a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Counting {
    /// Count.
    #[default]
    On,
    /// Do not; `missed` is not counted either.
    Off,
}

/// The order in which packets meet the members: total, and independent of history.
pub(crate) fn in_order(members: &[Member]) -> Vec<&Member> {
    let mut ordered: Vec<&Member> = members.iter().collect();
    ordered.sort_by(|a, b| (a.priority, &a.policy, &a.name).cmp(&(b.priority, &b.policy, &b.name)));
    ordered
}
