//! Bytes by digest, in a folder: written beside, flushed, then renamed into place.
//! Refuses to know what the bytes mean and who may have them.

mod bucket;
mod cache;
mod staging;
mod temp;

pub use bucket::BucketPlace;
pub use staging::StagedPart;
pub use temp::Received;
use temp::{TempFile, sync_folder};

use crate::faults::{FaultPoint, Faults};
use crate::oci::digest::Algorithm;
use bucket::Bucket;
use bytes::Bytes;
use cache::Cache;
use futures::Stream;
use futures::stream::BoxStream;
use futures::{FutureExt as _, StreamExt as _};
use skep_artifact::digest::Digest;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};
use tokio_util::io::ReaderStream;

/// Blobs up to this size are kept in memory once read: manifests and layers of ordinary packages.
/// Larger ones are streamed from the file.
pub const SMALL_BYTES_MAX: u64 = 256 << 10;
/// Bytes read from a file at a time: large enough that a system call is not what takes the time.
const CHUNK_BYTES: usize = 128 << 10;
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
    #[error("the bucket did not {what}")]
    Bucket { what: &'static str, source: Box<object_store::Error> },
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

/// The folder of blobs, or the bucket: what arrives is in the folder until it is whole.
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
    /// Instead of the folders above but the first.
    bucket: Option<Bucket>,
    cache: Mutex<Cache>,
    faults: Faults,
}

/// A stored blob that is about to be served.
pub enum Opened {
    /// All of it, from memory.
    Whole(Bytes),
    /// As it comes from a file or a bucket.
    Stream(BoxStream<'static, io::Result<Bytes>>),
}

impl BlobStore {
    /// Opens the folder, making it when missing, and removes what a killed upload left behind.
    ///
    /// # Errors
    /// [`BlobError::Io`] names the folder that cannot be used.
    pub fn open(root: &Path, faults: Faults) -> Result<Self, BlobError> {
        Self::open_with(root, None, faults)
    }

    /// The same with the whole blobs in a bucket, when one is named.
    ///
    /// # Errors
    /// [`BlobError`].
    pub fn open_with(
        root: &Path,
        bucket: Option<&BucketPlace>,
        faults: Faults,
    ) -> Result<Self, BlobError> {
        let temp = root.join("tmp");
        if temp.exists() {
            std::fs::remove_dir_all(&temp).map_err(io_error("clear", &temp))?;
        }
        std::fs::create_dir_all(&temp).map_err(io_error("create", &temp))?;
        let complete = root.join("sha256/ff").exists();
        for first in (0..=u8::MAX).filter(|_| !complete && bucket.is_none()) {
            let folder = root.join("sha256").join(hex::encode([first]));
            std::fs::create_dir_all(&folder).map_err(io_error("create", &folder))?;
        }
        Self::with(root, bucket, faults)
    }

    /// An existing folder or bucket, for reading while a server may be using it.
    ///
    /// # Errors
    /// [`BlobError::Bucket`].
    pub fn at(root: &Path, bucket: Option<&BucketPlace>) -> Result<Self, BlobError> {
        Self::with(root, bucket, Faults::default())
    }

    fn with(root: &Path, bucket: Option<&BucketPlace>, faults: Faults) -> Result<Self, BlobError> {
        let inner = Inner {
            bucket: bucket.map(Bucket::open).transpose()?,
            root: root.to_owned(),
            temp: root.join("tmp"),
            uploads: root.join("uploads"),
            next_temp: AtomicU64::new(0),
            cache: Mutex::default(),
            faults,
        };
        Ok(Self { inner: Arc::new(inner) })
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
        if let Some(bucket) = &self.inner.bucket {
            faults.pass(FaultPoint::BlobWritten);
            let found = received.content();
            if found != wanted {
                return Err(BlobError::WrongDigest { wanted, found });
            }
            bucket.put(&wanted, &received.temp.path).boxed().await?;
            faults.pass(FaultPoint::BlobRenamed);
            return Ok(received.size_bytes());
        }
        blocking(move || received.temp.keep(wanted, &target, faults)).await
    }

