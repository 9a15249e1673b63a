//! Our own dispatcher of libxdp's protocol in the kernel: loaded, its members tied to it, their pins
//! where libxdp's tools look for them. Attaches nothing.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use skep_artifact::Digest;
use skep_artifact::config::EncodedConfig;
use skep_artifact::hook::Hook;

use super::config::{Config, Slot, Version};
use super::pins::{ChainDir, Root};
use super::{metadata, recognise};
use crate::kernel::sys;
use crate::load::{self, As, Frags, LoadError, Prepared, Request};

/// Bytes at an address that 8-byte loads may use, as ELF readers want.
#[repr(C, align(8))]
struct Aligned<T: ?Sized>(T);

static V2: &Aligned<[u8]> =
    &Aligned(*include_bytes!(concat!(env!("OUT_DIR"), "/libxdp_dispatcher_v2.o")));
static V3: &Aligned<[u8]> =
    &Aligned(*include_bytes!(concat!(env!("OUT_DIR"), "/libxdp_dispatcher_v3.o")));

/// The global that holds the config block; libxdp's tools go by the map, not by its name.
const CONFIG_GLOBAL: &str = "libxdp_config";

/// A loaded dispatcher.
#[derive(Debug)]
pub(crate) struct Dispatcher {
    pub(crate) program: OwnedFd,
    pub(crate) id: u32,
    /// For each member the id of the function that it replaces.
    functions: Vec<u32>,
}

/// The dispatcher of a version, as an object file.
pub(crate) fn object(version: Version) -> &'static [u8] {
    match version {
        Version::V2 => &V2.0,
        Version::V3 => &V3.0,
    }
}

/// What tells one version of our dispatchers from another.
pub(crate) fn identity() -> Digest {
    Digest::of(&[object(Version::V2), object(Version::V3)].concat())
}

/// Loads a dispatcher for as many members as `config` has slots.
pub(crate) fn load(config: &Config) -> Result<Dispatcher, LoadError> {
    let prepared = prepare(config)?;
    let program = load::finish(&prepared, As::OnHook)?;
    let types = prepared.types.as_ref().map(|types| types.bytes.as_slice()).unwrap_or_default();
    let functions = (0..config.slots.len())
        .map(|slot| {
            let name = replaced_by(slot, config.slots.len());
            metadata::function_id(types, &name).ok_or(LoadError::Damaged)
        })
        .collect::<Result<_, _>>()?;
    let info = sys::prog_info(program.as_fd()).map_err(|source| LoadError::Verifier {
        program: recognise::DISPATCHER_NAME.to_owned(),
        last_lines: Vec::new(),
        source,
    })?;
    Ok(Dispatcher { program, id: info.id, functions })
}

fn prepare(config: &Config) -> Result<Prepared, LoadError> {
    let block = EncodedConfig {
        globals: BTreeMap::from([(CONFIG_GLOBAL.to_owned(), config.to_bytes())]),
        maps: BTreeMap::new(),
    };
    load::prepare(Request {
        bytes: object(config.version),
        program: recognise::DISPATCHER_NAME,
        hook: Hook::Xdp,
        config: &block,
        carried: BTreeMap::new(),
        frags: if config.frags { Frags::With } else { Frags::Without },
    })
}

/// Whether the kernel lets a program replace a function of another: loads two dispatchers and lets the
/// one run in place of a function of the other, attached to nothing.
pub(crate) fn probe() -> io::Result<()> {
    let slot = Slot { actions: 0, run_priority: 0, flags: 0 };
    let config = |slots| Config { version: Version::V2, frags: false, dev_bound: false, slots };
    let refused = |error| match error {
        LoadError::Verifier { source, .. } => source,
        error => io::Error::other(error),
    };
    let target = load(&config(vec![slot; 2])).map_err(refused)?;
    let prepared = prepare(&config(Vec::new())).map_err(refused)?;
    let how = target.extension(0).map_err(refused)?;
    let extension = load::finish(&prepared, how).map_err(refused)?;
    let function = target.functions.first().copied().unwrap_or_default();
    sys::extend(extension.as_fd(), target.program.as_fd(), function).map(drop)
}

/// The function that a member replaces. As in libxdp's own chains a member that is alone replaces the
/// dispatcher itself: what it says is then what becomes of the packet, and no call is wasted.
fn replaced_by(slot: usize, members: usize) -> String {
    if members == 1 { recognise::DISPATCHER_NAME.to_owned() } else { format!("prog{slot}") }
}

impl Dispatcher {
    /// How the member of a slot is loaded.
    pub(crate) fn extension(&self, slot: usize) -> Result<As<'_>, LoadError> {
        let function = *self.functions.get(slot).ok_or(LoadError::Damaged)?;
        Ok(As::Extension { of: self.program.as_fd(), function })
    }

    /// Ties the members to their slots and pins them; all or nothing.
    pub(crate) fn pin(
        &self,
        root: &Root,
        ifindex: u32,
        members: &[BorrowedFd<'_>],
    ) -> io::Result<()> {
        root.prepare()?;
        let lock = root.lock()?;
        let folder = root.chain(ifindex, self.id);
        // Numbers come round again: what lies under this one is of a program that is gone.
        folder.remove(lock.as_ref())?;
        let pinned = self.pin_in(&folder, members);
        if pinned.is_err() {
            // The first error is the one to tell.
            let _ = folder.remove(lock.as_ref());
        }
        pinned
    }

    fn pin_in(&self, folder: &ChainDir, members: &[BorrowedFd<'_>]) -> io::Result<()> {
        std::fs::create_dir_all(folder.path())?;
        for (slot, (member, function)) in members.iter().zip(&self.functions).enumerate() {
            let link = sys::extend(*member, self.program.as_fd(), *function)?;
            sys::obj_pin(link.as_fd(), &folder.link(slot))?;
            sys::obj_pin(*member, &folder.program(slot))?;
        }
        Ok(())
    }
}
