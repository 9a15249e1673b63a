//! How much packages are used.

use super::extract::{ApiPath, package};
use crate::app::App;
use crate::clock;
use crate::error::ApiError;
use axum::Json;
use axum::extract::State;
use skep_api::reason::ErrorBody;
use skep_api::v1::stats::PackageStats;

/// How often a package is downloaded, and on how many nodes it runs
#[utoipa::path(get, path = "/v1/packages/{namespace}/{name}/stats", tag = "packages", security(()),
    params(("namespace" = String, Path), ("name" = String, Path)),
    responses((status = 200, body = PackageStats), (status = 404, body = ErrorBody)))]
pub async fn show(
    State(app): State<App>,
    ApiPath((namespace, short)): ApiPath<(String, String)>,
) -> Result<Json<PackageStats>, ApiError> {
    let name = package(&namespace, &short)?;
    let summary = app.store.package(&name).await?;
    let summary = summary.ok_or_else(|| ApiError::not_found(format!("Package {name}")))?;
    let mut versions = app.store.version_downloads(&name).await?;
    let running = app.fleet.installs_by_version(&name);
    for stats in &mut versions {
        stats.installs = running.get(&stats.version).copied().unwrap_or(0);
    }
    Ok(Json(PackageStats {
        downloads: summary.downloads,
        installs: app.fleet.installs(&name),
        days: app.store.daily_downloads(&name, clock::now()).await?,
        versions,
        name,
    }))
}
