//! The TUF repository as files for any TUF client, and what its keepers hand in.

use super::extract::{ApiPath, name, package};
use crate::app::App;
use crate::auth::{Admin, Publisher};
use crate::error::ApiError;
use crate::tuf;
use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use skep_api::reason::ErrorBody;
use skep_api::v1::trust::{DelegatedInfo, DocumentInfo, DocumentReceipt, OnlineInfo, TrustInfo};
use skep_artifact::digest::Digest;
use skep_artifact::limits::MANIFEST_JSON_BYTES_MAX;
use skep_artifact::name::{Namespace, Version};
use skep_trust::tuf::{Document, OnlineKeys, SELF_SERVICE};
use std::collections::BTreeMap;

/// A metadata file: `timestamp.json`, or `VERSION.ROLE.json`
///
/// 404 before a ceremony: a registry without a root has no repository.
#[utoipa::path(get, path = "/tuf/{file}", tag = "trust", security(()),
    params(("file" = String, Path)),
    responses((status = 200, content_type = "application/json", body = Object),
        (status = 404, body = ErrorBody)))]
pub async fn metadata(
    State(app): State<App>,
    ApiPath(file): ApiPath<String>,
) -> Result<Response, ApiError> {
    let missing = || ApiError::not_found("This trust document");
    let stem = file.strip_suffix(".json").ok_or_else(missing)?;
    // What never changes under its name may be kept for ever.
    let (role, version, keep) = match stem.split_once('.') {
        None => (stem, None, "no-cache"),
        Some((number, role)) => {
            let version = number.parse().ok().filter(|v: &u64| v.to_string() == number);
            (role, Some(version.ok_or_else(missing)?), "public, max-age=31536000, immutable")
        }
    };
    let bytes = app.store.tuf_file(role, version).await?.ok_or_else(missing)?;
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, keep)];
    Ok((headers, bytes).into_response())
}

/// A target under the name consistent snapshots give it: `NAMESPACE/NAME/SHA256.VERSION` is the version's OCI index
#[utoipa::path(get, path = "/tuf/targets/{namespace}/{name}/{file}", tag = "trust", security(()),
    params(("namespace" = String, Path), ("name" = String, Path), ("file" = String, Path)),
    responses((status = 200), (status = 404, body = ErrorBody)))]
pub async fn target(
    State(app): State<App>,
    ApiPath((namespace, short, file)): ApiPath<(String, String, String)>,
) -> Result<Response, ApiError> {
    let missing = || ApiError::not_found("This target");
    let package = package(&namespace, &short)?;
    let (hash, version) = file.split_once('.').ok_or_else(missing)?;
    let version: Version = name("Version", version)?;
    let digest: Digest = format!("sha256:{hash}").parse().map_err(|_| missing())?;
    let found = app.store.version(&package, &version).await?.ok_or_else(missing)?;
    if found.summary.index != digest {
        return Err(missing());
    }
    let blobs = app.blobs.clone();
    let reading = tokio::task::spawn_blocking(move || {
        blobs.read_blocking(&digest, MANIFEST_JSON_BYTES_MAX as u64)
    });
    let bytes = reading.await.map_err(|_| missing())??;
    let kind = [(header::CONTENT_TYPE, "application/vnd.oci.image.index.v1+json")];
    Ok((kind, bytes).into_response())
}

/// What the trust documents are, and the keys of the server
#[utoipa::path(get, path = "/v1/trust", tag = "trust", security(()),
    responses((status = 200, body = TrustInfo)))]
pub async fn show(State(app): State<App>) -> Result<Json<TrustInfo>, ApiError> {
    let newest = app.store.tuf_newest().await?;
    let newest: BTreeMap<_, _> = newest.into_iter().map(|row| (row.role.clone(), row)).collect();
    let info = |role: &str| {
        let row = newest.get(role)?;
        Some(DocumentInfo { version: row.version, expires_at: row.expires_at })
    };
    let OnlineKeys { snapshot, timestamp, selfservice } = app.tuf.newest_keys();
    Ok(Json(TrustInfo {
        online: OnlineInfo { snapshot, timestamp, selfservice },
        root: info("root"),
        targets: info("targets"),
        snapshot: info("snapshot"),
        timestamp: info("timestamp"),
        delegated: delegated(&app).await?,
        self_service: self_service(&app).await?,
    }))
}

