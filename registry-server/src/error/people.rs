//! How refusals about people are said. Refuses to tell whether a name exists.

use super::{Answer, sentence, store_answer};
use crate::auth::AuthError;
use crate::people::limits::TooMany;
use crate::people::password::PasswordError;
use crate::people::refusal::PeopleError;
use crate::store::accounts::SignUpConflict;
use crate::store::members::MemberConflict;
use axum::http::StatusCode;
use skep_api::reason::code;

pub(super) fn auth_answer(error: &AuthError) -> Answer {
    let forbidden = |message: String| Answer::new(StatusCode::FORBIDDEN, code::FORBIDDEN, message);
    match error {
        AuthError::Unauthorised => {
            let message = "This needs a token; none was given, or it is unknown or expired.";
            Answer::new(StatusCode::UNAUTHORIZED, code::UNAUTHORISED, message)
                .hint("Log in with `skep login`, or give a token with SKEP_TOKEN or --token.")
        }
        AuthError::Scope { needs } => {
            forbidden(format!("This token's scope does not allow that; {needs} does."))
        }
        AuthError::Publish { pattern } => {
            forbidden(format!("This caller may not publish into {pattern}."))
                .hint("Its owners and maintainers may, and tokens they made for it.")
        }
        AuthError::NotOwner { namespace } => {
            forbidden(format!("Only an owner of {namespace} may do that."))
                .hint("`skep namespace members` shows who that is.")
        }
        AuthError::NoAccount => {
            forbidden("This token belongs to no account, so there is nobody to do that for.".into())
                .hint("Log in with `skep login`.")
        }
        AuthError::CrossSite => {
            let message = "A page of another site asked for this in your browser's name.";
            Answer::new(StatusCode::FORBIDDEN, code::CROSS_SITE, message)
                .hint("Calls with the session cookie carry the header x-skep-csrf.")
        }
        AuthError::Exceeds => forbidden(
            "A token cannot allow more, or last longer, than whoever makes it may.".into(),
        ),
    }
}

pub(super) fn too_many(error: &TooMany) -> Answer {
    let secs = error.after.as_secs().saturating_add(1);
    let message = format!("Too many requests. The next is taken in {secs} s.");
    let answer = Answer::new(StatusCode::TOO_MANY_REQUESTS, code::TOO_MANY, message);
    Answer { retry_after: Some(secs), ..answer }
}

pub(super) fn people_answer(error: &PeopleError) -> Answer {
    use PeopleError as E;
    let plain = |status, code| Answer::new(status, code, sentence(error));
    match error {
        E::Name(_) => plain(StatusCode::UNPROCESSABLE_ENTITY, code::ACCOUNT_NAME),
        E::Password(PasswordError::Busy) => {
            Answer::overloaded("The registry checks as many passwords as it can at the moment.")
        }
        E::Password(PasswordError::Hash { .. }) => Answer::internal(error),
        E::Password(_) => plain(StatusCode::UNPROCESSABLE_ENTITY, code::ACCOUNT_PASSWORD),
        E::SignUp(SignUpConflict::Store(error)) => store_answer(error),
        E::SignUp(SignUpConflict::Invite) | E::Invite => {
            plain(StatusCode::FORBIDDEN, code::INVITE_UNUSABLE).hint("Ask for a new one.")
        }
        E::SignUp(_) | E::LooksTaken { .. } => {
            plain(StatusCode::CONFLICT, code::ACCOUNT_TAKEN).hint("Choose another name.")
        }
        E::SignUpClosed => plain(StatusCode::FORBIDDEN, code::SIGN_UP_CLOSED),
        E::InviteNeeded => plain(StatusCode::FORBIDDEN, code::SIGN_UP_CLOSED)
            .hint("An admin makes invites with `skep account invite`."),
        E::WrongLogin => plain(StatusCode::UNAUTHORIZED, code::WRONG_LOGIN),
        E::Member(MemberConflict::NoMember) => {
            Answer::new(StatusCode::NOT_FOUND, code::NOT_FOUND, "This account is no member.")
        }
        E::Member(MemberConflict::LastOwner) => {
            plain(StatusCode::CONFLICT, code::LAST_OWNER).hint("Make somebody else an owner first.")
        }
        E::Member(MemberConflict::Store(error)) => store_answer(error),
        E::TooManyNamespaces { .. } => {
            plain(StatusCode::FORBIDDEN, code::QUOTA).hint("An admin can claim more.")
        }
        E::TooMany(error) => too_many(error),
    }
}
