//! Which backend a chain runs with, and why: what was asked for, what the kernel can, what is on the
//! hook and what the members need → one backend, or the reason why there is none. Pure.

#[cfg(test)]
mod props;
#[cfg(test)]
mod tests;

use skep_artifact::hook::{Hook, Verdict, VerdictSet};

use crate::chain::Foreign;
use crate::kernel::netlink::XdpMode;
use crate::kinds::{Attachment, Backend, BackendChoice, Build, Chosen};

/// Why a chain cannot run with a backend.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// The backend chains programs on the other kind of hook.
    #[error("it is for another kind of hook than {hook}")]
    OtherHook {
        /// The hook.
        hook: Hook,
    },
    /// A probe said that the kernel cannot do it.
    #[error("{why}")]
    Kernel {
        /// What the probe found.
        why: String,
    },
    /// More members than fit.
    #[error(
        "it holds {max} members{}, and the chain has {members}",
        if *others == 0 { String::new() } else { format!(", of which {others} are others'") }
    )]
    Members {
        /// How many were asked for.
        members: usize,
        /// How many the backend holds.
        max: usize,
        /// How many of those places others have taken.
        others: usize,
    },
    /// A member jumps through a program array of its own.
    #[error(
        "{member} makes tail calls of its own, which recent kernels refuse in extension programs"
    )]
    OwnTailCalls {
        /// Policy and name.
        member: String,
    },
    /// A member goes on after other verdicts than PASS.
    #[error(
        "{member} lets the chain go on after {verdicts}, and libxdp's dispatcher passes every packet at its end: only PASS keeps its meaning there"
    )]
    ProceedsOn {
        /// Policy and name.
        member: String,
        /// All verdicts after which it does.
        verdicts: VerdictSet,
    },
    /// The chain there is bound to its device.
    #[error(
        "the chain that is there is bound to its device, and so would every member have to be; unload it first"
    )]
    DeviceBound,
    /// The chain there runs in the mode that is not wanted.
    #[error(
        "the chain that is there runs in {} mode; ask for that mode, or unload it first",
        mode.as_str()
    )]
    OtherMode {
        /// Its mode.
        mode: XdpMode,
    },
}

/// What this kernel can do, as probes found it; a reason for what it cannot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kernel {
    /// Dispatchers that tail-call their members.
    pub(crate) tail_calls: Result<(), String>,
    /// tcx links.
    pub(crate) tcx: Result<(), String>,
    /// Programs that extend others.
    pub(crate) extensions: Result<(), String>,
}

/// What a member needs of a backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Needs {
    /// Policy and name.
    pub(crate) member: String,
    pub(crate) proceed_on: VerdictSet,
    pub(crate) own_tail_calls: bool,
}

/// Everything that the choice depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Situation<'a> {
    pub(crate) hook: Hook,
    pub(crate) choice: BackendChoice,
    pub(crate) foreign: Foreign,
    pub(crate) kernel: &'a Kernel,
    /// What ties the chain of ours that runs to the hook.
    pub(crate) live: Option<Attachment>,
    /// How many members others have in the libxdp chain that is there.
    pub(crate) libxdp_others: Option<usize>,
    pub(crate) members: &'a [Needs],
}

/// The backend for a chain. The error names the backend that was asked for, or would have been best.
pub(crate) fn choose(situation: &Situation<'_>) -> Result<Chosen, (Backend, Unfit)> {
    match (situation.choice, situation.hook) {
        (BackendChoice::Auto, Hook::Xdp) => auto_xdp(situation),
        (BackendChoice::Auto, _) => situation.on_tc(Build::Slots, ""),
        (choice, hook) => {
            let asked = format!("{choice} was asked for");
            let backend = match (choice, hook.is_tc()) {
                (BackendChoice::Slots, true) => return situation.on_tc(Build::Slots, &asked),
                (BackendChoice::Fused, true) => return situation.on_tc(Build::Fused, &asked),
                (BackendChoice::Fused, false) => Backend::Fused,
                (BackendChoice::Libxdp, _) => Backend::Libxdp,
                (BackendChoice::Tcx, _) => Backend::Tcx,
                (BackendChoice::Tc, _) => Backend::Tc,
                (BackendChoice::TcxFused, _) => Backend::TcxFused,
                (BackendChoice::TcFused, _) => Backend::TcFused,
                (BackendChoice::Slots | BackendChoice::Auto, _) => Backend::Slots,
            };
            situation.fits(backend).map_err(|why| (backend, why))?;
            Ok(Chosen { backend, why: asked })
        }
    }
}

