//! The push use cases: an upload from its beginning to its end, and a manifest. Bytes are on the disk before
//! anything names them, and named before the caller is told. What is pushed is content and never a package:
//! only [`crate::publish`] makes one. Refuses to know HTTP and who may push.

use crate::app::App;
use crate::blob::{BlobError, Received, StagedPart};
use crate::clock;
use crate::error::RequestError;
use crate::faults::FaultPoint;
use crate::oci::digest::{Algorithm, OciDigest};
use crate::oci::lookups::Sort;
use crate::oci::manifest::{Manifest, ManifestError};
use crate::oci::name::{Reference, Repository, Tag};
use crate::secret::NoRandomness;
use crate::store::StoreError;
use crate::store::pushes::{NewBlob, NewManifest, PushConflict};
use crate::store::uploads::{Part, Upload};
use bytes::Bytes;
use futures::Stream;

/// Largest pushed blob in bytes: layers of container images seldom reach 2 GiB.
pub const BLOB_BYTES_MAX: u64 = 4 << 30;
/// Most parts of one upload: 4 GiB in chunks of half a mebibyte.
pub const PARTS_MAX: usize = 8192;
/// Most tags set by one push: the specification wants at least ten.
pub const TAGS_MAX: usize = 32;

/// Why something is not pushed, or not taken away.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    #[error("there is no namespace {namespace}")]
    NoNamespace { namespace: String },
    #[error("there is no upload {id}")]
    NoUpload { id: String },
    #[error("the upload has {received} bytes; the next one goes there")]
    OutOfOrder { id: String, received: u64 },
    #[error("{found} bytes came and {said} were announced")]
    Size { said: u64, found: u64 },
    #[error("the upload has more than {PARTS_MAX} parts; send larger ones")]
    TooManyParts,
    #[error("the content has digest {found}, not {wanted}")]
    WrongDigest { wanted: String, found: String },
    #[error("the manifest is refused")]
    Manifest(#[from] ManifestError),
    #[error("the repository lacks {}, which the manifest names", digests.join(" and "))]
    Unknown { digests: Vec<String> },
    #[error("{what} is that of a published version, which never changes")]
    Taken { what: String },
    #[error("{what} belongs to a published version, which never changes")]
    Published { what: String },
    #[error("manifest {manifest} names this blob")]
    InUse { manifest: String },
    #[error("{what} is not in this repository")]
    Missing { what: String },
    #[error(transparent)]
    Busy(#[from] RequestError),
    #[error(transparent)]
    Randomness(#[from] NoRandomness),
    #[error(transparent)]
    Blob(#[from] BlobError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The part of a blob that a request says it carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunk {
    pub start: u64,
    pub size: u64,
}

/// A body as it arrives.
pub trait Body: Stream<Item = Result<Bytes, axum::Error>> + Unpin + Send {}
impl<T: Stream<Item = Result<Bytes, axum::Error>> + Unpin + Send> Body for T {}

fn refuse(repository: &Repository, what: &str, conflict: PushConflict) -> PushError {
    match conflict {
        PushConflict::NoNamespace => {
            PushError::NoNamespace { namespace: repository.namespace().to_string() }
        }
        PushConflict::Unknown { digests } => PushError::Unknown { digests },
        PushConflict::Published { what } => PushError::Published { what },
        PushConflict::InUse { manifest } => PushError::InUse { manifest },
        PushConflict::Missing => PushError::Missing { what: what.to_owned() },
        PushConflict::Store(error) => PushError::Store(error),
    }
}

/// A fresh name of 122 random bits, as the specification wants for uploads.
fn draw_id() -> Result<String, NoRandomness> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(NoRandomness::from)?;
    Ok(uuid::Builder::from_random_bytes(bytes).into_uuid().to_string())
}

/// Begins an upload; returns its name.
///
/// # Errors
/// [`PushError`].
pub async fn start(app: &App, repository: &Repository) -> Result<String, PushError> {
    let id = draw_id()?;
    let started = app.store.start_upload(&id, repository, clock::now()).await;
    started.map_err(|conflict| refuse(repository, &id, conflict))?;
    Ok(id)
}

/// Gives a blob of one repository a name in another; `false` when the first has none.
///
/// # Errors
/// [`PushError`].
pub async fn mount(
    app: &App,
    from: &Repository,
    into: &Repository,
    wanted: &OciDigest,
) -> Result<bool, PushError> {
    let mounted = app.store.mount_oci_blob(from, into, wanted, clock::now()).await;
    mounted.map_err(|conflict| refuse(into, &wanted.to_string(), conflict))
}

/// How far an upload is.
///
/// # Errors
/// [`PushError::NoUpload`] for one that is not of this repository, or over.
pub async fn upload(app: &App, repository: &Repository, id: &str) -> Result<Upload, PushError> {
    let found = app.store.upload(id, repository).await?;
    found.ok_or_else(|| PushError::NoUpload { id: id.chars().take(64).collect() })
}

/// A chunk must begin where the upload is.
fn in_order(upload: &Upload, chunk: Option<Chunk>) -> Result<(), PushError> {
    match chunk {
        Some(chunk) if chunk.start != upload.received_bytes => {
            Err(PushError::OutOfOrder { id: upload.id.clone(), received: upload.received_bytes })
        }
        _ => Ok(()),
    }
}

fn has_size(chunk: Option<Chunk>, found: u64) -> Result<(), PushError> {
    match chunk {
        Some(Chunk { size: said, .. }) if said != found => Err(PushError::Size { said, found }),
        _ => Ok(()),
    }
}

/// Takes a part in. Of a body that breaks off, what arrived is kept: a client that comes back asks how far
/// the upload is and goes on from there. Returns how many bytes the upload has now.
///
/// # Errors
/// [`PushError`].
pub async fn append(
    app: &App,
    repository: &Repository,
    id: &str,
    chunk: Option<Chunk>,
    body: impl Body,
) -> Result<u64, PushError> {
    let upload = upload(app, repository, id).await?;
    in_order(&upload, chunk)?;
    if upload.parts.len() >= PARTS_MAX {
        return Err(PushError::TooManyParts);
    }
    let _place = app.uploads.try_acquire().map_err(|_| RequestError::Overloaded)?;
    let left = BLOB_BYTES_MAX.saturating_sub(upload.received_bytes);
    let (received, broken) = app.blobs.receive_what_comes(left, Algorithm::Sha256, body).await?;
    let size_bytes = received.size_bytes();
    if broken.is_none() {
        has_size(chunk, size_bytes)?;
    }
    if size_bytes == 0 {
        return broken.map_or(Ok(upload.received_bytes), |why| Err(why.into()));
    }
    let name = draw_id()?;
    app.blobs.stage(received, &StagedPart { upload: id.to_owned(), name: name.clone() }).await?;
    app.faults.pass(FaultPoint::PartStaged);
    let part = Part { name, start_byte: upload.received_bytes, size_bytes };
    if !app.store.add_upload_part(id, &part, clock::now()).await? {
        // Somebody was faster, or the upload is over. The part's bytes go with the upload's folder.
        let now = self::upload(app, repository, id).await?;
        return Err(PushError::OutOfOrder { id: id.to_owned(), received: now.received_bytes });
    }
    app.faults.pass(FaultPoint::PartCounted);
    broken.map_or(Ok(upload.received_bytes + size_bytes), |why| Err(why.into()))
}

/// Ends an upload with its last bytes, if any: the blob is in the repository after this.
///
/// # Errors
/// [`PushError`]. An upload whose content has another digest is over.
pub async fn finish(
    app: &App,
    repository: &Repository,
    id: &str,
    wanted: &OciDigest,
    chunk: Option<Chunk>,
    body: impl Body,
) -> Result<(), PushError> {
    let upload = upload(app, repository, id).await?;
    in_order(&upload, chunk)?;
    let _place = app.uploads.try_acquire().map_err(|_| RequestError::Overloaded)?;
    let staged = |part: &Part| StagedPart { upload: id.to_owned(), name: part.name.clone() };
    let parts: Vec<StagedPart> = upload.parts.iter().map(staged).collect();
    let joined = app.blobs.join(&parts, BLOB_BYTES_MAX, wanted.algorithm(), body).await?;
    has_size(chunk, joined.size_bytes().saturating_sub(upload.received_bytes))?;
    match keep(app, repository, wanted, joined).await {
        Ok(()) => end(app, id).await,
        Err(wrong @ PushError::WrongDigest { .. }) => {
            end(app, id).await?;
            Err(wrong)
        }
        Err(other) => Err(other),
    }
}

/// Takes a whole blob in one request.
///
/// # Errors
/// [`PushError`].
pub async fn put_blob(
    app: &App,
    repository: &Repository,
    wanted: &OciDigest,
    body: impl Body,
) -> Result<(), PushError> {
    let _place = app.uploads.try_acquire().map_err(|_| RequestError::Overloaded)?;
    let received = app.blobs.receive_hashed(BLOB_BYTES_MAX, wanted.algorithm(), body).await?;
    keep(app, repository, wanted, received).await
}

/// Stores received bytes and gives them their name in the repository.
async fn keep(
    app: &App,
    repository: &Repository,
    wanted: &OciDigest,
    received: Received,
) -> Result<(), PushError> {
    let found = received.digest();
    if found != *wanted {
        return Err(PushError::WrongDigest {
            wanted: wanted.to_string(),
            found: found.to_string(),
        });
    }
    let content = received.content();
    let _kept = app.collecting.read().await;
    let size_bytes = app.blobs.keep(received, content).await?;
    app.faults.pass(FaultPoint::PushKept);
    let pushed_at = clock::now();
    let blob = NewBlob { repository, digest: wanted, content, size_bytes, pushed_at };
    let put = app.store.put_oci_blob(&blob).await;
    put.map_err(|conflict| refuse(repository, &wanted.to_string(), conflict))?;
    app.faults.pass(FaultPoint::PushNamed);
    app.metrics.uploaded(size_bytes);
    Ok(())
}

/// Takes an upload back, with everything that arrived.
///
/// # Errors
/// [`PushError::NoUpload`], or what the database or disk says.
pub async fn cancel(app: &App, repository: &Repository, id: &str) -> Result<(), PushError> {
    upload(app, repository, id).await?;
    end(app, id).await
}

/// Forgets an upload, then removes its parts: what is left when the server dies between the two is collected.
///
/// # Errors
/// What the database or the disk says.
pub async fn end(app: &App, id: &str) -> Result<(), PushError> {
    app.store.end_upload(id).await?;
    app.blobs.unstage(id).await?;
    Ok(())
}

/// A manifest as it was sent.
pub struct SentManifest<'a> {
    pub reference: &'a Reference,
    /// More tags, for one that is sent by digest.
    pub tags: &'a [Tag],
    pub content_type: Option<&'a str>,
    pub bytes: Bytes,
    /// Who pushes, for the record.
    pub by: &'a str,
}

/// A manifest that is in its repository now.
pub struct PutManifest {
    pub digest: OciDigest,
    pub subject: Option<OciDigest>,
    pub tags: Vec<Tag>,
}

/// Checks a manifest, stores it and sets its tags.
///
/// # Errors
/// [`PushError`].
pub async fn put_manifest(
    app: &App,
    repository: &Repository,
    sent: SentManifest<'_>,
) -> Result<PutManifest, PushError> {
    let (digest, tags) = match sent.reference {
        Reference::Tag(tag) => (OciDigest::of(Algorithm::Sha256, &sent.bytes), vec![tag.clone()]),
        Reference::Digest(wanted) => {
            let found = OciDigest::of(wanted.algorithm(), &sent.bytes);
            if found != *wanted {
                return Err(PushError::WrongDigest {
                    wanted: wanted.to_string(),
                    found: found.to_string(),
                });
            }
            (found, sent.tags.to_vec())
        }
    };
    let manifest = Manifest::read(sent.content_type, &sent.bytes)?;
    let size_bytes = sent.bytes.len() as u64;
    let whole = futures::stream::iter([Ok(sent.bytes)]);
    let received = app.blobs.receive(size_bytes, whole).await?;
    let content = received.content();
    let _kept = app.collecting.read().await;
    app.blobs.keep(received, content).await?;
    app.faults.pass(FaultPoint::ManifestKept);
    let new = NewManifest {
        blob: NewBlob { repository, digest: &digest, content, size_bytes, pushed_at: clock::now() },
        media_type: manifest.media_type,
        manifests: &manifest.manifests,
        blobs: &manifest.blobs,
        subject: manifest.subject.as_ref(),
        artifact_type: manifest.artifact_type.as_deref(),
        annotations: serde_json::json!(manifest.annotations).to_string(),
        tags: &tags,
        pushed_by: sent.by,
    };
    let put =
        app.store.put_oci_manifest(&new, || app.faults.pass(FaultPoint::ManifestWritten)).await;
    put.map_err(|conflict| match refuse(repository, &digest.to_string(), conflict) {
        PushError::Published { what } => PushError::Taken { what },
        other => other,
    })?;
    let moved = tags.iter().map(Tag::as_str);
    app.lookups.forget(Sort::Manifest, repository.as_str(), moved);
    app.faults.pass(FaultPoint::ManifestCommitted);
    tracing::info!(%repository, %digest, by = sent.by, "pushed manifest {digest} to {repository}");
    Ok(PutManifest { digest, subject: manifest.subject, tags })
}

/// Takes a tag away, or a manifest and every tag that names it.
///
/// # Errors
/// [`PushError`].
pub async fn delete_manifest(
    app: &App,
    repository: &Repository,
    reference: &Reference,
) -> Result<(), PushError> {
    let name = reference.to_string();
    let mut gone = match reference {
        Reference::Tag(tag) => app.store.delete_oci_tag(repository, tag).await.map(|()| Vec::new()),
        Reference::Digest(digest) => app.store.delete_oci_manifest(repository, digest).await,
    }
    .map_err(|conflict| refuse(repository, &name, conflict))?;
    gone.push(name);
    app.lookups.forget(Sort::Manifest, repository.as_str(), gone.iter().map(String::as_str));
    Ok(())
}

/// Takes a blob away that no manifest of the repository names.
///
/// # Errors
/// [`PushError`].
pub async fn delete_blob(
    app: &App,
    repository: &Repository,
    digest: &OciDigest,
) -> Result<(), PushError> {
    let name = digest.to_string();
    let deleted = app.store.delete_oci_blob(repository, digest).await;
    deleted.map_err(|conflict| refuse(repository, &name, conflict))?;
    app.lookups.forget(Sort::Blob, repository.as_str(), [name.as_str()]);
    Ok(())
}
