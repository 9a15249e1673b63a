//! What `skep run` remembers about each program it runs: enough to verify and load it again when the
//! chain around it changes, and who holds it. One folder a seat, in one folder per hook, for the owner
//! alone. Refuses to know the kernel.
//!
//! A seat that a process holds is locked by it; the kernel lets go of the lock however the process
//! ends, so a seat that says "held" and is not locked was left over.

use crate::bundle::Bundle;
use crate::download::Blobs;
use crate::local::beside;
use crate::local::content::Content;
use crate::project;
use crate::trusting::Trust;
use anyhow::Context as _;
use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};
use skep_artifact::config::ConfigValues;
use skep_artifact::digest::Digest;
use skep_artifact::hook::{Failure, Hook, Mode, VerdictSet};
use skep_artifact::limits::{MANIFEST_JSON_BYTES_MAX, OBJECT_BYTES_MAX, PACKAGE_BYTES_MAX};
use skep_artifact::name::{PackageName, Version};
use skep_chain_dispatcher::{BackendChoice, XdpModeChoice};
use skep_trust::Wanted;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{Duration, Instant};

/// Format of `seat.json`.
pub(crate) const FORMAT: u8 = 1;
/// Begins the names of folders that are being written.
const DRAFT_PREFIX: &str = ".draft-";

/// Bytes of what `skep run` writes down about one program: its settings may hold a list of 65,536 entries, and the
/// node policy it was judged by stands beside them.
const SEAT_FILE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// How long one `skep run` waits for another that changes chains: loading a large chain takes seconds.
const SEATS_LOCK_WAIT_MAX: Duration = Duration::from_secs(30);

/// Time between two tries at that lock: flock(2) waits for ever or not at all, so a wait with an end has to look again.
const SEATS_LOCK_POLL: Duration = Duration::from_millis(20);

/// A hook of an interface as its folder is named: it stays the same when the interface is renamed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub netns: u64,
    pub ifindex: u32,
    pub hook: Hook,
}

/// One program's seat in a chain of `skep run`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Seat {
    /// [`FORMAT`].
    pub format: u8,
    pub name: String,
    /// What the interface was called at the start.
    pub interface: String,
    pub title: String,
    pub program: String,
    pub priority: u32,
    pub proceed_on: VerdictSet,
    pub mode: Mode,
    pub failure: Failure,
    pub settings: ConfigValues,
    pub wish: Wish,
    pub origin: Origin,
    /// Seconds since 1970.
    pub since: i64,
    pub holder: Holder,
}

/// How the chain shall be built and attached, as far as this seat cares.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Wish {
    pub backend: BackendChoice,
    pub xdp_mode: XdpModeChoice,
}

/// What vouches for the bytes beside a seat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Origin {
    /// A package: what was wanted, the policy that judged it, and when it was accepted first.
    Package { name: PackageName, version: Version, index: Digest, policy: String, accepted_at: i64 },
    /// A file that a person named.
    Object { path: PathBuf },
}

/// Who keeps a seat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Holder {
    /// A process in the foreground; its number, for people.
    Process(u32),
    /// Nobody: it stays until it is stopped.
    Detached,
}

/// How a seat stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Standing {
    /// Its process runs.
    Foreground,
    /// It was started with `--detach`.
    Detached,
    /// Its process is gone and could not take it off.
    LeftOver,
}

/// A seat as it lies on disk.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub seat: Seat,
    pub standing: Standing,
    folder: PathBuf,
}

/// Held by the process that runs a seat in the foreground.
#[derive(Debug)]
pub(crate) struct Held {
    _file: File,
}

/// Held while seats are read and changed.
#[derive(Debug)]
pub(crate) struct Locked {
    _file: File,
}

/// All seats of this host.
#[derive(Debug, Clone)]
pub(crate) struct Seats {
    root: PathBuf,
}

/// What keeps seats from being used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SeatError {
    #[error("{} belongs to user {owner} or may be written by others (mode {mode:04o}), so what it says is not trusted. Remove it, or name another folder with --run-state.", path.display())]
    Exposed { path: PathBuf, owner: u32, mode: u32 },
    #[error("Another `skep run` has been changing chains for {} s. Look who holds {} (fuser), then try again.", SEATS_LOCK_WAIT_MAX.as_secs(), path.display())]
    Busy { path: PathBuf },
    #[error("{} was written by another version of skep.", path.display())]
    Format { path: PathBuf },
}

