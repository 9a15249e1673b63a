//! Namespaces: claiming, listing, and the newest role file.

use super::extract::{ApiJson, ApiPath, name};
use crate::admit::Peer;
use crate::app::App;
use crate::audit::{Event, record};
use crate::auth::Known;
use crate::auth::caller::Caller;
use crate::clock;
use crate::error::{ApiError, RequestError};
use crate::people::names::skeleton;
use crate::people::refusal::PeopleError;
use crate::store::namespaces::{ClaimConflict, Claimant, Looks};
use crate::tuf;
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use skep_api::reason::ErrorBody;
use skep_api::v1::accounts::MemberRole;
use skep_api::v1::audit::action;
use skep_api::v1::namespaces::{ClaimNamespace, NamespaceInfo};
use skep_api::v1::tokens::Scope;
use skep_artifact::digest::Digest;
use skep_artifact::limits::SIGNATURES_MAX;
use skep_artifact::name::Namespace;
use skep_trust::tuf::is_reserved;
use std::collections::HashSet;

/// Namespaces one account may own without an admin's help: a vendor with its products, and too few
/// to hoard words.
const OWNED_MAX: usize = 20;

/// Every namespace.
#[derive(Serialize, utoipa::ToSchema)]
pub struct NamespaceList {
    pub namespaces: Vec<NamespaceInfo>,
}

/// List namespaces
#[utoipa::path(get, path = "/v1/namespaces", tag = "namespaces", security(()),
    responses((status = 200, body = NamespaceList)))]
pub async fn list(State(app): State<App>) -> Result<Json<NamespaceList>, ApiError> {
    Ok(Json(NamespaceList { namespaces: app.store.namespaces().await? }))
}

/// Claim a namespace for its publisher's keys; who claims it owns it
#[utoipa::path(post, path = "/v1/namespaces", tag = "namespaces", request_body = ClaimNamespace,
    security(("token" = [])),
    responses((status = 201, body = NamespaceInfo), (status = 400, body = ErrorBody),
        (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 409, body = ErrorBody)))]
pub async fn claim(
    State(app): State<App>,
    Known(caller): Known,
    peer: Peer,
    ApiJson(claim): ApiJson<ClaimNamespace>,
) -> Result<(StatusCode, Json<NamespaceInfo>), ApiError> {
    let keys = claim.keys.len();
    let distinct = claim.keys.iter().collect::<HashSet<_>>().len();
    if keys == 0 || keys > SIGNATURES_MAX || distinct != keys {
        return Err(ApiError::malformed(format!(
            "A namespace has 1 to {SIGNATURES_MAX} keys, each of them once."
        )));
    }
    if claim.threshold == 0 || claim.threshold as usize > keys {
        return Err(ApiError::malformed(format!("The threshold is 1 to {keys} for {keys} keys.")));
    }
    if is_reserved(&claim.name) {
        return Err(ApiError::malformed(format!(
            "No namespace may be called {}: the trust documents have a role of that name.",
            claim.name
        )));
    }
    let caller = claimant(caller)?;
    let skeleton = skeleton(claim.name.as_str());
    let looks = if caller.may(Scope::Admin) { Looks::MayBeTaken } else { Looks::MustBeNew };
    let owner = caller.account.as_ref().map(|account| account.id.as_str());
    let by = Claimant { owner, skeleton: &skeleton, looks };
    let claimed = app.store.claim_namespace(&claim, by, clock::now()).await;
    let name = claim.name.to_string();
    claimed.map_err(|conflict| -> ApiError {
        match conflict {
            ClaimConflict::Exists => RequestError::NamespaceExists { name: name.clone() }.into(),
            ClaimConflict::LooksTaken { taken } => {
                PeopleError::LooksTaken { name: name.clone(), taken }.into()
            }
            ClaimConflict::Store(error) => error.into(),
        }
    })?;
    tuf::published(&app).await;
    let event = Event::new(&caller.name, action::NAMESPACE_CLAIMED, &name);
    record(&app, peer, event.within(&name)).await;
    let ClaimNamespace { name, keys, threshold } = claim;
    let info = NamespaceInfo { name, keys, threshold, role_version: 0, packages: 0 };
    Ok((StatusCode::CREATED, Json(info)))
}

/// Who may claim: an admin, and an account for itself until it owns enough.
fn claimant(caller: Caller) -> Result<Caller, ApiError> {
    if caller.may(Scope::Admin) {
        return Ok(caller);
    }
    let caller = Known(caller).into_person()?.0;
    let owned = caller.namespaces().iter().filter(|m| m.role == MemberRole::Owner).count();
    if owned >= OWNED_MAX {
        return Err(PeopleError::TooManyNamespaces { limit: OWNED_MAX }.into());
    }
    Ok(caller)
}

/// One namespace with its keys
#[utoipa::path(get, path = "/v1/namespaces/{namespace}", tag = "namespaces", security(()),
    params(("namespace" = String, Path)),
    responses((status = 200, body = NamespaceInfo), (status = 404, body = ErrorBody)))]
pub async fn show(
    State(app): State<App>,
    ApiPath(namespace): ApiPath<String>,
) -> Result<Json<NamespaceInfo>, ApiError> {
    let namespace: Namespace = name("Namespace", &namespace)?;
    let found = app.store.namespace(&namespace).await?;
    found.map(Json).ok_or_else(|| ApiError::not_found(format!("Namespace {namespace}")))
}

/// The newest role file, byte for byte as it was signed
#[utoipa::path(get, path = "/v1/namespaces/{namespace}/role", tag = "namespaces", security(()),
    params(("namespace" = String, Path)),
    responses((status = 200, content_type = "application/json", body = Object), (status = 304),
        (status = 404, body = ErrorBody)))]
pub async fn role(
    State(app): State<App>,
    ApiPath(namespace): ApiPath<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let namespace: Namespace = name("Namespace", &namespace)?;
    let role = app.store.role(&namespace).await?;
    let role = role.ok_or_else(|| ApiError::not_found(format!("A role file of {namespace}")))?;
    let etag = format!("\"{}\"", Digest::of(&role).hex());
    let fresh = [
        (header::ETAG, etag.clone()),
        (header::CONTENT_TYPE, "application/json".to_owned()),
        (header::CACHE_CONTROL, "no-cache".to_owned()),
    ];
    let same = headers.get(header::IF_NONE_MATCH).is_some_and(|have| have == etag.as_str());
    if same {
        return Ok((StatusCode::NOT_MODIFIED, fresh).into_response());
    }
    Ok((fresh, role).into_response())
}
