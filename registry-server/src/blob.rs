//! Bytes by digest, in a folder: written beside, flushed, then renamed into place.
//! Refuses to know what the bytes mean and who may have them.

mod staging;

pub use staging::StagedPart;

use crate::faults::{FaultPoint, Faults};
use crate::oci::digest::Algorithm;
use bytes::Bytes;
use futures::Stream;
use sha2::{Digest as _, Sha256, Sha512};
use skep_artifact::digest::Digest;
use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::io;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Blobs up to this size are kept in memory once read: manifests and layers of ordinary packages.
/// Larger ones are streamed from the file.
pub const SMALL_BYTES_MAX: u64 = 256 << 10;
/// What the memory of small blobs may hold: 2,000 packages of 32 KiB.
const CACHE_BYTES_MAX: u64 = 64 << 20;
/// How long an upload may pause: longer than any network hiccup, short enough that a dead client
/// does not hold a place.
pub const STALL_MAX: Duration = Duration::from_secs(30);

/// Why a blob could not be stored or read.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    #[error("the disk is full")]
    Full,
    #[error("the body is larger than {limit} bytes")]
    TooLarge { limit: u64 },
    #[error("the body has digest {found}, not {wanted}")]
    WrongDigest { wanted: Digest, found: Digest },
    #[error("the body broke off")]
    Body { source: axum::Error },
    #[error("nothing arrived for {} seconds", STALL_MAX.as_secs())]
    Stalled,
    #[error("no blob {digest}")]
    Missing { digest: Digest },
    #[error("cannot {what} {}", path.display())]
    Io { what: &'static str, path: PathBuf, source: io::Error },
    #[error("a file task was cancelled")]
    Cancelled { source: tokio::task::JoinError },
}

impl BlobError {
    /// What could not be done with which file.
    pub(crate) fn at(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| io_error(what, &path)(source)
    }
}

/// The folder of blobs.
#[derive(Clone)]
pub struct BlobStore {
    inner: Arc<Inner>,
}

struct Inner {
    root: PathBuf,
    temp: PathBuf,
    /// Parts of uploads that go on after a restart, a folder an upload.
    uploads: PathBuf,
    next_temp: AtomicU64,
    cache: Mutex<Cache>,
    faults: Faults,
}

/// First in, first out: content is immutable, so nothing is ever stale.
#[derive(Default)]
struct Cache {
    bytes: u64,
    by_digest: HashMap<Digest, Bytes>,
    order: VecDeque<Digest>,
}

/// A stored blob that is about to be served.
pub enum Opened {
    /// All of it, from memory.
    Whole(Bytes),
    /// An open file and its length in bytes.
    Stream(tokio::fs::File, u64),
}

impl BlobStore {
    /// Opens the folder, making it when missing, and removes what a killed upload left behind.
    ///
    /// # Errors
    /// [`BlobError::Io`] names the folder that cannot be used.
    pub fn open(root: &Path, faults: Faults) -> Result<Self, BlobError> {
        let temp = root.join("tmp");
        if temp.exists() {
            std::fs::remove_dir_all(&temp).map_err(io_error("clear", &temp))?;
        }
        std::fs::create_dir_all(&temp).map_err(io_error("create", &temp))?;
        let complete = root.join("sha256/ff").exists();
        for first in (0..=u8::MAX).filter(|_| !complete) {
            let folder = root.join("sha256").join(hex::encode([first]));
            std::fs::create_dir_all(&folder).map_err(io_error("create", &folder))?;
        }
        Ok(Self::with(root, faults))
    }

    /// An existing folder, for reading while a server may be using it.
    #[must_use]
    pub fn at(root: &Path) -> Self {
        Self::with(root, Faults::default())
    }

    fn with(root: &Path, faults: Faults) -> Self {
        let inner = Inner {
            root: root.to_owned(),
            temp: root.join("tmp"),
            uploads: root.join("uploads"),
            next_temp: AtomicU64::new(0),
            cache: Mutex::default(),
            faults,
        };
        Self { inner: Arc::new(inner) }
    }

    fn path_of(&self, digest: &Digest) -> PathBuf {
        let digits = digest.hex();
        self.inner.root.join("sha256").join(&digits[..2]).join(digits)
    }

