//! Whether a log's checkpoint is genuine, continues what this node saw before, and holds a package's publication.
//! It refuses to know where checkpoints and proofs come from, and where the memory is kept.

mod memory;
mod refusal;

pub use memory::{LogMemory, PINNED_MAX};
pub use refusal::LogRefusal;

use signed_note::{Note, NoteError, Verifier, VerifierList};
use skep_artifact::Digest;
use skep_artifact::log::{self as tree, Entry, Event};
use tlog_tiles::checkpoint::Checkpoint;

use crate::note::{NoteAlgorithm, NoteKey};
use crate::verify::Wanted;

/// Bytes of a checkpoint with its signatures: the log's and a hundred witnesses' fit.
pub const CHECKPOINT_BYTES_MAX: usize = 32 * 1024;

/// Witnesses a policy may list: as many signatures as the library reads in one note, less the log's own.
pub const WITNESSES_MAX: usize = 99;

/// Which log a node follows, and who must have seen its checkpoints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogPolicy {
    key: NoteKey,
    witnesses: Vec<NoteKey>,
    quorum: usize,
}

/// Why a log policy cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LogPolicyError {
    /// A witness's key where the log's should be.
    #[error("the log's key is that of a witness; `skep log key` prints the log's")]
    WitnessAsLog,
    /// A witness with a key that signs no cosignatures.
    #[error("a witness's key is not one for cosignatures; `skep log witness` prints its own")]
    NoWitness,
    /// One key under two names would be two witnesses.
    #[error("two witnesses have the same key, or the log's")]
    KeyTwice,
    /// More than can be met, or more than are read.
    #[error("the quorum is {quorum} of {witnesses} witnesses (at most {WITNESSES_MAX})")]
    Quorum {
        /// How many must have signed.
        quorum: usize,
        /// How many are listed.
        witnesses: usize,
    },
}

/// A checkpoint that the log signed and enough witnesses cosigned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedCheckpoint {
    origin: String,
    size: u64,
    root: Digest,
    note: String,
    /// Names and signature lines.
    cosignatures: Vec<(String, String)>,
}

/// What is claimed about a package's place in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEvidence {
    /// The entry's number.
    pub index: u64,
    /// The entry's bytes.
    pub entry: Vec<u8>,
    /// Hashes from the entry to the root.
    pub inclusion: Vec<Digest>,
    /// The checkpoint the hashes lead to, with its signatures.
    pub checkpoint: String,
}

impl LogPolicy {
    /// A policy by its parts.
    ///
    /// # Errors
    /// [`LogPolicyError`].
    pub fn new(
        key: NoteKey,
        witnesses: Vec<NoteKey>,
        quorum: usize,
    ) -> Result<Self, LogPolicyError> {
        if key.algorithm() != NoteAlgorithm::Ed25519 {
            return Err(LogPolicyError::WitnessAsLog);
        }
        if witnesses.iter().any(|w| w.algorithm() != NoteAlgorithm::Cosignature) {
            return Err(LogPolicyError::NoWitness);
        }
        let mut keys: Vec<_> = witnesses.iter().chain([&key]).map(|k| k.key().to_bytes()).collect();
        keys.sort_unstable();
        keys.dedup();
        if keys.len() != witnesses.len() + 1 {
            return Err(LogPolicyError::KeyTwice);
        }
        if quorum > witnesses.len() || witnesses.len() > WITNESSES_MAX {
            return Err(LogPolicyError::Quorum { quorum, witnesses: witnesses.len() });
        }
        Ok(Self { key, witnesses, quorum })
    }

    /// The log's key.
    pub fn key(&self) -> &NoteKey {
        &self.key
    }

    /// How many witnesses must have cosigned.
    pub fn quorum(&self) -> usize {
        self.quorum
    }

