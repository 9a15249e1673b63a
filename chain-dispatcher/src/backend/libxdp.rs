//! The libxdp backend: members extend a dispatcher that follows libxdp's protocol, attached by netlink
//! so that libxdp's tools can join. Members that others put into the chain stay in it. Refuses to
//! know how a chain is planned.

mod build;
mod fit;
mod leave;

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use skep_artifact::Digest;
use skep_artifact::hook::{Hook, Mode, Verdict, VerdictSet};

use crate::backend::{Job, Spot, fused, live_error};
use crate::chain::XdpModeChoice;
use crate::error::{ApplyError, ObserveError, Unsupported};
use crate::kernel::netlink::{self, Expected, Interface, XdpMode};
use crate::kernel::sys;
use crate::kinds::Attachment;
use crate::libxdp::chain::{self, Chain, Found};
use crate::libxdp::dispatcher;
use crate::libxdp::pins::Root;
use crate::observe::{self, open_pin, program_at};
use crate::pins::{GenerationDir, HookDir};
use crate::record::{ChainRecord, MemberRecord};
use crate::swap::{ForeignProgram, How, Live, SeenFolder, SeenLibxdp};

pub(crate) use build::Libxdp;
pub(crate) use fit::fits;
pub(crate) use leave::detach;

/// The dispatcher that a generation's took the place of; whoever made it.
const REPLACED_PIN: &str = "replaced";
/// The dispatcher without members of ours that takes the place of a chain which is leaving.
const LEAVING_PIN: &str = "leaving";

/// Whether the kernel lets a program replace a function of another one (freplace): does it, attached
/// to nothing.
pub(crate) fn probe() -> Result<(), Unsupported> {
    dispatcher::probe().map_err(|source| {
        let advice = if crate::features::is_denied(&source) {
            "the kernel's builder or a security module may have switched it off; use the slots backend"
        } else {
            "use a newer kernel with its JIT compiler on, or the slots backend"
        };
        Unsupported { feature: "programs that replace functions", since: "5.10", advice, source }
    })
}

/// What tells one version of what we generate from another: dispatcher and wrappers.
pub(crate) fn identity() -> Digest {
    let parts = [dispatcher::identity(), fused::identity(Hook::Xdp)];
    Digest::of(parts.map(|part| part.to_string()).concat().as_bytes())
}

