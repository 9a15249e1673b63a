//! Answers about what becomes of packages: their life, broken uploads, tasks.
//! Refuses to know how they come about.

use super::{Answer, blob_answer, publish_answer, sentence, store_answer};
use crate::adopt::AdoptError;
use crate::life::LifeError;
use crate::maintenance::TaskError;
use crate::partial::PartialError;
use axum::http::StatusCode;
use skep_api::reason::code;
use skep_artifact::name::PackageName;

/// Something that was there once.
pub(super) fn gone(what: &str, message: &str) -> Answer {
    let message = format!("{what} was deleted: {message}");
    Answer::new(StatusCode::GONE, code::PACKAGE_TOMBSTONED, message)
}

/// A name that cannot be used again.
pub(super) fn tombstoned(package: &PackageName, message: &str) -> Answer {
    let message = format!("{package} was deleted: {message}");
    Answer::new(StatusCode::CONFLICT, code::PACKAGE_TOMBSTONED, message)
        .hint("The name of a deleted package is never used again. Publish under another one.")
}

pub(super) fn life_answer(error: &LifeError) -> Answer {
    use LifeError as E;
    match error {
        E::Message { .. } | E::OwnReplacement { .. } | E::NoReplacement { .. } => {
            Answer::new(StatusCode::BAD_REQUEST, code::MALFORMED, sentence(error))
        }
        E::NoPackage { .. } | E::NoVersion { .. } => {
            Answer::new(StatusCode::NOT_FOUND, code::NOT_FOUND, sentence(error))
        }
        E::Tombstoned { package, message } => gone(&package.to_string(), message),
        E::Store(error) => store_answer(error),
    }
}

pub(super) fn adopt_answer(error: &AdoptError) -> Answer {
    use AdoptError as E;
    match error {
        E::Count { .. } | E::OtherNamespace { .. } => {
            Answer::new(StatusCode::BAD_REQUEST, code::MALFORMED, sentence(error))
        }
        E::Older { .. } => Answer::new(StatusCode::CONFLICT, code::ROLE_OLDER, sentence(error))
            .hint("A role file only ever gets newer. Make the bundle again from a registry that is up to date."),
        E::Forked { .. } => Answer::new(StatusCode::CONFLICT, code::ROLE_FORKED, sentence(error))
            .hint("Ask the publisher which one is theirs before you trust either."),
        E::Moved { .. } => Answer::new(StatusCode::CONFLICT, code::ROLE_CONFLICT, sentence(error))
            .hint("Try again."),
        E::Publish(error) => publish_answer(error),
    }
}

pub(super) fn partial_answer(error: &PartialError) -> Answer {
    match error {
        PartialError::Offset { .. } => {
            Answer::new(StatusCode::CONFLICT, code::UPLOAD_OFFSET, sentence(error))
                .hint("Ask how far the upload is and go on from there.")
        }
        PartialError::TakenOver => {
            Answer::new(StatusCode::CONFLICT, code::UPLOAD_OFFSET, sentence(error))
                .hint("Let that one finish.")
        }
        PartialError::TooMany => {
            Answer::new(StatusCode::TOO_MANY_REQUESTS, code::UPLOAD_TOO_MANY, sentence(error))
                .hint("Finish those; what nobody goes on with is removed after a day.")
        }
        PartialError::Blob(error) => blob_answer(error),
    }
}

pub(super) fn task_answer(error: &TaskError) -> Answer {
    match error {
        TaskError::Running { .. } => {
            Answer::new(StatusCode::CONFLICT, code::TASK_RUNNING, sentence(error))
                .hint("Wait for it; `skep admin tasks` shows how far it is.")
        }
        TaskError::Source { .. } | TaskError::NothingToRepair => {
            Answer::new(StatusCode::BAD_REQUEST, code::MALFORMED, sentence(error))
        }
    }
}
