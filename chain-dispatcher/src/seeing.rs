//! How closely a running chain is looked at: which packets are timed and which drops are told.
//! Settings that live in maps, written while packets pass. Knows pins and settings; refuses to know
//! members and events.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::time::Duration;

use crate::error::ObserveError;
use crate::kernel::sys;
use crate::layout::{self, Setting};
use crate::observe;
use crate::pins::GenerationDir;

/// How closely a chain is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Seeing {
    /// Packets whose time in each member is measured.
    pub timing: Sampling,
    /// Drops that are told to whoever reads them.
    pub drops: Sampling,
}

/// One of how many, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sampling {
    /// One in so many, at random with that mean; 0 for never, 1 for every one.
    pub one_in: u32,
    /// When it ends by itself.
    pub until: Until,
}

/// When a setting ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Until {
    /// When it is changed.
    #[default]
    Changed,
    /// After so long from now; the kernel side stops by itself, whoever died meanwhile.
    After(Duration),
}

/// How closely a chain is looked at could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum SeeingError {
    /// The hook could not be looked at.
    #[error("the hook cannot be looked at")]
    Observe(#[from] ObserveError),
    /// No chain of ours runs there.
    #[error("no chain of Skep runs on {at}; skep node chain shows where some do")]
    NoChain {
        /// The hook.
        at: crate::chain::HookPoint,
    },
    /// The chain was built by an older version, or without counting.
    #[error(
        "the chain on {at} cannot be looked into: it was built without counters or by another version of Skep; apply it anew with counting on"
    )]
    NotBuiltIn {
        /// The hook.
        at: crate::chain::HookPoint,
    },
    /// A setting could not be written.
    #[error("the kernel refused to change the setting pinned at {}", path.display())]
    Write {
        /// The setting.
        path: PathBuf,
        /// What the kernel said.
        source: std::io::Error,
    },
}

/// What the next build of a chain takes over, so that settings stay and a reader reads on. Maps of
/// another layout are left behind.
pub(crate) fn carried(
    running: Option<&GenerationDir>,
) -> Result<BTreeMap<String, OwnedFd>, ObserveError> {
    let mut maps = BTreeMap::new();
    let Some(dir) = running else { return Ok(maps) };
    let counters = match observe::open_pin(&dir.counters())? {
        Some(map) => Some(shape(&map)?.value_size as usize),
        None => None,
    };
    if counters != Some(layout::ALL_COUNTERS_BYTES) {
        return Ok(maps);
    }
    let pins = [dir.drops(), dir.timing(), dir.telling()];
    for (name, path) in layout::CARRIED_MAPS.into_iter().zip(pins) {
        if let Some(map) = observe::open_pin(&path)? {
            maps.insert(name.to_owned(), map);
        }
    }
    Ok(maps)
}

fn shape(map: &OwnedFd) -> Result<crate::kernel::objects::MapShape, ObserveError> {
    sys::map_info(map.as_fd())
        .map(|info| info.shape)
        .map_err(|source| ObserveError::Kernel { what: "a pinned map", source })
}
