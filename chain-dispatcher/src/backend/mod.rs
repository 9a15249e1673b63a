//! The ways to chain, one file each. A chain is built (`Builder`: members and dispatcher loaded,
//! nothing live) and attached (`attach`, `switch`, `detach`, `live`). The meaning of a chain is the
//! same in all of them (`fuse::walk`). Knows which file does what, and nothing of how.

pub(crate) mod counting;
pub(crate) mod fused;
pub(crate) mod here;
pub(crate) mod libxdp;
pub(crate) mod slots;
pub(crate) mod tc;
pub(crate) mod tcx;
pub(crate) mod xdp_link;

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;

use skep_artifact::Digest;
use skep_artifact::hook::Hook;

use crate::chain::{Member, XdpModeChoice};
use crate::error::{ApplyError, ObserveError};
use crate::fuse;
use crate::fuse::walk::Ending;
use crate::kernel::netlink::Interface;
use crate::kinds::{Attachment, Backend, Build};
use crate::layout;
use crate::libxdp::config::Version as LibxdpVersion;
use crate::load::{Frags, LoadError, Prepared, Types};
use crate::pins::{self, GenerationDir, HookDir};
use crate::record::ChainRecord;
use crate::swap::{How, Live, Seen, SeenFolder};

/// A hook of an interface in the calling thread's network namespace, and where its pins lie.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spot<'a> {
    pub(crate) interface: &'a Interface,
    pub(crate) hook: Hook,
    pub(crate) dir: &'a HookDir,
    /// The folder in which libxdp's users keep their pins.
    pub(crate) libxdp_root: &'a Path,
}

/// A chain being put in place: all that a builder and an attachment may know.
pub(crate) struct Job<'a> {
    pub(crate) spot: Spot<'a>,
    /// What is on the hook now.
    pub(crate) seen: &'a Seen,
    pub(crate) record: &'a ChainRecord,
    /// In order.
    pub(crate) members: &'a [&'a Member],
    pub(crate) frags: Frags,
    /// Of a libxdp chain that is made anew.
    pub(crate) libxdp_version: LibxdpVersion,
    pub(crate) mode: XdpModeChoice,
    /// The folder of the running chain, whose state and settings are carried over.
    pub(crate) running: Option<GenerationDir>,
    /// Number of the folder that the new chain will be pinned in.
    pub(crate) folder: u64,
}

/// One way to build a chain. Called in the order of the plan; holds what it loaded.
pub(crate) trait Builder {
    /// Loads the member of a slot alone, so that a refusal names it. `carried` are the live maps
    /// whose content it takes over.
    fn load_member(
        &mut self,
        job: &Job<'_>,
        slot: usize,
        carried: BTreeMap<String, OwnedFd>,
    ) -> Result<(), ApplyError>;

    /// Loads the dispatcher; after the members, or before them (see [`Build::dispatcher_first`]).
    fn load_dispatcher(&mut self, job: &Job<'_>) -> Result<(), ApplyError>;

    /// What must be pinned for the chain to live on without this process.
    fn built(&self) -> Built<'_>;

    /// Pins outside of our own pin root that must be there before the chain goes live.
    fn pin_beside(&self, _job: &Job<'_>) -> Result<(), ApplyError> {
        Ok(())
    }

    /// Takes back what `pin_beside` did; the chain did not go live.
    fn unpin_beside(&self, _job: &Job<'_>) {}
}

/// What a builder loaded.
#[derive(Default)]
pub(crate) struct Built<'a> {
    /// The program that is attached to the hook.
    pub(crate) dispatcher: Option<&'a OwnedFd>,
    /// One per member, in order.
    pub(crate) members: Vec<BuiltMember<'a>>,
    /// Maps that belong to the chain, by the name of their pin in the generation's folder.
    pub(crate) shared: Vec<(&'static str, &'a OwnedFd)>,
    /// What is worth telling about how it was built.
    pub(crate) notes: Vec<String>,
}

/// A member as it was built.
pub(crate) struct BuiltMember<'a> {
    /// Its program; none where it is a part of the dispatcher.
    pub(crate) program: Option<&'a OwnedFd>,
    pub(crate) maps: &'a BTreeMap<String, OwnedFd>,
}

/// The pins of maps that a chain has for itself, whatever builds it: where a dispatcher holds one of
/// these maps it is pinned under this name.
const SHARED_PINS: [(&str, &str); 5] = [
    (pins::SLOTS_PIN, "skep_slots"),
    (pins::COUNTERS_PIN, layout::COUNTS_MAP),
    (pins::DROPS_PIN, layout::DROPS_MAP),
    (pins::TIMING_PIN, layout::TIMING_MAP),
    (pins::TELLING_PIN, layout::TELLING_MAP),
];

/// Those of a dispatcher's maps that are pinned for the chain, by the name of their pin.
pub(crate) fn shared(maps: &BTreeMap<String, OwnedFd>) -> Vec<(&'static str, &OwnedFd)> {
    SHARED_PINS.iter().filter_map(|(pin, map)| Some((*pin, maps.get(*map)?))).collect()
}

