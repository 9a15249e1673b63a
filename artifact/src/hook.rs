//! Where a program may sit (hook), what it may answer (verdict), and what its answer means for a chain.
//! It refuses to know interfaces, slots and the kernel's system calls.

mod verdicts;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub use verdicts::VerdictSet;

/// A place in the packet path a chain may be attached to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hook {
    /// The driver's receive path, before the kernel allocates an skb.
    Xdp,
    /// Traffic control, on receive.
    TcIngress,
    /// Traffic control, on transmit.
    TcEgress,
}

/// What a program answers for one packet. `Redirect` belongs to both families, with different codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// XDP_ABORTED (0): an error; the packet is dropped and a tracepoint fires.
    Aborted,
    /// XDP_DROP (1).
    Drop,
    /// XDP_PASS (2).
    Pass,
    /// XDP_TX (3).
    Tx,
    /// XDP_REDIRECT (4) or TC_ACT_REDIRECT (7).
    Redirect,
    /// TC_ACT_UNSPEC (-1): no opinion.
    Unspec,
    /// TC_ACT_OK (0).
    Ok,
    /// TC_ACT_RECLASSIFY (1).
    Reclassify,
    /// TC_ACT_SHOT (2): drop.
    Shot,
    /// TC_ACT_PIPE (3).
    Pipe,
    /// TC_ACT_STOLEN (4).
    Stolen,
    /// TC_ACT_QUEUED (5).
    Queued,
    /// TC_ACT_REPEAT (6).
    Repeat,
    /// TC_ACT_TRAP (8).
    Trap,
}

/// Whether a program's verdict counts.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// The verdict decides about the packet.
    #[default]
    Enforce,
    /// The program runs and is counted; its verdict is ignored.
    Observe,
}

/// What happens to a packet that should have met a program which could not run: its slot is empty, or the packet has
/// used up its 33 tail calls.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Failure {
    /// The packet is dropped: a filter that could not look never lets anything through.
    #[default]
    Closed,
    /// The packet goes on to the next program of the chain, and the miss is counted.
    Open,
}

/// Why a text is not a hook, verdict, mode or failure.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HookError {
    /// No such hook.
    #[error("`{text}` is not a hook; there are xdp, tc-ingress and tc-egress")]
    Hook {
        /// What was written.
        text: String,
    },
    /// The hook's family has no such verdict.
    #[error("`{text}` is not a verdict of {hook}; there are {}", names_of(*hook))]
    Verdict {
        /// The hook it was meant for.
        hook: Hook,
        /// What was written.
        text: String,
    },
    /// No such mode.
    #[error("`{text}` is not a mode; there are enforce and observe")]
    Mode {
        /// What was written.
        text: String,
    },
    /// No such failure behaviour.
    #[error("`{text}` is not a failure behaviour; there are closed and open")]
    Failure {
        /// What was written.
        text: String,
    },
}

const ALL_VERDICTS: [Verdict; 14] = [
    Verdict::Aborted,
    Verdict::Drop,
    Verdict::Pass,
    Verdict::Tx,
    Verdict::Redirect,
    Verdict::Unspec,
    Verdict::Ok,
    Verdict::Reclassify,
    Verdict::Shot,
    Verdict::Pipe,
    Verdict::Stolen,
    Verdict::Queued,
    Verdict::Repeat,
    Verdict::Trap,
];

impl Hook {
    /// Every hook, in order.
    pub const ALL: [Self; 3] = [Self::Xdp, Self::TcIngress, Self::TcEgress];

    /// The name as written in files and on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Xdp => "xdp",
            Self::TcIngress => "tc-ingress",
            Self::TcEgress => "tc-egress",
        }
    }

    /// Whether this is one of the two traffic-control hooks.
    pub const fn is_tc(self) -> bool {
        matches!(self, Self::TcIngress | Self::TcEgress)
    }

    /// The verdicts this hook knows, in order of their codes.
    pub fn verdicts(self) -> Vec<Verdict> {
        let mut known: Vec<_> =
            ALL_VERDICTS.into_iter().filter_map(|v| v.code(self).map(|code| (code, v))).collect();
        known.sort_unstable();
        known.into_iter().map(|(_, verdict)| verdict).collect()
    }
}