    /// Takes a body in, at most `limit` bytes, hashed while it arrives. Nothing has a name yet, and
    /// dropping what was received leaves nothing behind.
    ///
    /// # Errors
    /// [`BlobError`] says whether the body or the disk was at fault.
    pub async fn receive(
        &self,
        limit: u64,
        body: impl Stream<Item = Result<Bytes, axum::Error>> + Unpin,
    ) -> Result<Received, BlobError> {
        self.receive_hashed(limit, Algorithm::Sha256, body).await
    }

    /// Gives received bytes their name, if they are what the name says, and flushes them to the
    /// disk first. Returns their number.
    ///
    /// # Errors
    /// [`BlobError`] says whether the digest or the disk was at fault.
    pub async fn keep(&self, received: Received, wanted: Digest) -> Result<u64, BlobError> {
        let (target, faults) = (self.path_of(&wanted), self.inner.faults);
        blocking(move || received.temp.keep(wanted, &target, faults)).await
    }

    /// Every digest that has a file, in no order.
    ///
    /// # Errors
    /// [`BlobError::Io`].
    pub async fn stored(&self) -> Result<Vec<Digest>, BlobError> {
        let root = self.inner.root.join("sha256");
        blocking(move || {
            let list = |folder: &Path| {
                std::fs::read_dir(folder)
                    .and_then(Iterator::collect::<Result<Vec<_>, _>>)
                    .map_err(io_error("list", folder))
            };
            let mut found = Vec::new();
            for folder in list(&root)? {
                let names = list(&folder.path())?.into_iter().map(|file| file.file_name());
                let digest = |name: std::ffi::OsString| {
                    format!("sha256:{}", name.to_str()?).parse::<Digest>().ok()
                };
                found.extend(names.filter_map(digest));
            }
            Ok(found)
        })
        .await
    }

    /// How long ago a file was written, in seconds; `None` when it is gone.
    pub fn age_blocking(&self, digest: &Digest) -> Option<u64> {
        let written = self.path_of(digest).metadata().and_then(|found| found.modified()).ok()?;
        Some(std::time::SystemTime::now().duration_since(written).unwrap_or_default().as_secs())
    }

    /// Whether the bytes are here.
    #[must_use]
    pub fn has(&self, digest: &Digest) -> bool {
        self.path_of(digest).is_file()
    }

    /// Opens a blob for serving: small ones whole, large ones as a file.
    ///
    /// # Errors
    /// [`BlobError::Missing`], or [`BlobError::Io`].
    pub async fn open_blob(&self, digest: &Digest) -> Result<Opened, BlobError> {
        let digest = *digest;
        if let Some(bytes) = self.cached(&digest) {
            return Ok(Opened::Whole(bytes));
        }
        let path = self.path_of(&digest);
        let (file, len) = blocking(move || open_file(digest, &path)).await?;
        if len > SMALL_BYTES_MAX {
            return Ok(Opened::Stream(tokio::fs::File::from_std(file), len));
        }
        let path = self.path_of(&digest);
        let bytes = blocking(move || {
            let bytes = read_file(file, len, &path)?;
            // What is remembered is served until it is forgotten, so it is compared once. Other bytes
            // are served as they are, because a client compares too, but read again each time: a
            // repair counts from the next request on.
            Ok((Digest::of(&bytes) == digest, bytes))
        });
        let (intact, bytes) = bytes.await?;
        if intact {
            self.remember(digest, bytes.clone());
        } else {
            tracing::error!(%digest, "the bytes of {digest} were changed; run a scrub");
        }
        Ok(Opened::Whole(bytes))
    }

    /// Reads a whole blob of at most `limit` bytes. Blocks: call it off the async threads.
    ///
    /// # Errors
    /// [`BlobError::Missing`], [`BlobError::TooLarge`] or [`BlobError::Io`].
    pub fn read_blocking(&self, digest: &Digest, limit: u64) -> Result<Bytes, BlobError> {
        let path = self.path_of(digest);
        let (file, len) = open_file(*digest, &path)?;
        if len > limit {
            return Err(BlobError::TooLarge { limit });
        }
        read_file(file, len, &path)
    }

