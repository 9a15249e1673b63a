//! What callers are told about attestations that were not added.

use super::{Answer, blob_answer, sentence, store_answer};
use crate::attest::AttestError;
use axum::http::StatusCode;
use skep_api::reason::code;

pub(super) fn answer(error: &AttestError) -> Answer {
    use AttestError as E;
    let new = |status, code| Answer::new(status, code, sentence(error));
    let unprocessable = StatusCode::UNPROCESSABLE_ENTITY;
    match error {
        E::NoVersion { .. } => new(StatusCode::NOT_FOUND, code::NOT_FOUND),
        E::Text => new(StatusCode::BAD_REQUEST, code::MALFORMED),
        E::TooLarge { .. } => new(StatusCode::PAYLOAD_TOO_LARGE, code::TOO_LARGE),
        E::MediaType { .. } => new(unprocessable, code::ATTESTATION_MEDIA_TYPE)
            .hint("Send a DSSE envelope, an SPDX or a CycloneDX document as JSON."),
        E::Refused(refusal) => new(unprocessable, refusal.code()),
        E::Document => new(unprocessable, code::ATTESTATION_DOCUMENT),
        E::TooMany => new(StatusCode::CONFLICT, code::ATTESTATION_TOO_MANY),
        E::Exists => new(StatusCode::CONFLICT, code::ATTESTATION_EXISTS),
        E::Blob(error) => blob_answer(error),
        E::Store(error) => store_answer(error),
        E::Manifest(_) => Answer::internal(error),
    }
}
