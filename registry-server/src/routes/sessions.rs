//! Logging in and out. A browser gets a cookie, a program a bearer secret; which of the two, the
//! header of our own pages decides.

use super::accounts::info;
use super::extract::ApiJson;
use crate::admit::Peer;
use crate::app::App;
use crate::audit::{Event, record};
use crate::auth::caller::Means;
use crate::auth::identify::{CSRF_HEADER, SESSION_COOKIE, SESSION_SECS, cookie, is_own_page};
use crate::auth::{AuthError, Known};
use crate::clock;
use crate::error::ApiError;
use crate::people::limits::Tight;
use crate::people::password::Outcome;
use crate::people::refusal::PeopleError;
use crate::secret::{Kind, Secret, SecretHash};
use crate::store::accounts::Account;
use crate::store::sessions::StoredSession;
use axum::Json;
use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use skep_api::reason::ErrorBody;
use skep_api::v1::accounts::{LogIn, LoggedIn};
use skep_api::v1::audit::action;

/// How a login is answered.
pub struct Browser {
    /// A page of ours asks, so it gets a cookie.
    is_page: Option<()>,
    /// The session the browser had before, which ends with the login.
    before: Option<SecretHash>,
}

impl FromRequestParts<App> for Browser {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let says_page = parts.headers.contains_key(CSRF_HEADER);
        // Another site must not log its visitor into an account of its own choosing.
        if parts.headers.contains_key(header::ORIGIN) && !is_own_page(app, parts) {
            return Err(AuthError::CrossSite.into());
        }
        let before = cookie(parts, SESSION_COOKIE);
        let before = before.and_then(|text| SecretHash::of_text(Kind::Session, text));
        Ok(Self { is_page: says_page.then_some(()), before })
    }
}

/// The cookie of a session, or (with nothing in it and no time left) its end.
fn set_cookie(secret: &str, max_age: i64) -> Result<HeaderValue, ApiError> {
    let text = format!(
        "{SESSION_COOKIE}={secret}; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age={max_age}"
    );
    HeaderValue::from_str(&text).map_err(|_| ApiError::malformed("The session cannot be set."))
}

/// Begins a session: always a fresh secret, whatever the caller brought along.
pub(crate) async fn begin(app: &App, account: &Account) -> Result<(Secret, i64), ApiError> {
    let secret = Secret::draw(Kind::Session)?;
    let now = clock::now();
    let session = StoredSession {
        hash: secret.hash(),
        account: account.id.clone(),
        created_at: now,
        expires_at: now.saturating_add(SESSION_SECS),
        used_at: now,
    };
    app.store.add_session(&session).await?;
    Ok((secret, session.expires_at))
}

/// The header that hands a session to a browser.
pub(crate) fn handed_over(secret: &Secret) -> Result<HeaderValue, ApiError> {
    set_cookie(secret.reveal(), SESSION_SECS)
}

/// Log in
///
/// With the header `x-skep-csrf` the answer sets a cookie, without it it holds a bearer secret.
#[utoipa::path(post, path = "/v1/sessions", tag = "people", request_body = LogIn, security(()),
    responses((status = 201, body = LoggedIn), (status = 400, body = ErrorBody),
        (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 429, body = ErrorBody)))]
pub async fn log_in(
    State(app): State<App>,
    browser: Browser,
    peer: Peer,
    ApiJson(wish): ApiJson<LogIn>,
) -> Result<Response, ApiError> {
    app.people.limits.tight(Tight::LogIn, &peer.key())?;
    app.people.limits.tight(Tight::AccountLogIn, &wish.name)?;
    let found = app.store.account_named(&wish.name).await?;
    // Asked for an unknown account as well, and compared with a hash in any case: the answer takes
    // as long whether there is one or not.
    let id = found.as_ref().map_or("", |account| account.id.as_str());
    let stored = app.store.password(id).await?;
    let outcome = app.people.passwords.verify(wish.password, stored).await;
    let outcome = outcome.map_err(PeopleError::Password)?;
    let Some(account) = found.filter(|_| outcome == Outcome::Right) else {
        let event = Event::new("nobody", action::LOGIN_FAILED, &wish.name);
        record(&app, peer, event).await;
        return Err(PeopleError::WrongLogin.into());
    };
    if let Some(before) = &browser.before {
        app.store.remove_session(&before.id()).await?;
    }
    let (secret, expires_at) = begin(&app, &account).await?;
    record(&app, peer, Event::new(&account.name, action::LOGGED_IN, &account.name)).await;
    let account = info(&app, account).await?;
    match browser.is_page {
        Some(()) => {
            let body = LoggedIn { account, session: None, expires_at };
            let cookie = [(header::SET_COOKIE, handed_over(&secret)?)];
            Ok((StatusCode::CREATED, cookie, Json(body)).into_response())
        }
        None => {
            let session = Some(secret.reveal().to_owned());
            let body = LoggedIn { account, session, expires_at };
            Ok((StatusCode::CREATED, Json(body)).into_response())
        }
    }
}

/// Log out: the session that asks ends
#[utoipa::path(delete, path = "/v1/sessions", tag = "people", security(("token" = [])),
    responses((status = 204), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody)))]
pub async fn log_out(
    State(app): State<App>,
    Known(caller): Known,
    peer: Peer,
) -> Result<Response, ApiError> {
    let Means::Session { id } = &caller.means else {
        let what = "A token is not a session. Withdraw it with `skep token revoke`.";
        return Err(ApiError::malformed(what));
    };
    app.store.remove_session(id).await?;
    record(&app, peer, Event::new(&caller.name, action::LOGGED_OUT, &caller.name)).await;
    let gone = [(header::SET_COOKIE, set_cookie("", 0)?)];
    Ok((StatusCode::NO_CONTENT, gone).into_response())
}
