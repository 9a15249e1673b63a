//! Why something about people is refused. Refuses to know how that is said over HTTP.

use super::limits::TooMany;
use super::names::AccountNameError;
use super::password::PasswordError;
use crate::store::accounts::SignUpConflict;
use crate::store::members::MemberConflict;

/// Everything an account, a member or an invite can be refused for.
#[derive(Debug, thiserror::Error)]
pub enum PeopleError {
    #[error("the name is refused")]
    Name(#[from] AccountNameError),
    #[error("the password is refused")]
    Password(#[from] PasswordError),
    #[error("there is no new account")]
    SignUp(#[from] SignUpConflict),
    #[error("nobody may sign up here")]
    SignUpClosed,
    #[error("only who is invited may sign up here")]
    InviteNeeded,
    /// An unknown name and a wrong password: the caller learns no difference.
    #[error("name or password is wrong")]
    WrongLogin,
    #[error("the membership stays as it is")]
    Member(#[from] MemberConflict),
    #[error("the invite is unknown, answered, revoked or expired")]
    Invite,
    #[error("{name} looks like {taken}, which somebody has")]
    LooksTaken { name: String, taken: String },
    #[error("an account claims at most {limit} namespaces")]
    TooManyNamespaces { limit: usize },
    #[error(transparent)]
    TooMany(#[from] TooMany),
}