    /// Verifies a checkpoint: whose it is, who signed it.
    ///
    /// # Errors
    /// [`LogRefusal`] names what is wrong.
    pub fn verify(&self, checkpoint: &str) -> Result<VerifiedCheckpoint, LogRefusal> {
        if checkpoint.len() > CHECKPOINT_BYTES_MAX {
            return Err(LogRefusal::TooLong { bytes: checkpoint.len() });
        }
        let malformed = LogRefusal::Malformed;
        let note = Note::from_bytes(checkpoint.as_bytes()).map_err(|_| malformed.clone())?;
        let read = Checkpoint::from_bytes(note.text()).map_err(|_| malformed.clone())?;
        if read.size() > tree::TREE_SIZE_MAX {
            return Err(malformed);
        }
        let expected = self.key.name();
        if read.origin() != expected {
            let found = read.origin().chars().take(100).collect();
            return Err(LogRefusal::OtherOrigin { found, expected: expected.to_owned() });
        }
        let known = self.witnesses.iter().chain([&self.key]).cloned();
        let known = VerifierList::new(known.map(|k| Box::new(k) as Box<dyn Verifier>).collect());
        let (valid, _) = note.verify(&known).map_err(|error| match error {
            NoteError::InvalidSignature { name, .. } => LogRefusal::BadSignature { name },
            NoteError::UnverifiedNote => LogRefusal::NotSigned { origin: expected.to_owned() },
            _ => malformed.clone(),
        })?;
        let is = |key: &NoteKey, s: &signed_note::Signature| {
            (s.name(), s.id()) == (key.name(), key.id())
        };
        if !valid.iter().any(|signature| is(&self.key, signature)) {
            return Err(LogRefusal::NotSigned { origin: expected.to_owned() });
        }
        let by_a_witness =
            valid.iter().filter(|s| self.witnesses.iter().any(|witness| is(witness, s)));
        let line = |s: &signed_note::Signature| String::from_utf8_lossy(&s.to_bytes()).into_owned();
        let cosignatures: Vec<_> = by_a_witness.map(|s| (s.name().to_owned(), line(s))).collect();
        if cosignatures.len() < self.quorum {
            let valid = cosignatures.len();
            return Err(LogRefusal::Witnesses { valid, quorum: self.quorum });
        }
        Ok(VerifiedCheckpoint {
            origin: read.origin().to_owned(),
            size: read.size(),
            root: Digest::from_bytes(read.hash().0),
            note: checkpoint.to_owned(),
            cosignatures,
        })
    }

    /// Verifies that a package's publication is in the log as this node knows it. Gives its index.
    ///
    /// # Errors
    /// [`LogRefusal`].
    pub fn verify_published(
        &self,
        memory: &LogMemory,
        wanted: &Wanted,
        evidence: Option<&LogEvidence>,
    ) -> Result<u64, LogRefusal> {
        let evidence = evidence.ok_or(LogRefusal::Missing)?;
        let checkpoint = self.verify(&evidence.checkpoint)?;
        check_entry(wanted, &evidence.entry)?;
        let index = evidence.index;
        let tip = (checkpoint.size, checkpoint.root);
        tree::check_inclusion(tip, index, &evidence.entry, &evidence.inclusion)
            .map_err(|why| LogRefusal::NotIncluded { index, why })?;
        if !memory.holds(&checkpoint) {
            return Err(LogRefusal::UnknownCheckpoint { size: checkpoint.size });
        }
        Ok(index)
    }
}

/// The entry must be the publication of exactly this version with exactly this content.
fn check_entry(wanted: &Wanted, bytes: &[u8]) -> Result<(), LogRefusal> {
    let entry = Entry::read(bytes).map_err(LogRefusal::Entry)?;
    let found = match &entry.event {
        Event::Publish { package, version, index, .. } => {
            if (package, version, index) == (&wanted.name, &wanted.version, &wanted.index) {
                return Ok(());
            }
            format!("{package} {version} with index {}", index.short())
        }
        _ => format!("another kind of event ({})", entry.kind()),
    };
    Err(LogRefusal::OtherEntry { found })
}

impl VerifiedCheckpoint {
    /// The log it is of.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Entries of the tree.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Root of the tree.
    pub fn root(&self) -> Digest {
        self.root
    }

    /// The note as it was signed.
    pub fn note(&self) -> &str {
        &self.note
    }

    /// The known witnesses that cosigned it: their names, and their lines as they stand in the note.
    pub fn cosignatures(&self) -> &[(String, String)] {
        &self.cosignatures
    }
}
