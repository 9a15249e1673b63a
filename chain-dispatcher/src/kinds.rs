//! The ways to build and to attach a chain, by name: what a caller may ask for, what was chosen, and
//! why. Plain data; knows no kernel and makes no choice (`choice.rs` does).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::layout::SLOTS_MAX;

/// Members of a fused chain: what the counters have room for, and the 64 maps that one program may
/// use are met no later with members that have a map of their own.
const FUSED_MEMBERS_MAX: usize = 64;
/// Members of a libxdp chain: the arrays of its protocol have ten entries (`MAX_DISPATCHER_ACTIONS`).
const LIBXDP_MEMBERS_MAX: usize = 10;

/// How a chain is built and attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Backend {
    /// XDP: a dispatcher that tail-calls its members out of a program array, on one XDP link.
    Slots,
    /// XDP: the members' instructions as one program, on one XDP link.
    Fused,
    /// XDP: extensions of a dispatcher that follows libxdp's protocol, attached by netlink.
    Libxdp,
    /// tc: the slots dispatcher on one tcx link.
    Tcx,
    /// tc: one fused program on one tcx link.
    TcxFused,
    /// tc: the slots dispatcher as one direct-action filter on clsact.
    Tc,
    /// tc: one fused program as one direct-action filter on clsact.
    TcFused,
}

/// What the dispatcher of a chain is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Build {
    /// Members stay programs of their own in a program array.
    Slots,
    /// Members become one program.
    Fused,
    /// Members extend a dispatcher as libxdp defines it.
    Libxdp,
}

/// What ties a chain to its hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Attachment {
    /// A pinned XDP link: nobody replaces it by accident.
    XdpLink,
    /// XDP by netlink, as libxdp's tools do: whoever may configure the interface may replace it.
    XdpNetlink,
    /// A pinned tcx link.
    Tcx,
    /// One direct-action filter on the clsact queueing discipline.
    Clsact,
}

/// Which backend a caller asks for.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum BackendChoice {
    /// The best that kernel, hook and members allow.
    #[default]
    Auto,
    /// XDP only: beside libxdp's own users.
    Libxdp,
    /// Program array; on tc by whatever attachment the kernel has.
    Slots,
    /// One program; on tc by whatever attachment the kernel has.
    Fused,
    /// tc only: program array on a tcx link.
    Tcx,
    /// tc only: program array as a clsact filter.
    Tc,
    /// tc only: one program on a tcx link.
    TcxFused,
    /// tc only: one program as a clsact filter.
    TcFused,
}

/// The backend that a chain runs with, and why it is this one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chosen {
    /// How the chain is built and attached.
    pub backend: Backend,
    /// Why, in one sentence without a full stop.
    pub why: String,
}

/// A name that stands for no backend.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name} is no backend; the backends are {}", known.join(", "))]
pub struct UnknownBackend {
    /// What was given.
    pub name: String,
    /// What would have been right.
    pub known: Vec<&'static str>,
}

impl Backend {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Slots,
        Self::Fused,
        Self::Libxdp,
        Self::Tcx,
        Self::TcxFused,
        Self::Tc,
        Self::TcFused,
    ];

    /// What its dispatcher is made of.
    pub const fn build(self) -> Build {
        match self {
            Self::Slots | Self::Tcx | Self::Tc => Build::Slots,
            Self::Fused | Self::TcxFused | Self::TcFused => Build::Fused,
            Self::Libxdp => Build::Libxdp,
        }
    }

    /// What ties it to its hook.
    pub const fn attachment(self) -> Attachment {
        match self {
            Self::Slots | Self::Fused => Attachment::XdpLink,
            Self::Libxdp => Attachment::XdpNetlink,
            Self::Tcx | Self::TcxFused => Attachment::Tcx,
            Self::Tc | Self::TcFused => Attachment::Clsact,
        }
    }

    /// The most members one chain of it can have.
    pub const fn members_max(self) -> usize {
        match self.build() {
            Build::Slots => SLOTS_MAX,
            Build::Fused => FUSED_MEMBERS_MAX,
            Build::Libxdp => LIBXDP_MEMBERS_MAX,
        }
    }

    /// Its stable name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Slots => "slots",
            Self::Fused => "fused",
            Self::Libxdp => "libxdp",
            Self::Tcx => "tcx",
            Self::TcxFused => "tcx-fused",
            Self::Tc => "tc",
            Self::TcFused => "tc-fused",
        }
    }
}

impl Build {
    /// Whether the dispatcher must be in the kernel before its members: extensions need their target.
    pub(crate) const fn dispatcher_first(self) -> bool {
        matches!(self, Self::Libxdp)
    }
}

impl BackendChoice {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Auto,
        Self::Libxdp,
        Self::Slots,
        Self::Fused,
        Self::Tcx,
        Self::TcxFused,
        Self::Tc,
        Self::TcFused,
    ];

    /// Its stable name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Libxdp => "libxdp",
            Self::Slots => "slots",
            Self::Fused => "fused",
            Self::Tcx => "tcx",
            Self::TcxFused => "tcx-fused",
            Self::Tc => "tc",
            Self::TcFused => "tc-fused",
        }
    }
}

impl Attachment {
    /// In words, for sentences: "attached by …".
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::XdpLink => "an XDP link",
            Self::XdpNetlink => "netlink",
            Self::Tcx => "a tcx link",
            Self::Clsact => "a clsact filter",
        }
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for BackendChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Backend {
    type Err = UnknownBackend;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let known = || Self::ALL.iter().map(|backend| backend.as_str()).collect();
        let found = Self::ALL.into_iter().find(|backend| backend.as_str() == name);
        found.ok_or_else(|| UnknownBackend { name: name.to_owned(), known: known() })
    }
}

impl FromStr for BackendChoice {
    type Err = UnknownBackend;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let known = || Self::ALL.iter().map(|choice| choice.as_str()).collect();
        let found = Self::ALL.into_iter().find(|choice| choice.as_str() == name);
        found.ok_or_else(|| UnknownBackend { name: name.to_owned(), known: known() })
    }
}

#[cfg(test)]
mod tests {
    use super::{Backend, BackendChoice};

    #[test]
    fn names_read_back_and_are_those_of_the_wire() {
        for backend in Backend::ALL {
            assert_eq!(backend.as_str().parse(), Ok(backend));
            let json = serde_json::to_value(backend).unwrap();
            assert_eq!(json, backend.as_str());
        }
        for choice in BackendChoice::ALL {
            assert_eq!(choice.as_str().parse(), Ok(choice));
            assert_eq!(serde_json::to_value(choice).unwrap(), choice.as_str());
        }
        let refused = "l3af".parse::<BackendChoice>().unwrap_err();
        assert!(refused.to_string().contains("auto, libxdp, slots"), "{refused}");
    }
}
