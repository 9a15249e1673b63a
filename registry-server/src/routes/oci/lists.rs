//! What a repository holds: its tags, and what refers to one of its manifests.

use super::Call;
use crate::cosign;
use crate::error::OciError;
use crate::oci::digest::OciDigest;
use crate::oci::manifest::{MANIFEST_BYTES_MAX, OCI_INDEX};
use crate::store::oci::{REFERRERS_MAX, Referrer};
use axum::Json;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

/// Tags in one answer when the caller names no number, and at most.
const TAGS_MAX: u32 = 1000;

pub(super) async fn tags(call: &Call) -> Result<Response, OciError> {
    if !call.reads() {
        return Err(OciError::not_allowed("GET, HEAD"));
    }
    let name = call.repository.as_str();
    let asked = call.query("n").map(|n| n.parse::<u64>()).transpose();
    let asked = asked.map_err(|_| OciError::unsupported("n is a number of tags."))?;
    let most = asked.map_or(TAGS_MAX, |n| u32::try_from(n).unwrap_or(TAGS_MAX).min(TAGS_MAX));
    let last = call.query("last").unwrap_or_default();
    let mut tags = call.app.store.tags(&call.repository, &last, most + 1).await?;
    if tags.is_empty() && !call.app.store.has_repository(&call.repository).await? {
        return Err(OciError::name_unknown(name));
    }
    let more = tags.len() > most as usize;
    tags.truncate(most as usize);
    let next = tags.last().filter(|_| more).map(|last| {
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("n", &most.to_string())
            .append_pair("last", last)
            .finish();
        format!("</v2/{name}/tags/list?{query}>; rel=\"next\"")
    });
    let mut answer = Json(json!({ "name": name, "tags": tags })).into_response();
    link(&mut answer, next);
    Ok(answer)
}

fn link(answer: &mut Response, next: Option<String>) {
    if let Some(link) = next.and_then(|link| HeaderValue::from_str(&link).ok()) {
        answer.headers_mut().insert(header::LINK, link);
    }
}

pub(super) async fn referrers(call: &Call, text: &str) -> Result<Response, OciError> {
    if !call.reads() {
        return Err(OciError::not_allowed("GET, HEAD"));
    }
    let subject: OciDigest = text.parse()?;
    make_signatures(call, &subject).await;
    let wanted = call.query("artifactType");
    let wanted = wanted.as_deref().filter(|wanted| !wanted.is_empty());
    let after = call.query("after").unwrap_or_default();
    let found = call.app.store.referrers(&call.repository, &subject, wanted, &after).await?;
    let whole = page(&found);
    let (shown, more) = (&found[..whole], found.len() > whole);
    let manifests: Vec<Value> = shown.iter().map(descriptor).collect();
    let next = shown.last().filter(|_| more).map(|last| {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("after", &last.digest);
        query.extend_pairs(wanted.map(|wanted| ("artifactType", wanted)));
        let (name, query) = (&call.repository, query.finish());
        format!("</v2/{name}/referrers/{subject}?{query}>; rel=\"next\"")
    });
    let index = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests });
    let mut answer = Json(index).into_response();
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(OCI_INDEX));
    if wanted.is_some() {
        headers.insert("oci-filters-applied", HeaderValue::from_static("artifactType"));
    }
    link(&mut answer, next);
    Ok(answer)
}

/// Whoever looks for what refers to a version's index finds this registry's signatures; they are made now if nobody asked
/// before. A registry that cannot make them lists the others all the same.
async fn make_signatures(call: &Call, subject: &OciDigest) {
    let OciDigest::Sha256(index) = subject else { return };
    if let Err(error) = cosign::of_index(&call.app, &call.repository, *index).await {
        tracing::warn!("no signature of {} {index} could be made: {error}", call.repository);
    }
}

/// How many of the referrers go into one answer: few enough that it is no larger than a manifest may be,
/// and at least one.
fn page(found: &[Referrer]) -> usize {
    let mut bytes = 0;
    let fits = |referrer: &&Referrer| {
        bytes += referrer.annotations.len();
        bytes <= MANIFEST_BYTES_MAX
    };
    let fit = found.iter().take(REFERRERS_MAX as usize).take_while(fits).count();
    fit.max(1).min(found.len())
}

fn descriptor(referrer: &Referrer) -> Value {
    let annotations: Map<String, Value> =
        serde_json::from_str(&referrer.annotations).unwrap_or_default();
    let mut descriptor = json!({
        "mediaType": referrer.media_type,
        "digest": referrer.digest,
        "size": referrer.size_bytes,
    });
    if let Some(kind) = &referrer.artifact_type {
        descriptor["artifactType"] = json!(kind);
    }
    if !annotations.is_empty() {
        descriptor["annotations"] = Value::Object(annotations);
    }
    descriptor
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_of_referrers_is_no_larger_than_a_manifest_and_never_empty() {
        let referrer = |bytes: usize| Referrer {
            digest: String::new(),
            media_type: String::new(),
            size_bytes: 0,
            artifact_type: None,
            annotations: "x".repeat(bytes),
        };
        assert_eq!(page(&[]), 0);
        assert_eq!(page(&[referrer(MANIFEST_BYTES_MAX + 1), referrer(1)]), 1);
        let half = MANIFEST_BYTES_MAX / 2;
        assert_eq!(page(&[referrer(half), referrer(half), referrer(1)]), 2);
        let many: Vec<Referrer> = (0..=REFERRERS_MAX).map(|_| referrer(2)).collect();
        assert_eq!(page(&many), REFERRERS_MAX as usize);
    }
}
