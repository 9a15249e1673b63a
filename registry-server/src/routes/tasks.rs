//! Tasks that look after stored bytes.

use super::extract::{ApiJson, ApiPath};
use crate::app::App;
use crate::auth::Admin;
use crate::error::ApiError;
use crate::maintenance;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use skep_api::reason::ErrorBody;
use skep_api::v1::maintenance::{StartTask, TaskInfo, TaskList};

/// Start a task while the registry runs
///
/// `gc` removes what nothing names; `scrub` compares every stored byte with its digest, and repairs
/// from another registry when one is named. One runs at a time; ask for it by its id.
#[utoipa::path(post, path = "/v1/tasks", tag = "operations", operation_id = "start_task",
    request_body = StartTask, security(("token" = [])),
    responses((status = 202, body = TaskInfo), (status = 400, body = ErrorBody),
        (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 409, body = ErrorBody)))]
pub async fn start(
    State(app): State<App>,
    _admin: Admin,
    ApiJson(wish): ApiJson<StartTask>,
) -> Result<(StatusCode, Json<TaskInfo>), ApiError> {
    Ok((StatusCode::ACCEPTED, Json(maintenance::start(&app, wish)?)))
}

/// Every task since the registry was started
#[utoipa::path(get, path = "/v1/tasks", tag = "operations", operation_id = "list_tasks",
    security(("token" = [])),
    responses((status = 200, body = TaskList), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody)))]
pub async fn list(State(app): State<App>, _admin: Admin) -> Json<TaskList> {
    Json(TaskList { tasks: app.tasks.list() })
}

/// How far a task is, and what it found
#[utoipa::path(get, path = "/v1/tasks/{id}", tag = "operations", operation_id = "show_task",
    params(("id" = u64, Path)), security(("token" = [])),
    responses((status = 200, body = TaskInfo), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 404, body = ErrorBody)))]
pub async fn show(
    State(app): State<App>,
    _admin: Admin,
    ApiPath(id): ApiPath<u64>,
) -> Result<Json<TaskInfo>, ApiError> {
    app.tasks.find(id).map(Json).ok_or_else(|| ApiError::not_found(format!("Task {id}")))
}
