//! Parts of uploads that are not finished: durable before they are acknowledged, so that an upload goes on
//! after a restart. Refuses to know which parts were acknowledged.

use super::{
    Algorithm, BlobError, BlobStore, CHUNK_BYTES, Received, STALL_MAX, TempFile, blocking,
    io_error, sync_folder,
};
use crate::oci::digest::OciDigest;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{FutureExt as _, Stream, StreamExt as _, TryStreamExt as _};
use sha2::Digest as _;
use skep_artifact::digest::Digest;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use tokio_util::io::ReaderStream;

/// One part of an upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StagedPart {
    pub upload: String,
    pub name: String,
}

impl Received {
    /// How many bytes arrived.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.temp.bytes
    }

    /// By which the bytes are stored.
    #[must_use]
    pub fn content(&self) -> Digest {
        Digest::from_bytes(self.temp.hasher.clone().finalize().into())
    }

    /// The digest of the algorithm that was asked for when the bytes were received.
    #[must_use]
    pub fn digest(&self) -> OciDigest {
        match &self.temp.other {
            Some(hasher) => OciDigest::Sha512(hasher.clone().finalize().into()),
            None => self.content().into(),
        }
    }
}

impl BlobStore {
    /// Like [`BlobStore::receive`], and makes the digest of another algorithm on the way.
    ///
    /// # Errors
    /// [`BlobError`] says whether the body or the disk was at fault.
    pub async fn receive_hashed(
        &self,
        limit: u64,
        algorithm: Algorithm,
        body: impl Stream<Item = Result<Bytes, axum::Error>> + Unpin,
    ) -> Result<Received, BlobError> {
        let (received, broken) = self.receive_what_comes(limit, algorithm, body).await?;
        broken.map_or(Ok(received), Err)
    }

    /// Like [`BlobStore::receive_hashed`], and hands out what arrived of a body that broke off, with what
    /// broke it.
    ///
    /// # Errors
    /// [`BlobError`] when nothing can be made of it: the disk, or a body that is too large.
    pub async fn receive_what_comes(
        &self,
        limit: u64,
        algorithm: Algorithm,
        mut body: impl Stream<Item = Result<Bytes, axum::Error>> + Unpin,
    ) -> Result<(Received, Option<BlobError>), BlobError> {
        let mut temp = TempFile::create(self.next_temp(), algorithm)?;
        loop {
            let chunk = match tokio::time::timeout(STALL_MAX, body.next()).await {
                Err(_) => return Ok((Received { temp }, Some(BlobError::Stalled))),
                Ok(None) => return Ok((Received { temp }, None)),
                Ok(Some(Err(source))) => {
                    return Ok((Received { temp }, Some(BlobError::Body { source })));
                }
                Ok(Some(Ok(chunk))) => chunk,
            };
            if temp.bytes + chunk.len() as u64 > limit {
                return Err(BlobError::TooLarge { limit });
            }
            temp = blocking(move || temp.append(&chunk)).await?;
        }
    }

    fn next_temp(&self) -> PathBuf {
        let number = self.inner.next_temp.fetch_add(1, Ordering::Relaxed);
        self.inner.temp.join(number.to_string())
    }

    fn staged_path(&self, part: &StagedPart) -> PathBuf {
        self.inner.uploads.join(&part.upload).join(&part.name)
    }

    /// Keeps received bytes as a part of an upload. After this they survive a power cut.
    ///
    /// # Errors
    /// [`BlobError::Full`] or [`BlobError::Io`].
    pub async fn stage(&self, received: Received, part: &StagedPart) -> Result<(), BlobError> {
        if let Some(bucket) = &self.inner.bucket {
            return bucket.stage(part, &received.temp.path).boxed().await;
        }
        let path = self.staged_path(part);
        blocking(move || {
            if let Some(folder) = path.parent() {
                std::fs::create_dir_all(folder).map_err(io_error("create", folder))?;
                sync_folder(folder)?;
            }
            received.temp.name(&path)?;
            sync_folder(&path)
        })
        .await
    }

    /// Puts the parts of an upload and a last body together, hashed on the way. One part and nothing more is
    /// not copied. The parts stay where they are.
    ///
    /// # Errors
    /// [`BlobError`].
    pub async fn join(
        &self,
        parts: &[StagedPart],
        limit: u64,
        algorithm: Algorithm,
        last: impl Stream<Item = Result<Bytes, axum::Error>> + Unpin,
    ) -> Result<Received, BlobError> {
        let mut last = last.peekable();
        if let [part] = parts
            && self.inner.bucket.is_none()
        {
            let first = std::pin::Pin::new(&mut last).peek();
            if let Ok(None) = tokio::time::timeout(STALL_MAX, first).await {
                return self.adopt(part, algorithm).await;
            }
        }
        let files = self.part_streams(parts);
        self.receive_hashed(limit, algorithm, Box::pin(files.chain(last))).await
    }

