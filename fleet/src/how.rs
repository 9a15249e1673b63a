//! How a chain shall be built and attached: what a policy may ask for beyond its members, and whether
//! what runs answers to it. Refuses to know what any of it means to a kernel.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The wishes of one policy, or of all policies that meet on a hook. Empty in every ordinary policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct How {
    pub backend: Backend,
    pub mode: AttachMode,
    /// Take off an XDP program that somebody else attached.
    pub takeover: bool,
    /// Let packets pass unseen for a moment where the kernel cannot move a running chain in one step.
    pub allow_gap: bool,
    /// Begin with an empty map where an older version's content cannot go on.
    pub lose_state: bool,
}

/// Which backend builds and attaches the chain.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Backend {
    /// The best that node and members allow.
    #[default]
    Auto,
    /// XDP, beside libxdp's other users.
    Libxdp,
    /// A program array; on tc by the attachment that the node has.
    Slots,
    /// One program; on tc by the attachment that the node has.
    Fused,
    /// tc: a program array on a tcx link.
    Tcx,
    /// tc: one program on a tcx link.
    TcxFused,
    /// tc: a program array as a clsact filter.
    Tc,
    /// tc: one program as a clsact filter.
    TcFused,
}

/// For XDP: where in the packet's path.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum AttachMode {
    /// In the driver where it can, in the kernel's generic path elsewhere.
    #[default]
    Auto,
    /// In the driver, or not at all.
    Native,
    /// In the kernel's generic path.
    Generic,
}

impl How {
    /// Whether nothing is asked for.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a chain that runs like `self` is what `wanted` asks for. What is not known of it, and
    /// what only matters while it changes, is no difference.
    #[must_use]
    pub fn serves(&self, wanted: &Self) -> bool {
        let backend = match (wanted.backend, self.backend) {
            (Backend::Auto, _) | (_, Backend::Auto) => true,
            (Backend::Slots, running) => {
                matches!(running, Backend::Slots | Backend::Tcx | Backend::Tc)
            }
            (Backend::Fused, running) => {
                matches!(running, Backend::Fused | Backend::TcxFused | Backend::TcFused)
            }
            (wanted, running) => wanted == running,
        };
        let mode = match (wanted.mode, self.mode) {
            (AttachMode::Auto, _) | (_, AttachMode::Auto) => true,
            (wanted, running) => wanted == running,
        };
        backend && mode
    }

    /// The wishes of several together, in the order of their authors' names: the first who names a
    /// backend or a mode decides it; one who allows something allows it for all.
    #[must_use]
    pub fn together<'a>(wishes: impl IntoIterator<Item = &'a Self>) -> Self {
        wishes.into_iter().fold(Self::default(), |sum, wish| Self {
            backend: if sum.backend == Backend::Auto { wish.backend } else { sum.backend },
            mode: if sum.mode == AttachMode::Auto { wish.mode } else { sum.mode },
            takeover: sum.takeover || wish.takeover,
            allow_gap: sum.allow_gap || wish.allow_gap,
            lose_state: sum.lose_state || wish.lose_state,
        })
    }
}

impl Backend {
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

    /// Its name, as policies and nodes write it.
    #[must_use]
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

    /// The most members that a chain of it holds; of `auto` what any node can do.
    #[must_use]
    pub const fn members_max(self) -> usize {
        match self {
            // The arrays of libxdp's protocol have ten entries.
            Self::Libxdp => 10,
            // One packet may pass through 33 tail calls, and a member takes one.
            Self::Auto | Self::Slots | Self::Tcx | Self::Tc => 32,
            // The counters have room for so many.
            Self::Fused | Self::TcxFused | Self::TcFused => 64,
        }
    }

    /// The backend of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|backend| backend.as_str() == name)
    }
}

impl AttachMode {
    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Native => "native",
            Self::Generic => "generic",
        }
    }
}

/// What is asked for beyond the ordinary: `backend fused, takeover`; `auto` where nothing is.
impl fmt::Display for How {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words = Vec::new();
        if self.backend != Backend::Auto {
            words.push(format!("backend {}", self.backend.as_str()));
        }
        if self.mode != AttachMode::Auto {
            words.push(format!("mode {}", self.mode.as_str()));
        }
        if self.takeover {
            words.push("takeover".to_owned());
        }
        if self.allow_gap {
            words.push("a gap allowed".to_owned());
        }
        if self.lose_state {
            words.push("loss of state allowed".to_owned());
        }
        f.write_str(&if words.is_empty() { "auto".to_owned() } else { words.join(", ") })
    }
}
