//! How closely a running chain is looked at: which packets are timed and which drops are told.
//! Settings that live in maps, written while packets pass. Knows pins and settings; refuses to know
//! members and events.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::time::Duration;

use rustix::time::ClockId;

use crate::chain::{Counting, HookPoint};
use crate::error::ObserveError;
use crate::kernel::sys;
use crate::layout::{self, Setting};
use crate::observe::{self, Look};
use crate::pins::{GenerationDir, HookDir};

/// How closely a chain is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Seeing {
    /// Packets whose time in each member is measured.
    pub timing: Sampling,
    /// Drops that are told to whoever reads them: a [`crate::DropStream`] sets this.
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
        at: HookPoint,
    },
    /// The chain was built without counters, or by an older version.
    #[error(
        "the chain on {at} cannot be looked into: it was built without counters or by another version of Skep; apply it anew with counting on"
    )]
    NotBuiltIn {
        /// The hook.
        at: HookPoint,
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

/// The folders of what runs on a hook.
pub(crate) struct Place {
    pub(crate) hook: HookDir,
    pub(crate) running: GenerationDir,
    /// Number of the running folder.
    pub(crate) folder: u64,
}

/// Where the chain is pinned that was seen running on a hook, if it can be looked into.
pub(crate) fn place(look: Look, at: &HookPoint) -> Result<Place, SeeingError> {
    let Some(running) = look.seen.running() else {
        return Err(SeeingError::NoChain { at: at.clone() });
    };
    if running.record.as_ref().is_none_or(|record| record.counting == Counting::Off) {
        return Err(SeeingError::NotBuiltIn { at: at.clone() });
    }
    let folder = running.number;
    Ok(Place { running: look.dir.generation(folder), hook: look.dir, folder })
}

/// How closely the chain on a hook is looked at now. A setting whose time is over reads as never.
pub(crate) fn read(look: Look, at: &HookPoint) -> Result<Seeing, SeeingError> {
    let place = place(look, at)?;
    let sampling = |path: PathBuf| -> Result<Sampling, SeeingError> {
        let map = observe::open_pin(&path)?;
        let map = map.ok_or_else(|| SeeingError::NotBuiltIn { at: at.clone() })?;
        let value = sys::map_lookup(map.as_fd(), &0u32.to_ne_bytes())
            .map_err(|source| ObserveError::Kernel { what: "a setting", source })?;
        let setting = value.and_then(|value| Setting::from_value(&value));
        setting
            .map(|setting| sampling(setting, now_ns()))
            .ok_or_else(|| SeeingError::NotBuiltIn { at: at.clone() })
    };
    Ok(Seeing {
        timing: sampling(place.running.timing())?,
        drops: sampling(place.running.telling())?,
    })
}

/// Switches the timing of packets while they pass.
pub(crate) fn set_timing(look: Look, at: &HookPoint, timing: Sampling) -> Result<(), SeeingError> {
    let path = place(look, at)?.running.timing();
    let map =
        observe::open_pin(&path)?.ok_or_else(|| SeeingError::NotBuiltIn { at: at.clone() })?;
    write(&map, timing).map_err(|source| SeeingError::Write { path, source })
}

/// Writes a setting into its map.
pub(crate) fn write(map: &OwnedFd, sampling: Sampling) -> std::io::Result<()> {
    let setting = setting(sampling, now_ns());
    sys::map_update(map.as_fd(), &0u32.to_ne_bytes(), &setting.to_value())
}

/// The clock that the kernel half reads, in nanoseconds since some moment of this boot.
pub(crate) fn now_ns() -> u64 {
    let now = rustix::time::clock_gettime(ClockId::Monotonic);
    let secs = u64::try_from(now.tv_sec).unwrap_or_default();
    secs * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or_default()
}

fn setting(sampling: Sampling, now_ns: u64) -> Setting {
    let until_ns = match (sampling.one_in, sampling.until) {
        (0, _) => 0,
        (_, Until::Changed) => u64::MAX,
        (_, Until::After(time)) => {
            now_ns.saturating_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX - 1))
        }
    };
    Setting { one_in: sampling.one_in, until_ns }
}

fn sampling(setting: Setting, now_ns: u64) -> Sampling {
    match setting.until_ns {
        over if over <= now_ns => Sampling::default(),
        u64::MAX => Sampling { one_in: setting.one_in, until: Until::Changed },
        until_ns => Sampling {
            one_in: setting.one_in,
            until: Until::After(Duration::from_nanos(until_ns - now_ns)),
        },
    }
}

/// What the next build of a chain takes over, so that settings stay and a reader reads on. Maps of
/// another layout are left behind.
pub(crate) fn carried(
    running: Option<&GenerationDir>,
) -> Result<BTreeMap<String, OwnedFd>, ObserveError> {
    let mut maps = BTreeMap::new();
    let Some(dir) = running else { return Ok(maps) };
    let counters = match observe::open_pin(&dir.counters())? {
        Some(map) => {
            let info = sys::map_info(map.as_fd())
                .map_err(|source| ObserveError::Kernel { what: "a pinned map", source })?;
            info.shape.value_size as usize
        }
        None => return Ok(maps),
    };
    if counters != layout::ALL_COUNTERS_BYTES {
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Sampling, Until, sampling, setting};

    #[test]
    fn a_setting_reads_back_until_its_time_is_over() {
        let lease = Sampling { one_in: 8, until: Until::After(Duration::from_secs(2)) };
        let written = setting(lease, 1_000);
        assert_eq!(sampling(written, 1_000), lease);
        assert_eq!(sampling(written, 500_001_000).until, Until::After(Duration::from_millis(1500)));
        assert_eq!(sampling(written, 2_000_001_000), Sampling::default());
        let lasting = Sampling { one_in: 8, until: Until::Changed };
        assert_eq!(sampling(setting(lasting, 1_000), u64::MAX - 1), lasting);
        let off = Sampling { one_in: 0, until: Until::Changed };
        assert_eq!(sampling(setting(off, 1_000), 1_000), Sampling::default());
        let long = Sampling { one_in: 1, until: Until::After(Duration::MAX) };
        assert_eq!(sampling(setting(long, 1_000), 1_000).one_in, 1);
    }
}
