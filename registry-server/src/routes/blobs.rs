//! Uploading blobs before they are published.

use super::extract::{ApiPath, name};
use crate::app::App;
use crate::auth::Publisher;
use crate::clock;
use crate::error::{ApiError, RequestError};
use crate::faults::FaultPoint;
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use skep_api::reason::ErrorBody;
use skep_artifact::digest::Digest;
use skep_artifact::limits::PACKAGE_BYTES_MAX;

/// Whether a blob is stored
#[utoipa::path(head, path = "/v1/blobs/{digest}", tag = "packages",
    params(("digest" = String, Path, description = "sha256:…")), security(("token" = [])),
    responses((status = 200), (status = 401), (status = 404)))]
pub async fn exists(
    State(app): State<App>,
    _publisher: Publisher,
    ApiPath(digest): ApiPath<String>,
) -> Result<StatusCode, ApiError> {
    let digest: Digest = name("Blob", &digest)?;
    let known = app.store.knows_blob(&digest).await? && app.blobs.has(&digest).await?;
    if !known {
        return Err(ApiError::not_found(format!("Blob {digest}")));
    }
    Ok(StatusCode::OK)
}

/// Upload a blob
///
/// The body is hashed while it arrives and refused when it has another digest. An uploaded blob
/// that no version names is removed after a day.
#[utoipa::path(put, path = "/v1/blobs/{digest}", tag = "packages",
    params(("digest" = String, Path, description = "sha256:…")), security(("token" = [])),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 201), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 408, body = ErrorBody), (status = 413, body = ErrorBody), (status = 507, body = ErrorBody)))]
pub async fn put(
    State(app): State<App>,
    _publisher: Publisher,
    ApiPath(digest): ApiPath<String>,
    body: Body,
) -> Result<StatusCode, ApiError> {
    let digest: Digest = digest
        .parse()
        .map_err(|e| ApiError::malformed(format!("The address does not end in a digest: {e}.")))?;
    let _place = app.uploads.try_acquire().map_err(|_| RequestError::Overloaded)?;
    let limit = PACKAGE_BYTES_MAX as u64;
    let received = app.blobs.receive(limit, body.into_data_stream()).await?;
    let _kept = app.collecting.read().await;
    let bytes = app.blobs.keep(received, digest).await?;
    app.store.note_blob(&digest, bytes, clock::now()).await?;
    app.faults.pass(FaultPoint::BlobStored);
    app.metrics.uploaded(bytes);
    Ok(StatusCode::CREATED)
}
