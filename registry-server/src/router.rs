//! Every route in one list, what surrounds them, and the OpenAPI document they make.

use crate::admit::admit;
use crate::app::App;
use crate::error;
use crate::memory::remember;
use crate::routes::extract::{JSON_BYTES_MAX, SIGNED_JSON_BYTES_MAX};
use crate::routes::{
    accounts, adopt, agent, attestations, audit, blobs, cosign, documents, facets, feeds, health,
    invites, life, log, members, namespaces, nodes, oci, oidc, packages, policies, publishers,
    quotas, rollouts, sessions, stats, tasks, tokens, tuf, uploads, web, webhooks,
};
use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use skep_api::v1::trust::DOCUMENT_BYTES_MAX;
use std::collections::HashSet;
use tower_http::set_header::SetResponseHeaderLayer;
use utoipa::OpenApi as _;
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::path::PathItem;
use utoipa::openapi::response::{Response as OpenApiResponse, ResponseBuilder};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{OpenApi, Ref};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Skep registry",
        description = "Packages, search, OCI distribution, and the fleet. Errors have one envelope: see ErrorBody.",
        version = "1"
    ),
    tags(
        (name = "packages", description = "Browse, upload, publish"),
        (name = "trust", description = "The TUF repository and what its keepers hand in"),
        (name = "namespaces", description = "Who may sign for which names"),
        (name = "people", description = "Accounts, sessions, members, invites, the audit log"),
        (name = "tokens", description = "API tokens"),
        (name = "webhooks", description = "Who is told about what happens in a namespace"),
        (name = "fleet", description = "Policies and nodes"),
        (name = "agent", description = "What agents call"),
        (name = "operations", description = "Looking after the registry"),
        (name = "log", description = "The transparency log"),
        (name = "oci", description = "The OCI distribution API 1.1; its errors have the envelope of that specification")
    )
)]
struct Document;

/// The document of the API, without a running server.
#[must_use]
pub fn openapi() -> OpenApi {
    let mut document = api().split_for_parts().1;
    // The router writes a parameter with slashes as `{*path}`; OpenAPI knows no such thing, and calls it by its name.
    let paths = std::mem::take(&mut document.paths.paths);
    document.paths.paths =
        paths.into_iter().map(|(path, item)| (path.replace("{*", "{"), item)).collect();
    for (path, item) in &mut document.paths.paths {
        let PathItem { get, put, post, delete, head, patch, .. } = item;
        for operation in [get, put, post, delete, head, patch].into_iter().flatten() {
            let responses = &mut operation.responses.responses;
            responses.entry("default".to_owned()).or_insert_with(|| other_error(path).into());
        }
    }
    document
}