impl Verdict {
    /// The name as written in `proceed-on`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Aborted => "aborted",
            Self::Drop => "drop",
            Self::Pass => "pass",
            Self::Tx => "tx",
            Self::Redirect => "redirect",
            Self::Unspec => "unspec",
            Self::Ok => "ok",
            Self::Reclassify => "reclassify",
            Self::Shot => "shot",
            Self::Pipe => "pipe",
            Self::Stolen => "stolen",
            Self::Queued => "queued",
            Self::Repeat => "repeat",
            Self::Trap => "trap",
        }
    }

    /// The verdict a name means at a hook.
    pub fn from_name(hook: Hook, name: &str) -> Result<Self, HookError> {
        ALL_VERDICTS
            .into_iter()
            .find(|verdict| verdict.as_str() == name && verdict.code(hook).is_some())
            .ok_or_else(|| HookError::Verdict { hook, text: name.chars().take(40).collect() })
    }

    /// The verdict a program's return code means at a hook; `None` for codes the kernel does not define.
    pub fn from_code(hook: Hook, code: i32) -> Option<Self> {
        ALL_VERDICTS.into_iter().find(|verdict| verdict.code(hook) == Some(code))
    }

    /// The return code at a hook (`linux/bpf.h`, `linux/pkt_cls.h`); `None` when the hook has no such verdict.
    pub const fn code(self, hook: Hook) -> Option<i32> {
        match (hook, self) {
            (Hook::Xdp, Self::Aborted) => Some(0),
            (Hook::Xdp, Self::Drop) => Some(1),
            (Hook::Xdp, Self::Pass) => Some(2),
            (Hook::Xdp, Self::Tx) => Some(3),
            (Hook::Xdp, Self::Redirect) => Some(4),
            (Hook::Xdp, _) => None,
            (_, Self::Unspec) => Some(-1),
            (_, Self::Ok) => Some(0),
            (_, Self::Reclassify) => Some(1),
            (_, Self::Shot) => Some(2),
            (_, Self::Pipe) => Some(3),
            (_, Self::Stolen) => Some(4),
            (_, Self::Queued) => Some(5),
            (_, Self::Repeat) => Some(6),
            (_, Self::Redirect) => Some(7),
            (_, Self::Trap) => Some(8),
            (_, Self::Aborted | Self::Drop | Self::Pass | Self::Tx) => None,
        }
    }
}

impl Mode {
    /// The name as written in files and on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Observe => "observe",
        }
    }
}

impl Failure {
    /// The name as written in files and on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
        }
    }
}

fn names_of(hook: Hook) -> String {
    hook.verdicts().into_iter().map(Verdict::as_str).collect::<Vec<_>>().join(", ")
}

impl FromStr for Hook {
    type Err = HookError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|hook| hook.as_str() == text)
            .ok_or_else(|| HookError::Hook { text: text.chars().take(40).collect() })
    }
}

impl FromStr for Mode {
    type Err = HookError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::Enforce, Self::Observe]
            .into_iter()
            .find(|mode| mode.as_str() == text)
            .ok_or_else(|| HookError::Mode { text: text.chars().take(40).collect() })
    }
}

impl FromStr for Failure {
    type Err = HookError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::Closed, Self::Open]
            .into_iter()
            .find(|failure| failure.as_str() == text)
            .ok_or_else(|| HookError::Failure { text: text.chars().take(40).collect() })
    }
}

macro_rules! display_as_str {
    ($($type:ty),*) => {$(
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }
    )*};
}
display_as_str!(Hook, Verdict, Mode, Failure);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_are_what_the_dispatchers_read() {
        assert_eq!(VerdictSet::default_for(Hook::Xdp).mask(Hook::Xdp), 1 << 2);
        assert_eq!(VerdictSet::default_for(Hook::TcEgress).mask(Hook::TcEgress), 1 | 1 << 4);
        assert_eq!(VerdictSet::of(&[Verdict::Redirect]).mask(Hook::Xdp), 1 << 4);
        assert_eq!(VerdictSet::of(&[Verdict::Redirect]).mask(Hook::TcIngress), 1 << 8);
        assert_eq!(VerdictSet::of(&[Verdict::Shot]).mask(Hook::Xdp), 0);
        assert_eq!(VerdictSet::EMPTY.mask(Hook::Xdp), 0);
    }

    #[test]
    fn names_and_codes_read_back() {
        for hook in Hook::ALL {
            assert_eq!(hook.as_str().parse(), Ok(hook));
            for verdict in hook.verdicts() {
                assert_eq!(Verdict::from_name(hook, verdict.as_str()), Ok(verdict));
                assert_eq!(
                    verdict.code(hook).and_then(|code| Verdict::from_code(hook, code)),
                    Some(verdict)
                );
            }
        }
        assert_eq!(Hook::Xdp.verdicts().len(), 5);
        assert_eq!(Hook::TcIngress.verdicts().len(), 10);
        assert_eq!(Verdict::from_code(Hook::Xdp, 5), None);
        assert_eq!(Verdict::from_code(Hook::TcIngress, -1), Some(Verdict::Unspec));
    }

    #[test]
    fn a_verdict_of_the_other_family_is_refused_with_the_list() {
        let refusal =
            VerdictSet::from_names(Hook::Xdp, &["pass", "shot"]).map_err(|e| e.to_string());
        assert_eq!(
            refusal,
            Err("`shot` is not a verdict of xdp; there are aborted, drop, pass, tx, redirect"
                .to_owned())
        );
    }

    #[test]
    fn sets_are_lists_of_names_on_the_wire() {
        let set = VerdictSet::of(&[Verdict::Pipe, Verdict::Unspec]);
        let json = serde_json::to_string(&set).unwrap();
        assert_eq!(json, r#"["unspec","pipe"]"#);
        assert_eq!(serde_json::from_str::<VerdictSet>(&json).unwrap(), set);
    }
}
