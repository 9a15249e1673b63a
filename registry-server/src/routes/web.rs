//! The web front, embedded in the binary. Refuses to know its pages: every address that is not a
//! file of it is answered with its start page, which looks at the address itself.

use axum::body::Body;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{Html, IntoResponse, Response};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
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

const NOT_BUILT: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Skep registry</title>\
     <h1>Skep registry</h1><p>The registry runs. Its web pages are not part of this binary: build them with \
     <code>cargo xtask web</code>, then build the registry again.</p>\
     <p>The API is described at <a href=\"/openapi.json\">/openapi.json</a>.</p></html>";

/// Files compressed once, by the hash of their content.
static COMPRESSED: LazyLock<Mutex<HashMap<[u8; 32], Bytes>>> = LazyLock::new(Mutex::default);

/// Serves a file of the front, or its start page for an address of its own.
#[must_use]
pub fn front(method: &Method, uri: &Uri, headers: &HeaderMap) -> Response {
    if *method != Method::GET && *method != Method::HEAD {
        return StatusCode::METHOD_NOT_ALLOWED.into_response();
    }
    let path = uri.path().trim_start_matches('/');
    if !path.is_empty()
        && let Some(file) = Front::get(path)
    {
        return serve(path, file, headers);
    }
    let is_page = path.is_empty() || (is_address_of_a_page(path) && wants_html(headers));
    if !is_page {
        return StatusCode::NOT_FOUND.into_response();
    }
    match Front::get("index.html") {
        Some(file) => serve("index.html", file, headers),
        None => Html(NOT_BUILT).into_response(),
    }
}

/// Versions and node names hold dots, so below `p/` and `nodes/` a dot does not make an address a file.
fn is_address_of_a_page(path: &str) -> bool {
    path.starts_with("p/")
        || path.starts_with("nodes/")
        || !path.rsplit('/').next().unwrap_or_default().contains('.')
}

fn wants_html(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    accept.is_none_or(|accept| accept.contains("text/html") || accept.contains("*/*"))
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
    } else if accepts_gzip(headers)
        && let Some(bytes) = compressed(hash, &file.data)
    {
        builder.header(header::CONTENT_ENCODING, "gzip").body(Body::from(bytes))
    } else {
        builder.body(Body::from(file.data.into_owned()))
    };
    built.unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}

fn accepts_gzip(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok());
    accept.is_some_and(|accept| {
        accept.split(',').any(|one| {
            let mut parts = one.split(';').map(str::trim);
            parts.next() == Some("gzip") && parts.all(|p| p != "q=0")
        })
    })
}

/// The file in gzip; `None` when that would not make it smaller.
fn compressed(hash: [u8; 32], bytes: &[u8]) -> Option<Bytes> {
    let mut cache = COMPRESSED.lock().unwrap_or_else(PoisonError::into_inner);
    let small = match cache.get(&hash) {
        Some(small) => small.clone(),
        None => {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
            encoder.write_all(bytes).ok()?;
            let small = Bytes::from(encoder.finish().ok()?);
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
    fn dots_in_versions_and_node_names_do_not_make_a_page_a_file() {
        for page in ["p/skep/firewall/1.4.2", "nodes/edge-07.example", "search", "no/such/page"] {
            assert!(is_address_of_a_page(page), "{page}");
        }
        for file in ["app-0.js", "assets/missing.css"] {
            assert!(!is_address_of_a_page(file), "{file}");
        }
    }

    #[test]
    fn only_names_with_a_hash_are_kept_for_long() {
        assert!(cache_control("skep-0123456789abcdef.js").contains("immutable"));
        assert!(cache_control("a/skep-0123456789abcdef_bg.wasm").contains("immutable"));
        assert_eq!(cache_control("index.html"), "no-cache");
        assert_eq!(cache_control("skep-registry.js"), "no-cache");
    }
}
