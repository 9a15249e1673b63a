//! The TUF client workflow without any input or output: what was fetched so far goes in, what to fetch next or the verdict comes out.
//! It refuses to know where files come from and where they are kept.
//!
//! Each call begins again from what is stored and runs the library's updater over the answers so far; it ends at
//! the first file nobody has answered for. A refresh asks for a handful of files, so that little is done twice.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::FutureExt as _;
use serde_json::Value;
use sigstore_tuf::cache::MetadataStore;
use sigstore_tuf::metadata::Metadata;
use sigstore_tuf::transport::FetchFuture;
use sigstore_tuf::{Error, Repository, Root, TargetFile, Timestamp, Updater, UpdaterConfig};
use skep_artifact::json;

use super::write::SIGNED_AT;
use super::{
    DELEGATIONS_MAX, ROLES_VISITED_MAX, ROOT_BYTES_MAX, ROOT_ROTATIONS_MAX, SNAPSHOT_BYTES_MAX,
    TARGETS_BYTES_MAX, TIMESTAMP_BYTES_MAX, TufError, VERSION_MAX,
};
use crate::verify::UnixSeconds;

/// What a client remembers between two sessions: verified files under their names without versions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stored {
    /// Whatever verified last of each file. After a refresh that broke off, not all of one state.
    pub files: BTreeMap<String, Vec<u8>>,
    /// The files as they were when a refresh last came to its end.
    pub whole: BTreeMap<String, Vec<u8>>,
}

impl Stored {
    /// Time cannot be before this: when the newest timestamp was signed, if the newest root still names the key that did.
    /// 0 when nothing says.
    pub fn time_floor(&self) -> UnixSeconds {
        let floor = || {
            let root = Metadata::<Root>::from_slice(self.files.get("root.json")?).ok()?;
            let timestamp = self.files.get("timestamp.json")?;
            let timestamp = Metadata::<Timestamp>::from_slice(timestamp).ok()?;
            let role = root.signed().role("timestamp")?;
            timestamp.verify_threshold(&root.signed().keys, role, "timestamp").ok()?;
            signed_at(timestamp.signed())
        };
        floor().unwrap_or(0)
    }
}

/// What the repository answered to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The file.
    Bytes(Vec<u8>),
    /// There is no such file.
    Missing,
    /// More bytes than were asked for.
    TooLarge,
}

/// Answers by file name.
pub type Answers = BTreeMap<String, Answer>;

/// A file to fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Its name below the metadata's address.
    pub file: String,
    /// The most bytes to read of it.
    pub bytes_max: u64,
}

/// How far a session came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome<T> {
    /// This file is needed to go on.
    Fetch(Request),
    /// Everything verified.
    Done(T),
    /// Something did not.
    Refused(TufError),
}

/// One refresh, from what is stored to what is newest.
#[derive(Debug, Clone, Copy)]
pub struct Session<'a> {
    /// The root trusted at first; the stored one is used when there is one.
    pub root: &'a [u8],
    /// What was verified before.
    pub stored: &'a Stored,
    /// What was fetched in this session.
    pub answers: &'a Answers,
    /// Trusted time.
    pub now: UnixSeconds,
}

