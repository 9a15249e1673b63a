//! The ways to chain, one file each: what dispatcher, attached how. The meaning of a chain is the
//! same in all of them (`bpf/dispatcher.h`).

pub(crate) mod slots;
pub(crate) mod tcx;

use skep_artifact::hook::Hook;

use crate::record::Backend;

/// The backend for a hook.
pub(crate) fn for_hook(hook: Hook) -> Backend {
    match hook {
        Hook::Xdp => Backend::Slots,
        Hook::TcIngress | Hook::TcEgress => Backend::Tcx,
    }
}

/// The dispatcher's object and the name of its program.
pub(crate) fn dispatcher(backend: Backend) -> (&'static [u8], &'static str) {
    match backend {
        Backend::Slots => (slots::XDP_DISPATCHER, "skep_xdp"),
        Backend::Tcx => (slots::TC_DISPATCHER, "skep_tc"),
    }
}