fn auto_xdp(situation: &Situation<'_>) -> Result<Chosen, (Backend, Unfit)> {
    let libxdp = situation.fits(Backend::Libxdp);
    let chosen = |backend, why: String| Ok(Chosen { backend, why });
    match (situation.live, situation.libxdp_others, libxdp) {
        // The attachment of a running chain is kept: leaving it would be a gap.
        (Some(Attachment::XdpLink), _, _) => {
            situation.any_build("the chain is on an XDP link already".to_owned())
        }
        (Some(Attachment::XdpNetlink), _, Ok(())) => {
            chosen(Backend::Libxdp, "the chain is a libxdp chain already".to_owned())
        }
        (None, Some(_), Ok(())) => {
            chosen(Backend::Libxdp, "a libxdp chain is there, and ours joins it".to_owned())
        }
        (Some(Attachment::XdpNetlink), _, Err(why)) => Err((Backend::Libxdp, why)),
        (None, Some(_), Err(why)) if situation.foreign == Foreign::Refuse => {
            Err((Backend::Libxdp, why))
        }
        (_, None, Ok(())) => chosen(
            Backend::Libxdp,
            "the kernel allows extension programs and every member fits, so libxdp's users can join"
                .to_owned(),
        ),
        (_, _, Ok(())) => chosen(Backend::Libxdp, "a libxdp chain is there".to_owned()),
        (_, _, Err(why)) => situation.any_build(format!("libxdp is not possible: {why}")),
    }
}

impl Situation<'_> {
    /// Slots, or fused where the kernel cannot run them.
    fn any_build(&self, why: String) -> Result<Chosen, (Backend, Unfit)> {
        match (self.fits(Backend::Slots), self.fits(Backend::Fused)) {
            (Ok(()), _) => Ok(Chosen { backend: Backend::Slots, why }),
            (Err(slots @ Unfit::Kernel { .. }), Ok(())) => {
                let why = format!("{why}; slots is not possible: {slots}");
                Ok(Chosen { backend: Backend::Fused, why })
            }
            (Err(why), _) => Err((Backend::Slots, why)),
        }
    }

    /// The attachment of a running chain, else tcx where the kernel has it, else a clsact filter.
    fn on_tc(&self, build: Build, asked: &str) -> Result<Chosen, (Backend, Unfit)> {
        let (on_tcx, on_clsact) = match build {
            Build::Fused => (Backend::TcxFused, Backend::TcFused),
            Build::Slots | Build::Libxdp => (Backend::Tcx, Backend::Tc),
        };
        let (backend, reason) = match (self.live, &self.kernel.tcx) {
            (Some(Attachment::Tcx), _) => (on_tcx, "the chain is on a tcx link already".to_owned()),
            (Some(Attachment::Clsact), _) => {
                (on_clsact, "the chain is a clsact filter already".to_owned())
            }
            (_, Ok(())) => {
                (on_tcx, "the kernel has tcx, where others' programs keep their places".to_owned())
            }
            (_, Err(why)) => (on_clsact, format!("tcx is not possible: {why}")),
        };
        self.fits(backend).map_err(|why| (backend, why))?;
        let why = if asked.is_empty() { reason } else { format!("{asked}, and {reason}") };
        Ok(Chosen { backend, why })
    }

    /// Whether the chain can run with a backend.
    fn fits(&self, backend: Backend) -> Result<(), Unfit> {
        let attachment = backend.attachment();
        let tc = matches!(attachment, Attachment::Tcx | Attachment::Clsact);
        if tc != self.hook.is_tc() {
            return Err(Unfit::OtherHook { hook: self.hook });
        }
        let kernel = |probed: &Result<(), String>| {
            probed.as_ref().map_err(|why| Unfit::Kernel { why: why.clone() }).copied()
        };
        if attachment == Attachment::Tcx {
            kernel(&self.kernel.tcx)?;
        }
        let others = match backend.build() {
            Build::Slots => {
                kernel(&self.kernel.tail_calls)?;
                0
            }
            Build::Fused => 0,
            Build::Libxdp => {
                kernel(&self.kernel.extensions)?;
                self.keeps_meaning_in_libxdp()?;
                self.libxdp_others.unwrap_or_default()
            }
        };
        let (members, max) = (self.members.len(), backend.members_max());
        if members + others > max {
            return Err(Unfit::Members { members, max, others });
        }
        Ok(())
    }

    fn keeps_meaning_in_libxdp(&self) -> Result<(), Unfit> {
        for needs in self.members {
            let member = || needs.member.clone();
            if needs.own_tail_calls {
                return Err(Unfit::OwnTailCalls { member: member() });
            }
            let pass = VerdictSet::of(&[Verdict::Pass]);
            if needs.proceed_on != pass && needs.proceed_on != VerdictSet::EMPTY {
                let verdicts = needs.proceed_on;
                return Err(Unfit::ProceedsOn { member: member(), verdicts });
            }
        }
        Ok(())
    }
}
