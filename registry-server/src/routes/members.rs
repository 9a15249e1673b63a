//! Members of a namespace: who they are, what they are, how they leave.

use super::extract::{ApiJson, ApiPath, name};
use crate::admit::Peer;
use crate::app::App;
use crate::audit::{Event, record};
use crate::auth::{AuthError, Known, NamespaceOwner};
use crate::error::ApiError;
use crate::people::refusal::PeopleError;
use crate::store::accounts::Account;
use crate::store::members::MemberChange;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use skep_api::reason::ErrorBody;
use skep_api::v1::accounts::{ChangeMember, MemberList};
use skep_api::v1::audit::action;
use skep_api::v1::tokens::Scope;
use skep_artifact::name::Namespace;

/// The owner of a namespace that exists. Who is not one learns only that.
///
/// # Errors
/// [`ApiError`] with status 403 or 404.
pub(super) async fn owner(
    app: &App,
    known: Known,
    namespace: &str,
) -> Result<NamespaceOwner, ApiError> {
    let owner = known.into_owner(name("Namespace", namespace)?)?;
    if app.store.namespace(&owner.namespace).await?.is_none() {
        return Err(ApiError::not_found(format!("Namespace {}", owner.namespace)));
    }
    Ok(owner)
}

async fn account(app: &App, name: &str) -> Result<Account, ApiError> {
    let found = app.store.account_named(name).await?;
    found.ok_or_else(|| ApiError::not_found("This account"))
}

/// Who is what in a namespace; for its members
#[utoipa::path(get, path = "/v1/namespaces/{namespace}/members", tag = "people",
    params(("namespace" = String, Path)), security(("token" = [])),
    responses((status = 200, body = MemberList), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 404, body = ErrorBody)))]
pub async fn list(
    State(app): State<App>,
    Known(caller): Known,
    ApiPath(namespace): ApiPath<String>,
) -> Result<Json<MemberList>, ApiError> {
    let namespace: Namespace = name("Namespace", &namespace)?;
    if caller.role_in(&namespace).is_none() && !caller.may(Scope::Admin) {
        return Err(AuthError::NotOwner { namespace }.into());
    }
    Ok(Json(MemberList { members: app.store.members(&namespace).await? }))
}

/// Change what a member is
#[utoipa::path(put, path = "/v1/namespaces/{namespace}/members/{account}", tag = "people",
    params(("namespace" = String, Path), ("account" = String, Path)), request_body = ChangeMember,
    security(("token" = [])),
    responses((status = 204), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody), (status = 409, body = ErrorBody)))]
pub async fn change(
    State(app): State<App>,
    known: Known,
    peer: Peer,
    ApiPath((namespace, member)): ApiPath<(String, String)>,
    ApiJson(wish): ApiJson<ChangeMember>,
) -> Result<StatusCode, ApiError> {
    let NamespaceOwner { caller, namespace } = owner(&app, known, &namespace).await?;
    let account = account(&app, &member).await?;
    let changed = app.store.change_member(&namespace, &account.id, MemberChange::To(wish.role));
    changed.await.map_err(PeopleError::Member)?;
    let role = serde_json::to_string(&wish.role).unwrap_or_default();
    let event = Event::new(&caller.name, action::MEMBER_CHANGED, &account.name);
    record(&app, peer, event.within(namespace.as_str()).detail(role)).await;
    Ok(StatusCode::NO_CONTENT)
}

/// Remove a member, or leave
#[utoipa::path(delete, path = "/v1/namespaces/{namespace}/members/{account}", tag = "people",
    params(("namespace" = String, Path), ("account" = String, Path)), security(("token" = [])),
    responses((status = 204), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody), (status = 409, body = ErrorBody)))]
pub async fn remove(
    State(app): State<App>,
    Known(caller): Known,
    peer: Peer,
    ApiPath((namespace, member)): ApiPath<(String, String)>,
) -> Result<StatusCode, ApiError> {
    let own = caller.account.as_ref().is_some_and(|account| account.name == member);
    let (caller, namespace) = if own && caller.may(Scope::Account) {
        (caller, name::<Namespace>("Namespace", &namespace)?)
    } else {
        let owner = owner(&app, Known(caller), &namespace).await?;
        (owner.caller, owner.namespace)
    };
    let account = account(&app, &member).await?;
    let changed = app.store.change_member(&namespace, &account.id, MemberChange::Out);
    changed.await.map_err(PeopleError::Member)?;
    let event = Event::new(&caller.name, action::MEMBER_REMOVED, &account.name);
    record(&app, peer, event.within(namespace.as_str())).await;
    Ok(StatusCode::NO_CONTENT)
}
