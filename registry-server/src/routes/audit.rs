//! Reading the audit log: owners their namespace, accounts themselves, admins everything.

use super::extract::{ApiQuery, name};
use crate::app::App;
use crate::auth::Known;
use crate::error::ApiError;
use crate::store::audit::AuditFilter;
use axum::Json;
use axum::extract::State;
use skep_api::reason::ErrorBody;
use skep_api::v1::audit::{AUDIT_PAGE_DEFAULT, AUDIT_PAGE_MAX, AuditPage, AuditQuery};
use skep_api::v1::tokens::Scope;

/// Who did what when, newest first
#[utoipa::path(get, path = "/v1/audit", tag = "people", params(AuditQuery),
    security(("token" = [])),
    responses((status = 200, body = AuditPage), (status = 400, body = ErrorBody),
        (status = 401, body = ErrorBody), (status = 403, body = ErrorBody)))]
pub async fn list(
    State(app): State<App>,
    known: Known,
    ApiQuery(query): ApiQuery<AuditQuery>,
) -> Result<Json<AuditPage>, ApiError> {
    let limit = query.limit.unwrap_or(AUDIT_PAGE_DEFAULT);
    if !(1..=AUDIT_PAGE_MAX).contains(&limit) {
        return Err(ApiError::malformed(format!("limit is 1 to {AUDIT_PAGE_MAX}, not {limit}.")));
    }
    let (namespace, account) = match query.namespace {
        Some(text) => {
            let owner = known.into_owner(name("Namespace", &text)?)?;
            (Some(owner.namespace.to_string()), None)
        }
        None if known.0.may(Scope::Admin) => (None, None),
        None => {
            let person = known.into_person()?;
            (None, person.0.account.map(|account| account.name))
        }
    };
    let (action, before) = (query.action, query.before);
    let filter = AuditFilter { namespace, account, action, before, limit };
    Ok(Json(app.store.audit(&filter).await?))
}
