//! Handing in signed policy revisions, and reading them.

use super::extract::ApiJson;
use crate::app::App;
use crate::auth::{FleetReader, Operator};
use crate::control::ControlError;
use crate::error::ApiError;
use axum::Json;
use axum::extract::State;
use base64::Engine as _;
use skep_api::reason::ErrorBody;
use skep_api::v1::policies::{ApplyReceipt, ApplyRequest, PolicyList};

/// Every policy with the nodes it selects
#[utoipa::path(get, path = "/v1/policies", tag = "fleet", security(("token" = [])),
    responses((status = 200, body = PolicyList), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody)))]
pub async fn list(State(app): State<App>, _reader: FleetReader) -> Json<PolicyList> {
    Json(PolicyList { policies: app.fleet.policy_list() })
}

/// Hand in a signed revision; nodes that it is for are woken
#[utoipa::path(post, path = "/v1/policies", tag = "fleet", request_body = ApplyRequest,
    security(("token" = [])),
    responses((status = 200, body = ApplyReceipt), (status = 400, body = ErrorBody),
        (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 409, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub async fn apply(
    State(app): State<App>,
    Operator(operator): Operator,
    ApiJson(request): ApiJson<ApplyRequest>,
) -> Result<Json<ApplyReceipt>, ApiError> {
    let envelope = base64::engine::general_purpose::STANDARD
        .decode(&request.envelope)
        .map_err(|_| ControlError::EnvelopeText)?;
    Ok(Json(app.fleet.apply(envelope, &operator.name).await?))
}
