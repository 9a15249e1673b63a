//! The web front, embedded in the binary, and the pages around it. Refuses to know what is on a page: `pages` draws
//! every address that is not a file of the front.

use crate::app::App;
use crate::error::Written;
use crate::pages::{self, Address, FrontFiles, Page};
use axum::body::Body;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use skep_artifact::digest::Digest;
use std::collections::HashMap;
use std::io::Write as _;
use std::sync::{LazyLock, Mutex, PoisonError};

#[derive(rust_embed::Embed)]
#[folder = "../frontend/dist"]
struct Front;

/// What a browser may do on our pages: run our own scripts and our own wasm, talk to us, nothing else.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; \
     style-src 'self'; img-src 'self' data:; connect-src 'self'; object-src 'none'; \
     base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// What search engines may read: pages, not the API.
const ROBOTS: &str = "User-agent: *\nDisallow: /v1/\nDisallow: /v2/\n";

/// Files compressed once, by the hash of their content.
static COMPRESSED: LazyLock<Mutex<HashMap<[u8; 32], Bytes>>> = LazyLock::new(Mutex::default);

/// The files a page needs; `None` when the front is not part of this binary.
static FILES: LazyLock<Option<FrontFiles>> = LazyLock::new(|| files(Front::iter()));

fn files<'n>(names: impl Iterator<Item = std::borrow::Cow<'n, str>>) -> Option<FrontFiles> {
    let names: Vec<_> = names.filter(|name| !name.ends_with(".br")).collect();
    let named = |start: &str, end: &str| {
        let found = names.iter().find(|name| name.starts_with(start) && name.ends_with(end));
        found.map(|name| name.to_string())
    };
    Some(FrontFiles {
        style: named("style-", ".css")?,
        script: named("app-", ".js")?,
        wasm: named("app-", ".wasm")?,
        check: named("check-", ".js")?,
    })
}

/// Serves a file of the front, or the page at the address.
pub async fn front(app: &App, method: &Method, uri: &Uri, headers: &HeaderMap) -> Response {
    if *method != Method::GET && *method != Method::HEAD {
        return StatusCode::METHOD_NOT_ALLOWED.into_response();
    }
    let path = uri.path().trim_start_matches('/');
    if path == "robots.txt" {
        return ROBOTS.into_response();
    }
    // Packed files answer in the place of their own, not by themselves.
    if let Some(file) = Front::get(path).filter(|_| !path.ends_with(".br")) {
        return serve(path, file, headers);
    }
    let address = Address::read(uri);
    // What is not a page and not asked for by a reader is a file that is not there.
    if address == Address::Nothing && !wants_html(headers) {
        return StatusCode::NOT_FOUND.into_response();
    }
    html(pages::draw(app, &address, FILES.clone()).await, headers)
}

fn wants_html(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    accept.is_some_and(|accept| accept.contains("text/html"))
}

/// A page as an answer. It is asked for again each time: what it shows may have changed.
fn html(page: Page, headers: &HeaderMap) -> Response {
    let etag = format!("\"{}\"", Digest::of(page.html.as_bytes()).hex());
    let fresh = page.status == StatusCode::OK
        && headers.get(header::IF_NONE_MATCH).is_some_and(|have| have == etag.as_str());
    let mut builder = Response::builder()
        .status(if fresh { StatusCode::NOT_MODIFIED } else { page.status })
        .header(header::CONTENT_TYPE, content_type("page.html"))
        .header(header::ETAG, &etag)
        .header(header::VARY, "accept-encoding")
        .header(header::CACHE_CONTROL, "no-cache")
        .extension(Written);
    let body = if fresh {
        Body::empty()
    } else if accepts("gzip", headers)
        && let Some(small) = gzip(page.html.as_bytes(), Compression::fast())
    {
        builder = builder.header(header::CONTENT_ENCODING, "gzip");
        Body::from(small)
    } else {
        Body::from(page.html)
    };
    builder.body(body).unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}

fn gzip(bytes: &[u8], level: Compression) -> Option<Bytes> {
    let mut encoder = GzEncoder::new(Vec::new(), level);
    encoder.write_all(bytes).ok()?;
    encoder.finish().ok().map(Bytes::from)
}

fn serve(path: &str, file: rust_embed::EmbeddedFile, headers: &HeaderMap) -> Response {
    let hash = file.metadata.sha256_hash();
    let etag = format!("\"{}\"", hex::encode(hash));
    let builder = Response::builder()
        .header(header::CONTENT_TYPE, content_type(path))
        .header(header::ETAG, &etag)
        .header(header::VARY, "accept-encoding")
        .header(header::CACHE_CONTROL, cache_control(path));
    let fresh = headers.get(header::IF_NONE_MATCH).is_some_and(|have| have == etag.as_str());
    let built = if fresh {
        builder.status(StatusCode::NOT_MODIFIED).body(Body::empty())
    } else if accepts("br", headers)
        && let Some(small) = Front::get(&format!("{path}.br"))
    {
        builder.header(header::CONTENT_ENCODING, "br").body(Body::from(small.data.into_owned()))
    } else if accepts("gzip", headers)
        && let Some(bytes) = compressed(hash, &file.data)
    {
        builder.header(header::CONTENT_ENCODING, "gzip").body(Body::from(bytes))
    } else {
        builder.body(Body::from(file.data.into_owned()))
    };
    built.unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}

fn accepts(encoding: &str, headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok());
    accept.is_some_and(|accept| {
        accept.split(',').any(|one| {
            let mut parts = one.split(';').map(str::trim);
            parts.next() == Some(encoding) && parts.all(|p| p != "q=0")
        })
    })
}

/// The file in gzip; `None` when that would not make it smaller.
fn compressed(hash: [u8; 32], bytes: &[u8]) -> Option<Bytes> {
    let mut cache = COMPRESSED.lock().unwrap_or_else(PoisonError::into_inner);
    let small = match cache.get(&hash) {
        Some(small) => small.clone(),
        None => {
            let small = gzip(bytes, Compression::best())?;
            cache.insert(hash, small.clone());
            small
        }
    };
    (small.len() < bytes.len()).then_some(small)
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit('.').next().unwrap_or_default() {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "wasm" => "application/wasm",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "json" => "application/json",
        "woff2" => "font/woff2",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

/// A file with a hash of its content in its name never changes; every other is asked for again.
fn cache_control(path: &str) -> &'static str {
    let hashed = path.rsplit('/').next().is_some_and(|name| {
        name.split(['-', '.', '_'])
            .any(|part| part.len() >= 16 && part.bytes().all(|b| b.is_ascii_hexdigit()))
    });
    if hashed { "public, max-age=31536000, immutable" } else { "no-cache" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_the_front_are_known_by_their_names() {
        let found = |names: &[&'static str]| files(names.iter().map(|name| (*name).into()));
        let names = ["app-12.js", "app-34_bg.wasm", "check-78.js", "favicon.svg", "style-56.css"];
        let front = found(&names).unwrap();
        assert_eq!(
            [&*front.style, &front.script, &front.wasm],
            ["style-56.css", names[0], names[1]]
        );
        assert_eq!(front.check, "check-78.js");
        assert_eq!(found(&names[1..]), None);
    }

    #[test]
    fn only_names_with_a_hash_are_kept_for_long() {
        assert!(cache_control("skep-0123456789abcdef.js").contains("immutable"));
        assert!(cache_control("a/skep-0123456789abcdef_bg.wasm").contains("immutable"));
        assert_eq!(cache_control("favicon.svg"), "no-cache");
        assert_eq!(cache_control("skep-registry.js"), "no-cache");
    }
}
