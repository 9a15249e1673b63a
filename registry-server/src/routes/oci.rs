//! The pull half of the OCI distribution API 1.1: `skopeo`, `podman`, `bpfman` and `oras` read
//! packages from here. Anonymous; refuses every write.

use crate::app::App;
use crate::blob::Opened;
use crate::error::OciError;
use crate::store::oci::ServedBlob;
use axum::Json;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use skep_artifact::digest::Digest;
use skep_artifact::name::PackageName;
use std::io::SeekFrom;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};
use tokio_util::io::ReaderStream;

/// Tags in one answer when the caller names no number, and at most.
const TAGS_MAX: u32 = 1000;
/// Bytes read from a file at a time: large enough that a system call is not what takes the time.
const CHUNK_BYTES: usize = 128 << 10;
/// The config of every referrer: the empty JSON object, which nobody has to upload.
const EMPTY: &[u8] = b"{}";
const EMPTY_TYPE: &str = "application/vnd.oci.empty.v1+json";
const INDEX_TYPE: &str = "application/vnd.oci.image.index.v1+json";

/// Says that the API is there, and that nobody has to log in to read.
#[utoipa::path(get, path = "/v2/", tag = "oci", security(()), responses((status = 200)))]
pub async fn version() -> impl IntoResponse {
    ([("docker-distribution-api-version", "registry/2.0")], Json(serde_json::json!({})))
}

fn repository(namespace: &str, short: &str) -> Result<PackageName, OciError> {
    let name = format!("{namespace}/{short}");
    name.parse().map_err(|_| OciError::name_unknown(&name))
}

/// A manifest or index, by tag or digest
#[utoipa::path(get, path = "/v2/{namespace}/{name}/manifests/{reference}", tag = "oci",
    security(()), params(("namespace" = String, Path), ("name" = String, Path),
        ("reference" = String, Path, description = "tag or digest")),
    responses((status = 200), (status = 404)))]
pub async fn manifest(
    State(app): State<App>,
    Path((namespace, short, reference)): Path<(String, String, String)>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, OciError> {
    let name = repository(&namespace, &short)?;
    let found = if reference.contains(':') {
        let digest: Digest = reference.parse().map_err(|_| OciError::digest_invalid(&reference))?;
        app.store.manifest_in(&name, &digest).await?
    } else {
        app.store.tagged(&name, &reference).await?
    };
    let found = found.ok_or_else(|| OciError::manifest_unknown(&reference))?;
    serve(&app, &found, &method, &headers).await
}

/// A blob by digest
#[utoipa::path(get, path = "/v2/{namespace}/{name}/blobs/{digest}", tag = "oci", security(()),
    params(("namespace" = String, Path), ("name" = String, Path), ("digest" = String, Path)),
    responses((status = 200), (status = 206), (status = 404), (status = 416)))]
pub async fn blob(
    State(app): State<App>,
    Path((namespace, short, text)): Path<(String, String, String)>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, OciError> {
    let name = repository(&namespace, &short)?;
    let digest: Digest = text.parse().map_err(|_| OciError::digest_invalid(&text))?;
    let found = app.store.blob_in(&name, &digest).await?;
    if found.is_none() && digest == Digest::of(EMPTY) && app.store.package(&name).await?.is_some() {
        return Ok(([(header::CONTENT_TYPE, EMPTY_TYPE)], EMPTY).into_response());
    }
    let found = found.ok_or_else(|| OciError::blob_unknown(&text))?;
    serve(&app, &found, &method, &headers).await
}

/// How many tags, and after which.
#[derive(Deserialize)]
pub struct TagQuery {
    n: Option<u32>,
    last: Option<String>,
}

/// The tags of a repository, which are its versions
#[utoipa::path(get, path = "/v2/{namespace}/{name}/tags/list", tag = "oci", security(()),
    params(("namespace" = String, Path), ("name" = String, Path),
        ("n" = Option<u32>, Query), ("last" = Option<String>, Query)),
    responses((status = 200), (status = 404)))]
