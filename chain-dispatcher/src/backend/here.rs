//! Pinned links and the interfaces they are on. An interface that moves to another network namespace
//! keeps its links but perhaps not its number, and another interface may have the number here. So a
//! link is believed only where the interface itself shows it. Knows no chains.

use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use skep_artifact::hook::Hook;

use crate::backend::tcx;
use crate::error::ObserveError;
use crate::kernel::netlink::{self, Interface};
use crate::kernel::objects::LinkInfo;
use crate::kernel::sys;
use crate::pins::{self, HookDir, HookKey};
use crate::swap::{How, Live};

/// Times that an interface is asked again: its program may be switched between two questions.
const ASKED_AGAIN_MAX: usize = 3;

/// The pinned link of a hook, if this very interface runs it.
pub(crate) fn link(
    dir: &HookDir,
    interface: &Interface,
    hook: Hook,
) -> Result<Option<Live>, ObserveError> {
    let Some(info) = pinned(dir)?.filter(|info| info.ifindex == interface.index) else {
        return Ok(None);
    };
    if shows(interface, hook, info)? {
        return Ok(Some(live(info)));
    }
    for _ in 0..ASKED_AGAIN_MAX {
        let Some(info) = pinned(dir)? else { return Ok(None) };
        let now = netlink::interface_named(&interface.name)
            .map_err(|source| ObserveError::Kernel { what: "the interface", source })?;
        if let Some(now) = now
            && shows(&now, hook, info)?
        {
            return Ok(Some(live(info)));
        }
    }
    Ok(None)
}

/// The pinned link of a hook, if it is there and attached to an interface, wherever that is.
pub(crate) fn anywhere(dir: &HookDir) -> Result<Option<Live>, ObserveError> {
    Ok(pinned(dir)?.map(live))
}

/// Gives the pins of chains whose interface got another number, or came into this namespace, the
/// name that belongs to it now. `hooks` are those that lie under `root`.
pub(crate) fn follow(
    root: &Path,
    hooks: &[HookKey],
    netns: u64,
    interfaces: &[Interface],
) -> Result<(), ObserveError> {
    for key in hooks {
        let dir = HookDir::of(root, key);
        let Some(info) = pinned(&dir)? else { continue };
        let Some(interface) = interfaces.iter().find(|i| i.index == info.ifindex) else { continue };
        let there = HookKey { netns, ifindex: info.ifindex, hook: key.hook };
        if there == *key || !shows(interface, key.hook, info)? {
            continue;
        }
        let there = HookDir::of(root, &there);
        let pins = |source: io::Error| ObserveError::Pins { path: dir.path().to_owned(), source };
        // What lies there is of an interface that had this number before: this one runs our link.
        pins::remove_folder(there.path()).map_err(pins)?;
        std::fs::rename(dir.path(), there.path()).map_err(pins)?;
        tracing::info!(interface = %interface.name, hook = %key.hook, "a chain was found again where its interface is now");
    }
    Ok(())
}

fn live(info: LinkInfo) -> Live {
    Live { program_id: info.program_id, how: How::Link { id: info.id } }
}

/// Whether an interface of this namespace says itself that it runs the link.
fn shows(interface: &Interface, hook: Hook, info: LinkInfo) -> Result<bool, ObserveError> {
    if hook == Hook::Xdp {
        return Ok(interface.xdp.iter().any(|(_, program)| *program == info.program_id));
    }
    let attached = tcx::attached(interface.index, hook)
        .map_err(|source| ObserveError::Kernel { what: "the tcx hook", source })?;
    Ok(attached.iter().any(|found| found.link_id == info.id))
}

fn pinned(dir: &HookDir) -> Result<Option<LinkInfo>, ObserveError> {
    let Some(link) = crate::observe::open_pin(&dir.link())? else { return Ok(None) };
    let info = sys::link_info(link.as_fd())
        .map_err(|source| ObserveError::Kernel { what: "the pinned link", source })?;
    // 0: the interface is gone, or somebody detached the link.
    Ok((info.ifindex != 0).then_some(info))
}
