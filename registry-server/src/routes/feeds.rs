//! Atom feeds of new versions: of the registry, of a namespace, of a package.

use super::extract::{ApiPath, name, package};
use crate::app::App;
use crate::error::ApiError;
use crate::store::feeds::{FeedEntry, FeedOf};
use atom_syndication::{Content, Entry, Feed, Link, Person, Text};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, FixedOffset};
use skep_api::reason::ErrorBody;
use skep_artifact::digest::Digest;

const ATOM_TYPE: &str = "application/atom+xml; charset=utf-8";

/// New versions of every package
#[utoipa::path(get, path = "/v1/feed.atom", tag = "packages", security(()),
    responses((status = 200, content_type = "application/atom+xml", body = String), (status = 304)))]
pub async fn everybody(State(app): State<App>, headers: HeaderMap) -> Result<Response, ApiError> {
    answer(&app, &FeedOf::Everybody, "/v1/feed.atom", "New packages", &headers).await
}

/// New versions of a namespace's packages
#[utoipa::path(get, path = "/v1/namespaces/{namespace}/feed.atom", tag = "namespaces",
    security(()), params(("namespace" = String, Path)),
    responses((status = 200, content_type = "application/atom+xml", body = String), (status = 304),
        (status = 404, body = ErrorBody)))]
pub async fn namespace(
    State(app): State<App>,
    ApiPath(namespace): ApiPath<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let namespace = name("Namespace", &namespace)?;
    if app.store.namespace(&namespace).await?.is_none() {
        return Err(ApiError::not_found(format!("Namespace {namespace}")));
    }
    let path = format!("/v1/namespaces/{namespace}/feed.atom");
    let title = format!("New versions in {namespace}");
    answer(&app, &FeedOf::Namespace(namespace), &path, &title, &headers).await
}

/// New versions of a package
#[utoipa::path(get, path = "/v1/packages/{namespace}/{name}/feed.atom", tag = "packages",
    security(()), params(("namespace" = String, Path), ("name" = String, Path)),
    responses((status = 200, content_type = "application/atom+xml", body = String), (status = 304),
        (status = 404, body = ErrorBody)))]
pub async fn package_feed(
    State(app): State<App>,
    ApiPath((namespace, short)): ApiPath<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let package = package(&namespace, &short)?;
    if app.store.package(&package).await?.is_none() {
        return Err(ApiError::not_found(format!("Package {package}")));
    }
    let path = format!("/v1/packages/{package}/feed.atom");
    let title = format!("New versions of {package}");
    answer(&app, &FeedOf::Package(package), &path, &title, &headers).await
}

async fn answer(
    app: &App,
    of: &FeedOf,
    path: &str,
    title: &str,
    headers: &HeaderMap,
) -> Result<Response, ApiError> {
    let entries = app.store.newest(of).await?;
    let own = app.people.settings.url.clone().unwrap_or_default();
    let text = feed(&own, path, title, &entries).to_string();
    let etag = format!("\"{}\"", Digest::of(text.as_bytes()).hex());
    let fresh = [
        (header::ETAG, etag.clone()),
        (header::CONTENT_TYPE, ATOM_TYPE.to_owned()),
        (header::CACHE_CONTROL, "max-age=60".to_owned()),
    ];
    if headers.get(header::IF_NONE_MATCH).is_some_and(|have| have == etag.as_str()) {
        return Ok((StatusCode::NOT_MODIFIED, fresh).into_response());
    }
    Ok((fresh, text).into_response())
}

fn time(secs: i64) -> DateTime<FixedOffset> {
    DateTime::from_timestamp(secs, 0).unwrap_or_default().fixed_offset()
}

fn link(rel: &str, href: String, mime_type: &str) -> Link {
    let mime_type = Some(mime_type.to_owned());
    Link { href, rel: rel.to_owned(), mime_type, ..Link::default() }
}

/// The feed. Its id and those of its entries are addresses below the registry's own, which its
/// operator keeps: a reader knows an entry again by it.
fn feed(own: &str, path: &str, title: &str, entries: &[FeedEntry]) -> Feed {
    Feed {
        title: Text::plain(title),
        id: format!("{own}{path}"),
        updated: time(entries.first().map_or(0, |entry| entry.published_at)),
        links: vec![
            link("self", format!("{own}{path}"), "application/atom+xml"),
            link("alternate", format!("{own}/"), "text/html"),
        ],
        authors: vec![Person { name: "Skep registry".to_owned(), ..Person::default() }],
        entries: entries.iter().map(|version| entry(own, version)).collect(),
        ..Feed::default()
    }
}

fn entry(own: &str, version: &FeedEntry) -> Entry {
    let FeedEntry { name, version, description, published_at, published_by } = version;
    let page = format!("{own}/p/{name}/{version}");
    let content = Content {
        value: Some(description.clone()),
        content_type: Some("text".to_owned()),
        ..Content::default()
    };
    Entry {
        title: Text::plain(format!("{name} {version}")),
        id: page.clone(),
        // Published versions never change.
        updated: time(*published_at),
        published: Some(time(*published_at)),
        links: vec![link("alternate", page, "text/html")],
        authors: vec![Person { name: published_by.clone(), ..Person::default() }],
        content: Some(content),
        ..Entry::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feed_can_be_read_again_and_nothing_in_it_is_markup() {
        let version = FeedEntry {
            name: "acme/one".into(),
            version: "1.0.0".into(),
            description: "<script>alert(1)</script> & more ]]>".into(),
            published_at: 1_700_000_000,
            published_by: "anna".into(),
        };
        let own = "https://registry.example";
        let text = feed(own, "/v1/feed.atom", "New <packages>", &[version]).to_string();
        assert!(!text.contains("<script>"), "{text}");
        let read = Feed::read_from(text.as_bytes()).unwrap();
        assert_eq!(read.id, "https://registry.example/v1/feed.atom");
        assert_eq!(read.updated.timestamp(), 1_700_000_000);
        assert_eq!(read.title.as_str(), "New <packages>");
        let entry = &read.entries[0];
        assert_eq!(entry.id, "https://registry.example/p/acme/one/1.0.0");
        let content = entry.content.as_ref().and_then(|content| content.value.as_deref());
        assert_eq!(content, Some("<script>alert(1)</script> & more ]]>"));
    }
}
