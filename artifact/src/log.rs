//! The transparency log as everybody reads it: what an entry says, and the arithmetic of RFC 6962 that ties one to a
//! root. The hashing itself is the library's. It refuses to know checkpoints, keys, and whether a log may be trusted.

use serde::{Deserialize, Serialize};
use tlog_tiles::tlog::{self, Hash};

use crate::json::{self, JsonError};
use crate::{Digest, KeyId, Namespace, PackageName, PublicKey, Version};

/// Bytes of one entry: entry tiles write its length in 16 bits.
pub const ENTRY_BYTES_MAX: usize = u16::MAX as usize;

/// Hashes in one proof: a consistency proof of a tree of 2^62 entries has at most 64.
pub const PROOF_HASHES_MAX: usize = 64;

/// Entries of a log; beyond, the library's arithmetic would leave 64 bits. At a million entries a second: 146,000 years.
pub const TREE_SIZE_MAX: u64 = 1 << 62;

/// One thing that happened, as the log keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Seconds since 1970, by the registry's clock.
    pub at: i64,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

/// What happened. Each kind carries what is needed to check it against what the registry serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Event {
    /// A version became visible.
    Publish {
        /// Its package.
        package: PackageName,
        /// The version.
        version: Version,
        /// Digest of its index, which the publisher signed.
        index: Digest,
        /// Its release counter.
        release: u64,
        /// The version of the namespace's role file that lists it first.
        role_version: u64,
        /// Digest of that role file as it was signed; absent for versions that are older than the log.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        role: Option<Digest>,
        /// The keys that signed.
        signed_by: Vec<KeyId>,
    },
    /// Something was said about a version: provenance, contents, a verifier's result.
    Attestation {
        /// The package.
        package: PackageName,
        /// The version.
        version: Version,
        /// Digest of its index.
        index: Digest,
        /// What kind of statement: its predicate type, or the media type of a document.
        predicate_type: String,
        /// Digest of the envelope or document.
        content: Digest,
    },
    /// A version is not for new installations any more, or is again.
    Yank {
        /// The package.
        package: PackageName,
        /// The version.
        version: Version,
        /// Digest of its index.
        index: Digest,
        /// Whether it is yanked now; `false` takes a yank back.
        yanked: bool,
        /// Why, in the publisher's words.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        reason: String,
    },
    /// A package or a version is advised against.
    Deprecate {
        /// The package.
        package: PackageName,
        /// The version; absent when all are meant.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        version: Option<Version>,
        /// What to use instead, or why; empty takes it back.
        message: String,
    },
    /// A package was deleted for good; its name stays taken.
    Tombstone {
        /// The package.
        package: PackageName,
        /// Why.
        message: String,
    },
    /// Versions of a package are known to be bad, or that is taken back.
    Revoke {
        /// The package.
        package: PackageName,
        /// Its bad versions.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        versions: Vec<Version>,
        /// Its bad indexes.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        digests: Vec<Digest>,
        /// The revocation that this one takes back.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        lifts: Option<Digest>,
        /// Digest of the signed bytes that say so, by which a lift names them.
        document: Digest,
        /// Why.
        reason: String,
    },
    /// Who signs for a namespace changed.
    Delegation {
        /// The namespace.
        namespace: Namespace,
        /// The keys that sign for it now.
        keys: Vec<PublicKey>,
        /// How many of them must.
        threshold: u32,
        /// Digest of the signed metadata that delegates; absent for a name somebody claimed for themselves.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        document: Option<Digest>,
    },
    /// A file of the trust repository that its keepers sign was replaced. What the server signs follows from these.
    Trust {
        /// `root`, `targets`, or a namespace's name for its role file signed anew.
        role: String,
        /// The namespace, when it is a namespace's role.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        namespace: Option<Namespace>,
        /// Its version.
        version: u64,
        /// Digest of the signed file.
        document: Digest,
    },
    /// An operator's policy, policy set or rollout decision was accepted.
    Policy {
        /// `revision`, `set`, `epoch` or `approval`.
        what: String,
        /// Name of the policy or the environment.
        name: String,
        /// Its revision; the version of a set, the number of an epoch.
        revision: u64,
        /// Digest of the signed envelope.
        envelope: Digest,
    },
    /// A rollout began, moved to a wave, or ended.
    Rollout {
        /// The policy.
        policy: String,
        /// Its revision.
        revision: u64,
        /// What happened, in one word.
        step: String,
    },
}

