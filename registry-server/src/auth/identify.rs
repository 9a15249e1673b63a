//! Who is calling: a bearer secret, or the cookie of a browser whose own page asks. Refuses to know
//! what the caller may do.

use super::AuthError;
use super::caller::Caller;
use crate::app::App;
use crate::clock;
use crate::error::ApiError;
use crate::secret::{Kind, SecretHash};
use crate::store::StoreError;
use crate::store::tokens::StoredToken;
use axum::http::header::{AUTHORIZATION, COOKIE, HOST, ORIGIN};
use axum::http::request::Parts;
use axum::http::{HeaderName, Method};
use skep_api::v1::tokens::TokenInfo;

/// The cookie of a session. The prefix makes browsers insist on Secure, Path=/ and no Domain.
pub const SESSION_COOKIE: &str = "__Host-skep-session";
/// Our pages send it with every call. Another site's page cannot without being allowed to by an
/// answer that this server never gives.
pub const CSRF_HEADER: HeaderName = HeaderName::from_static("x-skep-csrf");
/// A session ends this long after the login: a month, so that a stolen one does not last for ever.
pub const SESSION_SECS: i64 = 30 * 86_400;
/// And this long after it was used last: a week, so that a forgotten one ends sooner.
pub const SESSION_IDLE_SECS: i64 = 7 * 86_400;
/// How exactly the last use is kept: an hour tells whether a token is still in use, and costs a
/// write an hour.
const USED_EVERY_SECS: i64 = 3600;

/// The `Authorization: Bearer` value of a request.
pub(crate) fn bearer(parts: &Parts) -> Option<&str> {
    let value = parts.headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// The value of a cookie.
pub(crate) fn cookie<'a>(parts: &'a Parts, name: &str) -> Option<&'a str> {
    let headers = parts.headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = headers.flat_map(|text| text.split(';')).filter_map(|p| p.split_once('='));
    pairs.find(|(key, _)| key.trim() == name).map(|(_, value)| value.trim())
}

/// Whether a page of this registry sent the request.
pub(crate) fn is_own_page(app: &App, parts: &Parts) -> bool {
    let host = parts.headers.get(HOST).and_then(|host| host.to_str().ok());
    let host = host.or_else(|| parts.uri.authority().map(|authority| authority.as_str()));
    let own = match parts.headers.get(ORIGIN).map(|origin| origin.to_str()) {
        // Browsers leave it out of GET; other programs have no cookies to abuse.
        None => true,
        Some(Ok(origin)) => {
            let url = app.people.settings.url.as_deref();
            url == Some(origin) || origin.split_once("://").map(|(_, rest)| rest) == host
        }
        Some(Err(_)) => false,
    };
    own && parts.headers.contains_key(CSRF_HEADER)
}

/// Who calls, once for a request: the first to ask remembers it for the others.
///
/// # Errors
/// [`AuthError::Unauthorised`], [`AuthError::CrossSite`], or a database that does not answer.
pub(crate) async fn caller_in(app: &App, parts: &mut Parts) -> Result<Caller, ApiError> {
    if let Some(caller) = parts.extensions.get::<Caller>() {
        return Ok(caller.clone());
    }
    let caller = match (bearer(parts), cookie(parts, SESSION_COOKIE)) {
        (Some(secret), _) => caller_of_secret(app, secret).await?,
        (None, Some(secret)) => {
            let caller = caller_of_session(app, secret).await?;
            let changes = !matches!(parts.method, Method::GET | Method::HEAD | Method::OPTIONS);
            if caller.is_some() && changes && !is_own_page(app, parts) {
                return Err(AuthError::CrossSite.into());
            }
            caller
        }
        (None, None) => None,
    };
    let caller = caller.ok_or(AuthError::Unauthorised)?;
    parts.extensions.insert(caller.clone());
    Ok(caller)
}

/// Who holds a bearer secret: an API token or a session.
///
/// # Errors
/// [`StoreError`].
pub async fn caller_of_secret(app: &App, secret: &str) -> Result<Option<Caller>, StoreError> {
    match SecretHash::of_text(Kind::Api, secret) {
        Some(hash) => caller_of_token(app, &hash).await,
        None => caller_of_session(app, secret).await,
    }
}

/// Who holds a secret that must be an API token.
///
/// # Errors
/// [`StoreError`].
pub async fn caller_of_api_token(app: &App, secret: &str) -> Result<Option<Caller>, StoreError> {
    match SecretHash::of_text(Kind::Api, secret) {
        Some(hash) => caller_of_token(app, &hash).await,
        None => Ok(None),
    }
}

/// Who made the API token with this id, which the caller proved elsewhere to hold.
///
/// # Errors
/// [`StoreError`].
pub async fn caller_of_token_id(app: &App, id: &str) -> Result<Option<Caller>, StoreError> {
    match app.store.token(id).await? {
        Some(token) => caller_of_stored(app, token).await,
        None => Ok(None),
    }
}

async fn caller_of_token(app: &App, hash: &SecretHash) -> Result<Option<Caller>, StoreError> {
    match app.store.token(&hash.id()).await? {
        Some(token) if token.hash.same_as(hash) => caller_of_stored(app, token).await,
        _ => Ok(None),
    }
}

async fn caller_of_stored(app: &App, token: StoredToken) -> Result<Option<Caller>, StoreError> {
    let now = clock::now();
    if token.info.expires_at <= now {
        return Ok(None);
    }
    let account = match &token.account {
        None => None,
        // A token does not outlive its account.
        Some(id) => match app.store.account(id).await? {
            Some(account) => Some(account),
            None => return Ok(None),
        },
    };
    let namespaces = match &account {
        Some(account) => app.store.memberships(&account.id).await?,
        None => Vec::new(),
    };
    note_use(app, &token.info, now).await;
    Ok(Some(Caller::by_token(token.info, account, namespaces)))
}

/// A use that cannot be noted is no reason to turn somebody away.
async fn note_use(app: &App, token: &TokenInfo, now: i64) {
    if token.last_used_at.is_some_and(|at| at > now - USED_EVERY_SECS) {
        return;
    }
    if let Err(error) = app.store.token_used(&token.id, now).await {
        tracing::warn!("the use of token {} could not be noted: {error}", token.id);
    }
}

async fn caller_of_session(app: &App, secret: &str) -> Result<Option<Caller>, StoreError> {
    let Some(hash) = SecretHash::of_text(Kind::Session, secret) else { return Ok(None) };
    let now = clock::now();
    let stored = app.store.session(&hash.id()).await?;
    let valid = stored.filter(|session| {
        let end = session.expires_at.min(session.used_at.saturating_add(SESSION_IDLE_SECS));
        session.hash.same_as(&hash) && end > now
    });
    let Some(session) = valid else { return Ok(None) };
    let Some(account) = app.store.account(&session.account).await? else { return Ok(None) };
    if session.used_at <= now - USED_EVERY_SECS
        && let Err(error) = app.store.session_used(&hash.id(), now).await
    {
        tracing::warn!("the use of session {} could not be noted: {error}", hash.id());
    }
    let namespaces = app.store.memberships(&account.id).await?;
    Ok(Some(Caller::by_session(account, hash.id(), namespaces)))
}