async fn delegated(app: &App) -> Result<Vec<DelegatedInfo>, ApiError> {
    let Some(bytes) = app.store.tuf_file("targets", None).await? else { return Ok(Vec::new()) };
    let Some(names) = role_names(&bytes) else { return Ok(Vec::new()) };
    let all = app.store.signed_namespaces().await?;
    let named = all.into_iter().filter(|signed| names.contains(&signed.namespace));
    let delegated = named.map(|signed| DelegatedInfo {
        namespace: signed.namespace,
        keys: signed.keys,
        threshold: signed.threshold,
    });
    Ok(delegated.collect())
}

async fn self_service(app: &App) -> Result<Vec<Namespace>, ApiError> {
    let bytes = app.store.tuf_file(SELF_SERVICE, None).await?;
    Ok(bytes.and_then(|bytes| role_names(&bytes)).unwrap_or_default())
}

/// The namespaces a document of ours delegates.
fn role_names(bytes: &[u8]) -> Option<Vec<Namespace>> {
    let document = Document::parse(bytes).ok()?;
    let roles = document.signed()["delegations"]["roles"].as_array()?;
    let names = roles.iter().filter_map(|role| role["name"].as_str());
    Some(names.filter(|n| *n != SELF_SERVICE).filter_map(|n| n.parse().ok()).collect())
}

/// Hand in a root: the first of a ceremony, or one signed by those who signed the one before
#[utoipa::path(post, path = "/v1/trust/root", tag = "trust", request_body = Object,
    security(("token" = [])),
    responses((status = 201, body = DocumentReceipt), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 409, body = ErrorBody),
        (status = 422, body = ErrorBody)))]
pub async fn put_root(
    State(app): State<App>,
    _admin: Admin,
    body: Bytes,
) -> Result<(StatusCode, Json<DocumentReceipt>), ApiError> {
    let version = tuf::take_root(&app, body.to_vec()).await?;
    Ok((StatusCode::CREATED, Json(DocumentReceipt { role: "root".to_owned(), version })))
}

/// Hand in the offline targets role: which namespaces belong to which keys
#[utoipa::path(post, path = "/v1/trust/targets", tag = "trust", request_body = Object,
    security(("token" = [])),
    responses((status = 201, body = DocumentReceipt), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 409, body = ErrorBody),
        (status = 422, body = ErrorBody)))]
pub async fn put_targets(
    State(app): State<App>,
    _admin: Admin,
    body: Bytes,
) -> Result<(StatusCode, Json<DocumentReceipt>), ApiError> {
    let version = tuf::take_targets(&app, body.to_vec()).await?;
    Ok((StatusCode::CREATED, Json(DocumentReceipt { role: "targets".to_owned(), version })))
}

/// Hand in a namespace's role file that lists the same versions, signed anew
#[utoipa::path(post, path = "/v1/namespaces/{namespace}/role", tag = "namespaces",
    params(("namespace" = String, Path)), request_body = Object, security(("token" = [])),
    responses((status = 201, body = DocumentReceipt), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 404, body = ErrorBody),
        (status = 409, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub async fn put_role(
    State(app): State<App>,
    publisher: Publisher,
    ApiPath(namespace): ApiPath<String>,
    body: Bytes,
) -> Result<(StatusCode, Json<DocumentReceipt>), ApiError> {
    let namespace: Namespace = name("Namespace", &namespace)?;
    publisher.into_namespace(&namespace)?;
    let version = tuf::take_role(&app, &namespace, body.to_vec()).await?;
    Ok((StatusCode::CREATED, Json(DocumentReceipt { role: namespace.to_string(), version })))
}