impl Place {
    fn folder_name(self) -> String {
        format!("{}-{}-{}", self.netns, self.ifindex, self.hook)
    }

    fn of_folder_name(name: &str) -> Option<Self> {
        let (netns, rest) = name.split_once('-')?;
        let (ifindex, hook) = rest.split_once('-')?;
        Some(Self {
            netns: netns.parse().ok()?,
            ifindex: ifindex.parse().ok()?,
            hook: Hook::from_str(hook).ok()?,
        })
    }
}

impl Seats {
    /// Opens the folder of all seats, and makes it when it is missing.
    ///
    /// # Errors
    /// [`SeatError::Exposed`] when somebody else could have written there.
    pub(crate) fn open(root: &Path) -> anyhow::Result<Self> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(root)
            .with_context(|| format!("{} cannot be made.", root.display()))?;
        let metadata = fs::metadata(root).with_context(|| unreadable(root))?;
        let (owner, mode) = (metadata.uid(), metadata.mode() & 0o7777);
        if owner != rustix::process::geteuid().as_raw() || mode & 0o022 != 0 {
            return Err(SeatError::Exposed { path: root.to_owned(), owner, mode }.into());
        }
        Ok(Self { root: root.to_owned() })
    }

    /// Waits until nobody else changes seats, then keeps others from it.
    ///
    /// # Errors
    /// [`SeatError::Busy`] when it takes too long.
    pub(crate) fn lock(&self) -> anyhow::Result<Locked> {
        let file = File::open(&self.root).with_context(|| unreadable(&self.root))?;
        let begun = Instant::now();
        loop {
            match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Locked { _file: file }),
                Err(rustix::io::Errno::WOULDBLOCK) if begun.elapsed() < SEATS_LOCK_WAIT_MAX => {
                    std::thread::sleep(SEATS_LOCK_POLL);
                }
                Err(rustix::io::Errno::WOULDBLOCK) => {
                    return Err(SeatError::Busy { path: self.root.clone() }.into());
                }
                Err(errno) => {
                    return Err(io::Error::from(errno)).with_context(|| unreadable(&self.root));
                }
            }
        }
    }

    /// Every hook that has seats.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub(crate) fn places(&self) -> anyhow::Result<Vec<Place>> {
        let mut places: Vec<Place> =
            names_in(&self.root)?.iter().filter_map(|name| Place::of_folder_name(name)).collect();
        places.sort_unstable();
        Ok(places)
    }

    /// The names of a hook's seats, in order, readable or not.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub(crate) fn names(&self, place: Place) -> anyhow::Result<Vec<String>> {
        let mut names = names_in(&self.root.join(place.folder_name()))?;
        names.retain(|name| !name.starts_with(DRAFT_PREFIX));
        names.sort_unstable();
        Ok(names)
    }

    /// The seats of a hook, in order of name.
    ///
    /// # Errors
    /// When one cannot be read.
    pub(crate) fn at(&self, place: Place) -> anyhow::Result<Vec<Stored>> {
        let folder = self.root.join(place.folder_name());
        let read_one = |name: &String| {
            read(folder.join(name)).with_context(|| {
                format!(
                    "What `skep run` remembers of {name} is damaged. `skep run --stop IFACE` clears away everything on its interface."
                )
            })
        };
        self.names(place)?.iter().map(read_one).collect()
    }

    /// Writes a seat with its content, whole or not at all, and holds it when a process is to.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn take(
        &self,
        place: Place,
        seat: &Seat,
        content: &Content,
    ) -> anyhow::Result<Option<Held>> {
        let hook = self.root.join(place.folder_name());
        let failed =
            || format!("The seat of {} in {} cannot be written.", seat.name, hook.display());
        fs::create_dir_all(&hook).with_context(failed)?;
        let draft =
            tempfile::Builder::new().prefix(DRAFT_PREFIX).tempdir_in(&hook).with_context(failed)?;
        let put = |name: &str, bytes: &[u8]| fs::write(draft.path().join(name), bytes);
        put("seat.json", &serde_json::to_vec_pretty(seat).with_context(failed)?)
            .with_context(failed)?;
        match content {
            Content::Package { bundle, .. } => {
                put("role", &bundle.role).with_context(failed)?;
                put(beside::FILE, &beside::written(&bundle.beside)?).with_context(failed)?;
                fs::create_dir(draft.path().join("blobs")).with_context(failed)?;
                for (digest, bytes) in bundle.blobs.all() {
                    put(&format!("blobs/{}", digest.hex()), bytes).with_context(failed)?;
                }
            }
            Content::Object { bytes, .. } => put("object", bytes).with_context(failed)?,
        }
        let file = File::create(draft.path().join("held")).with_context(failed)?;
        let held = match seat.holder {
            Holder::Detached => None,
            Holder::Process(_) => {
                rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)
                    .map_err(io::Error::from)
                    .with_context(failed)?;
                Some(Held { _file: file })
            }
        };
        fs::rename(draft.path(), hook.join(&seat.name)).with_context(failed)?;
        // Under its new name it stays; under the old one there is nothing left to remove.
        let _ = draft.keep();
        Ok(held)
    }

    /// Forgets a seat; fine where it is gone already.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub(crate) fn forget(&self, place: Place, name: &str) -> anyhow::Result<()> {
        let hook = self.root.join(place.folder_name());
        remove(&hook.join(name))?;
        // Gone with its last seat; another process may have put one there just now.
        let _ = fs::remove_dir(&hook);
        Ok(())
    }

    /// Forgets every seat of a hook.
    ///
    /// # Errors
    /// When they cannot be removed.
    pub(crate) fn forget_all(&self, place: Place) -> anyhow::Result<()> {
        remove(&self.root.join(place.folder_name()))
    }

    /// Whether a seat is still there.
    pub(crate) fn holds(&self, place: Place, name: &str) -> bool {
        self.root.join(place.folder_name()).join(name).join("seat.json").exists()
    }
}

