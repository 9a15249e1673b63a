//! Probes: what this kernel can do is asked, never guessed from a version.

use std::io;

use skep_artifact::hook::Hook;

use crate::backend::{libxdp, slots, tcx};
use crate::choice::Kernel;
use crate::error::Unsupported;
use crate::kinds::{Attachment, Backend};
use crate::load::LoadError;

/// The loopback interface, which every network namespace has.
const LOOPBACK: u32 = 1;

/// Whether the kernel can run a chain on a hook, with whatever backend.
pub fn probe(hook: Hook) -> Result<(), Unsupported> {
    if hook.is_tc() {
        offers(Backend::Tcx).or_else(|_| offers(Backend::Tc))
    } else {
        slots(Attachment::XdpLink)
    }
}

/// Whether the kernel can run chains of a backend: asks whether it knows the hook and loads what the
/// backend's chains are made of, empty, and lets go of it.
pub fn offers(backend: Backend) -> Result<(), Unsupported> {
    match backend {
        Backend::Slots => slots(Attachment::XdpLink),
        // Nothing but functions: every kernel that loads programs at all.
        Backend::Fused | Backend::TcFused => may_load_programs(),
        Backend::Libxdp => libxdp::probe(),
        Backend::Tcx => tcx::probe(LOOPBACK, Hook::TcIngress).and_then(|()| slots(Attachment::Tcx)),
        Backend::TcxFused => tcx::probe(LOOPBACK, Hook::TcIngress),
        Backend::Tc => slots(Attachment::Clsact),
    }
}

/// Whether this process may load programs that call functions.
pub(crate) fn may_load_programs() -> Result<(), Unsupported> {
    match slots(Attachment::XdpLink) {
        Err(refused) if is_denied(&refused.source) => Err(refused),
        _ => Ok(()),
    }
}

/// Everything that the choice of a backend asks about.
pub(crate) fn kernel() -> Kernel {
    let asked = |backend| offers(backend).map_err(|refused| in_a_line(&refused));
    Kernel {
        tail_calls: slots(Attachment::XdpLink).map_err(|refused| in_a_line(&refused)),
        tcx: asked(Backend::TcxFused),
        extensions: asked(Backend::Libxdp),
    }
}

fn in_a_line(refused: &Unsupported) -> String {
    let Unsupported { feature, since, source, .. } = refused;
    format!("the kernel refuses {feature} ({source}; offered since Linux {since})")
}

fn slots(attachment: Attachment) -> Result<(), Unsupported> {
    let tc = matches!(attachment, Attachment::Tcx | Attachment::Clsact);
    let hook = if tc { Hook::TcIngress } else { Hook::Xdp };
    match slots::probe(hook) {
        Ok(()) => Ok(()),
        Err(LoadError::Verifier { source, .. } | LoadError::CreateMap { source, .. }) => {
            Err(unsupported(source))
        }
        Err(error) => Err(unsupported(io::Error::other(error))),
    }
}

/// Whether the kernel denies it to this process. (The verifier's refusal is EACCES, which is another thing.)
pub(crate) fn is_denied(source: &io::Error) -> bool {
    source.raw_os_error() == Some(libc::EPERM)
}

fn unsupported(source: io::Error) -> Unsupported {
    let advice = if is_denied(&source) {
        "run as root, or with CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON and CAP_SYS_ADMIN"
    } else {
        "a newer kernel with its JIT compiler on (sysctl net.core.bpf_jit_enable=1) has it"
    };
    Unsupported { feature: "tail calls out of functions", since: "5.10", advice, source }
}
