//! Bytes in a bucket of an S3-compatible store instead of a folder: the same names, and an object is whole or not
//! there. Refuses to know what the bytes are and who compares them with their digest.

use super::{BlobError, StagedPart};
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _};
use object_store::aws::AmazonS3Builder;
use object_store::path::Path;
use object_store::{
    ClientOptions, GetOptions, GetRange, ObjectStore, ObjectStoreExt as _, PutPayload, RetryConfig,
    WriteMultipart,
};
use skep_artifact::digest::Digest;
use std::fmt;
use std::ops::Range;
use std::path::Path as FilePath;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncReadExt as _;

/// Up to this size an object is put in one request; larger ones go in pieces of as many bytes, which S3 wants to be 5
/// MiB at least.
const PIECE_BYTES: usize = 8 << 20;
/// Pieces on the way at the same time: 32 MiB of memory for each upload.
const PIECES_AT_ONCE: usize = 4;
/// How long one request may take, and how long it is tried again: longer than a client waits helps nobody.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
const RETRY_TIMEOUT: Duration = Duration::from_secs(20);
const RETRIES_MAX: usize = 4;

/// A bucket, and the folder of ours in it.
pub(super) struct Bucket {
    store: Arc<dyn ObjectStore>,
    folder: Path,
}

/// Where the bytes are: `s3://bucket/folder`. Credentials, region and endpoint come from the variables that every S3
/// client reads (`AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_REGION`, `AWS_ENDPOINT_URL`, `AWS_ALLOW_HTTP`).
#[derive(Clone, PartialEq, Eq)]
pub struct BucketPlace {
    bucket: String,
    folder: Path,
}

impl BucketPlace {
    /// Reads `s3://bucket` or `s3://bucket/folder`.
    #[must_use]
    pub fn parse(url: &str) -> Option<Self> {
        let (bucket, folder) = match url.strip_prefix("s3://")?.split_once('/') {
            None => (url.strip_prefix("s3://")?, ""),
            Some((bucket, folder)) => (bucket, folder),
        };
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c);
        let named = (3..=63).contains(&bucket.len()) && bucket.chars().all(plain);
        let folder = Path::parse(folder.trim_end_matches('/')).ok()?;
        named.then(|| Self { bucket: bucket.to_owned(), folder })
    }
}

impl fmt::Debug for BucketPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}/{}", self.bucket, self.folder)
    }
}

impl Bucket {
    /// Prepares it; does not connect yet.
    ///
    /// # Errors
    /// [`BlobError::Bucket`] when the variables do not say enough.
    pub(super) fn open(place: &BucketPlace) -> Result<Self, BlobError> {
        let retry = RetryConfig {
            max_retries: RETRIES_MAX,
            retry_timeout: RETRY_TIMEOUT,
            ..RetryConfig::default()
        };
        let built = AmazonS3Builder::from_env()
            .with_bucket_name(&place.bucket)
            .with_retry(retry)
            .with_client_options(options())
            .build()
            .map_err(failed("be set up"))?;
        Ok(Self { store: Arc::new(built), folder: place.folder.clone() })
    }

    fn at(&self, parts: &[&str]) -> Path {
        parts.iter().fold(self.folder.clone(), |path, part| path.join(*part))
    }

    fn of(&self, digest: &Digest) -> Path {
        let digits = digest.hex();
        self.at(&["sha256", &digits[..2], &digits])
    }

    /// Puts a file's bytes under their digest.
    pub(super) async fn put(&self, digest: &Digest, file: &FilePath) -> Result<(), BlobError> {
        self.put_file(&self.of(digest), file).await
    }

    /// Puts a part of an upload that goes on later, at whichever server.
    pub(super) async fn stage(&self, part: &StagedPart, file: &FilePath) -> Result<(), BlobError> {
        let path = self.at(&["uploads", &part.upload, &part.name]);
        self.put_file(&path, file).await
    }

    async fn put_file(&self, path: &Path, file: &FilePath) -> Result<(), BlobError> {
        let opened = tokio::fs::File::open(file).await.map_err(BlobError::at("open", file))?;
        let length = opened.metadata().await.map_err(BlobError::at("look at", file))?.len();
        let mut opened = opened;
        if length <= PIECE_BYTES as u64 {
            let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
            opened.read_to_end(&mut bytes).await.map_err(BlobError::at("read", file))?;
            let put = self.store.put(path, PutPayload::from(bytes)).await;
            return put.map(drop).map_err(failed("take bytes"));
        }
        let upload = self.store.put_multipart(path).await.map_err(failed("take bytes"))?;
        let mut upload = WriteMultipart::new_with_chunk_size(upload, PIECE_BYTES);
        let mut chunk = vec![0; 1 << 20];
        loop {
            upload.wait_for_capacity(PIECES_AT_ONCE).await.map_err(failed("take bytes"))?;
            let read = match opened.read(&mut chunk).await {
                Ok(read) => read,
                Err(error) => {
                    let _ = upload.abort().await;
                    return Err(BlobError::at("read", file)(error));
                }
            };
            if read == 0 {
                break;
            }
            upload.write(&chunk[..read]);
        }
        upload.finish().await.map(drop).map_err(failed("take bytes"))
    }

