//! What callers are told about the log's errors.

use super::{Answer, sentence, store_answer};
use crate::log::LogError;
use axum::http::StatusCode;
use skep_api::reason::code;

pub(super) fn answer(error: &LogError) -> Answer {
    use LogError as E;
    let missing = |code| Answer::new(StatusCode::NOT_FOUND, code, sentence(error));
    let refused = |code| Answer::new(StatusCode::UNPROCESSABLE_ENTITY, code, sentence(error));
    match error {
        E::Store(error) => store_answer(error),
        E::NoEntry { .. } => missing(code::NOT_FOUND),
        E::NotWitnessed { .. } | E::NotWitnessedYet { .. } => missing(code::LOG_NOT_WITNESSED)
            .hint("Try again once the witnesses have cosigned a newer checkpoint."),
        E::Ahead { .. } | E::OtherHistory => {
            Answer::new(StatusCode::CONFLICT, code::LOG_OTHER_HISTORY, sentence(error))
                .hint("Keep that checkpoint: it proves that this log was shown differently.")
        }
        E::NoCosignature => refused(code::LOG_NO_COSIGNATURE)
            .hint("The operator of the registry lists witnesses with --witness."),
        E::Refused(refusal) => refused(refusal.code()),
        E::File { .. }
        | E::KeyFile { .. }
        | E::OtherKey { .. }
        | E::Randomness(_)
        | E::Witnesses(_)
        | E::Note(_) => Answer::internal(error),
    }
}