    /// Removes a blob. Nobody may be able to name it any more when this is called.
    ///
    /// # Errors
    /// [`BlobError::Io`]; a blob that is gone already is no error.
    pub fn remove_blocking(&self, digest: &Digest) -> Result<(), BlobError> {
        self.cache().forget(digest);
        let path = self.path_of(digest);
        match std::fs::remove_file(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(io_error("remove", &path)(e)),
            _ => Ok(()),
        }
    }

    fn cache(&self) -> std::sync::MutexGuard<'_, Cache> {
        self.inner.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn cached(&self, digest: &Digest) -> Option<Bytes> {
        self.cache().by_digest.get(digest).cloned()
    }

    fn remember(&self, digest: Digest, bytes: Bytes) {
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

impl Cache {
    fn forget(&mut self, digest: &Digest) {
        if let Some(bytes) = self.by_digest.remove(digest) {
            self.bytes -= bytes.len() as u64;
        }
    }
}

/// A body that arrived whole and has no name yet.
pub struct Received {
    temp: TempFile,
}

/// A file that removes itself unless it is kept.
struct TempFile {
    path: PathBuf,
    file: File,
    hasher: Sha256,
    /// Only for those who asked for it: it costs as much again.
    other: Option<Sha512>,
    bytes: u64,
}

impl TempFile {
    fn create(path: PathBuf, algorithm: Algorithm) -> Result<Self, BlobError> {
        let file = File::create_new(&path).map_err(io_error("create", &path))?;
        Ok(Self::of(path, file, algorithm))
    }

    fn of(path: PathBuf, file: File, algorithm: Algorithm) -> Self {
        let other = (algorithm == Algorithm::Sha512).then(Sha512::new);
        Self { path, file, hasher: Sha256::new(), other, bytes: 0 }
    }

    fn hash(&mut self, chunk: &[u8]) {
        self.hasher.update(chunk);
        if let Some(other) = &mut self.other {
            other.update(chunk);
        }
    }

    fn append(mut self, chunk: &[u8]) -> Result<Self, BlobError> {
        self.hash(chunk);
        self.file.write_all(chunk).map_err(io_error("write", &self.path))?;
        self.bytes += chunk.len() as u64;
        Ok(self)
    }

    /// Flush, compare, rename, flush the folder: after this the blob survives a power cut.
    fn keep(mut self, wanted: Digest, target: &Path, faults: Faults) -> Result<u64, BlobError> {
        faults.pass(FaultPoint::BlobWritten);
        let found = Digest::from_bytes(std::mem::take(&mut self.hasher).finalize().into());
        if found != wanted {
            return Err(BlobError::WrongDigest { wanted, found });
        }
        self.name(target)?;
        faults.pass(FaultPoint::BlobRenamed);
        sync_folder(target)?;
        Ok(self.bytes)
    }

    /// Flush and rename.
    fn name(&self, target: &Path) -> Result<(), BlobError> {
        self.file.sync_all().map_err(io_error("flush", &self.path))?;
        std::fs::rename(&self.path, target).map_err(io_error("name", target))
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        // Gone already when it was kept: the rename took the name.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Flushes the folder of a file, so that its name survives a power cut.
fn sync_folder(file: &Path) -> Result<(), BlobError> {
    let Some(folder) = file.parent() else { return Ok(()) };
    let opened = File::open(folder).map_err(io_error("open", folder))?;
    opened.sync_all().map_err(io_error("flush", folder))
}

fn open_file(digest: Digest, path: &Path) -> Result<(File, u64), BlobError> {
    let file = File::open(path).map_err(|e| match e.kind() {
        io::ErrorKind::NotFound => BlobError::Missing { digest },
        _ => io_error("open", path)(e),
    })?;
    let len = file.metadata().map_err(io_error("look at", path))?.len();
    Ok((file, len))
}

fn read_file(mut file: File, len: u64, path: &Path) -> Result<Bytes, BlobError> {
    let mut bytes = Vec::with_capacity(usize::try_from(len).unwrap_or(0));
    io::Read::read_to_end(&mut file, &mut bytes).map_err(io_error("read", path))?;
    Ok(Bytes::from(bytes))
}

fn io_error(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> BlobError {
    move |source| match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => BlobError::Full,
        _ => BlobError::Io { what, path: path.to_owned(), source },
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, BlobError> + Send + 'static,
) -> Result<T, BlobError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|source| BlobError::Cancelled { source })?
}

#[cfg(test)]
mod tests;
