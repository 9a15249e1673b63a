//! What was looked up lately: which bytes a repository's tag or digest names. Reading from here needs no
//! database. Refuses to know how a look-up is made.

use lru::LruCache;
use skep_artifact::digest::Digest;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Entries kept: at some 300 bytes each they take 20 MB, and hold the manifests and layers of 10,000 packages.
const ENTRIES_MAX: NonZeroUsize = NonZeroUsize::MIN.saturating_add(65_535);
/// How long an entry is taken for true. Writes through this server take theirs away at once; those through
/// another replica are seen after this, which is half of what replicas may differ by.
const FRESH: Duration = Duration::from_secs(1);

/// Which bytes a name stands for, and how they are served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served {
    /// By which the bytes are stored.
    pub content: Digest,
    /// By which the client knows them: the digest it asked for, or that under which a tag was pushed.
    pub digest: String,
    pub media_type: String,
    pub size_bytes: u64,
}

/// What kind of name is looked up: a manifest's digest may also be asked for as a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Sort {
    Manifest,
    Blob,
}

/// A name as it is asked for: repository, sort, tag or digest.
type Key = (Sort, String);

struct Entry {
    served: Arc<Served>,
    since: Instant,
}

struct Inner {
    /// Grows with every write, so that a look-up that began before one is not kept after it.
    writes: u64,
    entries: LruCache<Key, Entry>,
}

/// The bounded memory of look-ups.
pub struct Lookups {
    inner: Mutex<Inner>,
}

/// When a look-up began, counted in writes.
#[derive(Debug, Clone, Copy)]
pub struct Moment(u64);

/// What is remembered about a name.
pub enum Remembered {
    Fresh(Arc<Served>),
    /// Was true a while ago: ask again, and serve this if nobody answers.
    Old(Arc<Served>, Moment),
    Nothing(Moment),
}

impl Default for Lookups {
    fn default() -> Self {
        let entries = LruCache::new(ENTRIES_MAX);
        Self { inner: Mutex::new(Inner { writes: 0, entries }) }
    }
}

fn key(sort: Sort, repository: &str, reference: &str) -> Key {
    (sort, format!("{repository}\0{reference}"))
}

impl Lookups {
    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is remembered.
    #[must_use]
    pub fn get(&self, sort: Sort, repository: &str, reference: &str, now: Instant) -> Remembered {
        let mut inner = self.lock();
        let moment = Moment(inner.writes);
        match inner.entries.get(&key(sort, repository, reference)) {
            Some(entry) if now.duration_since(entry.since) < FRESH => {
                Remembered::Fresh(entry.served.clone())
            }
            Some(entry) => Remembered::Old(entry.served.clone(), moment),
            None => Remembered::Nothing(moment),
        }
    }

    /// Remembers what a look-up found, unless something was written since it began.
    pub fn keep(
        &self,
        (sort, repository, reference): (Sort, &str, &str),
        served: Arc<Served>,
        begun: Moment,
        now: Instant,
    ) {
        let mut inner = self.lock();
        if inner.writes == begun.0 {
            let entry = Entry { served, since: now };
            inner.entries.put(key(sort, repository, reference), entry);
        }
    }

    /// Forgets names whose meaning was changed. To be called after the change is committed and before it is
    /// acknowledged.
    pub fn forget<'a>(
        &self,
        sort: Sort,
        repository: &str,
        references: impl IntoIterator<Item = &'a str>,
    ) {
        let mut inner = self.lock();
        inner.writes += 1;
        for reference in references {
            inner.entries.pop(&key(sort, repository, reference));
        }
    }

    /// Forgets every name: for changes that are rare and may touch any.
    pub fn forget_all(&self) {
        let mut inner = self.lock();
        inner.writes += 1;
        inner.entries.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn served(text: &[u8]) -> Arc<Served> {
        let content = Digest::of(text);
        let digest = content.to_string();
        Arc::new(Served { content, digest, media_type: "a/b".to_owned(), size_bytes: 1 })
    }

    fn begun(lookups: &Lookups, now: Instant) -> Moment {
        match lookups.get(Sort::Manifest, "acme/a", "1", now) {
            Remembered::Nothing(moment) | Remembered::Old(_, moment) => moment,
            Remembered::Fresh(_) => panic!("it was fresh"),
        }
    }

    #[test]
    fn what_was_kept_is_fresh_then_old_and_a_write_takes_it_away() {
        let (lookups, now) = (Lookups::default(), Instant::now());
        let name = (Sort::Manifest, "acme/a", "1");
        let moment = begun(&lookups, now);
        lookups.keep(name, served(b"x"), moment, now);
        let seen = |at| lookups.get(name.0, name.1, name.2, at);
        assert!(matches!(seen(now), Remembered::Fresh(found) if found == served(b"x")));
        assert!(matches!(seen(now + FRESH), Remembered::Old(found, _) if found == served(b"x")));
        let other = lookups.get(Sort::Blob, "acme/a", "1", now);
        assert!(matches!(other, Remembered::Nothing(_)));
        lookups.forget(Sort::Manifest, "acme/a", ["1"]);
        assert!(matches!(seen(now), Remembered::Nothing(_)));
    }

    #[test]
    fn a_look_up_that_a_write_overtook_is_not_kept() {
        let (lookups, now) = (Lookups::default(), Instant::now());
        let moment = begun(&lookups, now);
        lookups.forget(Sort::Manifest, "acme/a", ["1"]);
        lookups.keep((Sort::Manifest, "acme/a", "1"), served(b"old"), moment, now);
        assert!(matches!(lookups.get(Sort::Manifest, "acme/a", "1", now), Remembered::Nothing(_)));
    }
}
