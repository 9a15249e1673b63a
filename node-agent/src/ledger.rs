//! What the node accepted and what it last ran well, on disk: one file with a checksum, and the
//! one before it. Refuses to know how decisions are made; `reconcile` makes them.

use crate::evidence::Kept;
use crate::files::{self, FileError};
use serde::{Deserialize, Serialize};
use skep_api::v1::sync::Have;
use skep_artifact::digest::Digest;
use skep_artifact::hook::Hook;
use skep_artifact::name::Namespace;
use skep_fleet::PolicyName;
use skep_trust::{Floors, LogMemory};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

const FILE: &str = "ledger";
const FILE_BEFORE: &str = "ledger.before";
/// First word of the file; a later format gets another number.
const MAGIC: &str = "skep-ledger-1";
/// Largest ledger: the largest desired state three times (accepted, last good, and room).
const LEDGER_BYTES_MAX: u64 = 48 << 20;
/// Most places whose last good chain is remembered. Hosts with container networks make and drop
/// interfaces by the thousand; what vanished longest ago is forgotten first.
pub const GOOD_PLACES_MAX: usize = 1024;

/// Revisions whose approvals are kept before those of revisions that were never accepted are dropped: four times the
/// policies one node may follow.
const APPROVED_REVISIONS_MAX: usize = 1024;

/// One hook of one interface.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Place {
    pub interface: String,
    pub hook: Hook,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.interface, self.hook)
    }
}

/// Everything an agent must remember over a restart or a reboot.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ledger {
    /// The newest desired state of which anything was accepted. Never goes down.
    pub newest: Option<Have>,
    /// The newest desired state that runs completely.
    pub applied: Option<Have>,
    /// Per policy the newest revision whose signatures this node verified.
    pub accepted: BTreeMap<PolicyName, Accepted>,
    /// Per place what last ran there well.
    pub good: BTreeMap<Place, Good>,
    /// Envelopes by their digest, base64 as received: those that `accepted` and `good` name.
    pub envelopes: BTreeMap<Digest, String>,
    /// Per namespace the role file (in the cache) with which packages were last verified.
    pub roles: BTreeMap<Namespace, Digest>,
    /// When each package version was first accepted, in seconds since 1970, by its index. Expiry limits first
    /// acceptance only, so that a node may run after a reboot what it ran before it.
    pub accepted_at: BTreeMap<Digest, i64>,
    /// What came beside each package with which it verified, by its index.
    #[serde(default)]
    pub evidence: BTreeMap<Digest, Kept>,
    /// What this node saw of the transparency log.
    #[serde(default)]
    pub log: LogMemory,
    /// Lowest versions of role files and revisions this node still takes.
    pub floors: Floors,
    /// What operators signed beside revisions.
    pub operators: OperatorLedger,
}

/// What operators signed beside revisions, as far as it must be remembered.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OperatorLedger {
    /// The newest policy set: its envelope, base64.
    #[serde(default)]
    pub set: Option<String>,
    /// Approvals by the digest of the revision's signed bytes: envelopes, base64. They are kept, so that a server cannot
    /// drop one later.
    #[serde(default)]
    pub approvals: BTreeMap<Digest, BTreeSet<String>>,
    /// How many revocations the server handed over; what they say is in the floors, for ever.
    #[serde(default)]
    pub revocations_seen: u64,
    /// Revocations whose signers this node did not know when they came, as envelopes in base64: the registry's trust
    /// metadata may name them once it is read anew.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waiting: Vec<String>,
    /// The highest generation of an epoch before: what runs by it is ours.
    #[serde(default)]
    pub superseded: u64,
    /// Revisions, by the digest of their signed bytes, whose signed fallback the last assignment chose.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub fallen_back: BTreeSet<Digest>,
}

/// A verified revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Accepted {
    pub revision: u64,
    /// Digest of the signed payload: the same revision with another one is a forgery by an operator's key.
    pub payload: Digest,
    /// Digest of the envelope, in [`Ledger::envelopes`].
    pub envelope: Digest,
    /// Whether the revision is a tombstone.
    pub removed: bool,
}

/// The chain that last ran well at a place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Good {
    /// Generation of the desired state that put it there.
    pub generation: u64,
    /// Seconds since 1970 when it was switched live, by this node's clock.
    pub applied_at: i64,
    /// The envelopes it was composed from.
    pub envelopes: BTreeSet<Digest>,
}

/// Why the ledger could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    #[error("The node's ledger could not be kept.")]
    File { source: FileError },
    #[error("The node's ledger could not be written as JSON.")]
    Json { source: serde_json::Error },
}

/// What reading the ledger found.
#[derive(Debug, Clone, PartialEq)]
pub enum Found {
    /// There was none: a new node.
    Nothing,
    /// The newest one is whole.
    Whole(Ledger),
    /// The newest one is torn; this is the one before it.
    Before(Ledger),
    /// Files are there and none is whole.
    Lost,
}

/// The ledger's place on disk.
#[derive(Debug, Clone)]
pub struct Store {
    folder: PathBuf,
}

impl Store {
    /// A ledger in a state folder.
    #[must_use]
    pub fn new(state: &Path) -> Self {
        Self { folder: state.to_owned() }
    }

