//! What callers are told about errors of the control plane and of documents that operators sign.

use super::{Answer, sentence, store_answer};
use crate::control::ControlError;
use crate::control::documents::DocumentError;
use crate::control::rollouts::RolloutError;
use axum::http::StatusCode;
use skep_api::reason::code;
use skep_fleet::rollout::StepError;

fn document_answer(error: &DocumentError) -> Answer {
    use DocumentError as E;
    let answer = |status, code| Answer::new(status, code, sentence(error));
    match error {
        E::Envelope { .. } | E::PayloadType { .. } | E::Form { .. } | E::Unsigned => {
            answer(StatusCode::UNPROCESSABLE_ENTITY, code::DOCUMENT_REFUSED)
        }
        E::NotByPublisher { .. } => {
            answer(StatusCode::UNPROCESSABLE_ENTITY, code::DOCUMENT_REFUSED).hint(
                "Sign it with as many of the namespace's keys as must sign for it, or let an operator hand it in.",
            )
        }
        E::OtherEnvironment { .. } => answer(StatusCode::CONFLICT, code::DOCUMENT_REFUSED)
            .hint("Is it the registry you meant?"),
        E::SetStale { .. } => answer(StatusCode::CONFLICT, code::SET_STALE)
            .hint("Somebody else applied meanwhile. Apply again: the set is signed anew."),
        E::NoPolicy { .. } => answer(StatusCode::NOT_FOUND, code::NOT_FOUND),
        E::OtherRevision { .. } => answer(StatusCode::CONFLICT, code::APPROVAL_STALE)
            .hint("Look at the newest revision and approve that."),
        E::TooManyApprovals { .. } | E::TooManyRevocations => {
            answer(StatusCode::CONFLICT, code::DOCUMENT_REFUSED)
        }
    }
}

fn rollout_answer(error: &RolloutError) -> Answer {
    use RolloutError as E;
    let wrong = || Answer::new(StatusCode::CONFLICT, code::ROLLOUT_STATE, sentence(error));
    match error {
        E::NoSuch { .. } => Answer::new(StatusCode::NOT_FOUND, code::NOT_FOUND, sentence(error))
            .hint("`skep rollout list` shows them."),
        E::Step(StepError::NothingFailed) => wrong().hint("There is nothing to try again."),
        E::Step(_) => wrong().hint("`skep rollout show` says where it stands."),
        E::InTheWay { .. } => {
            wrong().hint("Wait for the other rollout, or cancel it, then go back.")
        }
    }
}

pub(super) fn control_answer(error: &ControlError) -> Answer {
    use ControlError as E;
    let refused =
        || Answer::new(StatusCode::UNPROCESSABLE_ENTITY, code::POLICY_REFUSED, sentence(error));
    match error {
        E::Envelope { .. } | E::PayloadType { .. } | E::Revision { .. } => refused(),
        E::EnvelopeText => Answer::new(StatusCode::BAD_REQUEST, code::MALFORMED, sentence(error)),
        E::NoSuchPackage { .. } | E::OtherIndex(_) => {
            refused().hint("Plan again, so that the digests are those of the registry.")
        }
        E::Rollout(error) => rollout_answer(error),
        E::Document(error) => document_answer(error),
        E::Assignment { .. } => Answer::internal(error),
        E::TooMuch { .. } => refused().hint("Narrow the selector, or merge policies."),
        E::Stale { .. } => Answer::new(StatusCode::CONFLICT, code::POLICY_STALE, sentence(error))
            .hint("Plan again: somebody else applied a newer revision."),
        E::TokenRefused => {
            let message = "This node token is unknown, expired or used up. No node was enrolled.";
            Answer::new(StatusCode::FORBIDDEN, code::NODE_TOKEN, message)
                .hint("Make a new one with `skep node token create`.")
        }
        E::NameTaken { name } => {
            let message = format!("A different host is enrolled as {name} already.");
            Answer::new(StatusCode::CONFLICT, code::NODE_EXISTS, message).hint(
                "Choose another name. If it is the same host, enrol with the state folder it had.",
            )
        }
        E::Labels { .. } => Answer::new(StatusCode::BAD_REQUEST, code::MALFORMED, sentence(error)),
        E::Store(error) => store_answer(error),
        E::Randomness(error) => Answer::internal(error),
    }
}
