//! The three calls an agent makes: enrol, sync, report.

use super::extract::ApiJson;
use crate::app::App;
use crate::auth::NodeCaller;
use crate::clock;
use crate::error::{ApiError, RequestError};
use crate::live::{Desired, Node};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::value::RawValue;
use skep_api::reason::ErrorBody;
use skep_api::v1::nodes::{EnrolRequest, EnrolResponse};
use skep_api::v1::operators::{Notices, NoticesSeen};
use skep_api::v1::sync::{DesiredState, Report, SyncRequest, WAIT_SECS_MAX};
use skep_artifact::digest::Digest;
use skep_fleet::ids::Generation;
use std::time::Duration;

/// Digits of an instance: 32 bytes in hexadecimal.
const INSTANCE_DIGITS: usize = 64;

/// Enrol a node with a token
#[utoipa::path(post, path = "/v1/agent/enrol", tag = "agent", request_body = EnrolRequest,
    security(()),
    responses((status = 200, body = EnrolResponse), (status = 400, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 409, body = ErrorBody)))]
pub async fn enrol(
    State(app): State<App>,
    ApiJson(request): ApiJson<EnrolRequest>,
) -> Result<Json<EnrolResponse>, ApiError> {
    let instance = &request.instance;
    if instance.len() != INSTANCE_DIGITS || hex::decode(instance).is_err() {
        return Err(ApiError::malformed("instance is 32 bytes in hexadecimal digits."));
    }
    Ok(Json(app.fleet.enrol(request).await?))
}

/// The answer to a sync: the envelopes are the same bytes for every node that wants the same.
#[derive(Serialize)]
struct Answer<'a> {
    generation: Generation,
    digest: Digest,
    policies: &'a RawValue,
    assignment: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    notices: Option<Notices>,
}

/// Wait for a desired state other than the one the node has
///
/// Answers at once when there is one; else parks the call until there is, and with 204 when the
/// wait is over.
#[utoipa::path(post, path = "/v1/agent/sync", tag = "agent", request_body = SyncRequest,
    security(("node" = [])),
    responses((status = 200, body = DesiredState), (status = 204), (status = 400, body = ErrorBody),
        (status = 401, body = ErrorBody), (status = 503, body = ErrorBody)))]
pub async fn sync(
    State(app): State<App>,
    NodeCaller(node): NodeCaller,
    ApiJson(request): ApiJson<SyncRequest>,
) -> Result<Response, ApiError> {
    let SyncRequest { have, wait_secs, notices } = request;
    if wait_secs > WAIT_SECS_MAX {
        return Err(ApiError::malformed(format!("wait_secs is 0 to {WAIT_SECS_MAX}.")));
    }
    app.metrics.synced();
    let _parked = node.park(wait_secs, clock::now);
    tokio::select! {
        biased;
        found = node.other_than(have) => match found {
            Some(desired) => answer(&app, &node, &desired, notices),
            None => Err(crate::auth::AuthError::Unauthorised.into()),
        },
        () = news(&app, notices) => answer(&app, &node, &node.desired(), notices),
        () = app.stopping.cancelled() => Err(RequestError::Stopping.into()),
        () = tokio::time::sleep(spread(wait_secs)) => Ok(StatusCode::NO_CONTENT.into_response()),
    }
}

/// Waits for sets, approvals and revocations the node has not seen; an agent of the release before is not told of any.
async fn news(app: &App, seen: Option<NoticesSeen>) {
    match seen {
        Some(seen) => app.fleet.news(&seen).await,
        None => std::future::pending().await,
    }
}

fn answer(
    app: &App,
    node: &Node,
    desired: &Desired,
    seen: Option<NoticesSeen>,
) -> Result<Response, ApiError> {
    let Desired { generation, offer } = desired;
    let body = Answer {
        generation: *generation,
        digest: offer.digest,
        policies: &offer.envelopes,
        assignment: app.fleet.assign(&node.name, desired)?,
        notices: seen.map(|seen| app.fleet.held().notices(&seen)),
    };
    Ok(Json(body).into_response())
}

/// 80 to 100 % of the wait, so that nodes woken together do not come back together for ever.
fn spread(wait_secs: u32) -> Duration {
    let mut random = [0];
    // Without randomness everybody waits the full time, which is slower and not wrong.
    let _ = getrandom::fill(&mut random);
    let wait = Duration::from_secs(u64::from(wait_secs));
    wait - wait / 5 * u32::from(random[0]) / 255
}

/// Tell what runs
#[utoipa::path(post, path = "/v1/agent/report", tag = "agent", request_body = Report,
    security(("node" = [])),
    responses((status = 204), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 413, body = ErrorBody)))]
pub async fn report(
    State(app): State<App>,
    NodeCaller(node): NodeCaller,
    ApiJson(report): ApiJson<Report>,
) -> StatusCode {
    app.metrics.reported();
    if let Some(seen) = &report.log
        && let Err(error) = app.log.heard(&node.name, seen).await
    {
        tracing::error!(node.id = %node.name, "the log as node {} sees it was not compared: {error}", node.name);
    }
    app.fleet.reported(&node, report);
    StatusCode::NO_CONTENT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_shortened_by_at_most_a_fifth() {
        for _ in 0..100 {
            let wait = spread(100);
            assert!(
                (Duration::from_secs(80)..=Duration::from_secs(100)).contains(&wait),
                "{wait:?}"
            );
        }
        assert_eq!(spread(0), Duration::ZERO);
    }
}
