//! A bundle: packages with their role files, log proofs and attestations in one tar archive, for a registry that no
//! network reaches. An OCI image layout with our own files beside it, so that other tools read it, too.
//! Refuses to know whom to trust, and to keep anything whose digest was not compared.

mod read;
mod write;

pub(crate) use read::read;
pub(crate) use write::{Filling, write};

use serde::{Deserialize, Serialize};
use skep_artifact::digest::Digest;
use skep_artifact::name::{Namespace, PackageName};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Bytes of a whole bundle: 64 packages of the largest size, or some ten thousand ordinary ones.
pub(crate) const BUNDLE_BYTES_MAX: u64 = 2 * 1024 * 1024 * 1024;
/// Entries of a bundle: an ordinary package has about ten blobs.
pub(crate) const BUNDLE_ENTRIES_MAX: usize = 131_072;
/// Bytes of one entry: the largest blob, which is the layer of an object that does not compress.
pub(crate) const ENTRY_BYTES_MAX: u64 = 17 * 1024 * 1024;
/// Bytes of the list of contents: 350 for each of some ten thousand packages, and as many for two attestations of each.
pub(crate) const CONTENTS_BYTES_MAX: usize = 8 * 1024 * 1024;
/// The form this program writes, and the only one it reads.
const FORMAT: u32 = 1;

const CONTENTS: &str = "skep-bundle.json";
const OCI_LAYOUT: &str = "oci-layout";
const OCI_INDEX: &str = "index.json";
const BLOBS: &str = "blobs/sha256/";
const ROLES: &str = "roles/";

/// What a bundle says is in it. Nobody signed this list: it only says what to look for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Contents {
    format: u32,
    pub packages: Vec<Listed>,
}

/// One package version of a bundle.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Listed {
    pub name: PackageName,
    pub version: semver::Version,
    /// Digest of its index.
    pub index: Digest,
    /// Digest of the proof that the registry it came from has its publication in its log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<Digest>,
    /// What is said about it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attestations: Vec<ListedAttestation>,
}

/// One attestation of a package version.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListedAttestation {
    pub media_type: String,
    /// Digest of the envelope or document.
    pub content: Digest,
}

/// A bundle that was read: every blob has the bytes of its digest. Who signed what is still to be verified.
pub(crate) struct Archive {
    pub packages: Vec<Listed>,
    /// Role files as they were signed.
    pub roles: BTreeMap<Namespace, Vec<u8>>,
    /// Digest and size of each blob that lies in the folder.
    pub blobs: BTreeMap<Digest, u64>,
    folder: tempfile::TempDir,
}

/// Why a bundle is refused. Nothing of it was stored.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ArchiveError {
    #[error("The bundle {} cannot be read.", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("The bundle {} cannot be written.", path.display())]
    Write { path: PathBuf, source: std::io::Error },
    #[error("The bundle cannot be unpacked beside it.")]
    Unpack { source: std::io::Error },
    #[error("The bundle is not a tar archive, or it was cut off.")]
    Tar { source: std::io::Error },
    #[error("The bundle is larger than {BUNDLE_BYTES_MAX} bytes.")]
    TooLarge,
    #[error("The bundle has more than {BUNDLE_ENTRIES_MAX} entries.")]
    TooManyEntries,
    #[error("The bundle's entry {name:?} is a {kind}; a bundle holds regular files only.")]
    Kind { name: String, kind: &'static str },
    #[error("The bundle's entry {name:?} has no place in a bundle.")]
    Name { name: String },
    #[error("The bundle's entry {name:?} stands in it twice.")]
    Twice { name: String },
    #[error("The bundle's entry {name:?} has {bytes} bytes; at most {limit} are accepted.")]
    EntryTooLarge { name: String, bytes: u64, limit: u64 },
    #[error("The bundle's blob {wanted} turned out to be {found}. It was changed.")]
    Digest { wanted: Digest, found: Digest },
    #[error("The bundle has no {name}.")]
    Missing { name: String },
    #[error("The bundle's {name} cannot be used: {reason}.")]
    Form { name: &'static str, reason: String },
}

impl Archive {
    /// The bytes of a blob; read again from the folder, and compared again by whoever opens packages.
    pub(crate) fn get(&self, digest: &Digest) -> Option<Vec<u8>> {
        self.blobs.get(digest)?;
        std::fs::read(self.folder.path().join(digest.hex())).ok()
    }
}

#[cfg(test)]
mod tests;
