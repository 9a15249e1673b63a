//! What a namespace holds and may hold.

use super::extract::{ApiJson, ApiPath, name};
use super::members::owner;
use crate::admit::Peer;
use crate::app::App;
use crate::audit::{Event, record};
use crate::auth::{Admin, AuthError, Known};
use crate::clock;
use crate::error::ApiError;
use axum::Json;
use axum::extract::State;
use skep_api::reason::ErrorBody;
use skep_api::v1::audit::action;
use skep_api::v1::tokens::Scope;
use skep_api::v1::webhooks::{Quota, QuotaUse};
use skep_artifact::name::Namespace;

/// What a namespace holds and may hold; for its members
#[utoipa::path(get, path = "/v1/namespaces/{namespace}/quota", tag = "namespaces",
    params(("namespace" = String, Path)), security(("token" = [])),
    responses((status = 200, body = QuotaUse), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody)))]
pub async fn show(
    State(app): State<App>,
    Known(caller): Known,
    ApiPath(namespace): ApiPath<String>,
) -> Result<Json<QuotaUse>, ApiError> {
    let namespace: Namespace = name("Namespace", &namespace)?;
    if caller.role_in(&namespace).is_none() && !caller.may(Scope::Admin) {
        return Err(AuthError::NotOwner { namespace }.into());
    }
    Ok(Json(app.store.quota(&namespace, clock::now()).await?))
}

/// Change what a namespace may hold; what is left out goes back to the default
#[utoipa::path(put, path = "/v1/namespaces/{namespace}/quota", tag = "namespaces",
    params(("namespace" = String, Path)), request_body = Quota, security(("token" = [])),
    responses((status = 200, body = QuotaUse), (status = 400, body = ErrorBody),
        (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody)))]
pub async fn change(
    State(app): State<App>,
    Admin(caller): Admin,
    peer: Peer,
    ApiPath(namespace): ApiPath<String>,
    ApiJson(quota): ApiJson<Quota>,
) -> Result<Json<QuotaUse>, ApiError> {
    let owner = owner(&app, Known(caller), &namespace).await?;
    let numbers = [quota.packages, quota.versions_per_day, quota.bytes];
    if numbers.into_iter().flatten().any(|number| i64::try_from(number).is_err()) {
        return Err(ApiError::malformed("A quota has at most 63 bits."));
    }
    app.store.put_quota(&owner.namespace, quota).await?;
    let event = Event::new(&owner.caller.name, action::QUOTA_CHANGED, owner.namespace.as_str());
    record(&app, peer, event.within(owner.namespace.as_str()).detail(format!("{quota:?}"))).await;
    Ok(Json(app.store.quota(&owner.namespace, clock::now()).await?))
}
