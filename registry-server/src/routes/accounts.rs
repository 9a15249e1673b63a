//! Accounts: signing up, who one is, passwords, roles, invites to sign up.

use super::extract::{ApiJson, ApiPath};
use super::invites::{draw_invite, valid_secs};
use crate::admit::Peer;
use crate::app::App;
use crate::audit::{Event, record};
use crate::auth::caller::{Caller, Means};
use crate::auth::{Admin, AuthError, Known, Person};
use crate::clock;
use crate::config::people::SignUps;
use crate::error::ApiError;
use crate::people::limits::Tight;
use crate::people::names::{AccountName, AccountNameError, skeleton};
use crate::people::password::{self, Outcome, PasswordError};
use crate::people::refusal::PeopleError;
use crate::secret::{Kind, SecretHash};
use crate::store::accounts::{Account, NewAccount};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use skep_api::reason::ErrorBody;
use skep_api::v1::accounts::{
    AccountInfo, AccountRole, ChangePassword, ChangeRole, CreateInvite, CreatedInvite, InviteInfo,
    InviteList, InviteState, SignUp, WhoAmI,
};
use skep_api::v1::audit::action;

/// Longest e-mail address, by RFC 5321.
const EMAIL_BYTES_MAX: usize = 254;

/// An account as it may see itself.
pub(super) async fn info(app: &App, account: Account) -> Result<AccountInfo, ApiError> {
    let namespaces = app.store.memberships(&account.id).await?;
    let Account { name, email, role, created_at, .. } = account;
    Ok(AccountInfo { name, email, role, created_at, namespaces })
}

/// A public id for something new: 128 random bits.
///
/// # Errors
/// [`crate::secret::NoRandomness`] when the system has none.
pub(crate) fn fresh_id() -> Result<String, crate::secret::NoRandomness> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)?;
    Ok(hex::encode(bytes))
}

/// Finds the invite that lets somebody sign up, where one is needed.
pub(crate) async fn way_in(app: &App, invite: Option<&str>) -> Result<Option<String>, ApiError> {
    match (app.people.settings.sign_ups, invite) {
        (SignUps::Closed, _) => Err(PeopleError::SignUpClosed.into()),
        (SignUps::Open, None) => Ok(None),
        (SignUps::Invited, None) => Err(PeopleError::InviteNeeded.into()),
        (SignUps::Open | SignUps::Invited, Some(secret)) => {
            let hash = SecretHash::of_text(Kind::Invite, secret).ok_or(PeopleError::Invite)?;
            let found = app.store.invite(&hash).await?.filter(|i| i.namespace.is_none());
            let usable = found.filter(|i| i.state == InviteState::Open);
            Ok(Some(usable.ok_or(PeopleError::Invite)?.id))
        }
    }
}

/// Make an account
///
/// Whether anybody may, or only who holds an invite, the registry's operator decides.
#[utoipa::path(post, path = "/v1/accounts", tag = "people", request_body = SignUp, security(()),
    responses((status = 201, body = AccountInfo), (status = 400, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 409, body = ErrorBody),
        (status = 422, body = ErrorBody), (status = 429, body = ErrorBody)))]
pub async fn sign_up(
    State(app): State<App>,
    peer: Peer,
    ApiJson(wish): ApiJson<SignUp>,
) -> Result<(StatusCode, Json<AccountInfo>), ApiError> {
    app.people.limits.tight(Tight::SignUp, &peer.key())?;
    let invite = way_in(&app, wish.invite.as_deref()).await?;
    let refused = |error: AccountNameError| ApiError::from(PeopleError::Name(error));
    let name = AccountName::parse(&wish.name).map_err(refused)?;
    password::check_new(name.as_str(), &wish.password).map_err(PeopleError::Password)?;
    let email = wish.email.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    if email.as_deref().is_some_and(|text| text.len() > EMAIL_BYTES_MAX || !text.contains('@')) {
        return Err(ApiError::malformed("The e-mail address cannot be one."));
    }
    let hashed = app.people.passwords.hash(wish.password).await.map_err(PeopleError::Password)?;
    let account = Account {
        id: fresh_id()?,
        name: name.as_str().to_owned(),
        email,
        role: AccountRole::Member,
        created_at: clock::now(),
    };
    let skeleton = skeleton(name.as_str());
    let new = NewAccount { account, password: Some(hashed), skeleton, identity: None, invite };
    app.store.add_account(&new).await.map_err(PeopleError::SignUp)?;
    let account = new.account;
    record(&app, peer, Event::new(&account.name, action::SIGNED_UP, &account.name)).await;
    Ok((StatusCode::CREATED, Json(info(&app, account).await?)))
}

/// Who is calling
#[utoipa::path(get, path = "/v1/whoami", tag = "people", security(("token" = [])),
    responses((status = 200, body = WhoAmI), (status = 401, body = ErrorBody)))]
pub async fn whoami(
    State(app): State<App>,
    Known(caller): Known,
) -> Result<Json<WhoAmI>, ApiError> {
    let Caller { account, means, .. } = caller;
    let account = match account {
        Some(account) => Some(info(&app, account).await?),
        None => None,
    };
    let token = match means {
        Means::Session { .. } => None,
        Means::Token(token) => Some(token),
    };
    Ok(Json(WhoAmI { account, token }))
}

