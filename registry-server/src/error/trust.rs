//! What a refused trust document means over HTTP. Refuses to know how it was found out.

use super::{Answer, publish_answer, sentence, store_answer};
use crate::tuf::TrustError;
use axum::http::StatusCode;
use skep_api::reason::code;
use skep_trust::tuf::AcceptError;

pub(super) fn trust_answer(error: &TrustError) -> Answer {
    use TrustError as E;
    const REFUSED: StatusCode = StatusCode::UNPROCESSABLE_ENTITY;
    match error {
        E::NoRoot => Answer::new(StatusCode::CONFLICT, code::TRUST_ROOT_MISSING, sentence(error))
            .hint("Hand in the root first: `skep trust add 1.root.json`."),
        E::Refused(AcceptError::Version { .. }) => {
            Answer::new(StatusCode::CONFLICT, code::TRUST_VERSION, sentence(error))
                .hint("Make the document again from the newest one.")
        }
        E::Refused(AcceptError::Tuf(why)) => {
            let hint =
                "Collect the missing signatures with `skep trust sign`, then hand it in again.";
            let answer = Answer::new(REFUSED, code::TRUST_REFUSED, sentence(error));
            if why.code() == "tuf.threshold_not_met" { answer.hint(hint) } else { answer }
        }
        E::Refused(AcceptError::OnlineKey { .. }) => {
            Answer::new(REFUSED, code::TRUST_REFUSED, sentence(error)).hint(
                "`skep trust show --json` prints the server's keys; make the document with them.",
            )
        }
        E::Refused(_) | E::Document(_) | E::OtherTargets { .. } => {
            Answer::new(REFUSED, code::TRUST_REFUSED, sentence(error))
        }
        E::Raced => Answer::new(StatusCode::CONFLICT, code::TRUST_VERSION, sentence(error))
            .hint("Try again."),
        E::Publish(error) => publish_answer(error),
        E::Store(error) => store_answer(error),
        E::Clock | E::Keys(_) => Answer::internal(error),
    }
}
