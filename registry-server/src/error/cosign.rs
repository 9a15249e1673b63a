//! What callers are told about signatures of the registry's own key.

use super::{Answer, blob_answer, sentence, store_answer};
use crate::cosign::CosignError;
use axum::http::StatusCode;
use skep_api::reason::code;

pub(super) fn answer(error: &CosignError) -> Answer {
    use CosignError as E;
    match error {
        E::NoVersion { .. } => Answer::new(StatusCode::NOT_FOUND, code::NOT_FOUND, sentence(error)),
        E::Blob(error) => blob_answer(error),
        E::Store(error) => store_answer(error),
        E::File { .. } | E::Crypto(_) | E::Stored | E::Manifest(_) => Answer::internal(error),
    }
}
