//! The registry's own signature of an index, as cosign and other tools read it.

use super::extract::{ApiPath, name, package};
use crate::app::App;
use crate::cosign;
use crate::error::ApiError;
use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use skep_api::reason::ErrorBody;
use skep_api::v1::attestations::CosignSignature;
use skep_artifact::name::Version;

/// The registry's public ECDSA key (PEM)
#[utoipa::path(get, path = "/v1/cosign.pub", tag = "packages", security(()),
    responses((status = 200, content_type = "application/x-pem-file", body = String)))]
pub async fn public_key(State(app): State<App>) -> Result<Response, ApiError> {
    let kind = [(header::CONTENT_TYPE, "application/x-pem-file")];
    Ok((kind, app.cosign.public_pem()?).into_response())
}

/// A version's index, signed by the registry's ECDSA key as cosign does
///
/// It says that this registry serves these bytes, not who made them. It is an OCI referrer of the index from then on.
#[utoipa::path(get, path = "/v1/packages/{namespace}/{name}/{version}/cosign", tag = "packages",
    security(()),
    params(("namespace" = String, Path), ("name" = String, Path), ("version" = String, Path)),
    responses((status = 200, body = CosignSignature), (status = 404, body = ErrorBody)))]
pub async fn signature(
    State(app): State<App>,
    ApiPath((namespace, short, version)): ApiPath<(String, String, String)>,
) -> Result<Json<CosignSignature>, ApiError> {
    let package = package(&namespace, &short)?;
    let version: Version = name("Version", &version)?;
    Ok(Json(cosign::signature(&app, package, version).await?))
}
