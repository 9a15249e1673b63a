//! Browsing packages and publishing versions.

use super::extract::{ApiJson, ApiPath, ApiQuery, name, package};
use crate::admit::Peer;
use crate::app::App;
use crate::audit::{Event, record};
use crate::auth::Publisher;
use crate::error::{ApiError, RequestError};
use crate::publish;
use crate::store::facets::Filters;
use crate::store::listing::{Cursor, Listing, Words};
use crate::webhooks::announce;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use skep_api::reason::ErrorBody;
use skep_api::v1::audit::action;
use skep_api::v1::facets::FacetName;
use skep_api::v1::packages::{
    PAGE_DEFAULT, PAGE_MAX, PackageDetail, PackagePage, PackageQuery, PublishReceipt,
    PublishRequest, VersionDetail,
};
use skep_api::v1::webhooks::event;
use skep_artifact::name::Version;

/// List or search packages
///
/// Newest first without `q`, best match first with it.
#[utoipa::path(get, path = "/v1/packages", tag = "packages", params(PackageQuery), security(()),
    responses((status = 200, body = PackagePage), (status = 400, body = ErrorBody)))]
pub async fn list(
    State(app): State<App>,
    ApiQuery(query): ApiQuery<PackageQuery>,
) -> Result<Json<PackagePage>, ApiError> {
    let limit = query.limit.unwrap_or(PAGE_DEFAULT);
    if !(1..=PAGE_MAX).contains(&limit) {
        return Err(ApiError::malformed(format!("limit is 1 to {PAGE_MAX}, not {limit}.")));
    }
    let after = match query.after.as_deref() {
        None => None,
        Some(text) => {
            let cursor = Cursor::parse(text).ok_or_else(|| {
                ApiError::malformed("after is not what a page before gave as next.")
            })?;
            Some(cursor)
        }
    };
    let Ok(words) = words(&query) else {
        return Ok(Json(PackagePage { packages: Vec::new(), next: None, total: 0 }));
    };
    let page = app.store.list(&Listing { words, filters: filters(query), after, limit }).await?;
    let mut packages = page.packages;
    for summary in &mut packages {
        summary.installs = app.fleet.installs(&summary.name);
    }
    let next = page.next.map(Cursor::to_text);
    Ok(Json(PackagePage { packages, next, total: page.total }))
}

/// Text in which nothing can be looked for: it is in no package.
pub(super) struct Unfindable;

pub(super) fn words(query: &PackageQuery) -> Result<Option<Words>, Unfindable> {
    let asked = query.q.as_deref().map(str::trim).filter(|q| !q.is_empty());
    asked.map(|text| Words::parse(text).ok_or(Unfindable)).transpose()
}

pub(super) fn filters(query: PackageQuery) -> Filters {
    let exact = [
        (FacetName::Hook, query.hook.map(|hook| hook.to_string())),
        (FacetName::ProgramType, query.program_type),
        (FacetName::Arch, query.arch),
        (FacetName::License, query.license),
        (FacetName::Namespace, query.namespace),
        (FacetName::VerifiedOn, query.verified_on),
        (FacetName::SignedBy, query.signed_by),
        (FacetName::Category, query.category),
    ];
    let given = exact.into_iter().filter_map(|(name, value)| Some((name, value?)));
    let said = given.filter(|(_, value)| !value.is_empty());
    Filters { exact: said.collect(), kernel: query.kernel }
}

/// One package with its versions
#[utoipa::path(get, path = "/v1/packages/{namespace}/{name}", tag = "packages", security(()),
    params(("namespace" = String, Path), ("name" = String, Path)),
    responses((status = 200, body = PackageDetail), (status = 404, body = ErrorBody),
        (status = 410, body = ErrorBody)))]
pub async fn show(
    State(app): State<App>,
    ApiPath((namespace, short)): ApiPath<(String, String)>,
) -> Result<Json<PackageDetail>, ApiError> {
    let name = package(&namespace, &short)?;
    if let Some(message) = app.store.tombstone(&name).await? {
        return Err(RequestError::Gone { what: name.to_string(), message }.into());
    }
    let missing = || ApiError::not_found(format!("Package {name}"));
    let mut summary = app.store.package(&name).await?.ok_or_else(missing)?;
    summary.installs = app.fleet.installs(&name);
    let newest = app.store.version(&name, &summary.version).await?.ok_or_else(missing)?;
    let versions = app.store.versions(&name).await?;
    let info = newest.manifest.get("package").cloned().unwrap_or_default();
    let texts = |key: &str| -> Vec<String> {
        let values = info.get(key).and_then(|list| list.as_array()).cloned().unwrap_or_default();
        values.iter().filter_map(|text| text.as_str().map(str::to_owned)).collect()
    };
    Ok(Json(PackageDetail {
        summary,
        repository: info.get("repository").and_then(|t| t.as_str()).map(str::to_owned),
        keywords: texts("keywords"),
        categories: texts("categories"),
        readme_html: newest.readme_html,
        versions,
    }))
}

/// One version of a package
#[utoipa::path(get, path = "/v1/packages/{namespace}/{name}/{version}", tag = "packages",
    security(()),
    params(("namespace" = String, Path), ("name" = String, Path), ("version" = String, Path)),
    responses((status = 200, body = VersionDetail), (status = 404, body = ErrorBody)))]
pub async fn show_version(
    State(app): State<App>,
    ApiPath((namespace, short, version)): ApiPath<(String, String, String)>,
) -> Result<Json<VersionDetail>, ApiError> {
    let package = package(&namespace, &short)?;
    let version: Version = name("Version", &version)?;
    let found = app.store.version(&package, &version).await?;
    found.map(Json).ok_or_else(|| ApiError::not_found(format!("{package} {version}")))
}

/// Make uploaded blobs a version
#[utoipa::path(post, path = "/v1/packages/{namespace}/{name}/versions", tag = "packages",
    params(("namespace" = String, Path), ("name" = String, Path)),
    request_body = PublishRequest, security(("token" = [])),
    responses((status = 201, body = PublishReceipt), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 404, body = ErrorBody),
        (status = 409, body = ErrorBody), (status = 422, body = ErrorBody),
        (status = 507, body = ErrorBody)))]
pub async fn publish(
    State(app): State<App>,
    publisher: Publisher,
    peer: Peer,
    ApiPath((namespace, short)): ApiPath<(String, String)>,
    ApiJson(request): ApiJson<PublishRequest>,
) -> Result<(StatusCode, Json<PublishReceipt>), ApiError> {
    let package = package(&namespace, &short)?;
    let namespace = package.namespace().to_string();
    let publisher = publisher.into_package(&package)?;
    let by = publisher.by.clone();
    let receipt = publish::publish(&app, publisher, package, request).await?;
    let subject = format!("{} {}", receipt.name, receipt.version);
    let published = Event::new(&by, action::PUBLISHED, &subject).within(&namespace);
    record(&app, peer, published.detail(receipt.index.to_string())).await;
    // Published is published: a queue that cannot be written is the operator's matter.
    let data = serde_json::json!({ "package": receipt.name, "version": receipt.version,
        "index": receipt.index, "published_by": by });
    if let Err(error) = announce(&app, receipt.name.namespace(), event::PUBLISHED, data).await {
        tracing::error!("webhooks about {subject} could not be queued: {error}");
    }
    Ok((StatusCode::CREATED, Json(receipt)))
}
