//! Uploads that are not whole yet: one file for each (token, digest), which grows from the offset its
//! sender names, so that a broken upload goes on where it stopped, also after a restart. Refuses to
//! know whether the bytes are what their digest says: the blob store finds out when all are here.

use crate::blob::{BlobError, STALL_MAX};
use bytes::Bytes;
use futures::{Stream, StreamExt};
use skep_artifact::digest::Digest;
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};
use tokio::fs::{File, OpenOptions};
use tokio::io::AsyncWriteExt as _;
use tokio_util::sync::CancellationToken;

/// Unfinished uploads of one token: a publish has a handful of large blobs, and a few machines may
/// share a token.
pub const PARTIALS_OF_TOKEN_MAX: usize = 64;
/// How long an unfinished upload is kept after its last byte, as long as a finished one waits for
/// its publish.
pub const PARTIAL_KEPT: Duration = Duration::from_secs(86_400);

/// Why bytes were not added.
#[derive(Debug, thiserror::Error)]
pub enum PartialError {
    #[error("the upload has {found} bytes, the request goes on at {asked}")]
    Offset { found: u64, asked: u64 },
    #[error("this token has {PARTIALS_OF_TOKEN_MAX} unfinished uploads")]
    TooMany,
    #[error("another request goes on with this upload")]
    TakenOver,
    #[error(transparent)]
    Blob(#[from] BlobError),
}

/// Whose upload of what.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PartialKey {
    /// The id of a token: sixteen hexadecimal digits.
    pub token: String,
    pub digest: Digest,
}

/// The folder of unfinished uploads.
#[derive(Clone)]
pub struct Partials {
    folder: Arc<PathBuf>,
    writers: Arc<Mutex<HashMap<PartialKey, Writer>>>,
}

/// Whoever adds to an upload now. A sender whose connection died silently comes back on another
/// one: the newer request stops the older.
#[derive(Clone, Default)]
struct Writer {
    stop: CancellationToken,
    lock: Arc<tokio::sync::Mutex<()>>,
}

impl Partials {
    /// Opens the folder, making it when missing.
    ///
    /// # Errors
    /// [`BlobError::Io`].
    pub fn open(folder: &Path) -> Result<Self, BlobError> {
        std::fs::create_dir_all(folder).map_err(BlobError::at("create", folder))?;
        Ok(Self { folder: Arc::new(folder.to_owned()), writers: Arc::default() })
    }

    fn path(&self, key: &PartialKey) -> PathBuf {
        self.folder.join(format!("{}-{}", key.token, key.digest.hex()))
    }

    /// How many bytes are here; 0 for an upload that never began.
    ///
    /// # Errors
    /// [`BlobError::Io`].
    pub async fn offset(&self, key: &PartialKey) -> Result<u64, BlobError> {
        let path = self.path(key);
        match tokio::fs::metadata(&path).await {
            Ok(found) => Ok(found.len()),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(e) => Err(BlobError::at("look at", &path)(e)),
        }
    }

    /// Adds a body at the end, which must be at `offset`. What arrived stays, also when the body
    /// breaks off; returns how many bytes are here then.
    ///
    /// # Errors
    /// [`PartialError`].
    pub async fn append(
        &self,
        key: &PartialKey,
        offset: u64,
        limit: u64,
        mut body: impl Stream<Item = Result<Bytes, axum::Error>> + Unpin,
    ) -> Result<u64, PartialError> {
        let writer = self.take_over(key);
        let _mine = writer.lock.lock().await;
        let path = self.path(key);
        let mut length = self.offset(key).await?;
        if length != offset {
            return Err(PartialError::Offset { found: length, asked: offset });
        }
        if offset == 0 {
            self.refuse_too_many(key).await?;
        }
        let opened = OpenOptions::new().append(true).create(true).open(&path).await;
        let mut file = opened.map_err(BlobError::at("open", &path))?;
        loop {
            let next = tokio::select! {
                next = tokio::time::timeout(STALL_MAX, body.next()) => next,
                () = writer.stop.cancelled() => return Err(PartialError::TakenOver),
            };
            let Some(chunk) = next.map_err(|_| BlobError::Stalled)? else { break };
            let chunk = chunk.map_err(|source| BlobError::Body { source })?;
            length += chunk.len() as u64;
            if length > limit {
                return Err(BlobError::TooLarge { limit }.into());
            }
            write(&mut file, &chunk, &path).await?;
        }
        Ok(length)
    }

    /// The bytes so far, for the blob store.
    ///
    /// # Errors
    /// [`BlobError::Io`].
    pub async fn read(&self, key: &PartialKey) -> Result<File, BlobError> {
        let path = self.path(key);
        File::open(&path).await.map_err(BlobError::at("open", &path))
    }

    /// Forgets an upload: it is stored now, or it was not what its digest said.
    ///
    /// # Errors
    /// [`BlobError::Io`]; one that is gone already is no error.
    pub async fn remove(&self, key: &PartialKey) -> Result<(), BlobError> {
        let path = self.path(key);
        match tokio::fs::remove_file(&path).await {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(BlobError::at("remove", &path)(e)),
            _ => Ok(()),
        }
    }

    /// Removes what nobody went on with for a day; returns how many went.
    ///
    /// # Errors
    /// [`BlobError::Io`].
    pub fn sweep_blocking(&self, now: SystemTime) -> Result<usize, BlobError> {
        let folder = &*self.folder;
        let mut swept = 0;
        for entry in std::fs::read_dir(folder).map_err(BlobError::at("list", folder))? {
            let path = entry.map_err(BlobError::at("list", folder))?.path();
            let touched = path.metadata().and_then(|found| found.modified());
            let Ok(touched) = touched else { continue };
            if now.duration_since(touched).is_ok_and(|age| age > PARTIAL_KEPT) {
                std::fs::remove_file(&path).map_err(BlobError::at("remove", &path))?;
                swept += 1;
            }
        }
        Ok(swept)
    }

    /// Stops whoever adds to this upload now and takes the place.
    fn take_over(&self, key: &PartialKey) -> Writer {
        let mut writers = self.writers.lock().unwrap_or_else(PoisonError::into_inner);
        // Only the map holds the lock of a writer that is done.
        writers.retain(|_, writer| Arc::strong_count(&writer.lock) > 1);
        let lock = match writers.get(key) {
            None => Arc::default(),
            Some(before) => {
                before.stop.cancel();
                before.lock.clone()
            }
        };
        let writer = Writer { stop: CancellationToken::new(), lock };
        writers.insert(key.clone(), writer.clone());
        writer
    }

    async fn refuse_too_many(&self, key: &PartialKey) -> Result<(), PartialError> {
        let (folder, prefix) = (self.folder.clone(), format!("{}-", key.token));
        let counting = tokio::task::spawn_blocking(move || {
            let entries = std::fs::read_dir(&*folder).map_err(BlobError::at("list", &folder))?;
            let own =
                |name: &std::ffi::OsStr| name.as_encoded_bytes().starts_with(prefix.as_bytes());
            Ok::<_, BlobError>(entries.flatten().filter(|entry| own(&entry.file_name())).count())
        });
        let found = counting.await.map_err(|source| BlobError::Cancelled { source })??;
        if found >= PARTIALS_OF_TOKEN_MAX {
            return Err(PartialError::TooMany);
        }
        Ok(())
    }
}

async fn write(file: &mut File, chunk: &[u8], path: &Path) -> Result<(), BlobError> {
    file.write_all(chunk).await.map_err(BlobError::at("write", path))?;
    // The library hands bytes to a thread and answers at once; what counts as arrived was written.
    file.flush().await.map_err(BlobError::at("write", path))
}
