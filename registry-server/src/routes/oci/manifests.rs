//! Manifests by tag or digest: read, pushed, taken away.

use super::Call;
use super::serve::{Lasting, look_up, serve};
use crate::cosign;
use crate::error::OciError;
use crate::oci::access::Action;
use crate::oci::lookups::Sort;
use crate::oci::manifest::MANIFEST_BYTES_MAX;
use crate::oci::name::{Reference, Tag};
use crate::push::{self, SentManifest, TAGS_MAX};
use axum::body::Body;
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use skep_artifact::digest::Digest;
use skep_artifact::layout::MEDIA_INDEX;
use std::time::Duration;

/// How long a manifest may take to arrive: 4 MiB on a line of a megabit a second, twice.
const ARRIVES_WITHIN: Duration = Duration::from_secs(60);

pub(super) async fn answer(call: &Call, text: &str, body: Body) -> Result<Response, OciError> {
    if call.reads() {
        return read(call, text).await;
    }
    match *call.method() {
        Method::PUT => put(call, text, body).await,
        Method::DELETE => {
            call.pusher(Action::Delete).await?;
            let reference: Reference = text.parse()?;
            let deleted = push::delete_manifest(&call.app, &call.repository, &reference).await;
            deleted.map_err(|error| OciError::push(&call.repository, error))?;
            Ok(StatusCode::ACCEPTED.into_response())
        }
        _ => Err(OciError::not_allowed("GET, HEAD, PUT, DELETE")),
    }
}

async fn read(call: &Call, text: &str) -> Result<Response, OciError> {
    let reference: Reference = text.parse()?;
    let lasting = match reference {
        Reference::Tag(_) => Lasting::Now,
        Reference::Digest(_) => Lasting::Forever,
    };
    let ask = call.app.store.oci_manifest(&call.repository, &reference);
    let mut found = look_up(call, Sort::Manifest, text, ask).await?;
    if found.is_none()
        && let Some(signature) = signature_under(call, &reference).await
    {
        let named = Reference::Digest(signature.into());
        let ask = call.app.store.oci_manifest(&call.repository, &named);
        found = look_up(call, Sort::Manifest, &signature.to_string(), ask).await?;
    }
    let found = found.ok_or_else(|| OciError::manifest_unknown(text))?;
    if *call.method() == Method::GET && found.media_type == MEDIA_INDEX {
        call.app.downloads.count(call.repository.as_str(), found.content);
    }
    serve(&call.app, &found, lasting, call.method(), &call.parts.headers).await
}

/// The manifest that an older cosign looks for under a tag made of an index's digest: this registry's own signature,
/// unless somebody pushed another there.
async fn signature_under(call: &Call, reference: &Reference) -> Option<Digest> {
    let Reference::Tag(tag) = reference else { return None };
    let hex = tag.as_str().strip_prefix("sha256-")?.strip_suffix(".sig")?;
    let index: Digest = format!("sha256:{hex}").parse().ok()?;
    match cosign::of_index(&call.app, &call.repository, index).await {
        Ok(made) => made.map(|manifests| manifests.signature),
        Err(error) => {
            tracing::warn!("no signature of {} {index} can be served: {error}", call.repository);
            None
        }
    }
}

async fn put(call: &Call, text: &str, body: Body) -> Result<Response, OciError> {
    let pusher = call.pusher(Action::Push).await?;
    let reference: Reference = text.parse()?;
    let tags = call.queries("tag").map(|tag| tag.parse()).collect::<Result<Vec<Tag>, _>>()?;
    if tags.len() > TAGS_MAX {
        return Err(OciError::unsupported("That are too many tags at once."));
    }
    let bytes = whole(body).await?;
    let sent = SentManifest {
        reference: &reference,
        tags: &tags,
        content_type: call.header(header::CONTENT_TYPE),
        bytes,
        by: &pusher.by,
    };
    let put = push::put_manifest(&call.app, &call.repository, sent).await;
    let put = put.map_err(|error| OciError::push(&call.repository, error))?;
    let location = format!("/v2/{}/manifests/{}", call.repository, put.digest);
    let mut answer = Response::builder()
        .status(StatusCode::CREATED)
        .header(header::LOCATION, location)
        .header("docker-content-digest", put.digest.to_string());
    if let Some(subject) = put.subject {
        answer = answer.header("oci-subject", subject.to_string());
    }
    if matches!(reference, Reference::Digest(_)) {
        for tag in put.tags {
            answer = answer.header("oci-tag", tag.to_string());
        }
    }
    answer.body(Body::empty()).map_err(|_| OciError::unsupported("The answer cannot be written."))
}

async fn whole(body: Body) -> Result<Bytes, OciError> {
    let reading = axum::body::to_bytes(body, MANIFEST_BYTES_MAX);
    match tokio::time::timeout(ARRIVES_WITHIN, reading).await {
        Err(_) => Err(crate::blob::BlobError::Stalled.into()),
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) if is_too_long(&error) => {
            Err(OciError::manifest_too_large(MANIFEST_BYTES_MAX))
        }
        Ok(Err(source)) => Err(crate::blob::BlobError::Body { source }.into()),
    }
}

fn is_too_long(error: &axum::Error) -> bool {
    std::error::Error::source(error)
        .is_some_and(|source| source.is::<http_body_util::LengthLimitError>())
}
