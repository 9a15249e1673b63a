//! Every route in one list, what surrounds them, and the OpenAPI document they make.

use crate::app::App;
use crate::error;
use crate::routes::extract::{JSON_BYTES_MAX, SIGNED_JSON_BYTES_MAX};
use crate::routes::{
    agent, blobs, health, namespaces, nodes, oci, packages, policies, tokens, tuf, web,
};
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use skep_api::v1::trust::DOCUMENT_BYTES_MAX;
use tower_http::set_header::SetResponseHeaderLayer;
use utoipa::OpenApi as _;
use utoipa::openapi::OpenApi;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Skep registry",
        description = "Packages, search, OCI pull, and the fleet. Errors have one envelope: see ErrorBody.",
        version = "1"
    ),
    tags(
        (name = "packages", description = "Browse, upload, publish"),
        (name = "trust", description = "The TUF repository and what its keepers hand in"),
        (name = "namespaces", description = "Who may sign for which names"),
        (name = "tokens", description = "API tokens"),
        (name = "fleet", description = "Policies and nodes"),
        (name = "agent", description = "What agents call"),
        (name = "oci", description = "The pull half of the OCI distribution API")
    )
)]
struct Document;

/// The document of the API, without a running server.
#[must_use]
pub fn openapi() -> OpenApi {
    api().split_for_parts().1
}

/// The document as it is served and committed.
#[must_use]
pub fn openapi_json() -> String {
    let mut json = openapi().to_pretty_json().unwrap_or_default();
    json.push('\n');
    json
}

fn api() -> OpenApiRouter<App> {
    let mut document = Document::openapi();
    let components = document.components.get_or_insert_default();
    let bearer = || SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
    components.add_security_scheme("token", bearer());
    components.add_security_scheme("node", bearer());
    let large = DefaultBodyLimit::max(SIGNED_JSON_BYTES_MAX);
    OpenApiRouter::with_openapi(document)
        .merge(
            OpenApiRouter::new()
                .routes(routes!(packages::publish))
                .routes(routes!(policies::list, policies::apply))
                .layer(large),
        )
        .merge(
            // Bounded while it streams: see the blob store.
            OpenApiRouter::new()
                .routes(routes!(blobs::exists, blobs::put))
                .layer(DefaultBodyLimit::disable()),
        )
        .merge(
            OpenApiRouter::new()
                .routes(routes!(tuf::put_root))
                .routes(routes!(tuf::put_targets))
                .layer(DefaultBodyLimit::max(DOCUMENT_BYTES_MAX)),
        )
        .routes(routes!(tuf::metadata))
        .routes(routes!(tuf::target))
        .routes(routes!(tuf::show))
        .routes(routes!(packages::list))
        .routes(routes!(packages::show))
        .routes(routes!(packages::show_version))
        .routes(routes!(namespaces::list, namespaces::claim))
        .routes(routes!(namespaces::show))
        .routes(routes!(namespaces::role, tuf::put_role))
        .routes(routes!(tokens::list, tokens::create))
        .routes(routes!(tokens::remove))
        .routes(routes!(nodes::list))
        .routes(routes!(nodes::show))
        .routes(routes!(nodes::create_token))
        .routes(routes!(agent::enrol))
        .routes(routes!(agent::sync))
        .routes(routes!(agent::report))
        .routes(routes!(oci::version))
        .routes(routes!(oci::manifest))
        .routes(routes!(oci::blob))
        .routes(routes!(oci::tags))
        .routes(routes!(oci::referrers))
}

/// The whole service.
pub fn router(app: App) -> Router {
    let (api, _) = api().split_for_parts();
    let document = openapi_json();
    let set = |name: HeaderName, value: &'static str| {
        SetResponseHeaderLayer::if_not_present(name, HeaderValue::from_static(value))
    };
    api.route("/healthz", get(health::live))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(health::metrics))
        .route(
            "/openapi.json",
            get(move || {
                let kind = [(header::CONTENT_TYPE, "application/json")];
                std::future::ready((kind, document.clone()).into_response())
            }),
        )
        .fallback(elsewhere)
        .layer(DefaultBodyLimit::max(JSON_BYTES_MAX))
        .layer(set(header::CONTENT_SECURITY_POLICY, web::CONTENT_SECURITY_POLICY))
        .layer(set(header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .layer(set(header::X_FRAME_OPTIONS, "DENY"))
        .layer(set(header::REFERRER_POLICY, "no-referrer"))
        .layer(set(HeaderName::from_static("cross-origin-opener-policy"), "same-origin"))
        .layer(middleware::from_fn(error::finish))
        .with_state(app)
}

/// Addresses that no route has: errors below the APIs, the web front everywhere else.
async fn elsewhere(method: Method, uri: Uri, headers: HeaderMap) -> Response {
    let below = |root: &str| {
        uri.path().strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    if below("/tuf") {
        StatusCode::NOT_FOUND.into_response()
    } else if below("/v2") {
        oci::other(&method).into_response()
    } else if below("/v1") {
        StatusCode::NOT_FOUND.into_response()
    } else {
        web::front(&method, &uri, &headers)
    }
}
