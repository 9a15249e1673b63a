//! "Who dropped this packet": the stream of drop events of one hook. Telling is switched on while a
//! stream is open, as a lease that it renews: a reader that dies is forgotten by the kernel side
//! itself. Knows the ring buffer and the record that names members; refuses to know who reads.
//!
//! One reader per hook: two would take events from each other. A second one is refused; the lock
//! goes with the process that holds it.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use aya::maps::{Map, MapData, RingBuf};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};
use skep_artifact::hook::{Hook, Verdict};

use crate::chain::HookPoint;
use crate::error::ObserveError;
use crate::flow::{self, Headers};
use crate::kernel::sys;
use crate::layout::{self, Cause, Event};
use crate::observe::{self, Look};
use crate::record::ChainRecord;
use crate::seeing::{self, Place, Sampling, SeeingError, Until};

/// The kernel side stops telling so long after the last renewal.
const LEASE: Duration = Duration::from_secs(15);
/// How often the lease is renewed and the hook looked at again: two renewals may fail.
const RENEWAL: Duration = Duration::from_secs(5);
/// Events given out by one read; the ring buffer holds some 370.
const EVENTS_PER_READ_MAX: usize = 512;
/// Events of before that are passed over when a stream opens: ten times what the ring buffer holds.
const STALE_EVENTS_MAX: usize = 4096;
/// Builds of the chain whose members are remembered: events of the one before the last are rare.
const BUILDS_MAX: usize = 8;

/// One dropped packet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DropEvent {
    /// When, in nanoseconds since 1970 by this host's clock.
    pub time_ns: u64,
    /// The member's place in the chain, from 0.
    pub place: u32,
    /// Who dropped it; none when the chain was replaced before the event could be named.
    pub member: Option<DroppedBy>,
    /// Whether the member said so, or could not run and is closed.
    pub cause: DropCause,
    /// What became of the packet.
    pub verdict: Option<Verdict>,
    /// Its length in bytes.
    pub length: u32,
    /// The event stands for so many drops.
    pub one_in: u32,
    /// What its first bytes say.
    pub headers: Headers,
    /// Its first bytes, at most 128.
    pub head: Vec<u8>,
}

/// A member, as people know it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DroppedBy {
    /// The policy that asked for it.
    pub policy: String,
    /// Its name within the policy.
    pub name: String,
    /// The package; none for a local file.
    pub package: Option<String>,
    /// Its version.
    pub version: Option<String>,
}

/// Why a packet was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DropCause {
    /// The member's verdict.
    Verdict,
    /// The member could not run, and its `failure` is `closed`.
    Missed,
}

/// What one read of the stream gave.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Drops {
    /// In the order in which they happened; empty if nothing was dropped in time.
    pub events: Vec<DropEvent>,
    /// Events since the last read for which the ring buffer had no room.
    pub lost: u64,
}

/// The stream could not be opened or read.
#[derive(Debug, thiserror::Error)]
pub enum DropsError {
    /// The chain cannot be looked into.
    #[error("the chain's drops cannot be told")]
    Seeing(#[from] SeeingError),
    /// One in none.
    #[error("one in 0 drops tells nothing; say 1 for every drop")]
    OneInNone,
    /// Somebody reads already.
    #[error(
        "somebody reads the drops of {at} already; one reader at a time, since two would take events from each other"
    )]
    Taken {
        /// The hook.
        at: HookPoint,
    },
    /// The reader's lock.
    #[error("{} cannot be locked", path.display())]
    Lock {
        /// The folder of the hook's pins.
        path: PathBuf,
        /// What the kernel said.
        source: std::io::Error,
    },
    /// The ring buffer cannot be read.
    #[error("the ring buffer of drop events cannot be read")]
    Ring(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Reads the drops of one hook. While it lives one drop in so many is told; when it is dropped, or
/// its process dies, none is.
pub struct DropStream {
    roots: Roots,
    at: HookPoint,
    one_in: u32,
    source: Source,
    /// Who the members are, by the number of the build.
    builds: BTreeMap<u32, Vec<DroppedBy>>,
    renewed: Instant,
    lost: u64,
    lock: File,
}

/// Where pins lie.
#[derive(Debug, Clone)]
pub(crate) struct Roots {
    pub(crate) pins: PathBuf,
    pub(crate) libxdp: PathBuf,
}

impl Roots {
    fn place(&self, at: &HookPoint) -> Result<Place, SeeingError> {
        seeing::place(Look::at(&self.pins, &self.libxdp, at)?, at)
    }
}

/// What a stream reads from: pinned with one build of the chain, the ring and the setting shared
/// with the next.
struct Source {
    /// The kernel's number for the counters, which every build has its own of.
    build_id: u32,
    ring: RingBuf<MapData>,
    ring_id: u32,
    telling: OwnedFd,
    counters: OwnedFd,
    /// Events lost in this build, as last read.
    lost: u64,
}

impl std::fmt::Debug for DropStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DropStream").field("at", &self.at).field("one_in", &self.one_in).finish()
    }
}

