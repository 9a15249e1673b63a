//! What is said about a version: list, and add.

use super::extract::{ApiJson, ApiPath, name, package};
use crate::app::App;
use crate::attest;
use crate::auth::Publisher;
use crate::error::ApiError;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use skep_api::reason::ErrorBody;
use skep_api::v1::attestations::{AddAttestation, Attestation, AttestationList};
use skep_artifact::name::Version;

/// Everything that is attested about a version
#[utoipa::path(get, path = "/v1/packages/{namespace}/{name}/{version}/attestations",
    tag = "packages", security(()),
    params(("namespace" = String, Path), ("name" = String, Path), ("version" = String, Path)),
    responses((status = 200, body = AttestationList), (status = 404, body = ErrorBody)))]
pub async fn list(
    State(app): State<App>,
    ApiPath((namespace, short, version)): ApiPath<(String, String, String)>,
) -> Result<Json<AttestationList>, ApiError> {
    let package = package(&namespace, &short)?;
    let version: Version = name("Version", &version)?;
    let attestations = app.store.attestations(&package, &version).await?;
    if attestations.is_empty() && app.store.version(&package, &version).await?.is_none() {
        return Err(ApiError::not_found(format!("{package} {version}")));
    }
    Ok(Json(AttestationList { attestations }))
}

/// Attest something about a version
///
/// A DSSE envelope must hold an in-toto statement about the version's index. It becomes an OCI referrer of the index.
#[utoipa::path(post, path = "/v1/packages/{namespace}/{name}/{version}/attestations",
    tag = "packages", security(("token" = [])), request_body = AddAttestation,
    params(("namespace" = String, Path), ("name" = String, Path), ("version" = String, Path)),
    responses((status = 201, body = Attestation), (status = 400, body = ErrorBody),
        (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody), (status = 409, body = ErrorBody),
        (status = 413, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub async fn add(
    State(app): State<App>,
    publisher: Publisher,
    ApiPath((namespace, short, version)): ApiPath<(String, String, String)>,
    ApiJson(request): ApiJson<AddAttestation>,
) -> Result<(StatusCode, Json<Attestation>), ApiError> {
    let package = package(&namespace, &short)?;
    let version: Version = name("Version", &version)?;
    let by = publisher.into_namespace(package.namespace())?.by;
    let added = attest::attest(&app, package, version, &request, by).await?;
    Ok((StatusCode::CREATED, Json(added)))
}
