//! API tokens: making, listing, withdrawing. Nobody makes one that allows more than they may.

use super::extract::{ApiJson, ApiPath};
use crate::admit::Peer;
use crate::app::{self, App, NewToken};
use crate::audit::{Event, record};
use crate::auth::{AuthError, Known};
use crate::clock;
use crate::error::ApiError;
use crate::people::limits::Tight;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use skep_api::reason::ErrorBody;
use skep_api::v1::audit::action;
use skep_api::v1::tokens::{CreateToken, CreatedToken, Pattern, Scope, TokenList};

/// Shortest and longest validity in seconds: a minute and a year.
const VALID_SECS: std::ops::RangeInclusive<u64> = 60..=31_536_000;
/// Longest name of a token in characters.
const NAME_CHARS_MAX: usize = 63;
/// Tokens one account may have at a time: more than machines it names by hand.
const ACCOUNT_TOKENS_MAX: usize = 200;

/// List tokens: one's own, and an admin's all
#[utoipa::path(get, path = "/v1/tokens", tag = "tokens", security(("token" = [])),
    responses((status = 200, body = TokenList), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody)))]
pub async fn list(State(app): State<App>, known: Known) -> Result<Json<TokenList>, ApiError> {
    if known.0.may(Scope::Admin) {
        return Ok(Json(TokenList { tokens: app.store.tokens().await? }));
    }
    let person = known.into_person()?;
    let account = person.0.account.ok_or(AuthError::NoAccount)?;
    Ok(Json(TokenList { tokens: app.store.tokens_of(&account.id).await? }))
}

/// What a wish has to look like, whoever has it.
fn read(wish: CreateToken) -> Result<(NewToken, Option<Pattern>), ApiError> {
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
            "A publish token is for one namespace or package; tokens of other scopes are for none.",
        ));
    }
    let pattern: Option<Pattern> = match &namespace {
        None => None,
        Some(text) => Some(
            text.parse()
                .map_err(|e| ApiError::malformed(format!("The namespace is refused: {e}.")))?,
        ),
    };
    let valid_secs = i64::try_from(valid_secs).unwrap_or(i64::MAX);
    Ok((NewToken { name, scope, namespace, valid_secs }, pattern))
}

/// Make a token; its secret is shown once
#[utoipa::path(post, path = "/v1/tokens", tag = "tokens", request_body = CreateToken,
    security(("token" = [])),
    responses((status = 201, body = CreatedToken), (status = 400, body = ErrorBody),
        (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 429, body = ErrorBody)))]
pub async fn create(
    State(app): State<App>,
    Known(caller): Known,
    peer: Peer,
    ApiJson(wish): ApiJson<CreateToken>,
) -> Result<(StatusCode, Json<CreatedToken>), ApiError> {
    app.people.limits.tight(Tight::Token, &caller.key())?;
    let (new, pattern) = read(wish)?;
    let expires_at = clock::now().saturating_add(new.valid_secs);
    if !caller.may_hand_out(new.scope, pattern.as_ref(), expires_at) {
        return Err(AuthError::Exceeds.into());
    }
    let account = caller.account.as_ref();
    if new.scope == Scope::Account && account.is_none() {
        return Err(AuthError::NoAccount.into());
    }
    if let Some(account) = account
        && app.store.tokens_of(&account.id).await?.len() >= ACCOUNT_TOKENS_MAX
    {
        let what = format!("An account has at most {ACCOUNT_TOKENS_MAX} tokens. Withdraw some.");
        return Err(ApiError::malformed(what));
    }
    let (info, secret) = app::create_token(&app.store, new, account).await?;
    let detail = format!("{} {}", info.name, info.namespace.as_deref().unwrap_or_default());
    let event = Event::new(&caller.name, action::TOKEN_MADE, &info.id).detail(detail);
    let namespace = pattern.map(|pattern| pattern.namespace().to_string());
    record(&app, peer, Event { namespace: namespace.as_deref(), ..event }).await;
    let created = CreatedToken { info, secret: secret.reveal().to_owned() };
    Ok((StatusCode::CREATED, Json(created)))
}

/// Withdraw a token: one's own, and an admin any
#[utoipa::path(delete, path = "/v1/tokens/{id}", tag = "tokens", params(("id" = String, Path)),
    security(("token" = [])),
    responses((status = 204), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody)))]
pub async fn remove(
    State(app): State<App>,
    Known(caller): Known,
    peer: Peer,
    ApiPath(id): ApiPath<String>,
) -> Result<StatusCode, ApiError> {
    let admin = caller.may(Scope::Admin);
    let own = caller.account.as_ref().filter(|_| caller.may(Scope::Account));
    if !admin && own.is_none() {
        return Err(AuthError::Scope { needs: "account" }.into());
    }
    let missing = || ApiError::not_found("This token");
    let token = app.store.token(&id).await?.ok_or_else(missing)?;
    let is_own = own.is_some_and(|account| token.account.as_ref() == Some(&account.id));
    if !(admin || is_own) || !app.store.remove_token(&id).await? {
        return Err(missing());
    }
    let event = Event::new(&caller.name, action::TOKEN_REVOKED, &id).detail(token.info.name);
    record(&app, peer, event).await;
    Ok(StatusCode::NO_CONTENT)
}