pub async fn tags(
    State(app): State<App>,
    Path((namespace, short)): Path<(String, String)>,
    query: Result<Query<TagQuery>, axum::extract::rejection::QueryRejection>,
) -> Result<Response, OciError> {
    let name = repository(&namespace, &short)?;
    let Query(query) = query.map_err(|_| OciError::unsupported("n is a number of tags."))?;
    let most = query.n.unwrap_or(TAGS_MAX).min(TAGS_MAX);
    let last = query.last.unwrap_or_default();
    let found = app.store.tags(&name, &last, most + 1).await?;
    let mut tags = found.ok_or_else(|| OciError::name_unknown(&name.to_string()))?;
    let more = tags.len() > most as usize;
    tags.truncate(most as usize);
    let next = tags
        .last()
        .filter(|_| more)
        .map(|last| format!("</v2/{name}/tags/list?n={most}&last={last}>; rel=\"next\""));
    let mut response =
        Json(serde_json::json!({ "name": name.to_string(), "tags": tags })).into_response();
    if let Some(link) = next.and_then(|link| HeaderValue::from_str(&link).ok()) {
        response.headers_mut().insert(header::LINK, link);
    }
    Ok(response)
}

/// Which referrers are wanted.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReferrerQuery {
    artifact_type: Option<String>,
}

/// What refers to a digest: manifest JSON, README, attestations
#[utoipa::path(get, path = "/v2/{namespace}/{name}/referrers/{digest}", tag = "oci", security(()),
    params(("namespace" = String, Path), ("name" = String, Path), ("digest" = String, Path),
        ("artifactType" = Option<String>, Query)),
    responses((status = 200), (status = 400)))]
pub async fn referrers(
    State(app): State<App>,
    Path((namespace, short, text)): Path<(String, String, String)>,
    Query(query): Query<ReferrerQuery>,
) -> Result<Response, OciError> {
    let name = repository(&namespace, &short)?;
    let digest: Digest = text.parse().map_err(|_| OciError::digest_invalid(&text))?;
    let all = app.store.referrers(&name, &digest).await?;
    let wanted = query.artifact_type;
    let fits = |kind: &str| wanted.as_deref().is_none_or(|w| w == kind);
    let manifests: Vec<serde_json::Value> = all
        .iter()
        .filter(|referrer| fits(&referrer.artifact_type))
        .map(|referrer| {
            let annotations: serde_json::Value =
                serde_json::from_str(&referrer.annotations).unwrap_or_default();
            serde_json::json!({
                "mediaType": referrer.blob.media_type,
                "digest": referrer.blob.digest,
                "size": referrer.blob.size_bytes,
                "artifactType": referrer.artifact_type,
                "annotations": annotations,
            })
        })
        .collect();
    let index = serde_json::json!({
        "schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": manifests });
    let mut response = Json(index).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(INDEX_TYPE));
    if wanted.is_some() {
        let applied = HeaderValue::from_static("artifactType");
        headers.insert("oci-filters-applied", applied);
    }
    Ok(response)
}

/// Anything else below `/v2/`: nothing is written here, and nothing else is read.
#[must_use]
pub fn other(method: &Method) -> OciError {
    if method == Method::GET || method == Method::HEAD {
        return OciError::name_unknown("of this address");
    }
    OciError::unsupported(
        "This registry takes packages by `skep publish`, which signs them; OCI pushes are not taken.",
    )
}

/// The part of a blob that is asked for, in bytes; `end` is the last one.
#[derive(Debug, PartialEq, Eq)]
enum Part {
    Whole,
    Range { start: u64, end: u64 },
    Unsatisfiable,
}

/// Reads a `Range` header. Several ranges, and units other than bytes, are answered with the whole
/// (RFC 9110, 14.2: a server may ignore the header).
fn part_of(headers: &HeaderMap, size: u64) -> Part {
    let range = headers.get(header::RANGE).and_then(|value| value.to_str().ok());
    let Some((first, last)) = range.and_then(|r| r.strip_prefix("bytes=")?.split_once('-')) else {
        return Part::Whole;
    };
    let number = |text: &str| text.trim().parse::<u64>();
    match (number(first), number(last)) {
        (Ok(start), Ok(end)) if start > end => Part::Whole,
        (Ok(start), _) if start >= size => Part::Unsatisfiable,
        (Ok(start), Ok(end)) => Part::Range { start, end: end.min(size - 1) },
        (Ok(start), Err(_)) if last.trim().is_empty() => Part::Range { start, end: size - 1 },
        (Err(_), Ok(0)) if first.trim().is_empty() => Part::Unsatisfiable,
        (Err(_), Ok(_)) if first.trim().is_empty() && size == 0 => Part::Unsatisfiable,
        (Err(_), Ok(tail)) if first.trim().is_empty() => {
            Part::Range { start: size.saturating_sub(tail), end: size - 1 }
        }
        _ => Part::Whole,
    }
}

