//! Which backend a chain runs with, and why: what was asked for, what the kernel can, what is on the
//! hook and what the members need → one backend, or the reason why there is none. Pure.

use skep_artifact::hook::Hook;

use crate::kinds::{Backend, BackendChoice, Chosen};

/// Why a chain cannot run with a backend.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// The backend chains programs on the other kind of hook.
    #[error("it is for another kind of hook than {hook}")]
    OtherHook {
        /// The hook.
        hook: Hook,
    },
    /// This version of Skep cannot build it.
    #[error("this version of Skep cannot build it yet")]
    NotBuilt,
}

/// The backend for a hook and a wish. The error names the backend that was asked for.
pub(crate) fn choose(hook: Hook, choice: BackendChoice) -> Result<Chosen, (Backend, Unfit)> {
    let asked = || format!("{choice} was asked for");
    let chosen = |backend, why: String| Ok(Chosen { backend, why });
    match (choice, hook) {
        (BackendChoice::Auto, Hook::Xdp) => chosen(
            Backend::Slots,
            "members stay ordinary XDP programs and are swapped as one".to_owned(),
        ),
        (BackendChoice::Auto, _) => chosen(
            Backend::Tcx,
            "the kernel has tcx, where others' programs keep their places".to_owned(),
        ),
        (BackendChoice::Slots, Hook::Xdp) => chosen(Backend::Slots, asked()),
        (BackendChoice::Fused, Hook::Xdp) => chosen(Backend::Fused, asked()),
        (BackendChoice::Libxdp, Hook::Xdp) => chosen(Backend::Libxdp, asked()),
        (BackendChoice::Tcx, Hook::Xdp) => Err((Backend::Tcx, Unfit::OtherHook { hook })),
        (BackendChoice::Tc, Hook::Xdp) => Err((Backend::Tc, Unfit::OtherHook { hook })),
        (BackendChoice::TcFused, Hook::Xdp) => Err((Backend::TcFused, Unfit::OtherHook { hook })),
        (BackendChoice::Libxdp, _) => Err((Backend::Libxdp, Unfit::OtherHook { hook })),
        (BackendChoice::Slots | BackendChoice::Tcx, _) => chosen(Backend::Tcx, asked()),
        (BackendChoice::Fused, _) => chosen(Backend::TcxFused, asked()),
        (BackendChoice::Tc, _) => chosen(Backend::Tc, asked()),
        (BackendChoice::TcFused, _) => chosen(Backend::TcFused, asked()),
    }
}
