//! What the TUF client remembers, on disk: one file with a checksum, replaced whole, so that the newest root and what was
//! verified under it are of one moment. Refuses to know what the files say; they are verified again when they are used.

use crate::files::{self, FileError};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};
use skep_artifact::digest::Digest;
use skep_trust::tuf::Stored;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const FILE: &str = "trust";
/// First word of the file; a later format gets another number.
const MAGIC: &str = "skep-trust-1";
/// Largest file: five documents of four MiB twice, in base64, and room.
const KEPT_BYTES_MAX: u64 = 64 << 20;

/// The place on disk.
#[derive(Debug, Clone)]
pub struct Kept {
    path: PathBuf,
}

/// Why it could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum KeptError {
    #[error("The trust metadata this node remembers could not be kept or read.")]
    File { source: FileError },
    #[error("The trust metadata this node remembers is damaged.")]
    Damaged,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    /// The root of the policy that it began with: under another one everything begins anew.
    anchor: Digest,
    files: BTreeMap<String, String>,
    whole: BTreeMap<String, String>,
}

impl Kept {
    /// The file in a state folder.
    #[must_use]
    pub fn new(state: &Path) -> Self {
        Self { path: state.join(FILE) }
    }

    /// What was verified under this root; nothing when there is none, or it began with another root.
    ///
    /// # Errors
    /// [`KeptError`].
    pub fn load(&self, root: &[u8]) -> Result<Stored, KeptError> {
        let read = files::read(&self.path, KEPT_BYTES_MAX);
        let Some(bytes) = read.map_err(|source| KeptError::File { source })? else {
            return Ok(Stored::default());
        };
        let body = decode(&bytes).ok_or(KeptError::Damaged)?;
        if body.anchor != Digest::of(root) {
            return Ok(Stored::default());
        }
        let plain = |files: BTreeMap<String, String>| {
            let one = |(name, text): (String, String)| Some((name, BASE64.decode(text).ok()?));
            files.into_iter().map(one).collect::<Option<BTreeMap<_, _>>>()
        };
        let (files, whole) = (plain(body.files), plain(body.whole));
        files.zip(whole).map(|(files, whole)| Stored { files, whole }).ok_or(KeptError::Damaged)
    }

    /// Remembers what was verified under this root.
    ///
    /// # Errors
    /// [`KeptError`]; what was remembered before is still there.
    pub fn store(&self, root: &[u8], stored: &Stored) -> Result<(), KeptError> {
        let text = |files: &BTreeMap<String, Vec<u8>>| {
            files.iter().map(|(name, bytes)| (name.clone(), BASE64.encode(bytes))).collect()
        };
        let body = Body {
            anchor: Digest::of(root),
            files: text(&stored.files),
            whole: text(&stored.whole),
        };
        let body = serde_json::to_vec(&body).map_err(|_| KeptError::Damaged)?;
        let mut bytes = format!("{MAGIC} {}\n", Digest::of(&body)).into_bytes();
        bytes.extend_from_slice(&body);
        files::replace(&self.path, &bytes).map_err(|source| KeptError::File { source })
    }
}

fn decode(bytes: &[u8]) -> Option<Body> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let head = std::str::from_utf8(&bytes[..end]).ok()?;
    let digest: Digest = head.strip_prefix(MAGIC)?.strip_prefix(' ')?.parse().ok()?;
    let body = &bytes[end + 1..];
    if Digest::of(body) != digest {
        return None;
    }
    serde_json::from_slice(body).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_kept_is_read_again_under_its_own_root_only() {
        let folder = tempfile::tempdir().unwrap();
        let kept = Kept::new(folder.path());
        assert_eq!(kept.load(b"root").unwrap(), Stored::default());
        let files = BTreeMap::from([("root.json".to_owned(), b"newer root".to_vec())]);
        let stored = Stored { whole: files.clone(), files };
        kept.store(b"root", &stored).unwrap();
        assert_eq!(kept.load(b"root").unwrap(), stored);
        assert_eq!(kept.load(b"another root").unwrap(), Stored::default());
    }

    #[test]
    fn a_damaged_file_is_said_and_never_half_believed() {
        let folder = tempfile::tempdir().unwrap();
        let kept = Kept::new(folder.path());
        kept.store(b"root", &Stored::default()).unwrap();
        let path = folder.path().join(FILE);
        let whole = std::fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            std::fs::write(&path, bytes).unwrap();
            assert!(kept.load(b"root").is_err(), "{at}");
        }
    }
}