    /// Reads the newest whole ledger.
    ///
    /// # Errors
    /// [`LedgerError::File`] when the disk refuses; a torn file is no error.
    pub fn load(&self) -> Result<Found, LedgerError> {
        let newest = self.read(FILE)?;
        if let Some(ledger) = newest.as_deref().and_then(decode) {
            return Ok(Found::Whole(ledger));
        }
        let before = self.read(FILE_BEFORE)?;
        Ok(match (before.as_deref().and_then(decode), newest.is_some() || before.is_some()) {
            (Some(ledger), _) => Found::Before(ledger),
            (None, true) => Found::Lost,
            (None, false) => Found::Nothing,
        })
    }

    /// Writes a ledger durably. The one before it stays beside it.
    ///
    /// # Errors
    /// [`LedgerError`], for instance on a full disk; the old ledger is then still whole.
    pub fn write(&self, ledger: &Ledger) -> Result<(), LedgerError> {
        let failed = |source| LedgerError::File { source };
        let bytes = encode(ledger)?;
        let (path, before) = (self.folder.join(FILE), self.folder.join(FILE_BEFORE));
        let whole = self.read(FILE)?.as_deref().and_then(decode).is_some();
        let next = self.folder.join("ledger.next");
        files::replace(&next, &bytes).map_err(failed)?;
        // A torn file must not push a whole one out of its place.
        if whole {
            files::set_aside(&path, &before).map_err(failed)?;
        }
        files::set_aside(&next, &path).map_err(failed)
    }

    fn read(&self, file: &str) -> Result<Option<Vec<u8>>, LedgerError> {
        match files::read(&self.folder.join(file), LEDGER_BYTES_MAX) {
            Ok(bytes) => Ok(bytes),
            Err(FileError::TooLarge { .. }) => Ok(Some(Vec::new())),
            Err(source) => Err(LedgerError::File { source }),
        }
    }
}

impl Ledger {
    /// Drops envelopes nobody names any more, and the places that exceed [`GOOD_PLACES_MAX`].
    pub fn prune(&mut self) {
        while self.good.len() > GOOD_PLACES_MAX {
            let oldest = self.good.iter().min_by_key(|(_, good)| good.applied_at);
            let Some(place) = oldest.map(|(place, _)| place.clone()) else { break };
            self.good.remove(&place);
        }
        let accepted = self.accepted.values().map(|a| a.envelope);
        let good = self.good.values().flat_map(|g| g.envelopes.iter().copied());
        let named: BTreeSet<Digest> = accepted.chain(good).collect();
        self.envelopes.retain(|digest, _| named.contains(digest));
        let payloads: BTreeSet<Digest> = self.accepted.values().map(|a| a.payload).collect();
        // Approvals of a revision that still waits for more are handed over again by the server.
        if self.operators.approvals.len() > APPROVED_REVISIONS_MAX {
            self.operators.approvals.retain(|payload, _| payloads.contains(payload));
        }
    }
}

/// `skep-ledger-1 sha256:…\n` and the JSON body the digest is of.
fn encode(ledger: &Ledger) -> Result<Vec<u8>, LedgerError> {
    let entries = Entries::from(ledger);
    let body = serde_json::to_vec(&entries).map_err(|source| LedgerError::Json { source })?;
    let mut bytes = format!("{MAGIC} {}\n", Digest::of(&body)).into_bytes();
    bytes.extend_from_slice(&body);
    Ok(bytes)
}

fn decode(bytes: &[u8]) -> Option<Ledger> {
    let end = bytes.iter().position(|b| *b == b'\n')?;
    let head = std::str::from_utf8(&bytes[..end]).ok()?;
    let digest: Digest = head.strip_prefix(MAGIC)?.strip_prefix(' ')?.parse().ok()?;
    let body = &bytes[end + 1..];
    if Digest::of(body) != digest {
        return None;
    }
    serde_json::from_slice::<Entries>(body).ok().map(Ledger::from)
}

/// The ledger as JSON can hold it: a place is no object key.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entries {
    newest: Option<Have>,
    applied: Option<Have>,
    accepted: BTreeMap<PolicyName, Accepted>,
    good: Vec<(Place, Good)>,
    envelopes: BTreeMap<Digest, String>,
    roles: BTreeMap<Namespace, Digest>,
    accepted_at: BTreeMap<Digest, i64>,
    #[serde(default)]
    evidence: BTreeMap<Digest, Kept>,
    #[serde(default)]
    log: LogMemory,
    floors: Floors,
    #[serde(default)]
    operators: OperatorLedger,
}

impl From<&Ledger> for Entries {
    fn from(ledger: &Ledger) -> Self {
        let Ledger {
            newest,
            applied,
            accepted,
            good,
            envelopes,
            roles,
            accepted_at,
            evidence,
            log,
            floors,
            operators,
        } = ledger.clone();
        let good = good.into_iter().collect();
        Self {
            newest,
            applied,
            accepted,
            good,
            envelopes,
            roles,
            accepted_at,
            evidence,
            log,
            floors,
            operators,
        }
    }
}

impl From<Entries> for Ledger {
    fn from(entries: Entries) -> Self {
        let Entries {
            newest,
            applied,
            accepted,
            good,
            envelopes,
            roles,
            accepted_at,
            evidence,
            log,
            floors,
            operators,
        } = entries;
        let good = good.into_iter().collect();
        Self {
            newest,
            applied,
            accepted,
            good,
            envelopes,
            roles,
            accepted_at,
            evidence,
            log,
            floors,
            operators,
        }
    }
}

#[cfg(test)]
mod tests;
