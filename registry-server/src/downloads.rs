//! How often the indexes of packages were fetched lately, until it is written down. Refuses to know which version an
//! index is of.

use crate::store::Store;
use crate::store::StoreError;
use skep_artifact::digest::Digest;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Indexes counted between two writes: at 150 bytes each they take 2 MB. Of more than that in some seconds, a mirror is
/// reading everything, and the rest is not counted.
const COUNTED_MAX: usize = 16_384;
const DAY_SECS: i64 = 86_400;

/// Downloads of one index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Downloaded {
    pub repository: String,
    pub index: Digest,
    pub times: u64,
}

/// What was not written down yet.
#[derive(Default)]
pub struct Downloads {
    counts: Mutex<HashMap<Digest, Vec<(String, u64)>>>,
}

impl Downloads {
    fn lock(&self) -> MutexGuard<'_, HashMap<Digest, Vec<(String, u64)>>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts one.
    pub fn count(&self, repository: &str, index: Digest) {
        self.add(repository, index, 1);
    }

    fn add(&self, repository: &str, index: Digest, times: u64) {
        let mut counts = self.lock();
        if counts.len() >= COUNTED_MAX && !counts.contains_key(&index) {
            return;
        }
        let of_index = counts.entry(index).or_default();
        match of_index.iter_mut().find(|(name, _)| name == repository) {
            Some((_, count)) => *count += times,
            None => of_index.push((repository.to_owned(), times)),
        }
    }

    fn take(&self) -> Vec<Downloaded> {
        let taken = std::mem::take(&mut *self.lock());
        let of_index = |(index, names): (Digest, Vec<(String, u64)>)| {
            let names = names.into_iter();
            names.map(move |(repository, times)| Downloaded { repository, index, times })
        };
        taken.into_iter().flat_map(of_index).collect()
    }

    /// Writes down what was counted; what cannot be written is counted again.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn flush(&self, store: &Store, now: i64) -> Result<(), StoreError> {
        let taken = self.take();
        if taken.is_empty() {
            return Ok(());
        }
        let written = store.add_downloads(now.div_euclid(DAY_SECS), &taken).await;
        if written.is_err() {
            for Downloaded { repository, index, times } in taken {
                self.add(&repository, index, times);
            }
        }
        written
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_index_is_counted_by_repository_and_at_most_so_many() {
        let downloads = Downloads::default();
        let index = Digest::of(b"index");
        for repository in ["acme/a", "acme/b", "acme/a"] {
            downloads.count(repository, index);
        }
        let mut taken = downloads.take();
        taken.sort_by(|a, b| a.repository.cmp(&b.repository));
        let times: Vec<_> = taken.iter().map(|d| (d.repository.as_str(), d.times)).collect();
        assert_eq!(times, [("acme/a", 2), ("acme/b", 1)]);
        assert!(downloads.take().is_empty());
        for number in 0..=COUNTED_MAX {
            downloads.count("acme/a", Digest::of(&number.to_be_bytes()));
        }
        assert_eq!(downloads.take().len(), COUNTED_MAX);
    }
}