impl DropStream {
    /// Opens the stream of a hook: one drop in `one_in` is told from now on. Events that nobody read
    /// before are passed over.
    ///
    /// # Errors
    /// Where no chain of this pin root runs, it cannot be looked into, or somebody reads already.
    pub(crate) fn open(roots: Roots, at: &HookPoint, one_in: u32) -> Result<Self, DropsError> {
        if one_in == 0 {
            return Err(DropsError::OneInNone);
        }
        let place = roots.place(at)?;
        let lock = lock(place.hook.path(), at)?;
        let mut source = Source::open(&place, at)?;
        // Bounded: where a killed reader's lease still runs, new ones come while old ones go.
        for _ in 0..STALE_EVENTS_MAX {
            if source.ring.next().is_none() {
                break;
            }
        }
        let mut stream = Self {
            roots,
            at: at.clone(),
            one_in,
            source,
            builds: BTreeMap::new(),
            renewed: Instant::now(),
            lost: 0,
            lock,
        };
        stream.learn(&place)?;
        stream.renew()?;
        Ok(stream)
    }

    /// Waits at most so long for events and gives those that are there. Call it again at least every
    /// few seconds: reading renews the lease.
    ///
    /// # Errors
    /// When the chain was taken off, or its events cannot be read any more.
    pub fn read(&mut self, patience: Duration) -> Result<Drops, DropsError> {
        if self.renewed.elapsed() >= RENEWAL {
            self.look_again()?;
        }
        self.wait(patience.min(RENEWAL))?;
        let mut found = Vec::new();
        while found.len() < EVENTS_PER_READ_MAX {
            let Some(item) = self.source.ring.next() else { break };
            found.extend(Event::parse(&item));
        }
        if found.iter().any(|event| !self.builds.contains_key(&event.number)) {
            // The chain was replaced: ask who its members are now.
            self.look_again()?;
        }
        self.lost += self.source.newly_lost()?;
        let clock = Clock::now();
        let events = found.into_iter().map(|event| self.named(event, clock)).collect();
        Ok(Drops { events, lost: std::mem::take(&mut self.lost) })
    }

    fn named(&self, event: Event, clock: Clock) -> DropEvent {
        let members = self.builds.get(&event.number);
        let mut headers = flow::headers(&event.head);
        if let Some((tci, _)) = event.vlan {
            // The low twelve bits are the identifier.
            headers.vlans.insert(0, tci & 0x0fff);
        }
        DropEvent {
            time_ns: clock.at(event.time_ns),
            place: event.member,
            member: members.and_then(|all| all.get(event.member as usize)).cloned(),
            cause: match event.cause {
                Cause::Verdict => DropCause::Verdict,
                Cause::Missed => DropCause::Missed,
            },
            verdict: verdict(self.at.hook, event.verdict),
            length: event.length,
            one_in: event.one_in,
            headers,
            head: event.head,
        }
    }

    fn wait(&self, patience: Duration) -> Result<(), DropsError> {
        let mut waiting = [PollFd::new(&self.source.ring, PollFlags::IN)];
        let patience = Timespec::try_from(patience).unwrap_or(Timespec { tv_sec: 1, tv_nsec: 0 });
        match rustix::event::poll(&mut waiting, Some(&patience)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(DropsError::Ring(Box::new(std::io::Error::from(error)))),
        }
    }

    /// Follows the hook to the chain that runs there now, and renews the lease.
    fn look_again(&mut self) -> Result<(), DropsError> {
        let place = self.roots.place(&self.at)?;
        let next = Source::open(&place, &self.at)?;
        if next.build_id != self.source.build_id {
            self.lost += self.source.newly_lost()? + next.lost;
            let before = std::mem::replace(&mut self.source, next);
            if before.ring_id == self.source.ring_id {
                // The same ring, handed on: keep the open one, its position is ours.
                self.source.ring = before.ring;
            } else {
                // Taken off and attached again: the folder that was locked is gone.
                self.lock = lock(place.hook.path(), &self.at)?;
            }
            self.learn(&place)?;
        }
        self.renew()
    }

