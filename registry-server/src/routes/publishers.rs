//! Trusted publishing: saying which jobs are trusted, and giving them a token.

use super::accounts::fresh_id;
use super::extract::{ApiJson, ApiPath};
use super::members::owner;
use crate::admit::Peer;
use crate::app::App;
use crate::audit::{Event, record};
use crate::auth::{Known, NamespaceOwner};
use crate::clock;
use crate::error::ApiError;
use crate::oidc::exchange;
use crate::people::limits::Tight;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use skep_api::reason::ErrorBody;
use skep_api::v1::audit::action;
use skep_api::v1::publishers::{
    AddPublisher, ExchangeToken, ExchangedToken, PublisherInfo, PublisherList,
};
use skep_api::v1::tokens::Pattern;

/// Trusted publishers of one namespace: a pipeline for each of a hundred packages.
const PUBLISHERS_MAX: usize = 100;

/// Who publishes into a namespace without a stored token
#[utoipa::path(get, path = "/v1/namespaces/{namespace}/trusted-publishers", tag = "people",
    params(("namespace" = String, Path)), security(("token" = [])),
    responses((status = 200, body = PublisherList), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 404, body = ErrorBody)))]
pub async fn list(
    State(app): State<App>,
    known: Known,
    ApiPath(namespace): ApiPath<String>,
) -> Result<Json<PublisherList>, ApiError> {
    let owner = owner(&app, known, &namespace).await?;
    Ok(Json(PublisherList { publishers: app.store.publishers(&owner.namespace).await? }))
}

/// Trust the jobs of a CI
#[utoipa::path(post, path = "/v1/namespaces/{namespace}/trusted-publishers", tag = "people",
    params(("namespace" = String, Path)), request_body = AddPublisher, security(("token" = [])),
    responses((status = 201, body = PublisherInfo), (status = 400, body = ErrorBody),
        (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody)))]
pub async fn add(
    State(app): State<App>,
    known: Known,
    peer: Peer,
    ApiPath(namespace): ApiPath<String>,
    ApiJson(wish): ApiJson<AddPublisher>,
) -> Result<(StatusCode, Json<PublisherInfo>), ApiError> {
    let NamespaceOwner { caller, namespace } = owner(&app, known, &namespace).await?;
    let AddPublisher { issuer, package, claims } = wish;
    let believed = app.people.issuers.named(&issuer);
    let believed = believed.filter(|issuer| issuer.settings.audience.is_some());
    let believed = believed.ok_or_else(|| {
        ApiError::malformed(format!("No issuer called '{issuer}' is believed about jobs here."))
    })?;
    believed
        .provider
        .check(&claims)
        .map_err(|e| ApiError::malformed(format!("The publisher is refused: {e}.")))?;
    if let Some(text) = &package {
        let of: Result<Pattern, _> = text.parse();
        if !matches!(of, Ok(Pattern::Package(package)) if *package.namespace() == namespace) {
            let what = format!("'{text}' is no package of {namespace}.");
            return Err(ApiError::malformed(what));
        }
    }
    if app.store.publishers(&namespace).await?.len() >= PUBLISHERS_MAX {
        let what = format!("A namespace has at most {PUBLISHERS_MAX} trusted publishers.");
        return Err(ApiError::malformed(what));
    }
    let publisher = PublisherInfo {
        id: fresh_id()?,
        issuer,
        package,
        claims,
        created_by: caller.name.clone(),
        created_at: clock::now(),
    };
    app.store.add_publisher(&namespace, &publisher).await?;
    let event = Event::new(&caller.name, action::PUBLISHER_ADDED, &publisher.id);
    let detail = format!("{} {:?}", publisher.issuer, publisher.claims);
    record(&app, peer, event.within(namespace.as_str()).detail(detail)).await;
    Ok((StatusCode::CREATED, Json(publisher)))
}

/// Trust the jobs of a CI no longer
#[utoipa::path(delete, path = "/v1/namespaces/{namespace}/trusted-publishers/{id}", tag = "people",
    params(("namespace" = String, Path), ("id" = String, Path)), security(("token" = [])),
    responses((status = 204), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody)))]
pub async fn remove(
    State(app): State<App>,
    known: Known,
    peer: Peer,
    ApiPath((namespace, id)): ApiPath<(String, String)>,
) -> Result<StatusCode, ApiError> {
    let NamespaceOwner { caller, namespace } = owner(&app, known, &namespace).await?;
    if !app.store.remove_publisher(&namespace, &id).await? {
        return Err(ApiError::not_found("This trusted publisher"));
    }
    let event = Event::new(&caller.name, action::PUBLISHER_REMOVED, &id);
    record(&app, peer, event.within(namespace.as_str())).await;
    Ok(StatusCode::NO_CONTENT)
}

/// Exchange an ID token of a CI job for a publish token of a few minutes
///
/// The token allows uploads. The signature on the package stays that of the publisher's key.
#[utoipa::path(post, path = "/v1/trusted-publishing/token", tag = "people",
    request_body = ExchangeToken, security(()),
    responses((status = 201, body = ExchangedToken), (status = 400, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 429, body = ErrorBody),
        (status = 502, body = ErrorBody)))]
pub async fn exchange(
    State(app): State<App>,
    peer: Peer,
    ApiJson(wish): ApiJson<ExchangeToken>,
) -> Result<(StatusCode, Json<ExchangedToken>), ApiError> {
    app.people.limits.tight(Tight::Token, &peer.key())?;
    let pattern: Pattern = wish
        .pattern
        .parse()
        .map_err(|e| ApiError::malformed(format!("The pattern is refused: {e}.")))?;
    let namespace = pattern.namespace().to_string();
    match exchange::exchange(&app, &wish.token, &pattern).await {
        Ok(given) => {
            let event = Event::new(&given.subject, action::TOKEN_EXCHANGED, &given.publisher.id);
            let detail = given.token.pattern.clone();
            record(&app, peer, event.within(&namespace).detail(detail)).await;
            Ok((StatusCode::CREATED, Json(given.token)))
        }
        Err(error) => {
            let event = Event::new("nobody", action::TOKEN_EXCHANGE_REFUSED, &namespace);
            record(&app, peer, event.within(&namespace).detail(error.to_string())).await;
            Err(error)
        }
    }
}