/// Change one's password; every other session ends
#[utoipa::path(post, path = "/v1/account/password", tag = "people", request_body = ChangePassword,
    security(("token" = [])),
    responses((status = 204), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 422, body = ErrorBody), (status = 429, body = ErrorBody)))]
pub async fn change_password(
    State(app): State<App>,
    Person(caller): Person,
    peer: Peer,
    ApiJson(wish): ApiJson<ChangePassword>,
) -> Result<StatusCode, ApiError> {
    let account = caller.account.as_ref().ok_or(AuthError::NoAccount)?;
    app.people.limits.tight(Tight::AccountLogIn, &account.id)?;
    password::check_new(&account.name, &wish.new).map_err(PeopleError::Password)?;
    let passwords = &app.people.passwords;
    let failed = |error: PasswordError| ApiError::from(PeopleError::Password(error));
    // Who logs in elsewhere only has no password, and needs a session to set the first one.
    let stored = app.store.password(&account.id).await?;
    let by_session = matches!(caller.means, Means::Session { .. });
    if stored.is_some() || !by_session {
        let outcome = passwords.verify(wish.old, stored).await.map_err(failed)?;
        if outcome == Outcome::Wrong {
            let event = Event::new(&caller.name, action::LOGIN_FAILED, &account.name);
            record(&app, peer, event.detail("changing the password")).await;
            return Err(PeopleError::WrongLogin.into());
        }
    }
    let hashed = passwords.hash(wish.new).await.map_err(failed)?;
    let kept = match &caller.means {
        Means::Session { id } => Some(id.as_str()),
        Means::Token(_) => None,
    };
    app.store.change_password(&account.id, &hashed, kept).await?;
    record(&app, peer, Event::new(&caller.name, action::PASSWORD_CHANGED, &account.name)).await;
    Ok(StatusCode::NO_CONTENT)
}

/// Change what an account may do beyond its namespaces
#[utoipa::path(put, path = "/v1/accounts/{account}/role", tag = "people",
    params(("account" = String, Path)), request_body = ChangeRole, security(("token" = [])),
    responses((status = 204), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody)))]
pub async fn change_role(
    State(app): State<App>,
    Admin(caller): Admin,
    peer: Peer,
    ApiPath(account): ApiPath<String>,
    ApiJson(wish): ApiJson<ChangeRole>,
) -> Result<StatusCode, ApiError> {
    if !app.store.change_account_role(&account, wish.role).await? {
        return Err(ApiError::not_found("This account"));
    }
    let role = serde_json::to_string(&wish.role).unwrap_or_default();
    let event = Event::new(&caller.name, action::ROLE_CHANGED, &account).detail(role);
    record(&app, peer, event).await;
    Ok(StatusCode::NO_CONTENT)
}

/// Invite somebody to sign up; the secret is shown once
#[utoipa::path(post, path = "/v1/sign-up-invites", tag = "people", request_body = CreateInvite,
    security(("token" = [])),
    responses((status = 201, body = CreatedInvite), (status = 400, body = ErrorBody),
        (status = 401, body = ErrorBody), (status = 403, body = ErrorBody)))]
pub async fn invite(
    State(app): State<App>,
    Admin(caller): Admin,
    peer: Peer,
    ApiJson(wish): ApiJson<CreateInvite>,
) -> Result<(StatusCode, Json<CreatedInvite>), ApiError> {
    let valid = valid_secs(wish.valid_secs)?;
    let (invite, secret) = draw_invite(&caller, None, wish.role, valid)?;
    app.store.add_invite(&invite, &secret.hash()).await?;
    let subject = invite.id.clone();
    record(&app, peer, Event::new(&caller.name, action::INVITE_MADE, &subject)).await;
    let created = CreatedInvite { info: invite, secret: secret.reveal().to_owned() };
    Ok((StatusCode::CREATED, Json(created)))
}

/// Invites to sign up
#[utoipa::path(get, path = "/v1/sign-up-invites", tag = "people", security(("token" = [])),
    responses((status = 200, body = InviteList), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody)))]
pub async fn invites(State(app): State<App>, _admin: Admin) -> Result<Json<InviteList>, ApiError> {
    let invites: Vec<InviteInfo> = app.store.invites(None).await?;
    Ok(Json(InviteList { invites }))
}

/// Take an invite to sign up back
#[utoipa::path(delete, path = "/v1/sign-up-invites/{id}", tag = "people",
    params(("id" = String, Path)), security(("token" = [])),
    responses((status = 204), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody)))]
pub async fn revoke_invite(
    State(app): State<App>,
    Admin(caller): Admin,
    peer: Peer,
    ApiPath(id): ApiPath<String>,
) -> Result<StatusCode, ApiError> {
    if !app.store.revoke_invite(None, &id).await? {
        return Err(ApiError::not_found("This invite"));
    }
    record(&app, peer, Event::new(&caller.name, action::INVITE_REVOKED, &id)).await;
    Ok(StatusCode::NO_CONTENT)
}