/// What becomes of the verdict of a backend's chain before the kernel gets it.
pub(crate) fn ending(backend: Backend) -> Ending {
    match backend.attachment() {
        Attachment::Tcx => Ending::Tcx,
        Attachment::Clsact => Ending::Clsact,
        Attachment::XdpLink | Attachment::XdpNetlink => Ending::AsItIs,
    }
}

/// A program that was generated, ready to be loaded. The parts keep its maps.
pub(crate) fn generated(
    hook: Hook,
    frags: Frags,
    name: String,
    fused: fuse::Fused,
) -> Result<Prepared, LoadError> {
    Ok(Prepared {
        name,
        hook,
        frags,
        license: fused.license,
        instructions: fused.instructions,
        func_info: fused.func_info,
        line_info: Vec::new(),
        types: Some(Types::load(fused.btf)?),
        maps: BTreeMap::new(),
        constants: BTreeMap::new(),
        tails: Vec::new(),
    })
}

/// The builder of a backend.
pub(crate) fn builder(backend: Backend) -> Box<dyn Builder> {
    match backend.build() {
        Build::Slots => Box::new(slots::Slots::default()),
        Build::Fused => Box::new(fused::Fused::default()),
        Build::Libxdp => Box::new(libxdp::Libxdp::default()),
    }
}

/// What tells one version of a backend's dispatcher from another: another one is another chain.
pub(crate) fn identity(backend: Backend, hook: Hook) -> Digest {
    match backend.build() {
        Build::Slots => slots::identity(hook),
        Build::Fused => fused::identity(hook),
        Build::Libxdp => libxdp::identity(),
    }
}

/// Whether a running generation is still as it was built: somebody may have emptied a slot, or
/// removed a pin.
pub(crate) fn intact(
    spot: &Spot<'_>,
    dir: &GenerationDir,
    record: &ChainRecord,
) -> Result<bool, ObserveError> {
    match record.backend.build() {
        Build::Slots => slots::intact(dir, record),
        Build::Fused => fused::intact(dir, record),
        Build::Libxdp => libxdp::intact(spot, dir, record),
    }
}

/// What of ours is live on a hook, by whatever attachment. `folders` are the generations that lie
/// under it; a backend whose dispatcher others may rebuild says there which generation runs.
pub(crate) fn live(
    spot: &Spot<'_>,
    folders: &mut [SeenFolder],
) -> Result<Option<Live>, ObserveError> {
    if let Some(live) = here::link(spot.dir, spot.interface, spot.hook)? {
        return Ok(Some(live));
    }
    if spot.hook.is_tc() { tc::live(spot, folders) } else { libxdp::live(spot, folders) }
}

/// Attaches a chain to a hook where nothing of ours runs. Until this returns, and after a failure,
/// the hook is as it was.
pub(crate) fn attach(job: &Job<'_>, dispatcher: BorrowedFd<'_>) -> Result<(), ApplyError> {
    match job.record.backend.attachment() {
        Attachment::XdpLink => xdp_link::attach(job, dispatcher),
        Attachment::XdpNetlink => libxdp::attach(job, dispatcher),
        Attachment::Tcx => tcx::attach(job, dispatcher),
        Attachment::Clsact => tc::attach(job, dispatcher),
    }
}

/// Makes the hook run `dispatcher` if it runs the program `from`, in one operation.
pub(crate) fn switch(
    job: &Job<'_>,
    how: How,
    from: u32,
    dispatcher: BorrowedFd<'_>,
) -> Result<(), ApplyError> {
    match how {
        How::Link { .. } => xdp_link::switch(job, from, dispatcher),
        How::Netlink => libxdp::switch(job, from, dispatcher),
        How::Filter { .. } => tc::switch(job, from, dispatcher),
    }
}

/// Takes a chain of ours off its hook.
pub(crate) fn detach(spot: &Spot<'_>, live: Live) -> io::Result<()> {
    match live.how {
        How::Link { .. } => xdp_link::detach(spot.dir),
        How::Netlink => libxdp::detach(spot, live.program_id),
        How::Filter { .. } => tc::detach(spot),
    }
}

/// Removes what a backend keeps outside of our pin root for a generation of a hook, as far as it does
/// not run. The interface may be gone.
pub(crate) fn clear_beside(
    libxdp_root: &Path,
    (hook, ifindex): (Hook, u32),
    dir: &GenerationDir,
) -> io::Result<()> {
    if hook.is_tc() {
        return Ok(());
    }
    libxdp::clear_beside(libxdp_root, ifindex, dir)
}

/// An answer of the kernel to a live change, in the words of `apply`.
pub(crate) fn live_error(job: &Job<'_>, action: &'static str, source: io::Error) -> ApplyError {
    match source.raw_os_error() {
        Some(libc::ENODEV | libc::ENOLINK) => {
            ApplyError::InterfaceGone { interface: job.spot.interface.name.clone() }
        }
        Some(libc::ERANGE) if job.spot.hook == Hook::Xdp && job.frags == Frags::Without => {
            let Interface { name, mtu, .. } = job.spot.interface;
            ApplyError::MtuTooLarge { interface: name.clone(), mtu: *mtu }
        }
        Some(libc::EOPNOTSUPP) if job.mode == XdpModeChoice::Native => {
            ApplyError::NoNativeMode { interface: job.spot.interface.name.clone() }
        }
        _ => ApplyError::Switch { action, source },
    }
}