impl Stored {
    /// The bytes beside the seat and what vouches for them, to be proven again. The time at which they
    /// were accepted first stands with them: an expired signature does not take a running program off.
    ///
    /// # Errors
    /// When a file is missing or cannot be read.
    pub(crate) fn content(&self) -> anyhow::Result<(Content, i64)> {
        match &self.seat.origin {
            Origin::Package { name, version, index, policy, accepted_at } => {
                let role = project::read_bytes(&self.folder.join("role"), MANIFEST_JSON_BYTES_MAX)?;
                let mut blobs = Blobs::default();
                let folder = self.folder.join("blobs");
                for name in names_in(&folder)? {
                    blobs.add(project::read_bytes(&folder.join(name), PACKAGE_BYTES_MAX)?);
                }
                let (name, version, index) = (name.clone(), version.clone(), *index);
                let beside = beside::read_from(&self.folder)?;
                let wanted = Wanted { name, version, index };
                let bundle = Box::new(Bundle { wanted, role, blobs, beside });
                let trust = Trust::of_text(policy.clone())?;
                Ok((Content::Package { bundle, trust }, *accepted_at))
            }
            Origin::Object { path } => {
                let bytes = project::read_bytes(&self.folder.join("object"), OBJECT_BYTES_MAX)?;
                Ok((Content::Object { path: path.clone(), bytes }, self.seat.since))
            }
        }
    }
}

fn read(folder: PathBuf) -> anyhow::Result<Stored> {
    let path = folder.join("seat.json");
    let bytes = project::read_bytes(&path, SEAT_FILE_BYTES_MAX)?;
    let seat: Seat =
        serde_json::from_slice(&bytes).map_err(|_| SeatError::Format { path: path.clone() })?;
    if seat.format != FORMAT {
        return Err(SeatError::Format { path }.into());
    }
    let standing = match seat.holder {
        Holder::Detached => Standing::Detached,
        Holder::Process(_) if is_locked(&folder.join("held")) => Standing::Foreground,
        Holder::Process(_) => Standing::LeftOver,
    };
    Ok(Stored { seat, standing, folder })
}

fn is_locked(path: &Path) -> bool {
    let Ok(file) = File::open(path) else { return false };
    // Taken and let go of at once; readers hold the lock of all seats, or do not care for a moment.
    rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared).is_err()
}

fn names_in(folder: &Path) -> anyhow::Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(|| unreadable(folder)),
    };
    let name = |entry: io::Result<fs::DirEntry>| {
        Ok(entry.with_context(|| unreadable(folder))?.file_name().to_string_lossy().into_owned())
    };
    entries.map(name).collect()
}

fn remove(folder: &Path) -> anyhow::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("{} cannot be removed.", folder.display()))
        }
        _ => Ok(()),
    }
}

fn unreadable(path: &Path) -> String {
    format!("{} cannot be read.", path.display())
}

#[cfg(test)]
mod tests;