impl Session<'_> {
    /// Refreshes root, timestamp, snapshot and targets; gives what to remember, also when it is refused.
    pub fn refresh(&self) -> (Outcome<()>, Stored) {
        let mut run = match self.open() {
            Ok(run) => run,
            Err(error) => return (Outcome::Refused(error), self.stored.clone()),
        };
        let outcome = self.refreshed(&mut run);
        run.end(self.stored, outcome)
    }

    /// Refreshes, and looks for a target along the delegations. `None` when no role lists it.
    pub fn find(&self, path: &str) -> (Outcome<Option<TargetFile>>, Stored) {
        let mut run = match self.open() {
            Ok(run) => run,
            Err(error) => return (Outcome::Refused(error), self.stored.clone()),
        };
        let outcome = match self.refreshed(&mut run) {
            Outcome::Done(()) => {
                let time = time(self.now);
                let found = run.updater.get_target_info(path, time).now_or_never();
                run.outcome(found)
            }
            Outcome::Fetch(request) => Outcome::Fetch(request),
            Outcome::Refused(error) => Outcome::Refused(error),
        };
        run.end(self.stored, outcome)
    }

    fn open(&self) -> Result<Run, TufError> {
        let root = self.stored.files.get("root.json").map_or(self.root, Vec::as_slice);
        check_form("root.json", root)?;
        let shared = Arc::new(Mutex::new(Shared {
            answers: self.answers.clone(),
            files: self.stored.files.clone(),
            ..Shared::default()
        }));
        let failed = |error| TufError::of_library(&error, "root.json");
        let updater = Updater::new(Bench(Arc::clone(&shared)), root).map_err(failed)?;
        let updater = updater.with_config(limits()).with_store(Bench(Arc::clone(&shared)));
        Ok(Run { updater, shared })
    }

    fn refreshed(&self, run: &mut Run) -> Outcome<()> {
        let refreshed = run.updater.refresh(time(self.now)).now_or_never();
        let outcome = run.outcome(refreshed);
        match (&outcome, self.time_went_back(run)) {
            (Outcome::Done(()), Some(error)) => {
                run.shared().files.clone_from(&self.stored.files);
                Outcome::Refused(error)
            }
            _ => outcome,
        }
    }

    /// Under one timestamp key, a later number must not be signed earlier. Another key begins anew: that is how
    /// a time set far ahead by a stolen key is healed.
    fn time_went_back(&self, run: &Run) -> Option<TufError> {
        let set = run.updater.trusted();
        let before = self.stored.files.get("timestamp.json")?;
        let before = Metadata::<Timestamp>::from_slice(before).ok()?;
        let role = set.root().role("timestamp")?;
        before.verify_threshold(&set.root().keys, role, "timestamp").ok()?;
        let (floor, found) = (signed_at(before.signed())?, signed_at(set.timestamp()?)?);
        (found < floor).then_some(TufError::TimeBackwards { found, floor })
    }
}

/// When a timestamp says it was signed. One by other tools does not say.
pub(super) fn signed_at(timestamp: &Timestamp) -> Option<UnixSeconds> {
    let text = timestamp.extra.get(SIGNED_AT)?.as_str()?;
    let at = text.parse::<jiff::Timestamp>().ok()?;
    // Nobody signs what has expired.
    (at <= timestamp.expires).then(|| at.as_second())
}

fn limits() -> UpdaterConfig {
    let mut limits = UpdaterConfig::default();
    limits.root_max_length = ROOT_BYTES_MAX as u64;
    limits.timestamp_max_length = TIMESTAMP_BYTES_MAX as u64;
    limits.snapshot_max_length = SNAPSHOT_BYTES_MAX as u64;
    limits.targets_max_length = TARGETS_BYTES_MAX as u64;
    limits.max_root_rotations = ROOT_ROTATIONS_MAX;
    limits.max_delegations = ROLES_VISITED_MAX;
    limits
}

fn time(now: UnixSeconds) -> jiff::Timestamp {
    jiff::Timestamp::from_second(now).unwrap_or(jiff::Timestamp::MAX)
}

/// An updater at work, and what it asked for.
struct Run {
    updater: Updater,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    answers: Answers,
    files: BTreeMap<String, Vec<u8>>,
    /// The first file nobody has answered for.
    needed: Option<Request>,
    /// The first answer that was refused before the library saw it.
    fault: Option<TufError>,
    /// The file asked for last, and whether it was there.
    last: (String, bool),
}