/// Why bytes are no entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// Not JSON, too long, or of no known form.
    #[error("the log entry cannot be read: {0}")]
    Json(#[from] JsonError),
    /// It says more than its reader understands, or says it in another spelling.
    #[error("the log entry is not in its canonical form")]
    NotCanonical,
    /// Longer than an entry tile can hold.
    #[error("the log entry has {bytes} bytes; at most {ENTRY_BYTES_MAX} are kept")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
}

/// Why a proof proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// The index is outside the tree.
    #[error("entry {index} is not in a tree of {size}")]
    OutsideTree {
        /// The index.
        index: u64,
        /// Entries in the tree.
        size: u64,
    },
    /// More hashes than any proof has, or a tree larger than any.
    #[error("the proof is larger than any proof can be")]
    TooLarge,
    /// The newer tree is smaller.
    #[error("the tree shrank from {old} to {new} entries")]
    Shrunk {
        /// Entries before.
        old: u64,
        /// Entries now.
        new: u64,
    },
    /// The hashes lead to another root.
    #[error("the hashes do not lead to the root")]
    Wrong,
}

impl Entry {
    /// The bytes that are logged: canonical JSON.
    ///
    /// # Errors
    /// [`EntryError`] when a text holds a control character or the entry is too long.
    pub fn to_bytes(&self) -> Result<Vec<u8>, EntryError> {
        let bytes = json::canonical(self)?;
        if bytes.len() > ENTRY_BYTES_MAX {
            return Err(EntryError::TooLong { bytes: bytes.len() });
        }
        Ok(bytes)
    }

    /// Reads logged bytes. Only the canonical form is accepted, so nothing can hide beside what is understood.
    ///
    /// # Errors
    /// [`EntryError`].
    pub fn read(bytes: &[u8]) -> Result<Self, EntryError> {
        let entry: Self = json::parse_into(bytes, ENTRY_BYTES_MAX)?;
        if entry.to_bytes()? != bytes {
            return Err(EntryError::NotCanonical);
        }
        Ok(entry)
    }

    /// The namespace it is about, if it is about one.
    pub fn namespace(&self) -> Option<&Namespace> {
        match &self.event {
            Event::Publish { package, .. }
            | Event::Attestation { package, .. }
            | Event::Yank { package, .. }
            | Event::Deprecate { package, .. }
            | Event::Tombstone { package, .. }
            | Event::Revoke { package, .. } => Some(package.namespace()),
            Event::Delegation { namespace, .. } => Some(namespace),
            Event::Trust { namespace, .. } => namespace.as_ref(),
            Event::Policy { .. } | Event::Rollout { .. } => None,
        }
    }

    /// The package it is about, if it is about one.
    pub fn package(&self) -> Option<&PackageName> {
        match &self.event {
            Event::Publish { package, .. }
            | Event::Attestation { package, .. }
            | Event::Yank { package, .. }
            | Event::Deprecate { package, .. }
            | Event::Tombstone { package, .. }
            | Event::Revoke { package, .. } => Some(package),
            Event::Delegation { .. }
            | Event::Trust { .. }
            | Event::Policy { .. }
            | Event::Rollout { .. } => None,
        }
    }

    /// Its kind, as `type` says it.
    pub fn kind(&self) -> &'static str {
        match &self.event {
            Event::Publish { .. } => "publish",
            Event::Attestation { .. } => "attestation",
            Event::Yank { .. } => "yank",
            Event::Deprecate { .. } => "deprecate",
            Event::Tombstone { .. } => "tombstone",
            Event::Revoke { .. } => "revoke",
            Event::Delegation { .. } => "delegation",
            Event::Trust { .. } => "trust",
            Event::Policy { .. } => "policy",
            Event::Rollout { .. } => "rollout",
        }
    }
}

/// The hash of an entry as a leaf of the tree.
pub fn leaf_hash(entry: &[u8]) -> Digest {
    Digest::from_bytes(tlog::record_hash(entry).0)
}

/// Whether an entry is the `index`-th of the tree with this size and root.
///
/// # Errors
/// [`ProofError`].
pub fn check_inclusion(
    (size, root): (u64, Digest),
    index: u64,
    entry: &[u8],
    proof: &[Digest],
) -> Result<(), ProofError> {
    if index >= size {
        return Err(ProofError::OutsideTree { index, size });
    }
    let hashes = hashes(size, proof)?;
    tlog::check_record(&hashes, size, hash(root), index, tlog::record_hash(entry))
        .map_err(|_| ProofError::Wrong)
}

