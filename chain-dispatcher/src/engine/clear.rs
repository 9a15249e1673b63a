//! Taking chains off and removing what was left behind. Knows what belongs to a chain that does not
//! run; refuses to know what should run.

use std::path::Path;

use skep_artifact::hook::Hook;

use super::Engine;
use crate::backend::{self, Spot, tc};
use crate::error::{DetachError, ObserveError};
use crate::kernel::netlink::{self, Interface};
use crate::kernel::sys;
use crate::observe::{self, Gone};
use crate::pins::{self, HookDir, HookKey};
use crate::swap::Seen;

/// The interfaces of the calling thread's network namespace.
pub(super) struct Host {
    netns: u64,
    interfaces: Vec<Interface>,
}

impl Host {
    pub(super) fn look() -> Result<Self, ObserveError> {
        let interfaces = netlink::interfaces()
            .map_err(|source| ObserveError::Kernel { what: "the interfaces", source })?;
        Ok(Self { netns: observe::netns()?, interfaces })
    }

    pub(super) fn interface(&self, key: &HookKey) -> Option<&Interface> {
        self.interfaces.iter().find(|i| i.index == key.ifindex && key.netns == self.netns)
    }

    pub(super) fn gone(&self, key: &HookKey) -> Gone {
        if key.netns == self.netns { Gone::Yes } else { Gone::Unknown }
    }
}

impl Engine {
    /// Takes what is live off and removes all pins; gives whether anything was live. Without an
    /// interface only a link can be.
    pub(super) fn detach_hook(
        &self,
        dir: &HookDir,
        hook: Hook,
        interface: Option<&Interface>,
    ) -> Result<bool, DetachError> {
        let refused = |source| DetachError::Detach { path: dir.path().to_owned(), source };
        let live = match interface {
            Some(interface) => {
                let spot = Spot { interface, hook, dir, libxdp_root: &self.libxdp_root };
                let seen = observe::pinned(&spot)?;
                if let Some(live) = seen.live {
                    backend::detach(&spot, live).map_err(refused)?;
                }
                let beside = (hook, interface.index);
                for folder in &seen.folders {
                    let generation = dir.generation(folder.number);
                    backend::clear_beside(&self.libxdp_root, beside, &generation)
                        .map_err(refused)?;
                }
                seen.live
            }
            None => {
                let live = backend::here::anywhere(dir)?;
                if live.is_some() {
                    backend::xdp_link::detach(dir).map_err(refused)?;
                }
                live
            }
        };
        if live.is_some() {
            // A packet still inside the chain must find its members.
            sys::wait_for_running_programs().map_err(refused)?;
        }
        pins::remove_folder(dir.path()).map_err(refused)?;
        Ok(live.is_some())
    }

    pub(super) fn sweep_locked(&self) -> Result<usize, ObserveError> {
        let host = Host::look()?;
        backend::here::follow(&self.root, &self.hooks()?, host.netns, &host.interfaces)?;
        let mut removed = 0;
        for key in self.hooks()? {
            let dir = HookDir::of(&self.root, &key);
            let spot = host.interface(&key).map(|interface| Spot {
                interface,
                hook: key.hook,
                dir: &dir,
                libxdp_root: &self.libxdp_root,
            });
            let seen = match &spot {
                Some(spot) => Some(observe::pinned(spot)?),
                None => observe::pinned_elsewhere(&dir, host.gone(&key))?,
            };
            let Some(seen) = seen else { continue };
            removed += self.sweep_hook(&key, &dir, &seen)?;
        }
        let indices: Vec<u32> = host.interfaces.iter().map(|interface| interface.index).collect();
        tc::sweep_notes(&self.root, host.netns, &indices)
            .map_err(|source| ObserveError::Pins { path: self.root.clone(), source })?;
        Ok(removed)
    }

    /// Removes the generations of a hook that do not run, or the hook's folder if none does.
    fn sweep_hook(&self, key: &HookKey, dir: &HookDir, seen: &Seen) -> Result<usize, ObserveError> {
        let leftovers: Vec<u64> = seen.leftovers().iter().map(|folder| folder.number).collect();
        if !leftovers.is_empty() && seen.live.is_some() {
            // They may have been live a moment ago.
            sys::wait_for_running_programs()
                .map_err(|source| ObserveError::Kernel { what: "the running programs", source })?;
        }
        // The running one, too: it may know of a chain whose place it took.
        for folder in &seen.folders {
            let generation = dir.generation(folder.number);
            backend::clear_beside(&self.libxdp_root, (key.hook, key.ifindex), &generation)
                .map_err(|source| ObserveError::Pins { path: dir.path().to_owned(), source })?;
        }
        if seen.live.is_none() {
            remove(dir.path())?;
            return Ok(1);
        }
        for number in &leftovers {
            remove(dir.generation(*number).path())?;
        }
        Ok(leftovers.len())
    }

    pub(super) fn hooks(&self) -> Result<Vec<HookKey>, ObserveError> {
        pins::hooks_in(&self.root)
            .map_err(|source| ObserveError::Pins { path: self.root.clone(), source })
    }
}

fn remove(path: &Path) -> Result<(), ObserveError> {
    pins::remove_folder(path).map_err(|source| ObserveError::Pins { path: path.to_owned(), source })
}
