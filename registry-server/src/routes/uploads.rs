//! Uploading a blob in pieces, so that one that broke off goes on where it stopped.

use super::extract::{ApiPath, name};
use crate::app::App;
use crate::auth::Publisher;
use crate::blob::BlobError;
use crate::clock;
use crate::error::{ApiError, RequestError};
use crate::faults::FaultPoint;
use crate::partial::PartialKey;
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use futures::TryStreamExt as _;
use skep_api::reason::ErrorBody;
use skep_api::v1::uploads::{UPLOAD_LENGTH, UPLOAD_OFFSET, UploadState};
use skep_artifact::digest::Digest;
use skep_artifact::limits::PACKAGE_BYTES_MAX;
use tokio_util::io::ReaderStream;

/// Bytes of a whole upload: one blob cannot be larger than a package.
const LIMIT: u64 = PACKAGE_BYTES_MAX as u64;

/// How far an upload is
///
/// Uploads belong to the token that began them. What nobody went on with for a day is removed.
#[utoipa::path(get, path = "/v1/uploads/{digest}", tag = "packages", operation_id = "upload_state",
    params(("digest" = String, Path, description = "sha256:…")), security(("token" = [])),
    responses((status = 200, body = UploadState), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 404, body = ErrorBody)))]
pub async fn state(
    State(app): State<App>,
    publisher: Publisher,
    ApiPath(digest): ApiPath<String>,
) -> Result<Json<UploadState>, ApiError> {
    let digest: Digest = name("Upload", &digest)?;
    if app.store.knows_blob(&digest).await? && app.blobs.has(&digest).await? {
        return Ok(Json(UploadState { offset: 0, complete: true }));
    }
    let key = PartialKey { token: publisher.credential().to_owned(), digest };
    let offset = app.partials.offset(&key).await?;
    Ok(Json(UploadState { offset, complete: false }))
}

/// Send a piece of a blob
///
/// `upload-offset` says where its first byte belongs, which must be where the upload stopped;
/// `upload-length` says how many bytes the blob has. When all are here they are compared with the
/// digest and stored. What arrived before a connection broke is kept.
#[utoipa::path(patch, path = "/v1/uploads/{digest}", tag = "packages", operation_id = "upload_piece",
    params(("digest" = String, Path, description = "sha256:…"),
        ("upload-offset" = u64, Header), ("upload-length" = u64, Header)),
    security(("token" = [])),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 200, body = UploadState), (status = 201, body = UploadState),
        (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 408, body = ErrorBody),
        (status = 409, body = ErrorBody), (status = 413, body = ErrorBody),
        (status = 429, body = ErrorBody), (status = 507, body = ErrorBody)))]
pub async fn piece(
    State(app): State<App>,
    publisher: Publisher,
    ApiPath(digest): ApiPath<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<UploadState>), ApiError> {
    let digest: Digest = digest
        .parse()
        .map_err(|e| ApiError::malformed(format!("The address does not end in a digest: {e}.")))?;
    let (offset, of) = (number(&headers, UPLOAD_OFFSET)?, number(&headers, UPLOAD_LENGTH)?);
    if of == 0 || of > LIMIT {
        return Err(RequestError::TooLarge.into());
    }
    let _place = app.uploads.try_acquire().map_err(|_| RequestError::Overloaded)?;
    let key = PartialKey { token: publisher.credential().to_owned(), digest };
    let offset = app.partials.append(&key, offset, of, body.into_data_stream()).await?;
    app.faults.pass(FaultPoint::PieceAdded);
    if offset < of {
        return Ok((StatusCode::OK, Json(UploadState { offset, complete: false })));
    }
    complete(&app, &key).await?;
    Ok((StatusCode::CREATED, Json(UploadState { offset, complete: true })))
}

/// Everything is here: it becomes a blob, or it was not what its digest said and goes.
async fn complete(app: &App, key: &PartialKey) -> Result<(), ApiError> {
    let file = app.partials.read(key).await?;
    let mut whole = ReaderStream::new(file).map_err(axum::Error::new);
    let received = app.blobs.receive(LIMIT, &mut whole).await?;
    let _kept = app.collecting.read().await;
    let stored = app.blobs.keep(received, key.digest).await;
    if stored.is_ok() || matches!(stored, Err(BlobError::WrongDigest { .. })) {
        app.partials.remove(key).await?;
    }
    let bytes = stored?;
    app.store.note_blob(&key.digest, bytes, clock::now()).await?;
    app.faults.pass(FaultPoint::BlobStored);
    app.metrics.uploaded(bytes);
    Ok(())
}

fn number(headers: &HeaderMap, header: &'static str) -> Result<u64, ApiError> {
    let value = headers.get(header).and_then(|value| value.to_str().ok()?.parse().ok());
    value.ok_or_else(|| ApiError::malformed(format!("The header {header} says a number of bytes.")))
}
