//! Taking over packages that were signed for another registry.

use super::extract::{ApiJson, ApiPath, name};
use crate::admit::Peer;
use crate::adopt;
use crate::app::App;
use crate::audit::{Event, record};
use crate::auth::Publisher;
use crate::error::ApiError;
use crate::webhooks::announce;
use axum::Json;
use axum::extract::State;
use skep_api::reason::ErrorBody;
use skep_api::v1::adopt::{AdoptReceipt, AdoptRequest};
use skep_api::v1::audit::action;
use skep_api::v1::webhooks::event;
use skep_artifact::name::Namespace;

/// Make uploaded blobs versions, under a role file from another registry
///
/// What a mirror and an air-gap bundle bring. The same checks as a publish, except that the role
/// file may be any newer one. All versions become visible, or none.
#[utoipa::path(post, path = "/v1/namespaces/{namespace}/adopt", tag = "namespaces",
    params(("namespace" = String, Path)), request_body = AdoptRequest, security(("token" = [])),
    responses((status = 200, body = AdoptReceipt), (status = 400, body = ErrorBody),
        (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody), (status = 409, body = ErrorBody),
        (status = 413, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub async fn adopt(
    State(app): State<App>,
    publisher: Publisher,
    peer: Peer,
    ApiPath(namespace): ApiPath<String>,
    ApiJson(request): ApiJson<AdoptRequest>,
) -> Result<Json<AdoptReceipt>, ApiError> {
    let namespace: Namespace = name("Namespace", &namespace)?;
    let by = publisher.into_namespace(&namespace)?.by;
    let receipt = adopt::adopt(&app, &by, &namespace, request).await?;
    let within = namespace.to_string();
    for version in &receipt.added {
        let adopted = Event::new(&by, action::ADOPTED, version).within(&within);
        record(&app, peer, adopted).await;
        let data = serde_json::json!({ "version": version, "published_by": by });
        if let Err(error) = announce(&app, &namespace, event::PUBLISHED, data).await {
            tracing::error!("webhooks about {version} could not be queued: {error}");
        }
    }
    Ok(Json(receipt))
}
