//! Attachment of a tc dispatcher as one direct-action filter on clsact, for kernels before tcx. The
//! filter is replaced in place; others' filters and queueing disciplines are left alone. Refuses to
//! know how the dispatcher was built.
//!
//! Nobody owns a filter: whoever may configure the interface may remove ours. Apply puts it back.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::path::Path;

use skep_artifact::hook::Hook;

use crate::backend::{Job, Spot, live_error};
use crate::error::{ApplyError, ObserveError, Unsupported};
use crate::kernel::netlink::traffic::{self, BpfFilter, Discipline, FilterPlace};
use crate::pins;
use crate::swap::{How, Live, SeenFolder};

/// Ours is asked after those of others, who were there first or chose their own preference: the
/// kernel gives 49,152 and less to whoever names none.
const PREFERENCE: u16 = 60_000;
const HANDLE: u32 = 1;

/// Our filter on the hook: the one in our place, if it is a dispatcher of one of our generations.
pub(crate) fn live(spot: &Spot<'_>, folders: &[SeenFolder]) -> Result<Option<Live>, ObserveError> {
    let ours = |filter: &BpfFilter| {
        is_our_place(filter)
            && folders.iter().any(|folder| folder.dispatcher_id == Some(filter.program_id))
    };
    let found = attached(spot.interface.index, spot.hook)
        .map_err(|source| ObserveError::Kernel { what: "the tc filters", source })?;
    let how = How::Filter { preference: PREFERENCE, handle: HANDLE };
    Ok(found.into_iter().find(ours).map(|filter| Live { program_id: filter.program_id, how }))
}

/// Every filter of a hook that is a BPF program.
pub(crate) fn attached(ifindex: u32, hook: Hook) -> io::Result<Vec<BpfFilter>> {
    traffic::filters(ifindex, hook).map(|(found, _)| found)
}

/// Whether the hook of an interface can hold our filter.
pub(crate) fn probe(ifindex: u32, hook: Hook) -> Result<(), Unsupported> {
    let refused = |source| Unsupported {
        feature: "clsact filters",
        since: "4.5",
        advice: "load the kernel modules sch_ingress and cls_bpf, or use the xdp hook",
        source,
    };
    match traffic::discipline(ifindex).map_err(refused)? {
        Discipline::Ingress if hook == Hook::TcEgress => Err(Unsupported {
            feature: "a clsact where the interface has an ingress discipline",
            since: "4.5",
            advice: "replace it: tc qdisc del dev <interface> ingress",
            source: io::ErrorKind::ResourceBusy.into(),
        }),
        Discipline::Ingress | Discipline::Clsact | Discipline::Absent => Ok(()),
    }
}

/// Adds the filter, and a clsact where there is none.
pub(crate) fn attach(job: &Job<'_>, dispatcher: BorrowedFd<'_>) -> Result<(), ApplyError> {
    let ifindex = job.spot.interface.index;
    probe(ifindex, job.spot.hook)?;
    ensure_clsact(job)?;
    traffic::add_filter(place(&job.spot), dispatcher.as_raw_fd()).map_err(|source| {
        // Nothing of ours is there, so the clsact is not needed either. The first error is told.
        let _ = remove_clsact_of_ours(&job.spot);
        live_error(job, "add the chain's filter, whose preference 60000 may be taken", source)
    })
}

/// Replaces the filter's program if it is the one expected.
pub(crate) fn switch(
    job: &Job<'_>,
    from: u32,
    dispatcher: BorrowedFd<'_>,
) -> Result<(), ApplyError> {
    let refused = |source| live_error(job, "replace the chain's filter", source);
    let found = attached(job.spot.interface.index, job.spot.hook).map_err(refused)?;
    if !found.iter().any(|filter| is_our_place(filter) && filter.program_id == from) {
        // As a link answers where another program runs than the one that was expected.
        return Err(refused(io::Error::from_raw_os_error(libc::EPERM)));
    }
    traffic::replace_filter(place(&job.spot), dispatcher.as_raw_fd()).map_err(refused)
}

/// Removes the filter, and the clsact if we made it and nobody else uses it.
pub(crate) fn detach(spot: &Spot<'_>) -> io::Result<()> {
    traffic::remove_filter(place(spot))?;
    remove_clsact_of_ours(spot)
}

/// Forgets the notes about interfaces that are gone, and their clsact with them.
pub(crate) fn sweep_notes(root: &Path, netns: u64, indices: &[u32]) -> io::Result<()> {
    for (of, ifindex, note) in pins::clsact_notes(root)? {
        if of == netns && !indices.contains(&ifindex) {
            pins::remove_folder(&note)?;
        }
    }
    Ok(())
}

/// Notes that the clsact is ours before it is made: killed in between, the worst is that an empty
/// one which somebody else makes later is removed with our last chain.
fn ensure_clsact(job: &Job<'_>) -> Result<(), ApplyError> {
    let ifindex = job.spot.interface.index;
    let refused = |source| live_error(job, "give the interface a clsact", source);
    if traffic::discipline(ifindex).map_err(refused)? != Discipline::Absent {
        return Ok(());
    }
    let path = job.spot.dir.made_clsact().to_owned();
    std::fs::create_dir_all(&path)
        .map_err(|source| ApplyError::Pin { path: path.clone(), source })?;
    match traffic::add_clsact(ifindex) {
        Ok(()) => Ok(()),
        Err(error) => {
            let _ = pins::remove_folder(&path);
            // Somebody else was faster: it is theirs.
            let there = error.raw_os_error() == Some(libc::EEXIST);
            if there { Ok(()) } else { Err(refused(error)) }
        }
    }
}

fn remove_clsact_of_ours(spot: &Spot<'_>) -> io::Result<()> {
    let note = spot.dir.made_clsact();
    if !note.is_dir() {
        return Ok(());
    }
    let ifindex = spot.interface.index;
    for hook in [Hook::TcIngress, Hook::TcEgress] {
        let (programs, others) = traffic::filters(ifindex, hook)?;
        if !programs.is_empty() || others > 0 {
            return Ok(());
        }
    }
    if traffic::discipline(ifindex)? == Discipline::Clsact {
        traffic::remove_clsact(ifindex)?;
    }
    pins::remove_folder(note)
}

fn is_our_place(filter: &BpfFilter) -> bool {
    (filter.preference, filter.handle) == (PREFERENCE, HANDLE)
}

fn place(spot: &Spot<'_>) -> FilterPlace {
    FilterPlace {
        ifindex: spot.interface.index,
        hook: spot.hook,
        preference: PREFERENCE,
        handle: HANDLE,
    }
}
