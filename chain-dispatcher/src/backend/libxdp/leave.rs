//! Taking our members out of a chain: the others' stay in it, in their order, on a dispatcher of the
//! same version; where there are none the interface is free again.

use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use super::{
    LEAVING_PIN, REPLACED_PIN, clear_beside, find, is_race, own_programs, pin_anew, programs,
};
use crate::backend::Spot;
use crate::kernel::netlink::{self, Expected, Interface};
use crate::kernel::sys;
use crate::libxdp::chain::{Chain, Member};
use crate::libxdp::config::{Config, FLAG_FRAGS, Slot};
use crate::libxdp::dispatcher;
use crate::libxdp::pins::Root;
use crate::pins::{GenerationDir, HookDir};

/// How often we begin anew when somebody else changes the chain at the same time, as libxdp does.
const TRIES_MAX: u32 = 10;

/// Takes our members out of the chain; the last ones out take it off. Returns when no packet is
/// inside the old chain any more.
pub(crate) fn detach(spot: &Spot<'_>, _program_id: u32) -> io::Result<()> {
    let mut tries = 1;
    loop {
        let index = spot.interface.index;
        let Some(now) = netlink::interfaces()?.into_iter().find(|i| i.index == index) else {
            return Ok(());
        };
        match detach_from(spot.libxdp_root, &now, spot.dir) {
            Err(error) if is_race(&error) && tries < TRIES_MAX => tries += 1,
            Err(error) => return Err(error),
            Ok(()) => return sys::wait_for_running_programs(),
        }
    }
}

fn detach_from(libxdp_root: &Path, interface: &Interface, dir: &HookDir) -> io::Result<()> {
    let Some(chain) = find(libxdp_root, interface).map_err(io::Error::other)? else {
        return detach_pinless(interface, dir);
    };
    let own = own_programs(dir).map_err(io::Error::other)?;
    let running = running_in(dir, &chain)?;
    let Chain { dispatcher: old, mode, config, members, .. } = chain;
    let (theirs, slots): (Vec<Member>, Vec<Slot>) = members
        .into_iter()
        .zip(config.slots)
        .filter(|(member, _)| !own.contains(&member.id))
        .unzip();
    if let Some(running) = &running {
        clear_beside(libxdp_root, interface.index, running)?;
        // Whoever made the old chain: once it is off, its pins are found by this one.
        pin_anew(&old, &running.shared(REPLACED_PIN))?;
    }
    let expected = Expected::Program(old.as_fd());
    if theirs.is_empty() {
        return netlink::xdp_set(interface.index, Some(mode), None, expected);
    }
    let frags = slots.iter().all(|slot| slot.flags & FLAG_FRAGS != 0);
    let config = Config { frags, slots, ..config };
    let new = dispatcher::load(&config).map_err(io::Error::other)?;
    if let Some(running) = &running {
        pin_anew(&new.program, &running.shared(LEAVING_PIN))?;
    }
    let root = Root::at(libxdp_root);
    let kept: Vec<_> = theirs.iter().map(|member| member.program.as_fd()).collect();
    new.pin(&root, interface.index, &kept)?;
    let program = Some(new.program.as_fd());
    netlink::xdp_set(interface.index, Some(mode), program, expected).inspect_err(|_| {
        // The first error is the one to tell, and a sweep finds what stays.
        let _ =
            root.lock().and_then(|lock| root.chain(interface.index, new.id).remove(lock.as_ref()));
    })
}

/// The generation whose members are in a chain. The newest one may be that of a chain which waits to
/// take its place.
fn running_in(dir: &HookDir, chain: &Chain) -> io::Result<Option<GenerationDir>> {
    for number in dir.generations()? {
        let generation = dir.generation(number);
        let own = programs(&generation).map_err(io::Error::other)?;
        if chain.members.iter().any(|member| own.contains(&member.id)) {
            return Ok(Some(generation));
        }
    }
    Ok(None)
}

/// A dispatcher of ours whose pins somebody removed runs nobody's members: it is only taken off.
fn detach_pinless(interface: &Interface, dir: &HookDir) -> io::Result<()> {
    for number in dir.generations()? {
        let Ok(pinned) = sys::obj_get(&dir.generation(number).dispatcher()) else { continue };
        let id = sys::prog_info(pinned.as_fd())?.id;
        if let Some((mode, _)) = interface.xdp.iter().find(|(_, running)| *running == id) {
            let expected = Expected::Program(pinned.as_fd());
            return netlink::xdp_set(interface.index, Some(*mode), None, expected);
        }
    }
    Ok(())
}
