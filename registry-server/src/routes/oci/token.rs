//! Where OCI clients trade a password for a short-lived token. The password is an API token; the user's name
//! means nothing. Without one, everybody gets a token that reads.

use super::origin;
use crate::app::App;
use crate::auth::caller::Caller;
use crate::auth::oci::{self as auth, OciAuthError, Said};
use crate::clock;
use crate::error::OciError;
use crate::oci::access::{Access, SCOPES_MAX, VALID_SECS};
use axum::Json;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::Serialize;

/// A token for a while.
#[derive(Serialize, utoipa::ToSchema)]
pub struct AccessToken {
    /// What to send as `Authorization: Bearer`.
    pub token: String,
    /// The same; clients differ in where they look.
    pub access_token: String,
    /// In seconds.
    pub expires_in: i64,
}

/// Trade a password for a token
///
/// HTTP Basic with any user name and an API token as the password; without, a token that only reads.
#[utoipa::path(get, path = "/v2/token", tag = "oci", security(()),
    params(("service" = Option<String>, Query), ("scope" = Option<String>, Query,
        description = "repository:NAME:pull,push; may be repeated")),
    responses((status = 200, body = AccessToken), (status = 400), (status = 401)))]
pub async fn get(
    State(app): State<App>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, OciError> {
    let who = match auth::said(&app, &headers).await {
        Ok(Said::Known(caller, _)) => Some(*caller),
        Ok(Said::Nothing | Said::Anybody) => None,
        Err(refused) => return Err(refuse(refused)),
    };
    let query = query.unwrap_or_default();
    issue(&app, &headers, who, &scopes(query.as_bytes())?)
}

/// Trade a password for a token, as OAuth 2 writes it
#[utoipa::path(post, path = "/v2/token", tag = "oci", security(()),
    request_body(content = String, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, body = AccessToken), (status = 400), (status = 401), (status = 413)))]
pub async fn post(
    State(app): State<App>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, OciError> {
    let field = |wanted: &str| {
        form_urlencoded::parse(&body).find(|(name, _)| name == wanted).map(|(_, value)| value)
    };
    if field("grant_type").as_deref() != Some("password") {
        return Err(OciError::unsupported("grant_type is password: there are no other grants."));
    }
    let password = field("password").unwrap_or_default();
    let caller = auth::api_token(&app, &password).await.map_err(refuse)?;
    issue(&app, &headers, Some(caller), &scopes(&body)?)
}

fn refuse(refused: OciAuthError) -> OciError {
    // No challenge: whoever asks here was challenged already, and must not be sent here again.
    OciError::auth(refused, |_| "Basic realm=\"skep\"".to_owned())
}

/// Every scope of a query; one may hold several, separated by spaces.
fn scopes(query: &[u8]) -> Result<Vec<String>, OciError> {
    let all: Vec<String> = form_urlencoded::parse(query)
        .filter_map(|(name, value)| (name == "scope").then_some(value))
        .flat_map(|value| value.split(' ').map(ToOwned::to_owned).collect::<Vec<_>>())
        .filter(|scope| !scope.is_empty())
        .collect();
    if all.len() > SCOPES_MAX {
        return Err(OciError::unsupported("That are too many scopes at once."));
    }
    Ok(all)
}

fn issue(
    app: &App,
    headers: &HeaderMap,
    who: Option<Caller>,
    scopes: &[String],
) -> Result<Response, OciError> {
    let asked = scopes.iter().filter_map(|scope| Access::parse(scope)).collect();
    let granted = auth::granted(asked, who.as_ref());
    let (_, service) = origin(app, headers);
    let now = clock::now();
    let token = app.access_key.issue(
        &service,
        who.map(|caller| caller.credential().to_owned()),
        granted,
        now,
    )?;
    let answer = AccessToken { access_token: token.clone(), token, expires_in: VALID_SECS };
    let mut answer = Json(answer).into_response();
    answer.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(answer)
}