impl Run {
    fn shared(&self) -> MutexGuard<'_, Shared> {
        lock(&self.shared)
    }

    fn outcome<T>(&self, result: Option<Result<T, Error>>) -> Outcome<T> {
        let mut shared = self.shared();
        if let Some(request) = shared.needed.take() {
            return Outcome::Fetch(request);
        }
        if let Some(fault) = shared.fault.take() {
            return Outcome::Refused(fault);
        }
        let (file, there) = shared.last.clone();
        Outcome::Refused(match result {
            Some(Ok(done)) => return Outcome::Done(done),
            Some(Err(Error::Transport { .. })) if there => {
                TufError::TooManyRoots { limit: ROOT_ROTATIONS_MAX }
            }
            Some(Err(Error::Transport { .. })) => TufError::Missing { file },
            Some(Err(error)) => TufError::of_library(&error, &file),
            // The bench answers at once, so nothing is ever waited for.
            None => TufError::Missing { file },
        })
    }

    fn end<T>(self, stored: &Stored, outcome: Outcome<T>) -> (Outcome<T>, Stored) {
        let mut files = std::mem::take(&mut self.shared().files);
        files.retain(|name, _| is_kept(name));
        let whole =
            if matches!(outcome, Outcome::Done(_)) { files.clone() } else { stored.whole.clone() };
        (outcome, Stored { files, whole })
    }
}

/// The library also stores files under their versioned names; we remember the newest of each.
fn is_kept(name: &str) -> bool {
    let version = name.split('.').next().unwrap_or_default();
    let versioned = !version.is_empty() && version.bytes().all(|byte| byte.is_ascii_digit());
    !name.contains('/') && !versioned
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The repository and the store the library works on: memory.
struct Bench(Arc<Mutex<Shared>>);

impl Bench {
    fn answer(&self, name: &str, bytes_max: u64) -> Result<Option<Vec<u8>>, Error> {
        let mut shared = lock(&self.0);
        let answer = shared.answers.get(name).cloned();
        shared.last = (name.to_owned(), !matches!(answer, Some(Answer::Missing)));
        let too_large = || TufError::TooLarge { file: name.to_owned(), limit: bytes_max };
        let fault = match answer {
            None => {
                shared.needed = Some(Request { file: name.to_owned(), bytes_max });
                return Err(Error::transport("not fetched yet"));
            }
            Some(Answer::Missing) => return Ok(None),
            Some(Answer::TooLarge) => too_large(),
            Some(Answer::Bytes(bytes)) if bytes.len() as u64 > bytes_max => too_large(),
            Some(Answer::Bytes(bytes)) => match check_form(name, &bytes) {
                Ok(()) => return Ok(Some(bytes)),
                Err(fault) => fault,
            },
        };
        shared.fault = Some(fault);
        Err(Error::transport("refused before it was read"))
    }
}

impl Repository for Bench {
    fn fetch_metadata<'a>(&'a self, name: &'a str, max_length: u64) -> FetchFuture<'a> {
        let answer = self.answer(name, max_length);
        Box::pin(std::future::ready(answer))
    }

    // Targets are fetched and checked by whoever asked for them.
    fn fetch_target<'a>(&'a self, _: &'a str, _: u64) -> FetchFuture<'a> {
        Box::pin(std::future::ready(Ok(None)))
    }
}

impl MetadataStore for Bench {
    fn load(&self, name: &str) -> Result<Option<Vec<u8>>, Error> {
        Ok(lock(&self.0).files.get(name).cloned())
    }

    fn store(&self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        lock(&self.0).files.insert(name.to_owned(), bytes.to_vec());
        Ok(())
    }
}

/// What is asked of every file before the library reads it: strict JSON, a version that every parser reads
/// alike, and no more delegations than are looked through.
pub(super) fn check_form(file: &str, bytes: &[u8]) -> Result<(), TufError> {
    let malformed = |reason: String| TufError::Malformed { file: file.to_owned(), reason };
    let value = json::parse(bytes, TARGETS_BYTES_MAX).map_err(|e| malformed(e.to_string()))?;
    let signed = &value["signed"];
    if signed["version"].as_u64().is_none_or(|version| version == 0 || version > VERSION_MAX) {
        return Err(TufError::VersionRange { file: file.to_owned() });
    }
    let delegated = signed["delegations"]["roles"].as_array().map_or(0, Vec::len);
    if delegated > DELEGATIONS_MAX {
        return Err(TufError::TooManyDelegations { role: file.to_owned(), count: delegated });
    }
    let empty = Value::Null;
    if value.get("signatures").unwrap_or(&empty).as_array().is_none() {
        return Err(malformed("it has no list of signatures".to_owned()));
    }
    Ok(())
}
