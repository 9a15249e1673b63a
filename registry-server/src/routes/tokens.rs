//! API tokens: making, listing, withdrawing.

use super::extract::{ApiJson, ApiPath};
use crate::app::{self, App};
use crate::auth::Admin;
use crate::error::ApiError;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use skep_api::reason::ErrorBody;
use skep_api::v1::tokens::{CreateToken, CreatedToken, Scope, TokenInfo};
use skep_artifact::name::Namespace;

/// Shortest and longest validity in seconds: a minute and a year.
const VALID_SECS: std::ops::RangeInclusive<u64> = 60..=31_536_000;
/// Longest name of a token in characters.
const NAME_CHARS_MAX: usize = 63;

/// Every token, without secrets.
#[derive(Serialize, utoipa::ToSchema)]
pub struct TokenList {
    pub tokens: Vec<TokenInfo>,
}

/// List tokens
#[utoipa::path(get, path = "/v1/tokens", tag = "tokens", security(("token" = [])),
    responses((status = 200, body = TokenList), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody)))]
pub async fn list(State(app): State<App>, _admin: Admin) -> Result<Json<TokenList>, ApiError> {
    Ok(Json(TokenList { tokens: app.store.tokens().await? }))
}

/// Make a token; its secret is shown once
#[utoipa::path(post, path = "/v1/tokens", tag = "tokens", request_body = CreateToken,
    security(("token" = [])),
    responses((status = 201, body = CreatedToken), (status = 400, body = ErrorBody),
        (status = 401, body = ErrorBody), (status = 403, body = ErrorBody)))]
pub async fn create(
    State(app): State<App>,
    _admin: Admin,
    ApiJson(wish): ApiJson<CreateToken>,
) -> Result<(StatusCode, Json<CreatedToken>), ApiError> {
    let CreateToken { name, scope, namespace, valid_secs } = wish;
    let chars = name.chars().count();
    if !(1..=NAME_CHARS_MAX).contains(&chars) || name.chars().any(char::is_control) {
        return Err(ApiError::malformed(format!("A name has 1 to {NAME_CHARS_MAX} characters.")));
    }
    if !VALID_SECS.contains(&valid_secs) {
        let (least, most) = (VALID_SECS.start(), VALID_SECS.end());
        return Err(ApiError::malformed(format!("valid_secs is {least} to {most}.")));
    }
    if (scope == Scope::Publish) != namespace.is_some() {
        return Err(ApiError::malformed(
            "A publish token is for one namespace; tokens of other scopes are for none.",
        ));
    }
    if let Some(namespace) = &namespace {
        let parsed: Result<Namespace, _> = namespace.parse();
        parsed.map_err(|e| ApiError::malformed(format!("The namespace is refused: {e}.")))?;
    }
    let valid_secs = i64::try_from(valid_secs).unwrap_or(i64::MAX);
    let made = app::create_token(&app.store, name, scope, namespace, valid_secs).await?;
    let (info, secret) = made;
    let created = CreatedToken { info, secret: secret.reveal().to_owned() };
    Ok((StatusCode::CREATED, Json(created)))
}

/// Withdraw a token
#[utoipa::path(delete, path = "/v1/tokens/{id}", tag = "tokens", params(("id" = String, Path)),
    security(("token" = [])),
    responses((status = 204), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody)))]
pub async fn remove(
    State(app): State<App>,
    _admin: Admin,
    ApiPath(id): ApiPath<String>,
) -> Result<StatusCode, ApiError> {
    if !app.store.remove_token(&id).await? {
        return Err(ApiError::not_found("This token"));
    }
    Ok(StatusCode::NO_CONTENT)
}
