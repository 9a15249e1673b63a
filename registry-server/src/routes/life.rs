//! What becomes of a package after it was published. Refuses to know what that changes.

use super::extract::{ApiJson, ApiPath, name, package};
use crate::app::App;
use crate::auth::{Known, Publisher};
use crate::error::ApiError;
use crate::life::{self, Wish};
use axum::Json;
use axum::extract::State;
use skep_api::reason::ErrorBody;
use skep_api::v1::life::{
    Deprecation, LIFE_EVENTS_MAX, LifeAction, LifeHistory, LifeReceipt, Reason,
};
use skep_artifact::name::Version;

type Answer = Result<Json<LifeReceipt>, ApiError>;
type OfVersion = ApiPath<(String, String, String)>;
type OfPackage = ApiPath<(String, String)>;

fn of_package(
    action: LifeAction,
    ApiPath((namespace, short)): &OfPackage,
) -> Result<Wish, ApiError> {
    let package = package(namespace, short)?;
    Ok(Wish { action, package, version: None, message: String::new(), replacement: None })
}

fn of_version(action: LifeAction, path: &OfVersion) -> Result<Wish, ApiError> {
    let ApiPath((namespace, short, version)) = path;
    let version: Version = name("Version", version)?;
    let wish = of_package(action, &ApiPath((namespace.clone(), short.clone())))?;
    Ok(Wish { version: Some(version), ..wish })
}

async fn change(app: &App, publisher: Publisher, wish: Wish) -> Answer {
    let publisher = publisher.into_namespace(wish.package.namespace())?;
    Ok(Json(life::change(app, publisher, wish).await?))
}

/// Stop new uses of a version
///
/// Resolving passes it over; where it runs it runs on, and its exact version can still be pulled.
#[utoipa::path(put, path = "/v1/packages/{namespace}/{name}/{version}/yank", tag = "packages",
    params(("namespace" = String, Path), ("name" = String, Path), ("version" = String, Path)),
    request_body = Reason, security(("token" = [])),
    responses((status = 200, body = LifeReceipt), (status = 400, body = ErrorBody),
        (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody), (status = 410, body = ErrorBody)))]
pub async fn yank(
    State(app): State<App>,
    publisher: Publisher,
    path: OfVersion,
    ApiJson(Reason { message }): ApiJson<Reason>,
) -> Answer {
    let wish = Wish { message, ..of_version(LifeAction::Yank, &path)? };
    change(&app, publisher, wish).await
}

/// Let a yanked version be picked again
#[utoipa::path(delete, path = "/v1/packages/{namespace}/{name}/{version}/yank", tag = "packages",
    params(("namespace" = String, Path), ("name" = String, Path), ("version" = String, Path)),
    security(("token" = [])),
    responses((status = 200, body = LifeReceipt), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 404, body = ErrorBody),
        (status = 410, body = ErrorBody)))]
pub async fn unyank(State(app): State<App>, publisher: Publisher, path: OfVersion) -> Answer {
    change(&app, publisher, of_version(LifeAction::Unyank, &path)?).await
}

/// Warn whoever picks a version
#[utoipa::path(put, path = "/v1/packages/{namespace}/{name}/{version}/deprecation",
    tag = "packages", operation_id = "deprecate_version",
    params(("namespace" = String, Path), ("name" = String, Path), ("version" = String, Path)),
    request_body = Deprecation, security(("token" = [])),
    responses((status = 200, body = LifeReceipt), (status = 400, body = ErrorBody),
        (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody), (status = 410, body = ErrorBody)))]
pub async fn deprecate_version(
    State(app): State<App>,
    publisher: Publisher,
    path: OfVersion,
    ApiJson(Deprecation { message, replacement }): ApiJson<Deprecation>,
) -> Answer {
    let wish = of_version(LifeAction::Deprecate, &path)?;
    change(&app, publisher, Wish { message, replacement, ..wish }).await
}

/// Take the warning about a version back
#[utoipa::path(delete, path = "/v1/packages/{namespace}/{name}/{version}/deprecation",
    tag = "packages", operation_id = "undeprecate_version",
    params(("namespace" = String, Path), ("name" = String, Path), ("version" = String, Path)),
    security(("token" = [])),
    responses((status = 200, body = LifeReceipt), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 404, body = ErrorBody),
        (status = 410, body = ErrorBody)))]
pub async fn undeprecate_version(
    State(app): State<App>,
    publisher: Publisher,
    path: OfVersion,
) -> Answer {
    change(&app, publisher, of_version(LifeAction::Undeprecate, &path)?).await
}

/// Warn whoever picks a package
#[utoipa::path(put, path = "/v1/packages/{namespace}/{name}/deprecation", tag = "packages",
    params(("namespace" = String, Path), ("name" = String, Path)),
    request_body = Deprecation, security(("token" = [])),
    responses((status = 200, body = LifeReceipt), (status = 400, body = ErrorBody),
        (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody), (status = 410, body = ErrorBody)))]
pub async fn deprecate(
    State(app): State<App>,
    publisher: Publisher,
    path: OfPackage,
    ApiJson(Deprecation { message, replacement }): ApiJson<Deprecation>,
) -> Answer {
    let wish = of_package(LifeAction::Deprecate, &path)?;
    change(&app, publisher, Wish { message, replacement, ..wish }).await
}

/// Take the warning about a package back
#[utoipa::path(delete, path = "/v1/packages/{namespace}/{name}/deprecation", tag = "packages",
    params(("namespace" = String, Path), ("name" = String, Path)), security(("token" = [])),
    responses((status = 200, body = LifeReceipt), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 404, body = ErrorBody),
        (status = 410, body = ErrorBody)))]
pub async fn undeprecate(State(app): State<App>, publisher: Publisher, path: OfPackage) -> Answer {
    change(&app, publisher, of_package(LifeAction::Undeprecate, &path)?).await
}

/// Delete a package for good
///
/// Its name can never be used again. Nodes go on getting its versions by digest. Only an owner of the namespace may:
/// a token that publishes, which a build machine holds, is not enough.
#[utoipa::path(put, path = "/v1/packages/{namespace}/{name}/tombstone", tag = "packages",
    params(("namespace" = String, Path), ("name" = String, Path)),
    request_body = Reason, security(("token" = [])),
    responses((status = 200, body = LifeReceipt), (status = 400, body = ErrorBody),
        (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody)))]
pub async fn tombstone(
    State(app): State<App>,
    caller: Known,
    path: OfPackage,
    ApiJson(Reason { message }): ApiJson<Reason>,
) -> Answer {
    let wish = Wish { message, ..of_package(LifeAction::Tombstone, &path)? };
    let owner = caller.into_owner(wish.package.namespace().clone())?;
    Ok(Json(life::change(&app, owner.into(), wish).await?))
}

/// What was done to a package, newest first
#[utoipa::path(get, path = "/v1/packages/{namespace}/{name}/history", tag = "packages",
    params(("namespace" = String, Path), ("name" = String, Path)), security(()),
    responses((status = 200, body = LifeHistory), (status = 404, body = ErrorBody)))]
pub async fn history(
    State(app): State<App>,
    ApiPath((namespace, short)): OfPackage,
) -> Result<Json<LifeHistory>, ApiError> {
    let name = package(&namespace, &short)?;
    let events = app.store.life_events(&name, LIFE_EVENTS_MAX).await?;
    let events = events.ok_or_else(|| ApiError::not_found(format!("Package {name}")))?;
    Ok(Json(LifeHistory { name, events }))
}
