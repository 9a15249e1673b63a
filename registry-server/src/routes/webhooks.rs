//! Webhooks of a namespace: making, listing, trying, removing, and the log of deliveries.

use super::accounts::fresh_id;
use super::extract::{ApiJson, ApiPath};
use super::members::owner;
use crate::admit::Peer;
use crate::app::App;
use crate::audit::{Event, record};
use crate::auth::{Known, NamespaceOwner};
use crate::clock;
use crate::error::ApiError;
use crate::people::limits::Tight;
use crate::webhooks::{Key, queue, target};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::json;
use skep_api::reason::ErrorBody;
use skep_api::v1::audit::action;
use skep_api::v1::webhooks::{
    CreateWebhook, CreatedWebhook, DeliveryList, WebhookInfo, WebhookList, WebhookSecret, event,
};

/// Webhooks of one namespace: a chat, a mirror, a dashboard, and some more; each event is a request
/// to each.
const WEBHOOKS_MAX: usize = 10;

/// The webhooks of a namespace
#[utoipa::path(get, path = "/v1/namespaces/{namespace}/webhooks", tag = "webhooks",
    params(("namespace" = String, Path)), security(("token" = [])),
    responses((status = 200, body = WebhookList), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 404, body = ErrorBody)))]
pub async fn list(
    State(app): State<App>,
    known: Known,
    ApiPath(namespace): ApiPath<String>,
) -> Result<Json<WebhookList>, ApiError> {
    let owner = owner(&app, known, &namespace).await?;
    Ok(Json(WebhookList { webhooks: app.store.webhooks(&owner.namespace).await? }))
}

/// Make a webhook
#[utoipa::path(post, path = "/v1/namespaces/{namespace}/webhooks", tag = "webhooks",
    params(("namespace" = String, Path)), request_body = CreateWebhook, security(("token" = [])),
    responses((status = 201, body = CreatedWebhook), (status = 400, body = ErrorBody),
        (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody)))]
pub async fn create(
    State(app): State<App>,
    known: Known,
    peer: Peer,
    ApiPath(namespace): ApiPath<String>,
    ApiJson(wish): ApiJson<CreateWebhook>,
) -> Result<(StatusCode, Json<CreatedWebhook>), ApiError> {
    let NamespaceOwner { caller, namespace } = owner(&app, known, &namespace).await?;
    let url = target::parse(&wish.url, app.people.settings.webhooks)
        .map_err(|e| ApiError::malformed(format!("The webhook is refused: {e}.")))?;
    if app.store.webhooks(&namespace).await?.len() >= WEBHOOKS_MAX {
        let what = format!("A namespace has at most {WEBHOOKS_MAX} webhooks.");
        return Err(ApiError::malformed(what));
    }
    let key = Key::draw()?;
    let info = WebhookInfo {
        id: fresh_id()?,
        url: url.to_string(),
        created_by: caller.name.clone(),
        created_at: clock::now(),
        failures: 0,
        disabled_at: None,
    };
    app.store.add_webhook(&namespace, &info, key.as_bytes()).await?;
    let event = Event::new(&caller.name, action::WEBHOOK_MADE, &info.id);
    record(&app, peer, event.within(namespace.as_str()).detail(info.url.clone())).await;
    Ok((StatusCode::CREATED, Json(CreatedWebhook { info, secret: key.reveal() })))
}

/// Remove a webhook
#[utoipa::path(delete, path = "/v1/namespaces/{namespace}/webhooks/{id}", tag = "webhooks",
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
    if !app.store.remove_webhook(&namespace, &id).await? {
        return Err(ApiError::not_found("This webhook"));
    }
    let event = Event::new(&caller.name, action::WEBHOOK_REMOVED, &id);
    record(&app, peer, event.within(namespace.as_str())).await;
    Ok(StatusCode::NO_CONTENT)
}

/// Send a ping; one that arrives enables a disabled webhook again
#[utoipa::path(post, path = "/v1/namespaces/{namespace}/webhooks/{id}/ping", tag = "webhooks",
    params(("namespace" = String, Path), ("id" = String, Path)), security(("token" = [])),
    responses((status = 202), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody), (status = 429, body = ErrorBody)))]
pub async fn ping(
    State(app): State<App>,
    known: Known,
    ApiPath((namespace, id)): ApiPath<(String, String)>,
) -> Result<StatusCode, ApiError> {
    let NamespaceOwner { caller, namespace } = owner(&app, known, &namespace).await?;
    app.people.limits.tight(Tight::Token, &caller.key())?;
    let webhooks = app.store.webhooks(&namespace).await?;
    if !webhooks.iter().any(|webhook| webhook.id == id) {
        return Err(ApiError::not_found("This webhook"));
    }
    queue(&app, &id, event::PING, &json!({ "namespace": namespace.as_str() })).await?;
    Ok(StatusCode::ACCEPTED)
}

/// The key of a webhook's signatures; reading it is written down
#[utoipa::path(get, path = "/v1/namespaces/{namespace}/webhooks/{id}/secret", tag = "webhooks",
    params(("namespace" = String, Path), ("id" = String, Path)), security(("token" = [])),
    responses((status = 200, body = WebhookSecret), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 404, body = ErrorBody)))]
pub async fn secret(
    State(app): State<App>,
    known: Known,
    peer: Peer,
    ApiPath((namespace, id)): ApiPath<(String, String)>,
) -> Result<Json<WebhookSecret>, ApiError> {
    let NamespaceOwner { caller, namespace } = owner(&app, known, &namespace).await?;
    let found = app.store.webhook_secret(&namespace, &id).await?;
    let key = Key::from_stored(found.ok_or_else(|| ApiError::not_found("This webhook"))?);
    let event = Event::new(&caller.name, action::WEBHOOK_SECRET_READ, &id);
    record(&app, peer, event.within(namespace.as_str())).await;
    Ok(Json(WebhookSecret { secret: key.reveal() }))
}

/// What was delivered to a webhook, and what was not
#[utoipa::path(get, path = "/v1/namespaces/{namespace}/webhooks/{id}/deliveries", tag = "webhooks",
    params(("namespace" = String, Path), ("id" = String, Path)), security(("token" = [])),
    responses((status = 200, body = DeliveryList), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 404, body = ErrorBody)))]
pub async fn deliveries(
    State(app): State<App>,
    known: Known,
    ApiPath((namespace, id)): ApiPath<(String, String)>,
) -> Result<Json<DeliveryList>, ApiError> {
    let owner = owner(&app, known, &namespace).await?;
    let deliveries = app.store.deliveries(&owner.namespace, &id).await?;
    Ok(Json(DeliveryList { deliveries }))
}
