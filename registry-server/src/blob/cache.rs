//! The memory of small blobs. Refuses to know where they come from.

use super::BlobStore;
use bytes::Bytes;
use skep_artifact::digest::Digest;
use std::collections::{HashMap, VecDeque};
use std::sync::PoisonError;

/// What the memory of small blobs may hold: 2,000 packages of 32 KiB.
const CACHE_BYTES_MAX: u64 = 64 << 20;

/// First in, first out: content is immutable, so nothing is ever stale.
#[derive(Default)]
pub(super) struct Cache {
    bytes: u64,
    by_digest: HashMap<Digest, Bytes>,
    order: VecDeque<Digest>,
}

impl Cache {
    pub(super) fn forget(&mut self, digest: &Digest) {
        if let Some(bytes) = self.by_digest.remove(digest) {
            self.bytes -= bytes.len() as u64;
        }
    }
}

impl BlobStore {
    pub(super) fn cache(&self) -> std::sync::MutexGuard<'_, Cache> {
        self.inner.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn cached(&self, digest: &Digest) -> Option<Bytes> {
        self.cache().by_digest.get(digest).cloned()
    }

    pub(super) fn remember(&self, digest: Digest, bytes: Bytes) {
        let mut cache = self.cache();
        let len = bytes.len() as u64;
        if cache.by_digest.insert(digest, bytes).is_some() {
            return;
        }
        cache.bytes += len;
        cache.order.push_back(digest);
        while cache.bytes > CACHE_BYTES_MAX
            && let Some(oldest) = cache.order.pop_front()
        {
            cache.forget(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults::Faults;

    #[test]
    fn the_cache_stays_within_its_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let store = BlobStore::open(folder.path(), Faults::default()).unwrap();
        let chunk = Bytes::from(vec![0; 1 << 20]);
        for i in 0..100u32 {
            store.remember(Digest::of(&i.to_be_bytes()), chunk.clone());
        }
        assert!(store.cache().bytes <= CACHE_BYTES_MAX);
        assert!(store.cached(&Digest::of(&99u32.to_be_bytes())).is_some());
        assert!(store.cached(&Digest::of(&0u32.to_be_bytes())).is_none());
    }
}