    fn renew(&mut self) -> Result<(), DropsError> {
        let lease = Sampling { one_in: self.one_in, until: Until::After(LEASE) };
        self.renewed = Instant::now();
        seeing::write(&self.source.telling, lease)
            .map_err(|source| SeeingError::Write { path: self.roots.pins.clone(), source }.into())
    }

    /// Remembers who the members of the running build are.
    fn learn(&mut self, place: &Place) -> Result<(), DropsError> {
        let record = observe::record(&place.running).map_err(SeeingError::from)?;
        let number = u32::from_le_bytes(layout::number(place.folder));
        self.builds.insert(number, record.map(|record| names(&record)).unwrap_or_default());
        while self.builds.len() > BUILDS_MAX {
            self.builds.pop_first();
        }
        Ok(())
    }
}

impl Drop for DropStream {
    fn drop(&mut self) {
        // What cannot be switched off now ends with its lease.
        let _ = seeing::write(&self.source.telling, Sampling::default());
        // Said, not left to the closing of the file: a child process of a moment ago may still hold
        // a copy of the descriptor.
        let _ = rustix::fs::flock(&self.lock, FlockOperation::Unlock);
    }
}

impl Source {
    fn open(place: &Place, at: &HookPoint) -> Result<Self, DropsError> {
        let pin = |path: PathBuf| -> Result<OwnedFd, SeeingError> {
            observe::open_pin(&path)?.ok_or_else(|| SeeingError::NotBuiltIn { at: at.clone() })
        };
        let dir = &place.running;
        let ring = pin(dir.drops())?;
        let ring_id = sys::map_info(ring.as_fd()).map_err(kernel)?.id;
        let ring = MapData::from_fd(ring)
            .and_then(|data| RingBuf::try_from(Map::RingBuf(data)))
            .map_err(|error| DropsError::Ring(Box::new(error)))?;
        let (telling, counters) = (pin(dir.telling())?, pin(dir.counters())?);
        let build_id = sys::map_info(counters.as_fd()).map_err(kernel)?.id;
        let mut source = Self { build_id, ring, ring_id, telling, counters, lost: 0 };
        source.newly_lost()?;
        Ok(source)
    }

    /// Events lost since this was asked last.
    fn newly_lost(&mut self) -> Result<u64, DropsError> {
        let value = sys::map_lookup(self.counters.as_fd(), &0u32.to_ne_bytes()).map_err(kernel)?;
        let bytes = sys::map_info(self.counters.as_fd()).map_err(kernel)?.shape.value_size;
        let counts = layout::counts(Hook::Xdp, &[], bytes as usize, &value.unwrap_or_default());
        let lost = counts.map_or(0, |counts| counts.drops_lost);
        let newly = lost.saturating_sub(self.lost);
        self.lost = lost;
        Ok(newly)
    }
}

fn kernel(source: std::io::Error) -> SeeingError {
    ObserveError::Kernel { what: "the maps of drop events", source }.into()
}

fn lock(path: &Path, at: &HookPoint) -> Result<File, DropsError> {
    let refused = |source| DropsError::Lock { path: path.to_owned(), source };
    let folder = File::open(path).map_err(refused)?;
    match rustix::fs::flock(&folder, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(folder),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(DropsError::Taken { at: at.clone() }),
        Err(error) => Err(refused(error.into())),
    }
}

fn names(record: &ChainRecord) -> Vec<DroppedBy> {
    let one = |member: &crate::record::MemberRecord| DroppedBy {
        policy: member.policy.clone(),
        name: member.name.clone(),
        package: member.package.clone(),
        version: member.version.clone(),
    };
    record.members.iter().map(one).collect()
}

fn verdict(hook: Hook, code: i32) -> Option<Verdict> {
    Verdict::from_code(hook, code)
}

/// Both clocks at one moment: events bear the monotonic one, people read the other.
#[derive(Clone, Copy)]
struct Clock {
    monotonic_ns: u64,
    unix_ns: u64,
}

impl Clock {
    fn now() -> Self {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let unix_ns = u64::try_from(unix.as_nanos()).unwrap_or(u64::MAX);
        Self { monotonic_ns: seeing::now_ns(), unix_ns }
    }

    fn at(self, monotonic_ns: u64) -> u64 {
        self.unix_ns.saturating_sub(self.monotonic_ns.saturating_sub(monotonic_ns))
    }
}
