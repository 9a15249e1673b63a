//! Leaving for an issuer and coming back logged in.

use super::extract::{ApiPath, ApiQuery};
use super::sessions::{begin as begin_session, handed_over};
use crate::admit::Peer;
use crate::app::App;
use crate::audit::{Event, record};
use crate::auth::identify::cookie;
use crate::auth::{AuthError, Person};
use crate::error::ApiError;
use crate::oidc::issuer::Issuer;
use crate::oidc::login::{self, LOGIN_SECS, LoginError, Returned};
use crate::people::limits::Tight;
use axum::Json;
use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{AppendHeaders, IntoResponse, Response};
use serde::Deserialize;
use skep_api::reason::ErrorBody;
use skep_api::v1::audit::action;
use skep_api::v1::publishers::{IssuerInfo, IssuerList, LinkStarted};
use std::convert::Infallible;

/// Holds the state of a login between leaving and coming back. Lax, because the way back is a link
/// on another site.
const LOGIN_COOKIE: &str = "__Host-skep-login";

/// The state the browser holds.
pub struct HeldState(Option<String>);

impl FromRequestParts<App> for HeldState {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Infallible> {
        Ok(Self(cookie(parts, LOGIN_COOKIE).map(str::to_owned)))
    }
}

fn set_state(state: &str, max_age: i64) -> Result<HeaderValue, ApiError> {
    let text = format!(
        "{LOGIN_COOKIE}={state}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age={max_age}"
    );
    HeaderValue::from_str(&text).map_err(|_| LoginError::State.into())
}

fn issuer<'a>(app: &'a App, name: &str) -> Result<&'a Issuer, ApiError> {
    app.people.issuers.named(name).ok_or_else(|| ApiError::not_found("This issuer"))
}

/// The issuers this registry believes
#[utoipa::path(get, path = "/v1/oidc", tag = "people", security(()),
    responses((status = 200, body = IssuerList)))]
pub async fn list(State(app): State<App>) -> Json<IssuerList> {
    let info = |issuer: &Issuer| IssuerInfo {
        name: issuer.settings.name.clone(),
        url: issuer.settings.url.clone(),
        login: issuer.settings.client_id.is_some(),
        audience: issuer.settings.audience.clone(),
    };
    Json(IssuerList { issuers: app.people.issuers.iter().map(info).collect() })
}

/// What a browser may bring along when it leaves.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Leaving {
    /// The secret of an invite, for who has no account yet.
    invite: Option<String>,
}

/// Leave for an issuer, to come back logged in
#[utoipa::path(get, path = "/v1/oidc/{issuer}/login", tag = "people", security(()),
    params(("issuer" = String, Path), Leaving),
    responses((status = 303), (status = 404, body = ErrorBody), (status = 429, body = ErrorBody),
        (status = 502, body = ErrorBody)))]
pub async fn leave(
    State(app): State<App>,
    peer: Peer,
    ApiPath(name): ApiPath<String>,
    ApiQuery(leaving): ApiQuery<Leaving>,
) -> Result<Response, ApiError> {
    app.people.limits.tight(Tight::LogIn, &peer.key())?;
    let begun = login::begin(&app, issuer(&app, &name)?, None, leaving.invite).await?;
    let location = HeaderValue::from_str(&begun.url).map_err(|_| LoginError::NoAddress)?;
    let headers = [
        (header::LOCATION, location),
        (header::SET_COOKIE, set_state(&begun.state, LOGIN_SECS)?),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    Ok((StatusCode::SEE_OTHER, headers).into_response())
}

/// Link an identity at an issuer to the account that asks: where its browser has to go
#[utoipa::path(post, path = "/v1/oidc/{issuer}/link", tag = "people", security(("token" = [])),
    params(("issuer" = String, Path)),
    responses((status = 200, body = LinkStarted), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 404, body = ErrorBody),
        (status = 502, body = ErrorBody)))]
pub async fn link(
    State(app): State<App>,
    Person(caller): Person,
    ApiPath(name): ApiPath<String>,
) -> Result<Response, ApiError> {
    app.people.limits.tight(Tight::LogIn, &caller.key())?;
    let account = caller.account.ok_or(AuthError::NoAccount)?;
    let begun = login::begin(&app, issuer(&app, &name)?, Some(account.id), None).await?;
    let cookie = [(header::SET_COOKIE, set_state(&begun.state, LOGIN_SECS)?)];
    Ok((cookie, Json(LinkStarted { url: begun.url })).into_response())
}

/// What an issuer sends the browser back with.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Returning {
    code: Option<String>,
    state: Option<String>,
    error: Option<String>,
}

/// Come back from an issuer
#[utoipa::path(get, path = "/v1/oidc/{issuer}/callback", tag = "people", security(()),
    params(("issuer" = String, Path), Returning),
    responses((status = 303), (status = 400, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody), (status = 502, body = ErrorBody)))]
pub async fn come_back(
    State(app): State<App>,
    peer: Peer,
    HeldState(held): HeldState,
    ApiPath(name): ApiPath<String>,
    ApiQuery(returning): ApiQuery<Returning>,
) -> Result<Response, ApiError> {
    let issuer = issuer(&app, &name)?;
    let Returning { code, state, error } = returning;
    if let Some(what) = error {
        let what: String = what.chars().filter(|c| c.is_ascii_graphic()).take(100).collect();
        return Err(LoginError::Refused { what }.into());
    }
    let (code, state) = (code.unwrap_or_default(), state.unwrap_or_default());
    let returned = Returned { code: &code, state: &state, cookie: held.as_deref() };
    let account = match login::finish(&app, issuer, returned).await {
        Ok(account) => account,
        Err(error) => {
            let event = Event::new("nobody", action::LOGIN_FAILED, &name);
            record(&app, peer, event.detail(error.to_string())).await;
            return Err(error);
        }
    };
    let (secret, _) = begin_session(&app, &account).await?;
    let event = Event::new(&account.name, action::LOGGED_IN, &account.name);
    record(&app, peer, event.detail(format!("by {name}"))).await;
    let cookies = AppendHeaders([
        (header::SET_COOKIE, handed_over(&secret)?),
        (header::SET_COOKIE, set_state("", 0)?),
    ]);
    let headers = [(header::LOCATION, "/"), (header::CACHE_CONTROL, "no-store")];
    Ok((StatusCode::SEE_OTHER, headers, cookies).into_response())
}
