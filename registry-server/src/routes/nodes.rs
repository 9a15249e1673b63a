//! Reading the fleet, and tokens with which nodes enrol.

use super::extract::{ApiJson, ApiPath, name};
use crate::app::App;
use crate::auth::{FleetReader, Operator};
use crate::clock;
use crate::error::ApiError;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use skep_api::reason::ErrorBody;
use skep_api::v1::nodes::{CreateNodeToken, CreatedNodeToken, NodeDetail, NodeList};
use skep_fleet::ids::NodeName;

/// How many nodes one token may enrol.
const USES: std::ops::RangeInclusive<u32> = 1..=10_000;
/// Shortest and longest validity in seconds: a minute and 30 days.
const VALID_SECS: std::ops::RangeInclusive<u64> = 60..=2_592_000;

/// All nodes
#[utoipa::path(get, path = "/v1/nodes", tag = "fleet", security(("token" = [])),
    responses((status = 200, body = NodeList), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody)))]
pub async fn list(State(app): State<App>, _reader: FleetReader) -> Json<NodeList> {
    Json(NodeList { nodes: app.fleet.nodes() })
}

/// One node with its chains
#[utoipa::path(get, path = "/v1/nodes/{node}", tag = "fleet", params(("node" = String, Path)),
    security(("token" = [])),
    responses((status = 200, body = NodeDetail), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 404, body = ErrorBody)))]
pub async fn show(
    State(app): State<App>,
    _reader: FleetReader,
    ApiPath(node): ApiPath<String>,
) -> Result<Json<NodeDetail>, ApiError> {
    let node: NodeName = name("Node", &node)?;
    let found = app.fleet.node(&node);
    found.map(Json).ok_or_else(|| ApiError::not_found(format!("Node {node}")))
}

/// Make a token with which nodes enrol; it is shown once
#[utoipa::path(post, path = "/v1/node-tokens", tag = "fleet", request_body = CreateNodeToken,
    security(("token" = [])),
    responses((status = 201, body = CreatedNodeToken), (status = 400, body = ErrorBody),
        (status = 401, body = ErrorBody), (status = 403, body = ErrorBody)))]
pub async fn create_token(
    State(app): State<App>,
    Operator(operator): Operator,
    ApiJson(wish): ApiJson<CreateNodeToken>,
) -> Result<(StatusCode, Json<CreatedNodeToken>), ApiError> {
    let CreateNodeToken { labels, uses, valid_secs } = wish;
    if !USES.contains(&uses) {
        let (least, most) = (USES.start(), USES.end());
        return Err(ApiError::malformed(format!("uses is {least} to {most}.")));
    }
    if !VALID_SECS.contains(&valid_secs) {
        let (least, most) = (VALID_SECS.start(), VALID_SECS.end());
        return Err(ApiError::malformed(format!("valid_secs is {least} to {most}.")));
    }
    let valid_secs = i64::try_from(valid_secs).unwrap_or(i64::MAX);
    let expires_at = clock::now().saturating_add(valid_secs);
    let made = app.fleet.create_node_token(labels, uses, expires_at, &operator.name).await?;
    let created = CreatedNodeToken { secret: made.reveal().to_owned(), expires_at };
    Ok((StatusCode::CREATED, Json(created)))
}
