//! Reading: the chain of libxdp's protocol that an interface runs, with its members held open. Asks
//! kernel and pins; changes nothing and decides nothing.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use super::config::Config;
use super::pins::{ChainDir, Lock, Root};
use super::recognise::{self, Fault, ProgramFacts};
use crate::error::ObserveError;
use crate::kernel::netlink::XdpMode;
use crate::kernel::sys;

/// A chain of the protocol.
#[derive(Debug)]
pub(crate) struct Chain {
    pub(crate) dispatcher: OwnedFd,
    pub(crate) dispatcher_id: u32,
    pub(crate) mode: XdpMode,
    /// Its `slots` are as many as `members`.
    pub(crate) config: Config,
    /// In the order in which packets meet them.
    pub(crate) members: Vec<Member>,
}

/// One member of a chain.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) program: OwnedFd,
    pub(crate) id: u32,
    /// At most 15 bytes.
    pub(crate) name: String,
}

/// What a program on an interface turned out to be.
#[derive(Debug)]
pub(crate) enum Found {
    Chain(Chain),
    /// Somebody's own program, or one that went away while we looked.
    Other,
    /// A dispatcher by its name, but none that can be joined.
    Unusable(Unusable),
}

/// Why a dispatcher cannot be joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unusable {
    /// What the kernel says about it is not the protocol.
    #[error(transparent)]
    Fault(Fault),
    /// libxdp's tools take it for a single program, and so must we: its members cannot be named.
    #[error("the pins of its members are not where libxdp keeps them")]
    NoPins,
}

/// Looks at a program that an interface runs in `mode`.
pub(crate) fn read(
    root: &Root,
    ifindex: u32,
    (mode, program_id): (XdpMode, u32),
) -> Result<Found, ObserveError> {
    let refused = |source| ObserveError::Kernel { what: "the program on the interface", source };
    let dispatcher = match sys::prog_by_id(program_id) {
        Ok(program) => program,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Other),
        Err(error) => return Err(refused(error)),
    };
    let facts = facts(&dispatcher).map_err(refused)?;
    let config = match recognise::dispatcher(&facts) {
        None => return Ok(Found::Other),
        Some(Err(fault)) => return Ok(Found::Unusable(Unusable::Fault(fault))),
        Some(Ok(config)) => config,
    };
    let pins = |source| ObserveError::Pins { path: root.path().to_owned(), source };
    let lock = root.lock().map_err(pins)?;
    let folder = root.chain(ifindex, program_id);
    let members = members(&folder, config.slots.len(), lock.as_ref()).map_err(pins)?;
    Ok(match members {
        Some(members) => {
            Found::Chain(Chain { dispatcher, dispatcher_id: program_id, mode, config, members })
        }
        None => Found::Unusable(Unusable::NoPins),
    })
}

fn facts(program: &OwnedFd) -> io::Result<ProgramFacts> {
    let name = sys::prog_info(program.as_fd())?.name;
    if name != recognise::DISPATCHER_NAME {
        return Ok(ProgramFacts { name, ..ProgramFacts::default() });
    }
    let maps = sys::prog_maps(program.as_fd())?
        .iter()
        .map(|map| {
            let shape = sys::map_info(map.as_fd())?.shape;
            // Who gave it another shape than ours cannot make us read gigabytes.
            let value = if shape.value_size <= 4096 {
                sys::map_lookup(map.as_fd(), &0u32.to_ne_bytes()).unwrap_or_default()
            } else {
                None
            };
            Ok((shape, value))
        })
        .collect::<io::Result<_>>()?;
    Ok(ProgramFacts { name, btf: sys::prog_btf(program.as_fd())?, maps })
}

/// The pinned members; none if one is not where the protocol says.
fn members(
    folder: &ChainDir,
    count: usize,
    _held: Option<&Lock>,
) -> io::Result<Option<Vec<Member>>> {
    if !folder.path().is_dir() {
        return Ok(None);
    }
    let mut members = Vec::with_capacity(count);
    for slot in 0..count {
        let program = match sys::obj_get(&folder.program(slot)) {
            Ok(program) => program,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let info = sys::prog_info(program.as_fd())?;
        members.push(Member { program, id: info.id, name: info.name });
    }
    Ok(Some(members))
}