async fn serve(
    app: &App,
    blob: &ServedBlob,
    method: &Method,
    headers: &HeaderMap,
) -> Result<Response, OciError> {
    app.metrics.served();
    let etag = format!("\"{}\"", blob.digest);
    let builder = Response::builder()
        .header("docker-content-digest", blob.digest.to_string())
        .header(header::ETAG, &etag)
        .header(header::CACHE_CONTROL, "public, max-age=31536000, immutable")
        .header(header::ACCEPT_RANGES, "bytes")
        .header(header::CONTENT_TYPE, &blob.media_type);
    let built = |result: Result<Response, axum::http::Error>| {
        // Media types were parsed at publish and digests are hexadecimal; a header that cannot be
        // written is a row we did not write.
        result.map_err(|e| {
            OciError::from(crate::store::StoreError::Corrupt {
                what: "media type",
                reason: e.to_string(),
            })
        })
    };
    if headers.get(header::IF_NONE_MATCH).is_some_and(|have| have == etag.as_str()) {
        return built(builder.status(StatusCode::NOT_MODIFIED).body(Body::empty()));
    }
    let (start, len, builder) = match part_of(headers, blob.size_bytes) {
        Part::Whole => (0, blob.size_bytes, builder),
        Part::Range { start, end } => {
            let range = format!("bytes {start}-{end}/{}", blob.size_bytes);
            let builder = builder.status(StatusCode::PARTIAL_CONTENT);
            (start, end - start + 1, builder.header(header::CONTENT_RANGE, range))
        }
        Part::Unsatisfiable => {
            let range = format!("bytes */{}", blob.size_bytes);
            let builder = builder.status(StatusCode::RANGE_NOT_SATISFIABLE);
            return built(builder.header(header::CONTENT_RANGE, range).body(Body::empty()));
        }
    };
    let builder = builder.header(header::CONTENT_LENGTH, len);
    if method == Method::HEAD {
        return built(builder.body(Body::empty()));
    }
    let body = body(app, blob.digest, start, len).await?;
    built(builder.body(body))
}

async fn body(app: &App, digest: Digest, start: u64, len: u64) -> Result<Body, OciError> {
    match app.blobs.open_blob(&digest).await? {
        Opened::Whole(bytes) => {
            let start = usize::try_from(start).unwrap_or(usize::MAX).min(bytes.len());
            let len = usize::try_from(len).unwrap_or(usize::MAX).min(bytes.len() - start);
            Ok(Body::from(bytes.slice(start..start + len)))
        }
        Opened::Stream(mut file, _) => {
            file.seek(SeekFrom::Start(start)).await.map_err(|source| {
                crate::blob::BlobError::Io { what: "read", path: digest.hex().into(), source }
            })?;
            let stream = ReaderStream::with_capacity(file.take(len), CHUNK_BYTES);
            Ok(Body::from_stream(stream))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(range: &str, size: u64, expected: Part) {
        let mut headers = HeaderMap::new();
        headers.insert(header::RANGE, range.parse().unwrap());
        assert_eq!(part_of(&headers, size), expected, "{range} of {size}");
    }

    #[test]
    fn ranges_are_read_as_the_standard_says() {
        check("bytes=0-9", 100, Part::Range { start: 0, end: 9 });
        check("bytes=90-", 100, Part::Range { start: 90, end: 99 });
        check("bytes=-10", 100, Part::Range { start: 90, end: 99 });
        check("bytes=-1000", 100, Part::Range { start: 0, end: 99 });
        check("bytes=50-1000", 100, Part::Range { start: 50, end: 99 });
        check("bytes=100-", 100, Part::Unsatisfiable);
        check("bytes=-0", 100, Part::Unsatisfiable);
        check("bytes=-5", 0, Part::Unsatisfiable);
        check("bytes=0-0", 0, Part::Unsatisfiable);
        check("bytes=9-0", 100, Part::Whole);
        check("bytes=0-1,3-4", 100, Part::Whole);
        check("pages=0-1", 100, Part::Whole);
        check("bytes=x-y", 100, Part::Whole);
        check("bytes=-", 100, Part::Whole);
        check("bytes=99999999999999999999-", 100, Part::Whole);
    }
}
