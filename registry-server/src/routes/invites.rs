//! Invites into namespaces: made by owners, answered once by whoever holds the secret.

use super::extract::{ApiJson, ApiPath};
use super::members::owner;
use crate::admit::Peer;
use crate::app::App;
use crate::audit::{Event, record};
use crate::auth::caller::Caller;
use crate::auth::{AuthError, Known, NamespaceOwner, Person};
use crate::clock;
use crate::error::ApiError;
use crate::people::limits::Tight;
use crate::people::refusal::PeopleError;
use crate::secret::{Kind, NoRandomness, Secret, SecretHash};
use crate::store::invites::Answerer;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use skep_api::reason::ErrorBody;
use skep_api::v1::accounts::{
    AnswerInvite, CreateInvite, CreatedInvite, InviteAnswer, InviteInfo, InviteList, InviteState,
    MemberRole,
};
use skep_api::v1::audit::action;
use skep_artifact::name::Namespace;

/// Shortest and longest validity in seconds: a minute and 30 days. Who has not answered by then has
/// lost the message.
const VALID_SECS: std::ops::RangeInclusive<u64> = 60..=2_592_000;

pub(super) fn valid_secs(wished: u64) -> Result<i64, ApiError> {
    let fits = Some(wished).filter(|secs| VALID_SECS.contains(secs));
    fits.and_then(|secs| i64::try_from(secs).ok()).ok_or_else(|| {
        let (least, most) = (VALID_SECS.start(), VALID_SECS.end());
        ApiError::malformed(format!("valid_secs is {least} to {most}."))
    })
}

pub(super) fn draw_invite(
    by: &Caller,
    namespace: Option<&Namespace>,
    role: MemberRole,
    valid_secs: i64,
) -> Result<(InviteInfo, Secret), NoRandomness> {
    let secret = Secret::draw(Kind::Invite)?;
    let now = clock::now();
    let info = InviteInfo {
        id: secret.hash().id(),
        namespace: namespace.map(ToString::to_string),
        role,
        invited_by: by.name.clone(),
        created_at: now,
        expires_at: now.saturating_add(valid_secs),
        state: InviteState::Open,
        answered_by: None,
    };
    Ok((info, secret))
}

/// Invite somebody into a namespace; the secret is shown once
#[utoipa::path(post, path = "/v1/namespaces/{namespace}/invites", tag = "people",
    params(("namespace" = String, Path)), request_body = CreateInvite, security(("token" = [])),
    responses((status = 201, body = CreatedInvite), (status = 400, body = ErrorBody),
        (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody), (status = 429, body = ErrorBody)))]
pub async fn create(
    State(app): State<App>,
    known: Known,
    peer: Peer,
    ApiPath(namespace): ApiPath<String>,
    ApiJson(wish): ApiJson<CreateInvite>,
) -> Result<(StatusCode, Json<CreatedInvite>), ApiError> {
    let NamespaceOwner { caller, namespace } = owner(&app, known, &namespace).await?;
    app.people.limits.tight(Tight::Invite, &caller.key())?;
    let valid = valid_secs(wish.valid_secs)?;
    let (info, secret) = draw_invite(&caller, Some(&namespace), wish.role, valid)?;
    app.store.add_invite(&info, &secret.hash()).await?;
    let event = Event::new(&caller.name, action::INVITE_MADE, &info.id);
    record(&app, peer, event.within(namespace.as_str())).await;
    let created = CreatedInvite { info, secret: secret.reveal().to_owned() };
    Ok((StatusCode::CREATED, Json(created)))
}

/// The invites of a namespace
#[utoipa::path(get, path = "/v1/namespaces/{namespace}/invites", tag = "people",
    params(("namespace" = String, Path)), security(("token" = [])),
    responses((status = 200, body = InviteList), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 404, body = ErrorBody)))]
pub async fn list(
    State(app): State<App>,
    known: Known,
    ApiPath(namespace): ApiPath<String>,
) -> Result<Json<InviteList>, ApiError> {
    let owner = owner(&app, known, &namespace).await?;
    Ok(Json(InviteList { invites: app.store.invites(Some(&owner.namespace)).await? }))
}

/// Take an open invite back
#[utoipa::path(delete, path = "/v1/namespaces/{namespace}/invites/{id}", tag = "people",
    params(("namespace" = String, Path), ("id" = String, Path)), security(("token" = [])),
    responses((status = 204), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody)))]
pub async fn revoke(
    State(app): State<App>,
    known: Known,
    peer: Peer,
    ApiPath((namespace, id)): ApiPath<(String, String)>,
) -> Result<StatusCode, ApiError> {
    let NamespaceOwner { caller, namespace } = owner(&app, known, &namespace).await?;
    if !app.store.revoke_invite(Some(&namespace), &id).await? {
        return Err(ApiError::not_found("This invite"));
    }
    let event = Event::new(&caller.name, action::INVITE_REVOKED, &id);
    record(&app, peer, event.within(namespace.as_str())).await;
    Ok(StatusCode::NO_CONTENT)
}

/// Accept or decline an invite; each is answered once
#[utoipa::path(post, path = "/v1/invites/answer", tag = "people", request_body = AnswerInvite,
    security(("token" = [])),
    responses((status = 200, body = InviteInfo), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 429, body = ErrorBody)))]
pub async fn answer(
    State(app): State<App>,
    Person(caller): Person,
    peer: Peer,
    ApiJson(wish): ApiJson<AnswerInvite>,
) -> Result<Json<InviteInfo>, ApiError> {
    app.people.limits.tight(Tight::Invite, &caller.key())?;
    let account = caller.account.as_ref().ok_or(AuthError::NoAccount)?;
    let hash = SecretHash::of_text(Kind::Invite, &wish.secret).ok_or(PeopleError::Invite)?;
    let found = app.store.invite(&hash).await?.filter(|invite| invite.namespace.is_some());
    let invite = found.ok_or(PeopleError::Invite)?;
    let (state, done) = match wish.answer {
        InviteAnswer::Accept => (InviteState::Accepted, action::INVITE_ACCEPTED),
        InviteAnswer::Decline => (InviteState::Declined, action::INVITE_DECLINED),
    };
    let by = Answerer { id: &account.id, name: &account.name };
    if !app.store.answer_invite(&invite, by, state, clock::now()).await? {
        return Err(PeopleError::Invite.into());
    }
    let event = Event::new(&caller.name, done, &invite.id);
    record(&app, peer, event.within(invite.namespace.as_deref().unwrap_or_default())).await;
    let answered_by = Some(account.name.clone());
    Ok(Json(InviteInfo { state, answered_by, ..invite }))
}
