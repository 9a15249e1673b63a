//! The transparency log over HTTP: what C2SP tlog-tiles fixes below `/log`, and proofs below `/v1/log`.

use super::extract::{ApiJson, ApiPath, ApiQuery, name, package};
use crate::app::App;
use crate::auth::FleetReader;
use crate::error::ApiError;
use crate::log::tile_at;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use skep_api::reason::ErrorBody;
use skep_api::v1::log::{
    CheckpointAnswer, CheckpointQuery, Cosigned, LogAlarms, LogDescription, LogProof,
};
use skep_artifact::name::Version;

/// Tiles never change: a cache may keep them for ever.
const FOR_EVER: &str = "public, max-age=31536000, immutable";

/// The newest checkpoint, a signed note
#[utoipa::path(get, path = "/log/checkpoint", tag = "log", security(()),
    responses((status = 200, content_type = "text/plain", body = String)))]
pub async fn checkpoint(State(app): State<App>) -> Result<Response, ApiError> {
    let note = app.log.checkpoint().await?;
    let headers =
        [(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::CACHE_CONTROL, "no-cache")];
    Ok((headers, note).into_response())
}

/// A tile of hashes or entries, as C2SP tlog-tiles names it
#[utoipa::path(get, path = "/log/tile/{level}/{*path}", tag = "log", security(()),
    params(("level" = String, Path, description = "0 to 63, or `entries`"),
        ("path" = String, Path, description = "like x001/x234/067.p/12")),
    responses((status = 200, content_type = "application/octet-stream", body = Vec<u8>),
        (status = 404, body = ErrorBody)))]
pub async fn tile(
    State(app): State<App>,
    Path((level, path)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let missing = || ApiError::not_found("This tile");
    let tile = tile_at(&format!("{level}/{path}")).ok_or_else(missing)?;
    let bytes = app.log.tile(tile).await?.ok_or_else(missing)?;
    let headers =
        [(header::CONTENT_TYPE, "application/octet-stream"), (header::CACHE_CONTROL, FOR_EVER)];
    Ok((headers, bytes).into_response())
}

/// Which log this registry keeps
#[utoipa::path(get, path = "/v1/log", tag = "log", security(()),
    responses((status = 200, body = LogDescription)))]
pub async fn describe(State(app): State<App>) -> Result<Json<LogDescription>, ApiError> {
    Ok(Json(app.log.describe().await?))
}

/// A checkpoint with the proof that it continues an earlier one
#[utoipa::path(get, path = "/v1/log/checkpoint", tag = "log", security(()),
    params(CheckpointQuery),
    responses((status = 200, body = CheckpointAnswer), (status = 404, body = ErrorBody)))]
pub async fn since(
    State(app): State<App>,
    ApiQuery(CheckpointQuery { from, witnesses }): ApiQuery<CheckpointQuery>,
) -> Result<Json<CheckpointAnswer>, ApiError> {
    Ok(Json(app.log.since(from, witnesses).await?))
}

/// An entry with the proof that it is in the log
#[utoipa::path(get, path = "/v1/log/entries/{index}", tag = "log", security(()),
    params(("index" = u64, Path), CheckpointQuery),
    responses((status = 200, body = LogProof), (status = 404, body = ErrorBody)))]
pub async fn proof(
    State(app): State<App>,
    ApiPath(index): ApiPath<u64>,
    ApiQuery(CheckpointQuery { from, witnesses }): ApiQuery<CheckpointQuery>,
) -> Result<Json<LogProof>, ApiError> {
    Ok(Json(app.log.proof(index, from, witnesses).await?))
}

/// The proof that a version's publication is in the log
#[utoipa::path(get, path = "/v1/packages/{namespace}/{name}/{version}/log", tag = "log",
    security(()),
    params(("namespace" = String, Path), ("name" = String, Path), ("version" = String, Path),
        CheckpointQuery),
    responses((status = 200, body = LogProof), (status = 404, body = ErrorBody)))]
pub async fn proof_of_version(
    State(app): State<App>,
    ApiPath((namespace, short, version)): ApiPath<(String, String, String)>,
    ApiQuery(CheckpointQuery { from, witnesses }): ApiQuery<CheckpointQuery>,
) -> Result<Json<LogProof>, ApiError> {
    let package = package(&namespace, &short)?;
    let version: Version = name("Version", &version)?;
    let found = app.log.proof_of(&package, &version, from, witnesses).await?;
    found.map(Json).ok_or_else(|| ApiError::not_found(format!("{package} {version}")))
}

/// Hand in a checkpoint that a witness cosigned
///
/// The signature is the credential: only cosignatures of the witnesses this registry was set up with are kept.
#[utoipa::path(post, path = "/v1/log/cosignatures", tag = "log", security(()),
    request_body = Cosigned,
    responses((status = 204), (status = 409, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub async fn cosign(
    State(app): State<App>,
    ApiJson(cosigned): ApiJson<Cosigned>,
) -> Result<StatusCode, ApiError> {
    app.log.cosigned(&cosigned.checkpoint).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Nodes whose view of the log is not this registry's
#[utoipa::path(get, path = "/v1/log/alarms", tag = "log", security(("token" = [])),
    responses((status = 200, body = LogAlarms), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody)))]
pub async fn alarms(
    State(app): State<App>,
    _reader: FleetReader,
) -> Result<Json<LogAlarms>, ApiError> {
    Ok(Json(LogAlarms { alarms: app.log.alarms().await? }))
}
