//! Rollouts and freezes: reading them, and what operators wish.

use super::extract::{ApiJson, ApiPath, name};
use crate::admit::Peer;
use crate::app::App;
use crate::audit::{self, Event as Audited};
use crate::auth::{FleetReader, Operator};
use crate::clock;
use crate::error::ApiError;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use skep_api::reason::ErrorBody;
use skep_api::v1::audit::action;
use skep_api::v1::rollouts::{
    FreezeList, RolloutDetail, RolloutList, RolloutSummary, RolloutWish, SetFreeze, WishKind,
};
use skep_fleet::ids::PolicyName;
use skep_fleet::rollout::state::Because;
use skep_fleet::rollout::{Event, Rollout};

/// Longest reason somebody gives, in characters: a paragraph.
const WHY_CHARS_MAX: usize = 1000;

/// Every rollout, the newest of each policy first
#[utoipa::path(get, path = "/v1/rollouts", tag = "fleet", operation_id = "list_rollouts",
    security(("token" = [])),
    responses((status = 200, body = RolloutList), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody)))]
pub async fn list(
    State(app): State<App>,
    _reader: FleetReader,
) -> Result<Json<RolloutList>, ApiError> {
    let all = app.fleet.every_rollout().await?;
    let rollouts = all.iter().map(RolloutSummary::from).collect();
    Ok(Json(RolloutList { rollouts, now: clock::now() }))
}

/// One rollout: its waves, nodes, gates and evidence
#[utoipa::path(get, path = "/v1/rollouts/{policy}/{revision}", tag = "fleet",
    operation_id = "show_rollout", params(("policy" = String, Path), ("revision" = u64, Path)),
    security(("token" = [])),
    responses((status = 200, body = RolloutDetail), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 404, body = ErrorBody)))]
pub async fn show(
    State(app): State<App>,
    _reader: FleetReader,
    ApiPath((policy, revision)): ApiPath<(String, u64)>,
) -> Result<Json<RolloutDetail>, ApiError> {
    let policy: PolicyName = name("Policy", &policy)?;
    let all = app.fleet.every_rollout().await?;
    let found = all.iter().find(|it| it.policy == policy && it.to == revision);
    let detail = found.map(|it| RolloutDetail::of(it, clock::now()));
    let missing = || ApiError::not_found(format!("A rollout of {policy} r{revision}"));
    detail.map(Json).ok_or_else(missing)
}

/// Pause, resume, promote, retry, cancel, roll back or let past a freeze
#[utoipa::path(post, path = "/v1/rollouts/{policy}/{revision}/wishes", tag = "fleet",
    operation_id = "wish_of_rollout", params(("policy" = String, Path), ("revision" = u64, Path)),
    request_body = RolloutWish, security(("token" = [])),
    responses((status = 200, body = RolloutDetail), (status = 400, body = ErrorBody),
        (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody), (status = 409, body = ErrorBody)))]
pub async fn wish(
    State(app): State<App>,
    peer: Peer,
    Operator(operator): Operator,
    ApiPath((policy, revision)): ApiPath<(String, u64)>,
    ApiJson(RolloutWish { wish, why }): ApiJson<RolloutWish>,
) -> Result<Json<RolloutDetail>, ApiError> {
    let (by, why) = (operator.name.clone(), reason(&why)?);
    let (event, word) = match wish {
        WishKind::Pause => (Event::Pause { by, why }, "pause"),
        WishKind::Resume => (Event::Resume { by }, "resume"),
        WishKind::Promote => (Event::Promote { by }, "promote"),
        WishKind::Retry => (Event::Retry { by }, "retry"),
        WishKind::Cancel => (Event::Cancel { by, why }, "cancel"),
        WishKind::Rollback => (Event::Rollback { by, why }, "rollback"),
        WishKind::BreakGlass => (Event::BreakGlass(Because { by, why }), "break glass"),
    };
    done(&app, peer, &operator.name, (&policy, revision), event, word).await
}

async fn done(
    app: &App,
    peer: Peer,
    by: &str,
    (policy, revision): (&str, u64),
    event: Event,
    word: &str,
) -> Result<Json<RolloutDetail>, ApiError> {
    let policy: PolicyName = name("Policy", policy)?;
    let events = |_: &Rollout| vec![event.clone()];
    let state = app.fleet.change_rollout(&policy, revision, &events).await?;
    let subject = format!("{policy} r{revision}");
    let told = Audited::new(by, action::ROLLOUT_WISHED, &subject).detail(word);
    audit::record(app, peer, told).await;
    Ok(Json(RolloutDetail::of(&state, clock::now())))
}

fn reason(text: &str) -> Result<String, ApiError> {
    if text.chars().count() > WHY_CHARS_MAX || text.chars().any(char::is_control) {
        return Err(ApiError::malformed(format!(
            "A reason is one line of at most {WHY_CHARS_MAX} characters."
        )));
    }
    Ok(text.to_owned())
}

/// Times in which rollouts stand still
#[utoipa::path(get, path = "/v1/freezes", tag = "fleet", operation_id = "list_freezes",
    security(("token" = [])),
    responses((status = 200, body = FreezeList), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody)))]
pub async fn freezes(
    State(app): State<App>,
    _reader: FleetReader,
) -> Result<Json<FreezeList>, ApiError> {
    Ok(Json(FreezeList { freezes: app.store.freezes().await? }))
}

/// Set a freeze, in the place of one of the same name
#[utoipa::path(post, path = "/v1/freezes", tag = "fleet", operation_id = "set_freeze",
    request_body = SetFreeze, security(("token" = [])),
    responses((status = 204), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody)))]
pub async fn freeze(
    State(app): State<App>,
    peer: Peer,
    Operator(operator): Operator,
    ApiJson(SetFreeze { freeze }): ApiJson<SetFreeze>,
) -> Result<StatusCode, ApiError> {
    freeze
        .check()
        .map_err(|error| ApiError::malformed(format!("The freeze cannot be used: {error}.")))?;
    app.store.put_freeze(&freeze, &operator.name, clock::now()).await?;
    let told = Audited::new(&operator.name, action::FREEZE_SET, &freeze.name);
    audit::record(&app, peer, told.detail(freeze.reason.clone())).await;
    Ok(StatusCode::NO_CONTENT)
}

/// Take a freeze away
#[utoipa::path(delete, path = "/v1/freezes/{name}", tag = "fleet", operation_id = "remove_freeze",
    params(("name" = String, Path)), security(("token" = [])),
    responses((status = 204), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody)))]
pub async fn thaw(
    State(app): State<App>,
    peer: Peer,
    Operator(operator): Operator,
    ApiPath(freeze): ApiPath<String>,
) -> Result<StatusCode, ApiError> {
    if !app.store.remove_freeze(&freeze).await? {
        return Err(ApiError::not_found(format!("The freeze {freeze}")));
    }
    audit::record(&app, peer, Audited::new(&operator.name, action::FREEZE_REMOVED, &freeze)).await;
    Ok(StatusCode::NO_CONTENT)
}
