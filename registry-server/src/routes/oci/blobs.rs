//! Blobs: read, taken away, and uploaded in one request, in two, or in as many as the client likes.

use super::Call;
use super::serve::{Lasting, look_up, serve};
use crate::error::OciError;
use crate::error::oci::{range, upload_location};
use crate::oci::access::Action;
use crate::oci::digest::{Algorithm, OciDigest};
use crate::oci::lookups::Sort;
use crate::oci::name::Repository;
use crate::push::{self, Chunk};
use axum::body::Body;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use skep_artifact::digest::Digest;

/// The config of every published referrer: the empty JSON object, which nobody has to upload.
const EMPTY: &[u8] = b"{}";
const EMPTY_TYPE: &str = "application/vnd.oci.empty.v1+json";

pub(super) async fn answer(call: &Call, text: &str) -> Result<Response, OciError> {
    if call.reads() {
        return read(call, text).await;
    }
    if call.method() != Method::DELETE {
        return Err(OciError::not_allowed("GET, HEAD, DELETE"));
    }
    call.pusher(Action::Delete).await?;
    let digest: OciDigest = text.parse()?;
    let deleted = push::delete_blob(&call.app, &call.repository, &digest).await;
    deleted.map_err(|error| OciError::push(&call.repository, error))?;
    Ok(StatusCode::ACCEPTED.into_response())
}

async fn read(call: &Call, text: &str) -> Result<Response, OciError> {
    let digest: OciDigest = text.parse()?;
    let ask = call.app.store.oci_blob(&call.repository, &digest);
    match look_up(call, Sort::Blob, text, ask).await? {
        Some(found) => {
            let headers = &call.parts.headers;
            serve(&call.app, &found, Lasting::Forever, call.method(), headers).await
        }
        None if digest == Digest::of(EMPTY).into() && is_package(call).await? => {
            let headers = [(header::CONTENT_TYPE, EMPTY_TYPE), DIGEST_OF_EMPTY];
            Ok((headers, EMPTY).into_response())
        }
        None => Err(OciError::blob_unknown(text)),
    }
}

const DIGEST_OF_EMPTY: (header::HeaderName, &str) = (
    header::HeaderName::from_static("docker-content-digest"),
    "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
);

async fn is_package(call: &Call) -> Result<bool, OciError> {
    match call.repository.as_str().parse() {
        Ok(name) => Ok(call.app.store.package(&name).await?.is_some()),
        Err(_) => Ok(false),
    }
}

/// Begins an upload, takes a whole blob, or mounts one of another repository.
pub(super) async fn start(call: &Call, body: Body) -> Result<Response, OciError> {
    if call.method() != Method::POST {
        return Err(OciError::not_allowed("POST"));
    }
    call.pusher(Action::Push).await?;
    if let Some(algorithm) = call.query("digest-algorithm") {
        algorithm.parse::<Algorithm>()?;
    }
    let failed = |error| OciError::push(&call.repository, error);
    if let Some(digest) = call.query("mount") {
        let digest: OciDigest = digest.parse()?;
        // Without `from` the client asks whether anybody has it, which is nobody's business to say.
        if let Some(from) = call.query("from") {
            let from: Repository = from.parse()?;
            let mounted = push::mount(&call.app, &from, &call.repository, &digest).await;
            if mounted.map_err(failed)? {
                return created(&call.repository, &digest);
            }
        }
    } else if let Some(digest) = call.query("digest") {
        let digest: OciDigest = digest.parse()?;
        let put = push::put_blob(&call.app, &call.repository, &digest, body.into_data_stream());
        put.await.map_err(failed)?;
        return created(&call.repository, &digest);
    }
    let id = push::start(&call.app, &call.repository).await.map_err(failed)?;
    progress(StatusCode::ACCEPTED, &call.repository, &id, 0)
}

/// Everything that is done with an upload under way.
pub(super) async fn go_on(call: &Call, id: &str, body: Body) -> Result<Response, OciError> {
    if ![Method::GET, Method::HEAD, Method::PATCH, Method::PUT, Method::DELETE]
        .contains(call.method())
    {
        return Err(OciError::not_allowed("GET, PATCH, PUT, DELETE"));
    }
    call.pusher(Action::Push).await?;
    let chunk = chunk(call)?;
    let digest = call.query("digest").map(|digest| digest.parse::<OciDigest>()).transpose()?;
    let (app, repository) = (&call.app, &call.repository);
    let failed = |error| OciError::push(repository, error);
    match *call.method() {
        Method::PATCH => {
            let body = body.into_data_stream();
            let received = push::append(app, repository, id, chunk, body).await.map_err(failed)?;
            progress(StatusCode::ACCEPTED, repository, id, received)
        }
        Method::PUT => {
            let digest = digest.ok_or_else(|| {
                OciError::upload_invalid("An upload ends with ?digest=, the digest of the whole.")
            })?;
            let body = body.into_data_stream();
            let ended = push::finish(app, repository, id, &digest, chunk, body).await;
            ended.map_err(failed)?;
            created(repository, &digest)
        }
        Method::DELETE => {
            push::cancel(app, repository, id).await.map_err(failed)?;
            Ok(StatusCode::NO_CONTENT.into_response())
        }
        _ => {
            let upload = push::upload(app, repository, id).await.map_err(failed)?;
            progress(StatusCode::NO_CONTENT, repository, id, upload.received_bytes)
        }
    }
}

/// The `Content-Range` of a part: first and last byte, as the specification writes it, or as HTTP does.
fn chunk(call: &Call) -> Result<Option<Chunk>, OciError> {
    let Some(text) = call.header(header::CONTENT_RANGE) else { return Ok(None) };
    let invalid =
        || OciError::upload_invalid("Content-Range is the first and last byte, like 0-99.");
    let bounds = text.trim_start_matches("bytes ").split('/').next().unwrap_or_default();
    let (first, last) = bounds.split_once('-').ok_or_else(invalid)?;
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        digits.then(|| text.parse::<u64>().ok()).flatten().ok_or_else(invalid)
    };
    let (first, last) = (number(first)?, number(last)?);
    let size = last.checked_sub(first).and_then(|more| more.checked_add(1)).ok_or_else(invalid)?;
    Ok(Some(Chunk { start: first, size }))
}

fn progress(
    status: StatusCode,
    repository: &Repository,
    id: &str,
    received: u64,
) -> Result<Response, OciError> {
    Response::builder()
        .status(status)
        .header(header::LOCATION, upload_location(repository, id))
        .header(header::RANGE, range(received))
        .header("docker-upload-uuid", id)
        .body(Body::empty())
        .map_err(|_| OciError::upload_invalid("The upload has no such name."))
}

fn created(repository: &Repository, digest: &OciDigest) -> Result<Response, OciError> {
    let location = format!("/v2/{repository}/blobs/{digest}");
    let value = |text: String| HeaderValue::from_str(&text);
    let headers = value(location).and_then(|location| Ok((location, value(digest.to_string())?)));
    let (location, digest) =
        headers.map_err(|_| OciError::upload_invalid("The blob has no such name."))?;
    let mut answer = StatusCode::CREATED.into_response();
    answer.headers_mut().insert(header::LOCATION, location);
    answer.headers_mut().insert("docker-content-digest", digest);
    Ok(answer)
}
