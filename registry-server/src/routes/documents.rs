//! Handing in policy sets, approvals and revocations, and reading them.

use super::extract::ApiJson;
use crate::app::App;
use crate::auth::{FleetReader, Known, Operator};
use crate::control::ControlError;
use crate::control::documents::{check_publishers, revoked_package};
use crate::error::ApiError;
use axum::Json;
use axum::extract::State;
use base64::Engine as _;
use skep_api::reason::ErrorBody;
use skep_api::v1::operators::{
    ApprovalInfo, ApprovalList, HandIn, PolicySetInfo, RevocationInfo, RevocationList, StoredSet,
};

fn decoded(given: &HandIn) -> Result<Vec<u8>, ControlError> {
    let engine = base64::engine::general_purpose::STANDARD;
    engine.decode(&given.envelope).map_err(|_| ControlError::EnvelopeText)
}

/// The policy set, and what nodes accepted
#[utoipa::path(get, path = "/v1/policy-set", tag = "fleet", security(("token" = [])),
    responses((status = 200, body = PolicySetInfo), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody)))]
pub async fn policy_set(State(app): State<App>, _reader: FleetReader) -> Json<PolicySetInfo> {
    Json(app.fleet.policy_set())
}

/// Hand in a signed policy set; every node is told
#[utoipa::path(post, path = "/v1/policy-set", tag = "fleet", request_body = HandIn,
    security(("token" = [])),
    responses((status = 200, body = StoredSet), (status = 400, body = ErrorBody),
        (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 409, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub async fn hand_in_set(
    State(app): State<App>,
    Operator(operator): Operator,
    ApiJson(given): ApiJson<HandIn>,
) -> Result<Json<StoredSet>, ApiError> {
    Ok(Json(app.fleet.hand_in_set(decoded(&given)?, &operator.name).await?))
}

/// Approvals of the newest revisions
#[utoipa::path(get, path = "/v1/approvals", tag = "fleet", security(("token" = [])),
    responses((status = 200, body = ApprovalList), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody)))]
pub async fn approvals(State(app): State<App>, _reader: FleetReader) -> Json<ApprovalList> {
    let held = app.fleet.held();
    Json(ApprovalList { approvals: held.approvals.iter().map(|held| held.info.clone()).collect() })
}

/// Hand in a signed approval of a wave; every node is told
#[utoipa::path(post, path = "/v1/approvals", tag = "fleet", request_body = HandIn,
    security(("token" = [])),
    responses((status = 200, body = ApprovalInfo), (status = 400, body = ErrorBody),
        (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 409, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub async fn approve(
    State(app): State<App>,
    Operator(operator): Operator,
    ApiJson(given): ApiJson<HandIn>,
) -> Result<Json<ApprovalInfo>, ApiError> {
    Ok(Json(app.fleet.approve(decoded(&given)?, &operator.name).await?))
}

/// Every revocation, oldest first
///
/// Anybody may read them: what is known to be bad is no secret.
#[utoipa::path(get, path = "/v1/revocations", tag = "packages", security(()),
    responses((status = 200, body = RevocationList)))]
pub async fn revocations(State(app): State<App>) -> Json<RevocationList> {
    Json(RevocationList { revocations: app.fleet.held().revocations.clone() })
}

/// Hand in a signed revocation, or the lift of one; every node is told
///
/// An operator hands in any, and nodes decide whether it counts. Whoever may publish a package hands in those of that
/// package, signed by as many of the namespace's keys as must sign for it.
#[utoipa::path(post, path = "/v1/revocations", tag = "packages", request_body = HandIn,
    security(("token" = [])),
    responses((status = 200, body = RevocationInfo), (status = 400, body = ErrorBody),
        (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 422, body = ErrorBody)))]
pub async fn revoke(
    State(app): State<App>,
    caller: Known,
    ApiJson(given): ApiJson<HandIn>,
) -> Result<Json<RevocationInfo>, ApiError> {
    let envelope = decoded(&given)?;
    if let Ok(Operator(operator)) = caller.clone().into_operator() {
        return Ok(Json(app.fleet.revoke(envelope, &operator.name).await?));
    }
    let publisher = caller.into_publisher()?;
    let package = revoked_package(&envelope).map_err(ControlError::from)?;
    let by = publisher.into_package(&package)?.by;
    let namespace = app.store.namespace(package.namespace()).await?;
    let signers = namespace.map(|info| (info.keys, info.threshold)).unwrap_or_default();
    check_publishers(&envelope, &signers.0, signers.1).map_err(ControlError::from)?;
    Ok(Json(app.fleet.revoke(envelope, &by).await?))
}
