//! The OCI distribution API 1.1 below `/v2/`, for `docker`, `skopeo`, `podman`, `oras` and `bpfman`. Names of
//! repositories have any depth, so one route takes every address and reads it from the right. Reading is free;
//! who writes shows a token of the namespace. Refuses to know what is pushed and how it is stored.

mod blobs;
pub mod document;
mod lists;
mod manifests;
mod serve;
pub mod token;

use crate::app::{App, Origin};
use crate::auth::oci::{self as auth, OciAuthError, Pusher};
use crate::error::OciError;
use crate::oci::access::{Access, Action};
use crate::oci::name::{Address, Repository, What};
use axum::Json;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, header};
use axum::response::{IntoResponse, Response};
use std::borrow::Cow;

/// One request to a repository, without its body.
struct Call {
    app: App,
    repository: Repository,
    parts: Parts,
}

/// Says that the API is there, and to whom. A client that is not logged in learns where to log in: reading
/// needs that from no one, but this is the only place where clients look.
#[utoipa::path(get, path = "/v2/", tag = "oci", security(("basic" = [])),
    responses((status = 200), (status = 401)))]
pub async fn root(State(app): State<App>, headers: HeaderMap) -> Result<Response, OciError> {
    let version = [("docker-distribution-api-version", "registry/2.0")];
    let refused = match auth::said(&app, &headers).await {
        Ok(auth::Said::Known(..) | auth::Said::Anybody) => {
            return Ok((version, Json(serde_json::json!({}))).into_response());
        }
        Ok(auth::Said::Nothing) => OciAuthError::Challenge { why: None },
        Err(refused) => refused,
    };
    Err(OciError::auth(refused, |why| challenge(&app, &headers, None, why)))
}

/// Everything else below `/v2/`.
pub async fn dispatch(State(app): State<App>, request: Request) -> Response {
    let path = request.uri().path().strip_prefix("/v2/").unwrap_or_default();
    let Some(address) = Address::parse(path) else {
        return OciError::nowhere().into_response();
    };
    let repository = match address.repository.parse() {
        Ok(repository) => repository,
        Err(error) => return OciError::from(error).into_response(),
    };
    let (parts, body) = request.into_parts();
    let call = Call { app, repository, parts };
    let answer = match address.what {
        What::Manifest { reference } => manifests::answer(&call, &reference, body).await,
        What::Blob { digest } => blobs::answer(&call, &digest).await,
        What::Uploads => blobs::start(&call, body).await,
        What::Upload { id } => blobs::go_on(&call, &id, body).await,
        What::Tags => lists::tags(&call).await,
        What::Referrers { digest } => lists::referrers(&call, &digest).await,
    };
    answer.into_response()
}

impl Call {
    fn method(&self) -> &Method {
        &self.parts.method
    }

    fn reads(&self) -> bool {
        [Method::GET, Method::HEAD].contains(self.method())
    }

    fn header(&self, name: header::HeaderName) -> Option<&str> {
        self.parts.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The first value of a query parameter.
    fn query(&self, wanted: &'static str) -> Option<Cow<'_, str>> {
        self.queries(wanted).next()
    }

    fn queries(&self, wanted: &'static str) -> impl Iterator<Item = Cow<'_, str>> {
        let query = self.parts.uri.query().unwrap_or_default();
        form_urlencoded::parse(query.as_bytes())
            .filter_map(move |(name, value)| (name == wanted).then_some(value))
    }

    /// Proof that the caller may change this repository, or the challenge to show some.
    async fn pusher(&self, action: Action) -> Result<Pusher, OciError> {
        let headers = &self.parts.headers;
        let scope = || Access::scope(&self.repository, action);
        auth::pusher(&self.app, headers, &self.repository, action).await.map_err(|error| {
            OciError::auth(error, |why| challenge(&self.app, headers, Some(&scope()), why))
        })
    }
}

/// Where clients log in: what the operator said, or the name by which this client called.
fn origin(app: &App, headers: &HeaderMap) -> (String, String) {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    // Quotes and the like would end the header's value early.
    let plain =
        |host: &&str| host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-:[]_".contains(&b));
    let host = host.filter(plain).unwrap_or("localhost");
    match app.origin.get() {
        Some(Origin { public_url: Some(url), .. }) => {
            let host = url.split_once("://").map_or(url.as_str(), |(_, host)| host);
            (url.clone(), host.to_owned())
        }
        Some(Origin { scheme, .. }) => (format!("{scheme}://{host}"), host.to_owned()),
        None => (format!("http://{host}"), host.to_owned()),
    }
}

fn challenge(
    app: &App,
    headers: &HeaderMap,
    scope: Option<&str>,
    why: Option<&'static str>,
) -> String {
    let (url, service) = origin(app, headers);
    let mut text = format!("Bearer realm=\"{url}/v2/token\",service=\"{service}\"");
    for (name, value) in [("scope", scope), ("error", why)] {
        if let Some(value) = value {
            text.push_str(&format!(",{name}=\"{value}\""));
        }
    }
    text
}