    /// In a box: through what borrows on the way the compiler does not see that it may move between threads.
    fn part_streams(&self, parts: &[StagedPart]) -> BoxStream<'static, Result<Bytes, axum::Error>> {
        let store = self.clone();
        futures::stream::iter(parts.to_vec())
            .then(move |part| {
                let store = store.clone();
                async move { store.part_stream(&part).await }
            })
            .try_flatten()
            .map_err(axum::Error::new)
            .boxed()
    }

    async fn part_stream(
        &self,
        part: &StagedPart,
    ) -> io::Result<BoxStream<'static, io::Result<Bytes>>> {
        if let Some(bucket) = &self.inner.bucket {
            return bucket.staged(part).boxed().await.map_err(io::Error::other);
        }
        let file = tokio::fs::File::open(self.staged_path(part)).await?;
        Ok(ReaderStream::with_capacity(file, CHUNK_BYTES).boxed())
    }

    /// A part as if it had just been received. It has two names then, so that the upload is whole still if
    /// the server dies before it is finished.
    async fn adopt(&self, part: &StagedPart, algorithm: Algorithm) -> Result<Received, BlobError> {
        let (path, temp) = (self.staged_path(part), self.next_temp());
        blocking(move || {
            std::fs::hard_link(&path, &temp).map_err(io_error("link", &path))?;
            let file = File::open(&temp).map_err(io_error("open", &temp))?;
            let mut temp = TempFile::of(temp, file, algorithm);
            let mut chunk = vec![0; CHUNK_BYTES];
            loop {
                match temp.file.read(&mut chunk) {
                    Ok(0) => return Ok(Received { temp }),
                    Ok(read) => {
                        temp.hash(&chunk[..read]);
                        temp.bytes += read as u64;
                    }
                    Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                    Err(e) => return Err(io_error("read", &temp.path)(e)),
                }
            }
        })
        .await
    }

    /// Removes every part of an upload.
    ///
    /// # Errors
    /// [`BlobError::Io`]; an upload without parts is no error.
    pub async fn unstage(&self, upload: &str) -> Result<(), BlobError> {
        if let Some(bucket) = &self.inner.bucket {
            return bucket.unstage(upload).boxed().await;
        }
        let folder = self.inner.uploads.join(upload);
        blocking(move || match std::fs::remove_dir_all(&folder) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(io_error("remove", &folder)(e)),
            _ => Ok(()),
        })
        .await
    }

    /// Every upload that has parts, known or not.
    ///
    /// # Errors
    /// [`BlobError::Io`].
    pub async fn staged_uploads(&self) -> Result<Vec<String>, BlobError> {
        if let Some(bucket) = &self.inner.bucket {
            return bucket.staged_uploads().boxed().await;
        }
        let folder = self.inner.uploads.clone();
        blocking(move || {
            let entries = match std::fs::read_dir(&folder) {
                Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
                entries => entries.map_err(io_error("list", &folder))?,
            };
            let name = |entry: io::Result<std::fs::DirEntry>| {
                let entry = entry.map_err(io_error("list", &folder))?;
                Ok(entry.file_name().to_string_lossy().into_owned())
            };
            entries.map(name).collect()
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::body;
    use super::*;
    use crate::faults::Faults;

    fn part(name: &str) -> StagedPart {
        StagedPart { upload: "one".to_owned(), name: name.to_owned() }
    }

    #[tokio::test]
    async fn parts_outlive_a_restart_and_are_joined_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let store = BlobStore::open(folder.path(), Faults::default()).unwrap();
        for (name, text) in [("a", &b"hello "[..]), ("b", &b"wide "[..])] {
            let received = store.receive(100, body(&[text])).await.unwrap();
            store.stage(received, &part(name)).await.unwrap();
        }
        let store = BlobStore::open(folder.path(), Faults::default()).unwrap();
        assert_eq!(store.staged_uploads().await.unwrap(), ["one"]);
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            let parts = [part("a"), part("b")];
            let joined = store.join(&parts, 100, algorithm, body(&[b"world"])).await.unwrap();
            assert_eq!(joined.digest(), OciDigest::of(algorithm, b"hello wide world"));
            let adopted = store.join(&parts[..1], 100, algorithm, body(&[])).await.unwrap();
            assert_eq!(adopted.digest(), OciDigest::of(algorithm, b"hello "));
            assert_eq!(adopted.size_bytes(), 6);
            let content = adopted.content();
            store.keep(adopted, content).await.unwrap();
            assert_eq!(&store.read_blocking(&content, 100).unwrap()[..], b"hello ");
        }
        let long = store.join(&[part("a"), part("b")], 8, Algorithm::Sha256, body(&[])).await;
        assert!(matches!(long, Err(BlobError::TooLarge { limit: 8 })));
        store.unstage("one").await.unwrap();
        assert!(store.staged_uploads().await.unwrap().is_empty());
        let gone = store.join(&[part("a")], 100, Algorithm::Sha256, body(&[])).await;
        assert!(matches!(gone, Err(BlobError::Io { .. })));
    }

    #[tokio::test]
    async fn what_came_of_a_broken_body_is_handed_out() {
        let folder = tempfile::tempdir().unwrap();
        let store = BlobStore::open(folder.path(), Faults::default()).unwrap();
        let broken = futures::stream::iter([
            Ok(Bytes::from_static(b"half")),
            Err(axum::Error::new(io::Error::other("the line broke"))),
        ]);
        let (received, why) =
            store.receive_what_comes(100, Algorithm::Sha256, broken).await.unwrap();
        assert!(matches!(why, Some(BlobError::Body { .. })));
        assert_eq!(received.size_bytes(), 4);
    }
}
