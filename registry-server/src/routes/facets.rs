//! What a listing can be narrowed by.

use super::extract::ApiQuery;
use super::packages::{filters, words};
use crate::app::App;
use crate::error::ApiError;
use crate::facets::Question;
use axum::Json;
use axum::extract::State;
use skep_api::reason::ErrorBody;
use skep_api::v1::facets::Facets;
use skep_api::v1::packages::PackageQuery;

/// Count what packages can be narrowed by
///
/// The same question as for a listing; `after` and `limit` are not looked at.
#[utoipa::path(get, path = "/v1/facets", tag = "packages", params(PackageQuery), security(()),
    responses((status = 200, body = Facets), (status = 400, body = ErrorBody)))]
pub async fn list(
    State(app): State<App>,
    ApiQuery(query): ApiQuery<PackageQuery>,
) -> Result<Json<Facets>, ApiError> {
    let Ok(words) = words(&query) else {
        let counted_at = crate::clock::now();
        return Ok(Json(Facets { packages: 0, facets: Vec::new(), counted_at }));
    };
    let text = query.q.clone().unwrap_or_default();
    let question = Question { text, words, filters: filters(query) };
    let facets = app.facets.answer(&app.store, &question).await?;
    Ok(Json(Facets::clone(&facets)))
}