/// Whether the newer tree begins with the whole older one.
///
/// # Errors
/// [`ProofError`].
pub fn check_consistency(
    (old_size, old_root): (u64, Digest),
    (size, root): (u64, Digest),
    proof: &[Digest],
) -> Result<(), ProofError> {
    if size < old_size {
        return Err(ProofError::Shrunk { old: old_size, new: size });
    }
    let hashes = hashes(size, proof)?;
    if old_size == 0 {
        return if hashes.is_empty() { Ok(()) } else { Err(ProofError::Wrong) };
    }
    tlog::check_tree(&hashes, size, hash(root), old_size, hash(old_root))
        .map_err(|_| ProofError::Wrong)
}

fn hashes(size: u64, proof: &[Digest]) -> Result<Vec<Hash>, ProofError> {
    if size > TREE_SIZE_MAX || proof.len() > PROOF_HASHES_MAX {
        return Err(ProofError::TooLarge);
    }
    Ok(proof.iter().copied().map(hash).collect())
}

fn hash(digest: Digest) -> Hash {
    Hash(*digest.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> Entry {
        Entry {
            at: 1_800_000_000,
            event: Event::Publish {
                package: "acme/pass".parse().unwrap(),
                version: "1.0.0".parse().unwrap(),
                index: Digest::of(b"index"),
                release: 3,
                role_version: 2,
                role: Some(Digest::of(b"role")),
                signed_by: vec![],
            },
        }
    }

    #[test]
    fn an_entry_is_read_back_only_in_its_canonical_form() {
        let bytes = entry().to_bytes().unwrap();
        assert_eq!(Entry::read(&bytes), Ok(entry()));
        assert!(bytes.starts_with(br#"{"at":1800000000,"index":"sha256:"#));
        let text = String::from_utf8(bytes).unwrap();
        let spaced = text.replacen(':', ": ", 1);
        assert_eq!(Entry::read(spaced.as_bytes()), Err(EntryError::NotCanonical));
        let more = text.replacen("{\"at\"", "{\"also\":1,\"at\"", 1);
        assert_eq!(Entry::read(more.as_bytes()), Err(EntryError::NotCanonical));
        let other = text.replace("publish", "party");
        assert!(matches!(Entry::read(other.as_bytes()), Err(EntryError::Json(_))));
    }

    #[test]
    fn an_entry_that_no_tile_could_hold_is_not_made() {
        let event = Event::Rollout { policy: "p".repeat(70_000), revision: 1, step: "x".into() };
        assert!(matches!(Entry { at: 0, event }.to_bytes(), Err(EntryError::TooLong { .. })));
    }

    #[test]
    fn a_tree_of_one_proves_its_only_entry_and_no_other() {
        let (entry, root) = (b"one".as_slice(), leaf_hash(b"one"));
        assert_eq!(check_inclusion((1, root), 0, entry, &[]), Ok(()));
        assert_eq!(check_inclusion((1, root), 0, b"two", &[]), Err(ProofError::Wrong));
        let outside = ProofError::OutsideTree { index: 1, size: 1 };
        assert_eq!(check_inclusion((1, root), 1, entry, &[]), Err(outside));
        let long = vec![root; PROOF_HASHES_MAX + 1];
        assert_eq!(check_inclusion((1, root), 0, entry, &long), Err(ProofError::TooLarge));
        assert_eq!(check_inclusion((u64::MAX, root), 0, entry, &[]), Err(ProofError::TooLarge));
    }

    #[test]
    fn a_tree_that_shrank_is_no_continuation() {
        let root = leaf_hash(b"one");
        assert_eq!(check_consistency((0, root), (1, root), &[]), Ok(()));
        assert_eq!(check_consistency((1, root), (1, root), &[]), Ok(()));
        assert_eq!(
            check_consistency((1, root), (1, leaf_hash(b"two")), &[]),
            Err(ProofError::Wrong)
        );
        let shrunk = ProofError::Shrunk { old: 2, new: 1 };
        assert_eq!(check_consistency((2, root), (1, root), &[]), Err(shrunk));
    }
}