/// Whether a running generation is still as it was built: all members in the chain, in their order,
/// with their masks. Others may stand between them.
pub(crate) fn intact(
    spot: &Spot<'_>,
    dir: &GenerationDir,
    record: &ChainRecord,
) -> Result<bool, ObserveError> {
    let Some(chain) = find(spot.libxdp_root, spot.interface)? else { return Ok(false) };
    let mut places = chain.members.iter().zip(&chain.config.slots);
    for member in &record.members {
        let pinned = program_at(&dir.program(&member.policy, &member.name))?.map(|info| info.id);
        let found = places.find(|(there, _)| Some(there.id) == pinned);
        if found.is_none_or(|(_, slot)| slot.actions != actions(member)) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The mask of a member. One that only observes answers PASS.
fn actions(member: &MemberRecord) -> u32 {
    let proceeds = match member.mode {
        Mode::Enforce => member.proceed_on,
        Mode::Observe => VerdictSet::of(&[Verdict::Pass]),
    };
    proceeds.mask(Hook::Xdp)
}

/// Our chain among what runs on the interface without a link. Where others rebuilt the dispatcher
/// around our members, the folder of their generation is told that it runs.
pub(crate) fn live(
    spot: &Spot<'_>,
    folders: &mut [SeenFolder],
) -> Result<Option<Live>, ObserveError> {
    let by_netlink = |program_id| Some(Live { program_id, how: How::Netlink });
    for folder in folders.iter() {
        let running = folder.dispatcher_id.filter(|id| runs(spot.interface, *id));
        let Some(id) = running else { continue };
        let record = observe::record(&spot.dir.generation(folder.number))?;
        if record.is_some_and(|record| record.backend.attachment() == Attachment::XdpNetlink) {
            return Ok(by_netlink(id));
        }
    }
    if folders.is_empty() {
        return Ok(None);
    }
    let Some(chain) = find(spot.libxdp_root, spot.interface)? else { return Ok(None) };
    let there: BTreeSet<u32> = chain.members.iter().map(|member| member.id).collect();
    let mut best: Option<(usize, &mut SeenFolder)> = None;
    for folder in folders {
        let ours = programs(&spot.dir.generation(folder.number))?;
        let present = ours.intersection(&there).count();
        if present > best.as_ref().map_or(0, |(most, _)| *most) {
            best = Some((present, folder));
        }
    }
    Ok(best.and_then(|(_, folder)| {
        folder.dispatcher_id = Some(chain.dispatcher_id);
        by_netlink(chain.dispatcher_id)
    }))
}

/// The libxdp chain on an interface, whoever made it.
pub(crate) fn chain_there(spot: &Spot<'_>) -> Result<Option<SeenLibxdp>, ObserveError> {
    let Some(chain) = find(spot.libxdp_root, spot.interface)? else { return Ok(None) };
    let own = own_programs(spot.dir)?;
    let (ours, others): (Vec<_>, Vec<_>) =
        chain.members.iter().zip(&chain.config.slots).partition(|(m, _)| own.contains(&m.id));
    Ok(Some(SeenLibxdp {
        program_id: chain.dispatcher_id,
        version: chain.config.version.number(),
        dev_bound: chain.config.dev_bound,
        mode: chain.mode,
        ours: ours.iter().map(|(member, _)| member.id).collect(),
        others: others
            .iter()
            .map(|(member, slot)| ForeignProgram {
                program_id: member.id,
                name: member.name.clone(),
                link_id: None,
                mode: Some(chain.mode),
                run_priority: Some(slot.run_priority),
            })
            .collect(),
    }))
}

/// Attaches to an interface that runs no XDP program.
pub(crate) fn attach(job: &Job<'_>, dispatcher: BorrowedFd<'_>) -> Result<(), ApplyError> {
    let mode = match job.mode {
        XdpModeChoice::Auto => None,
        XdpModeChoice::Native => Some(XdpMode::Native),
        XdpModeChoice::Generic => Some(XdpMode::Generic),
    };
    let index = job.spot.interface.index;
    netlink::xdp_set(index, mode, Some(dispatcher), Expected::Nothing)
        .map_err(|source| refusal(job, "attach the chain", source))
}

/// Replaces the program `from` by the new dispatcher, and forgets the pins of the chain that it was.
pub(crate) fn switch(
    job: &Job<'_>,
    from: u32,
    dispatcher: BorrowedFd<'_>,
) -> Result<(), ApplyError> {
    let refused = |source| refusal(job, "switch to the new chain", source);
    let interface = job.spot.interface;
    let mode = interface.xdp.iter().find(|(_, id)| *id == from).map(|(mode, _)| *mode);
    let old = sys::prog_by_id(from).map_err(refused)?;
    netlink::xdp_set(interface.index, mode, Some(dispatcher), Expected::Program(old.as_fd()))
        .map_err(refused)?;
    // Whoever made the old chain, nobody else will remove its pins. What fails here is swept.
    if let Err(error) = forget(job.spot.libxdp_root, interface.index, from) {
        tracing::warn!(program = from, %error, "the old chain's pins stay for now");
    }
    Ok(())
}

/// Removes the pins under libxdp's root of dispatchers that a generation knows of and that the
/// interface does not run.
pub(crate) fn clear_beside(
    libxdp_root: &Path,
    ifindex: u32,
    dir: &GenerationDir,
) -> io::Result<()> {
    let root = Root::at(libxdp_root);
    let beside = [dir.shared(REPLACED_PIN), dir.shared(LEAVING_PIN)];
    let mut known = Vec::new();
    for path in beside.iter().chain([&dir.dispatcher()]) {
        let Ok(program) = sys::obj_get(path) else { continue };
        let id = sys::prog_info(program.as_fd())?.id;
        if root.chain(ifindex, id).path().is_dir() {
            known.push(id);
        }
    }
    if !known.is_empty() {
        let interface = netlink::interfaces()?.into_iter().find(|i| i.index == ifindex);
        known.retain(|id| interface.as_ref().is_none_or(|interface| !runs(interface, *id)));
        let lock = root.lock()?;
        for id in known {
            root.chain(ifindex, id).remove(lock.as_ref())?;
        }
    }
    for path in beside {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Removes the pins of a chain once no packet is inside it any more: without its links the functions
/// of its dispatcher would be its own again, and a packet would pass its members unseen.
pub(crate) fn forget(libxdp_root: &Path, ifindex: u32, dispatcher: u32) -> io::Result<()> {
    let root = Root::at(libxdp_root);
    let folder = root.chain(ifindex, dispatcher);
    if !folder.path().is_dir() {
        return Ok(());
    }
    sys::wait_for_running_programs()?;
    let lock = root.lock()?;
    folder.remove(lock.as_ref())
}

/// The chain of libxdp's protocol that an interface runs, unless a link holds it: nobody else can
/// change such a one.
fn find(libxdp_root: &Path, interface: &Interface) -> Result<Option<Chain>, ObserveError> {
    let root = Root::at(libxdp_root);
    for (mode, program) in &interface.xdp {
        // A card runs one program and knows no dispatcher.
        if *mode == XdpMode::Offloaded {
            continue;
        }
        match chain::read(&root, interface.index, (*mode, *program))? {
            Found::Chain(chain) => {
                let links = observe::xdp_links(interface.index)?;
                let linked = links.iter().any(|link| link.program_id == chain.dispatcher_id);
                return Ok((!linked).then_some(chain));
            }
            Found::Unusable(why) => {
                tracing::debug!(interface = %interface.name, program, %why, "no chain to join");
            }
            Found::Other => {}
        }
    }
    Ok(None)
}

fn runs(interface: &Interface, program: u32) -> bool {
    interface.xdp.iter().any(|(_, id)| *id == program)
}

/// The programs of all generations of a hook.
fn own_programs(dir: &HookDir) -> Result<BTreeSet<u32>, ObserveError> {
    let pins = |source| ObserveError::Pins { path: dir.path().to_owned(), source };
    let mut own = BTreeSet::new();
    for number in dir.generations().map_err(pins)? {
        own.extend(programs(&dir.generation(number))?);
    }
    Ok(own)
}

/// The members' programs of one generation.
fn programs(dir: &GenerationDir) -> Result<BTreeSet<u32>, ObserveError> {
    let pins = |source| ObserveError::Pins { path: dir.members(), source };
    let mut found = BTreeSet::new();
    for path in dir.programs().map_err(pins)? {
        found.extend(program_at(&path)?.map(|info| info.id));
    }
    Ok(found)
}

/// What the kernel says when somebody else was faster: it runs another program than we saw (EEXIST),
/// one where there was none (EBUSY), or the one we saw is gone.
fn is_race(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EEXIST | libc::EBUSY | libc::ENOENT))
}

fn refusal(job: &Job<'_>, action: &'static str, source: io::Error) -> ApplyError {
    if is_race(&source) {
        return ApplyError::Raced { interface: job.spot.interface.name.clone(), source };
    }
    live_error(job, action, source)
}

fn pin_anew(program: &OwnedFd, path: &Path) -> io::Result<()> {
    if open_pin(path).is_ok_and(|pinned| pinned.is_some()) {
        std::fs::remove_file(path)?;
    }
    sys::obj_pin(program.as_fd(), path)
}
