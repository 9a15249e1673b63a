//! Every way a log can be refused, each with a stable code.
//! It refuses to know how the checks are made.

use skep_artifact::log::{EntryError, ProofError};

use super::CHECKPOINT_BYTES_MAX;

/// Every way a log can be refused, each an attack or the slip that looks like one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LogRefusal {
    /// The policy asks for a proof, and there is none.
    #[error(
        "the registry gave no proof that it is in the transparency log, and the node policy asks for one"
    )]
    Missing,
    /// No signed note, or no checkpoint in it.
    #[error("the log's checkpoint cannot be read")]
    Malformed,
    /// Longer than any checkpoint.
    #[error("the log's checkpoint has {bytes} bytes; at most {CHECKPOINT_BYTES_MAX} are read")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// A checkpoint of another log.
    #[error("the checkpoint is of the log {found}, and the node policy follows {expected}")]
    OtherOrigin {
        /// Whose it is.
        found: String,
        /// Whose it should be.
        expected: String,
    },
    /// The log did not sign it.
    #[error("the checkpoint is not signed by the key of the log {origin}")]
    NotSigned {
        /// The log.
        origin: String,
    },
    /// A signature under a known key's name that does not verify.
    #[error("the checkpoint's signature by {name} does not verify: it was changed or forged")]
    BadSignature {
        /// Whose it claims to be.
        name: String,
    },
    /// Not enough witnesses.
    #[error(
        "{valid} of the witnesses cosigned the checkpoint, and the node policy asks for {quorum}"
    )]
    Witnesses {
        /// How many did.
        valid: usize,
        /// How many must.
        quorum: usize,
    },
    /// The entry cannot be read.
    #[error("{0}")]
    Entry(EntryError),
    /// A proof of something else.
    #[error("the log entry is about {found}, not about this package's publication")]
    OtherEntry {
        /// What it is about.
        found: String,
    },
    /// The entry is not where it is said to be.
    #[error("the log does not hold it as entry {index}: {why}")]
    NotIncluded {
        /// The claimed index.
        index: u64,
        /// Why not.
        why: ProofError,
    },
    /// The log became shorter.
    #[error(
        "the log {origin} shrank: this node saw {seen} entries, and is shown {found}. The registry was restored from a backup, or hides entries"
    )]
    Shrunk {
        /// The log.
        origin: String,
        /// Entries seen before.
        seen: u64,
        /// Entries now.
        found: u64,
    },
    /// The log denies what it showed before.
    #[error(
        "the log {origin} forked: its tree of {found} entries does not begin with the {seen} this node saw. Somebody is shown another history"
    )]
    Forked {
        /// The log.
        origin: String,
        /// Entries seen before.
        seen: u64,
        /// Entries now.
        found: u64,
    },
    /// A proof in a checkpoint that was never compared with the newest.
    #[error(
        "the proof ends in a checkpoint of {size} entries that this node never saw as part of its log"
    )]
    UnknownCheckpoint {
        /// Entries of it.
        size: u64,
    },
}

impl LogRefusal {
    /// A stable code for programs. It never changes its meaning.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Missing => "log.proof_missing",
            Self::Malformed => "log.checkpoint_malformed",
            Self::TooLong { .. } => "log.checkpoint_too_large",
            Self::OtherOrigin { .. } => "log.other_origin",
            Self::NotSigned { .. } => "log.not_signed",
            Self::BadSignature { .. } => "log.signature_invalid",
            Self::Witnesses { .. } => "log.too_few_witnesses",
            Self::Entry(_) => "log.entry_malformed",
            Self::OtherEntry { .. } => "log.entry_of_another_package",
            Self::NotIncluded { .. } => "log.not_included",
            Self::Shrunk { .. } => "log.shrunk",
            Self::Forked { .. } => "log.forked",
            Self::UnknownCheckpoint { .. } => "log.checkpoint_unknown",
        }
    }
}
