//! Bytes by their digest, on disk, under a size cap. What is read is hashed again: a damaged file
//! is as good as none. Refuses to know where bytes come from and what they mean.

use crate::files::{self, FileError};
use skep_artifact::digest::Digest;
use skep_artifact::limits::PACKAGE_BYTES_MAX;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Bytes of blobs that nothing running needs and that are kept all the same, so that going back a
/// version costs no download: eight packages of the largest size.
pub const SPARE_BYTES_MAX: u64 = 8 * PACKAGE_BYTES_MAX as u64;

/// Why a blob could not be kept.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    #[error("A downloaded blob could not be kept. Make room in the state folder's file system.")]
    File { source: FileError },
    #[error("The blob {digest} was delivered with other content ({found}); it was thrown away.")]
    Digest { digest: Digest, found: Digest },
}

/// A folder of blobs.
#[derive(Debug, Clone)]
pub struct Cache {
    folder: PathBuf,
}

impl Cache {
    /// The cache under a state folder; makes it when it is not there.
    ///
    /// # Errors
    /// [`CacheError::File`].
    pub fn open(state: &Path) -> Result<Self, CacheError> {
        let folder = state.join("cache");
        files::private_folder(&folder).map_err(|source| CacheError::File { source })?;
        files::sweep(&folder);
        Ok(Self { folder })
    }

    /// The bytes behind a digest, if they are there and undamaged.
    #[must_use]
    pub fn get(&self, digest: &Digest) -> Option<Vec<u8>> {
        let path = self.path(digest);
        let bytes = files::read(&path, PACKAGE_BYTES_MAX as u64).ok()??;
        if Digest::of(&bytes) == *digest {
            return Some(bytes);
        }
        tracing::warn!(blob = %digest, "A blob in the cache is damaged; it is removed and will be fetched again.");
        // If it cannot be removed it stays damaged and is refused again the next time.
        let _ = fs::remove_file(path);
        None
    }

    /// Whether a file of that name is there. Says nothing about its content.
    #[must_use]
    pub fn has(&self, digest: &Digest) -> bool {
        self.path(digest).exists()
    }

    /// Keeps bytes under a digest they must have.
    ///
    /// # Errors
    /// [`CacheError::Digest`] when they have another; [`CacheError::File`] on a full disk.
    pub fn put(&self, digest: &Digest, bytes: &[u8]) -> Result<(), CacheError> {
        let found = Digest::of(bytes);
        if found != *digest {
            return Err(CacheError::Digest { digest: *digest, found });
        }
        files::replace(&self.path(digest), bytes).map_err(|source| CacheError::File { source })
    }

    /// Removes the oldest blobs beyond `spare_max` bytes, never one of `needed`.
    pub fn evict(&self, needed: &BTreeSet<Digest>, spare_max: u64) {
        let mut spare = self.spare(needed);
        spare.sort_by_key(|blob| std::cmp::Reverse(blob.modified));
        let mut kept = 0;
        for blob in spare {
            kept += blob.len;
            if kept > spare_max {
                // What cannot be removed costs disk; the next eviction tries again.
                let _ = fs::remove_file(&blob.path);
            }
        }
    }

    fn spare(&self, needed: &BTreeSet<Digest>) -> Vec<Blob> {
        let needed: BTreeSet<String> = needed.iter().map(Digest::hex).collect();
        let Ok(entries) = fs::read_dir(&self.folder) else { return Vec::new() };
        let blob = |entry: fs::DirEntry| {
            let about = entry.metadata().ok()?;
            let name = entry.file_name().into_string().ok()?;
            let modified = about.modified().ok()?;
            let path = entry.path();
            (!needed.contains(&name)).then_some(Blob { path, len: about.len(), modified })
        };
        entries.flatten().filter_map(blob).collect()
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        self.folder.join(digest.hex())
    }
}

struct Blob {
    path: PathBuf,
    len: u64,
    modified: SystemTime,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache() -> (tempfile::TempDir, Cache) {
        let state = tempfile::tempdir().unwrap();
        let cache = Cache::open(state.path()).unwrap();
        (state, cache)
    }

    #[test]
    fn bytes_come_back_by_their_digest() {
        let (_state, cache) = cache();
        let digest = Digest::of(b"blob");
        assert_eq!(cache.get(&digest), None);
        cache.put(&digest, b"blob").unwrap();
        assert_eq!(cache.get(&digest).unwrap(), b"blob");
    }

    #[test]
    fn bytes_of_another_digest_are_refused() {
        let (_state, cache) = cache();
        let refused = cache.put(&Digest::of(b"wanted"), b"delivered");
        assert!(matches!(refused, Err(CacheError::Digest { .. })));
        assert!(!cache.has(&Digest::of(b"wanted")));
    }

    #[test]
    fn a_damaged_blob_is_never_handed_out() {
        let (_state, cache) = cache();
        let digest = Digest::of(b"blob");
        cache.put(&digest, b"blob").unwrap();
        fs::write(cache.path(&digest), b"blub").unwrap();
        assert_eq!(cache.get(&digest), None);
        assert!(!cache.has(&digest), "it must be fetched again");
    }

    #[test]
    fn eviction_spares_what_is_needed_however_old() {
        let (_state, cache) = cache();
        let blobs: Vec<Digest> = (0u8..4)
            .map(|n| {
                let bytes = [n; 100];
                let digest = Digest::of(&bytes);
                cache.put(&digest, &bytes).unwrap();
                let age = std::time::Duration::from_secs(1000 - u64::from(n));
                let file = fs::File::open(cache.path(&digest)).unwrap();
                file.set_modified(SystemTime::now() - age).unwrap();
                digest
            })
            .collect();
        cache.evict(&BTreeSet::from([blobs[0]]), 150);
        let there: Vec<bool> = blobs.iter().map(|d| cache.has(d)).collect();
        assert_eq!(there, [true, false, false, true]);
    }
}