    /// Every digest that has a file, in no order.
    ///
    /// # Errors
    /// [`BlobError::Io`].
    pub async fn stored(&self) -> Result<Vec<Digest>, BlobError> {
        if let Some(bucket) = &self.inner.bucket {
            return bucket.stored().boxed().await;
        }
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

    /// How long ago bytes were written, in seconds; `None` when they are gone.
    ///
    /// # Errors
    /// [`BlobError::Bucket`].
    pub async fn age(&self, digest: &Digest) -> Result<Option<u64>, BlobError> {
        if let Some(bucket) = &self.inner.bucket {
            return Ok(bucket.look(digest).boxed().await?.map(|(_, age)| age));
        }
        let found = tokio::fs::metadata(self.path_of(digest)).await;
        let written = found.and_then(|found| found.modified()).ok();
        let now = std::time::SystemTime::now();
        Ok(written.map(|written| now.duration_since(written).unwrap_or_default().as_secs()))
    }

    /// Whether the bytes are here.
    ///
    /// # Errors
    /// [`BlobError::Bucket`].
    pub async fn has(&self, digest: &Digest) -> Result<bool, BlobError> {
        match &self.inner.bucket {
            Some(bucket) => Ok(bucket.look(digest).boxed().await?.is_some()),
            None => Ok(self.path_of(digest).is_file()),
        }
    }

    /// Opens a blob: small ones whole, large ones as a stream.
    ///
    /// # Errors
    /// [`BlobError::Missing`], or what the disk or the bucket says.
    pub async fn open_blob(&self, digest: &Digest) -> Result<Opened, BlobError> {
        self.open_part(digest, 0, u64::MAX).await
    }

    /// Opens a part of a blob for serving.
    ///
    /// # Errors
    /// As [`BlobStore::open_blob`].
    pub async fn open_part(
        &self,
        digest: &Digest,
        start: u64,
        len: u64,
    ) -> Result<Opened, BlobError> {
        let digest = *digest;
        if let Some(bytes) = self.cached(&digest) {
            return Ok(Opened::Whole(part_of(bytes, start, len)));
        }
        if let Some(bucket) = &self.inner.bucket {
            let found = bucket.look(&digest).boxed().await?;
            let (size, _) = found.ok_or(BlobError::Missing { digest })?;
            if size > SMALL_BYTES_MAX {
                let end = start.saturating_add(len).min(size);
                return Ok(Opened::Stream(
                    bucket.stream(&digest, start.min(end)..end).boxed().await?,
                ));
            }
            let bytes = bucket.read(&digest, SMALL_BYTES_MAX).boxed().await?;
            self.remember_intact(digest, &bytes);
            return Ok(Opened::Whole(part_of(bytes, start, len)));
        }
        let path = self.path_of(&digest);
        let (file, size) = blocking(move || open_file(digest, &path)).await?;
        if size > SMALL_BYTES_MAX {
            let mut file = tokio::fs::File::from_std(file);
            let path = self.path_of(&digest);
            let sought = file.seek(io::SeekFrom::Start(start)).await;
            sought.map_err(io_error("read", &path))?;
            let stream = ReaderStream::with_capacity(file.take(len), CHUNK_BYTES);
            return Ok(Opened::Stream(stream.boxed()));
        }
        let path = self.path_of(&digest);
        let bytes = blocking(move || read_file(file, size, &path)).await?;
        self.remember_intact(digest, &bytes);
        Ok(Opened::Whole(part_of(bytes, start, len)))
    }

    /// What is remembered is served until it is forgotten, so it is compared once. Other bytes are served as they are,
    /// because a client compares too, but read again each time: a repair counts from the next request on.
    fn remember_intact(&self, digest: Digest, bytes: &Bytes) {
        if Digest::of(bytes) == digest {
            self.remember(digest, bytes.clone());
        } else {
            tracing::error!(%digest, "the bytes of {digest} were changed; run a scrub");
        }
    }

    /// Reads a whole blob of at most `limit` bytes.
    ///
    /// # Errors
    /// [`BlobError::Missing`], [`BlobError::TooLarge`], or what the disk or the bucket says.
    pub async fn read(&self, digest: &Digest, limit: u64) -> Result<Bytes, BlobError> {
        if let Some(bucket) = &self.inner.bucket {
            return bucket.read(digest, limit).boxed().await;
        }
        let (store, digest) = (self.clone(), *digest);
        blocking(move || store.read_blocking(&digest, limit)).await
    }

    /// [`BlobStore::read`], for whoever is off the async threads.
    ///
    /// # Errors
    /// As [`BlobStore::read`].
    pub fn read_blocking(&self, digest: &Digest, limit: u64) -> Result<Bytes, BlobError> {
        if let Some(bucket) = &self.inner.bucket {
            return tokio::runtime::Handle::current().block_on(bucket.read(digest, limit));
        }
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
        if let Some(bucket) = &self.inner.bucket {
            return tokio::runtime::Handle::current().block_on(bucket.remove(digest));
        }
        let path = self.path_of(digest);
        match std::fs::remove_file(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(io_error("remove", &path)(e)),
            _ => Ok(()),
        }
    }
}

fn part_of(bytes: Bytes, start: u64, len: u64) -> Bytes {
    let start = usize::try_from(start).unwrap_or(usize::MAX).min(bytes.len());
    let len = usize::try_from(len).unwrap_or(usize::MAX).min(bytes.len() - start);
    bytes.slice(start..start + len)
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