    /// How many bytes a blob has, and how many seconds ago it was put.
    pub(super) async fn look(&self, digest: &Digest) -> Result<Option<(u64, u64)>, BlobError> {
        match self.store.head(&self.of(digest)).await {
            Ok(meta) => {
                let age = (chrono::Utc::now() - meta.last_modified).num_seconds();
                Ok(Some((meta.size, u64::try_from(age).unwrap_or(0))))
            }
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(failed("look for bytes")(error)),
        }
    }

    /// All bytes of a blob, at most `limit`.
    pub(super) async fn read(&self, digest: &Digest, limit: u64) -> Result<Bytes, BlobError> {
        let got = self.store.get(&self.of(digest)).await.map_err(missing(digest))?;
        if got.meta.size > limit {
            return Err(BlobError::TooLarge { limit });
        }
        got.bytes().await.map_err(missing(digest))
    }

    /// Bytes of a blob as they come.
    pub(super) async fn stream(
        &self,
        digest: &Digest,
        range: Range<u64>,
    ) -> Result<BoxStream<'static, std::io::Result<Bytes>>, BlobError> {
        self.stream_of(&self.of(digest), Some(range)).await.map_err(|error| match error {
            BlobError::Bucket { source, .. } => missing(digest)(*source),
            other => other,
        })
    }

    /// A part of an upload as it comes.
    pub(super) async fn staged(
        &self,
        part: &StagedPart,
    ) -> Result<BoxStream<'static, std::io::Result<Bytes>>, BlobError> {
        let path = self.at(&["uploads", &part.upload, &part.name]);
        self.stream_of(&path, None).await
    }

    async fn stream_of(
        &self,
        path: &Path,
        range: Option<Range<u64>>,
    ) -> Result<BoxStream<'static, std::io::Result<Bytes>>, BlobError> {
        let options = GetOptions { range: range.map(GetRange::Bounded), ..GetOptions::default() };
        let got = self.store.get_opts(path, options).await.map_err(failed("give bytes"))?;
        Ok(got.into_stream().map_err(std::io::Error::other).boxed())
    }

    /// Every digest that has bytes.
    pub(super) async fn stored(&self) -> Result<Vec<Digest>, BlobError> {
        let folder = self.at(&["sha256"]);
        let mut listed = self.store.list(Some(&folder));
        let mut found = Vec::new();
        while let Some(meta) = listed.try_next().await.map_err(failed("list bytes"))? {
            let name = meta.location.filename().unwrap_or_default();
            found.extend(format!("sha256:{name}").parse::<Digest>().ok());
        }
        Ok(found)
    }

    /// Removes a blob; one that is gone is no error.
    pub(super) async fn remove(&self, digest: &Digest) -> Result<(), BlobError> {
        self.delete(&self.of(digest)).await
    }

    async fn delete(&self, path: &Path) -> Result<(), BlobError> {
        match self.store.delete(path).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(failed("remove bytes")(error)),
        }
    }

    /// Removes every part of an upload.
    pub(super) async fn unstage(&self, upload: &str) -> Result<(), BlobError> {
        let folder = self.at(&["uploads", upload]);
        let listed: Vec<_> =
            self.store.list(Some(&folder)).try_collect().await.map_err(failed("list parts"))?;
        for meta in listed {
            self.delete(&meta.location).await?;
        }
        Ok(())
    }

    /// Every upload that has parts.
    pub(super) async fn staged_uploads(&self) -> Result<Vec<String>, BlobError> {
        let folder = self.at(&["uploads"]);
        let listed =
            self.store.list_with_delimiter(Some(&folder)).await.map_err(failed("list parts"))?;
        let name = |path: &Path| path.filename().map(str::to_owned);
        Ok(listed.common_prefixes.iter().filter_map(name).collect())
    }
}

fn options() -> ClientOptions {
    let options = ClientOptions::new().with_timeout(REQUEST_TIMEOUT);
    // The library asks for this explicitly; a bucket behind plain HTTP is a test, or a proxy on this machine.
    let plain = std::env::var("AWS_ALLOW_HTTP").is_ok_and(|said| said == "true");
    options.with_allow_http(plain)
}

fn failed(what: &'static str) -> impl FnOnce(object_store::Error) -> BlobError {
    move |source| BlobError::Bucket { what, source: Box::new(source) }
}

fn missing(digest: &Digest) -> impl FnOnce(object_store::Error) -> BlobError + use<> {
    let digest = *digest;
    move |error| match error {
        object_store::Error::NotFound { .. } => BlobError::Missing { digest },
        error => failed("give bytes")(error),
    }
}
