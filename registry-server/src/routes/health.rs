//! Whether the server lives, is ready, and what it counts.

use crate::app::App;
use crate::error::ApiError;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;

/// The process answers.
pub async fn live() -> &'static str {
    "ok\n"
}

/// The database answers, too.
///
/// # Errors
/// [`ApiError`] when it does not.
pub async fn ready(State(app): State<App>) -> Result<&'static str, ApiError> {
    app.store.ping().await?;
    Ok("ready\n")
}

/// Counters for Prometheus.
pub async fn metrics(State(app): State<App>) -> impl IntoResponse {
    let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4")];
    let size = app.log.size().await.unwrap_or_default();
    (kind, app.metrics.to_text(app.fleet.size(), size, app.log.alarmed()))
}
