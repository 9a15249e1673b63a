//! How refusals of issuers' words are said: what a person has to change, nothing an attacker could
//! learn from.

use super::{Answer, sentence};
use crate::oidc::issuer::IssuerError;
use crate::oidc::job::ExchangeError;
use crate::oidc::login::LoginError;
use axum::http::StatusCode;
use skep_api::reason::code;

fn issuer_answer(error: &IssuerError, said: &dyn std::error::Error) -> Answer {
    match error {
        IssuerError::Discovery(_) | IssuerError::Address(_) => {
            let message = "The issuer does not answer as one at the moment.";
            let log = Some(super::chain(error));
            let answer = Answer::new(StatusCode::BAD_GATEWAY, code::ISSUER_UNREACHABLE, message);
            Answer { log, ..answer.hint("Try again in a minute.") }
        }
        IssuerError::Unreadable(_) | IssuerError::Refused(_) => {
            Answer::new(StatusCode::FORBIDDEN, code::TOKEN_REFUSED, sentence(said))
        }
    }
}

pub(super) fn exchange_answer(error: &ExchangeError) -> Answer {
    let refused = || Answer::new(StatusCode::FORBIDDEN, code::TOKEN_REFUSED, sentence(error));
    match error {
        ExchangeError::TooLong | ExchangeError::Shape => {
            Answer::new(StatusCode::BAD_REQUEST, code::MALFORMED, sentence(error))
        }
        ExchangeError::Issuer(issuer) => issuer_answer(issuer, error),
        ExchangeError::UnknownIssuer => refused().hint("GET /v1/oidc lists who is believed."),
        ExchangeError::Replayed => {
            Answer::new(StatusCode::FORBIDDEN, code::TOKEN_REPLAYED, sentence(error))
                .hint("Ask the CI for a fresh one; each is exchanged once.")
        }
        ExchangeError::Job(_) => {
            refused().hint("`skep namespace trusted-publisher list` shows which jobs are trusted.")
        }
        ExchangeError::NotYet | ExchangeError::LivesTooLong | ExchangeError::NoId => refused(),
    }
}

pub(super) fn login_answer(error: &LoginError) -> Answer {
    match error {
        LoginError::NotForLogins => {
            Answer::new(StatusCode::NOT_FOUND, code::NOT_FOUND, sentence(error))
        }
        LoginError::NoAddress => Answer::internal(error),
        LoginError::State => {
            Answer::new(StatusCode::BAD_REQUEST, code::LOGIN_REFUSED, sentence(error))
                .hint("Begin again.")
        }
        LoginError::Issuer(issuer) => issuer_answer(issuer, error),
        LoginError::Code { .. } => {
            let message = "The issuer did not take the code.";
            let answer = Answer::new(StatusCode::FORBIDDEN, code::LOGIN_REFUSED, message);
            Answer { log: Some(super::chain(error)), ..answer.hint("Begin again.") }
        }
        LoginError::Refused { .. } | LoginError::NoToken => {
            Answer::new(StatusCode::FORBIDDEN, code::LOGIN_REFUSED, sentence(error))
        }
        LoginError::Taken => {
            Answer::new(StatusCode::CONFLICT, code::LOGIN_REFUSED, sentence(error))
        }
    }
}