/// What every operation may answer beside what it lists: errors of the request as such (a path or a body that cannot be
/// read, too many at once), and of the server. They have one envelope; below `/v2/` it is that of the specification.
fn other_error(path: &str) -> OpenApiResponse {
    let response = ResponseBuilder::new().description("Any other error");
    if path.starts_with("/v2") {
        return response.build();
    }
    let schema = Ref::from_schema_name("ErrorBody");
    response.content("application/json", ContentBuilder::new().schema(Some(schema)).build()).build()
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
    components.add_security_scheme("basic", SecurityScheme::Http(Http::new(HttpAuthScheme::Basic)));
    let large = DefaultBodyLimit::max(SIGNED_JSON_BYTES_MAX);
    OpenApiRouter::with_openapi(document)
        .merge(people())
        .merge(
            OpenApiRouter::new()
                .routes(routes!(packages::publish))
                .routes(routes!(adopt::adopt))
                .routes(routes!(attestations::list, attestations::add))
                .routes(routes!(policies::list, policies::apply))
                .routes(routes!(documents::policy_set, documents::hand_in_set))
                .layer(large),
        )
        .merge(
            // Bounded while it streams: see the blob store.
            OpenApiRouter::new()
                .routes(routes!(blobs::exists, blobs::put))
                .routes(routes!(uploads::state, uploads::piece))
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
        .routes(routes!(facets::list))
        .routes(routes!(packages::list))
        .routes(routes!(packages::show))
        .routes(routes!(packages::show_version))
        .routes(routes!(stats::show))
        .routes(routes!(life::yank, life::unyank))
        .routes(routes!(life::deprecate_version, life::undeprecate_version))
        .routes(routes!(life::deprecate, life::undeprecate))
        .routes(routes!(life::tombstone))
        .routes(routes!(life::history))
        .routes(routes!(namespaces::list, namespaces::claim))
        .routes(routes!(namespaces::show))
        .routes(routes!(namespaces::role, tuf::put_role))
        .routes(routes!(tokens::list, tokens::create))
        .routes(routes!(tokens::remove))
        .routes(routes!(tasks::list, tasks::start))
        .routes(routes!(tasks::show))
        .routes(routes!(documents::approvals, documents::approve))
        .routes(routes!(documents::revocations, documents::revoke))
        .routes(routes!(rollouts::list))
        .routes(routes!(rollouts::show))
        .routes(routes!(rollouts::wish))
        .routes(routes!(rollouts::freezes, rollouts::freeze))
        .routes(routes!(rollouts::thaw))
        .routes(routes!(nodes::list))
        .routes(routes!(nodes::show))
        .routes(routes!(nodes::create_token))
        .routes(routes!(agent::enrol))
        .routes(routes!(agent::sync))
        .routes(routes!(agent::report))
        .routes(routes!(cosign::public_key))
        .routes(routes!(cosign::signature))
        .routes(routes!(log::checkpoint))
        .routes(routes!(log::tile))
        .routes(routes!(log::describe))
        .routes(routes!(log::since))
        .routes(routes!(log::proof))
        .routes(routes!(log::proof_of_version))
        .routes(routes!(log::cosign))
        .routes(routes!(log::alarms))
        .routes(routes!(oci::root))
        .routes(routes!(oci::token::get, oci::token::post))
        .merge(
            // One route for every address below /v2/, which the document lists one by one. What is sent
            // there is bounded while it streams.
            OpenApiRouter::with_openapi(oci::document::Document::openapi())
                .route("/v2/{*path}", any(oci::dispatch))
                .layer(DefaultBodyLimit::disable()),
        )
}

/// Routes that anybody may read and that answer everybody alike, as the document says. Those of the OCI API have a
/// memory of their own.
pub fn public_reads() -> HashSet<String> {
    let document = serde_json::to_value(openapi()).unwrap_or_default();
    let paths = document["paths"].as_object().cloned().unwrap_or_default();
    let open = |operations: &serde_json::Value| {
        let security = operations["get"]["security"].as_array().cloned().unwrap_or_default();
        security.iter().any(|way| way.as_object().is_some_and(serde_json::Map::is_empty))
    };
    let mut public: HashSet<String> = paths
        .into_iter()
        .filter(|(_, operations)| open(operations))
        .map(|(path, _)| path)
        .collect();
    public.retain(|path| !path.starts_with("/v2/") && !path.starts_with("/v1/oidc"));
    public
}

fn people() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(accounts::sign_up))
        .routes(routes!(accounts::whoami))
        .routes(routes!(accounts::change_password))
        .routes(routes!(accounts::change_role))
        .routes(routes!(accounts::invites, accounts::invite))
        .routes(routes!(accounts::revoke_invite))
        .routes(routes!(sessions::log_in, sessions::log_out))
        .routes(routes!(members::list))
        .routes(routes!(members::change, members::remove))
        .routes(routes!(invites::list, invites::create))
        .routes(routes!(invites::revoke))
        .routes(routes!(invites::answer))
        .routes(routes!(audit::list))
        .routes(routes!(oidc::list))
        .routes(routes!(oidc::leave))
        .routes(routes!(oidc::link))
        .routes(routes!(oidc::come_back))
        .routes(routes!(publishers::list, publishers::add))
        .routes(routes!(publishers::remove))
        .routes(routes!(publishers::exchange))
        .routes(routes!(quotas::show, quotas::change))
        .routes(routes!(webhooks::list, webhooks::create))
        .routes(routes!(webhooks::remove))
        .routes(routes!(webhooks::ping))
        .routes(routes!(webhooks::secret))
        .routes(routes!(webhooks::deliveries))
        .routes(routes!(feeds::everybody))
        .routes(routes!(feeds::namespace))
        .routes(routes!(feeds::package_feed))
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
        .layer(middleware::from_fn_with_state(app.clone(), admit))
        .layer(middleware::from_fn_with_state(app.clone(), remember))
        .layer(set(header::CONTENT_SECURITY_POLICY, web::CONTENT_SECURITY_POLICY))
        .layer(set(header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .layer(set(header::X_FRAME_OPTIONS, "DENY"))
        .layer(set(header::REFERRER_POLICY, "no-referrer"))
        .layer(set(HeaderName::from_static("cross-origin-opener-policy"), "same-origin"))
        .layer(middleware::from_fn(error::finish))
        .with_state(app)
}

/// Addresses that no route has: errors below the APIs, the web front everywhere else.
async fn elsewhere(
    State(app): State<App>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let below = |root: &str| {
        uri.path().strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    if below("/v2") {
        error::OciError::nowhere().into_response()
    } else if below("/v1") || below("/log") || below("/tuf") {
        StatusCode::NOT_FOUND.into_response()
    } else {
        web::front(&app, &method, &uri, &headers).await
    }
}
