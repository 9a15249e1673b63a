//! The only file that turns errors into HTTP: status, reason code, what a person reads.
//! Refuses to let anything internal out: a 500 says nothing but where to look.

mod attest;
mod cosign;
mod envelope;
mod fleet;
mod log;
pub(crate) mod oci;
mod oidc;
mod packages;
mod people;
mod trust;

pub use envelope::{DatabaseAway, Written, finish};
pub use oci::OciError;

use crate::adopt::AdoptError;
use crate::attest::AttestError;
use crate::auth::AuthError;
use crate::blob::BlobError;
use crate::control::ControlError;
use crate::cosign::CosignError;
use crate::life::LifeError;
use crate::log::LogError;
use crate::maintenance::TaskError;
use crate::oidc::job::ExchangeError;
use crate::oidc::login::LoginError;
use crate::partial::PartialError;
use crate::people::limits::TooMany;
use crate::people::refusal::PeopleError;
use crate::publish::{PublishError, Sameness};
use crate::secret::NoRandomness;
use crate::store::StoreError;
use crate::tuf::TrustError;
use axum::http::{HeaderName, StatusCode};
use skep_api::reason::code;
use skep_artifact::role::RoleError;
use std::error::Error;
use std::fmt::Write as _;

/// The header that names a request in answer and log.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What is wrong with a request before anybody acts on it.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    #[error("{what} was not found")]
    NotFound { what: String },
    #[error("{what}")]
    Malformed { what: String },
    #[error("the body is larger than this call takes")]
    TooLarge,
    #[error("the server is busy")]
    Overloaded,
    #[error("the server is stopping")]
    Stopping,
    #[error("{what} was deleted: {message}")]
    Gone { what: String, message: String },
    #[error("namespace {name} is claimed already")]
    NamespaceExists { name: String },
}

/// Everything a route can fail with.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    #[error(transparent)]
    Request(#[from] RequestError),
    #[error(transparent)]
    Auth(#[from] AuthError),
    #[error(transparent)]
    Blob(#[from] BlobError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Publish(Box<PublishError>),
    #[error(transparent)]
    Life(#[from] LifeError),
    #[error(transparent)]
    Adopt(Box<AdoptError>),
    #[error(transparent)]
    Partial(#[from] PartialError),
    #[error(transparent)]
    Task(#[from] TaskError),
    #[error(transparent)]
    Attest(Box<AttestError>),
    #[error(transparent)]
    Cosign(#[from] CosignError),
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(transparent)]
    Control(#[from] ControlError),
    #[error(transparent)]
    Trust(#[from] TrustError),
    #[error(transparent)]
    Randomness(#[from] NoRandomness),
    #[error(transparent)]
    People(#[from] PeopleError),
    #[error(transparent)]
    TooMany(#[from] TooMany),
    #[error(transparent)]
    Exchange(Box<ExchangeError>),
    #[error(transparent)]
    Login(Box<LoginError>),
}

impl From<AttestError> for ApiError {
    fn from(error: AttestError) -> Self {
        Self::Attest(Box::new(error))
    }
}

impl From<AdoptError> for ApiError {
    fn from(error: AdoptError) -> Self {
        Self::Adopt(Box::new(error))
    }
}

impl From<PublishError> for ApiError {
    fn from(error: PublishError) -> Self {
        Self::Publish(Box::new(error))
    }
}

impl From<ExchangeError> for ApiError {
    fn from(error: ExchangeError) -> Self {
        Self::Exchange(Box::new(error))
    }
}

impl From<LoginError> for ApiError {
    fn from(error: LoginError) -> Self {
        Self::Login(Box::new(error))
    }
}

impl ApiError {
    /// A request that cannot be understood; `what` is a full sentence.
    #[must_use]
    pub fn malformed(what: impl Into<String>) -> Self {
        RequestError::Malformed { what: what.into() }.into()
    }

    /// Something that is not there, or that the caller may not know exists.
    #[must_use]
    pub fn not_found(what: impl Into<String>) -> Self {
        RequestError::NotFound { what: what.into() }.into()
    }

    fn answer(&self) -> Answer {
        match self {
            Self::Request(error) => request_answer(error),
            Self::Auth(error) => people::auth_answer(error),
            Self::Blob(error) => blob_answer(error),
            Self::Store(error) => store_answer(error),
            Self::Publish(error) => publish_answer(error),
            Self::Life(error) => packages::life_answer(error),
            Self::Adopt(error) => packages::adopt_answer(error),
            Self::Partial(error) => packages::partial_answer(error),
            Self::Task(error) => packages::task_answer(error),
            Self::Attest(error) => attest::answer(error),
            Self::Cosign(error) => cosign::answer(error),
            Self::Log(error) => log::answer(error),
            Self::Control(error) => fleet::control_answer(error),
            Self::Trust(error) => trust::trust_answer(error),
            Self::Randomness(error) => Answer::internal(error),
            Self::People(error) => people::people_answer(error),
            Self::TooMany(error) => people::too_many(error),
            Self::Exchange(error) => oidc::exchange_answer(error),
            Self::Login(error) => oidc::login_answer(error),
        }
    }
}

/// Status, code, sentence and advice.
struct Answer {
    status: StatusCode,
    code: &'static str,
    message: String,
    hint: Option<String>,
    /// The whole chain, for the log, when the caller may not see it.
    log: Option<String>,
    /// Seconds after which trying again may help.
    retry_after: Option<u64>,
    /// Whether it is the database that did not answer.
    database_away: bool,
}

impl Answer {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            hint: None,
            log: None,
            retry_after: None,
            database_away: false,
        }
    }

    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    fn internal(error: &dyn Error) -> Self {
        let message = "The registry could not do this because of a fault of its own.";
        let hint =
            "Try again; if it stays, the operator finds the reason in the log by the request id.";
        let log = Some(chain(error));
        let answer = Self::new(StatusCode::INTERNAL_SERVER_ERROR, code::INTERNAL, message);
        Self { log, ..answer.hint(hint) }
    }

    fn full(error: &dyn Error) -> Self {
        let message = "The registry's disk is full. Nothing of this request was stored.";
        let answer = Self::new(StatusCode::INSUFFICIENT_STORAGE, code::STORAGE_FULL, message);
        Self {
            log: Some(chain(error)),
            ..answer.hint("Ask its operator for space, then try again.")
        }
    }

    fn overloaded(message: &str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code::OVERLOADED, message)
            .hint("Try again in a few seconds.")
    }
}

/// An error with everything that caused it, on one line.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let _ = write!(text, ": {cause}");
        source = cause.source();
    }
    text
}

/// A sentence out of an error and its causes: "The x is refused: y: z."
fn sentence(error: &dyn Error) -> String {
    let text = chain(error);
    let mut chars = text.chars();
    let first: String = chars.next().into_iter().flat_map(char::to_uppercase).collect();
    let dot = if text.ends_with('.') { "" } else { "." };
    format!("{first}{}{dot}", chars.as_str())
}

fn request_answer(error: &RequestError) -> Answer {
    match error {
        RequestError::NotFound { what } => {
            let message = format!("{what} was not found.");
            Answer::new(StatusCode::NOT_FOUND, code::NOT_FOUND, message)
        }
        RequestError::Malformed { what } => {
            Answer::new(StatusCode::BAD_REQUEST, code::MALFORMED, what.clone())
        }
        RequestError::TooLarge => {
            Answer::new(StatusCode::PAYLOAD_TOO_LARGE, code::TOO_LARGE, sentence(error))
        }
        RequestError::Overloaded => {
            Answer::overloaded("The registry does as much as it can at the moment.")
        }
        RequestError::Stopping => Answer::overloaded("The registry is stopping."),
        RequestError::Gone { what, message } => packages::gone(what, message),
        RequestError::NamespaceExists { .. } => {
            Answer::new(StatusCode::CONFLICT, code::NAMESPACE_EXISTS, sentence(error))
                .hint("Choose another name, or ask its owner for a token.")
        }
    }
}

fn blob_answer(error: &BlobError) -> Answer {
    match error {
        BlobError::Full => Answer::full(error),
        BlobError::TooLarge { .. } => {
            Answer::new(StatusCode::PAYLOAD_TOO_LARGE, code::TOO_LARGE, sentence(error))
        }
        BlobError::WrongDigest { .. } => {
            Answer::new(StatusCode::BAD_REQUEST, code::BLOB_DIGEST, sentence(error)).hint(
                "The bytes were changed on the way, or the digest is of other bytes. Upload again.",
            )
        }
        BlobError::Body { .. } => {
            let message = "The upload broke off. Nothing was stored.";
            Answer::new(StatusCode::BAD_REQUEST, code::MALFORMED, message)
        }
        BlobError::Stalled => {
            Answer::new(StatusCode::REQUEST_TIMEOUT, code::MALFORMED, sentence(error))
                .hint("Nothing was stored. Upload again.")
        }
        BlobError::Missing { digest } => {
            let message = format!("Blob {digest} was not found.");
            Answer::new(StatusCode::NOT_FOUND, code::NOT_FOUND, message)
        }
        BlobError::Bucket { .. } => {
            let message = "The registry's store of bytes cannot be reached.";
            let answer =
                Answer::new(StatusCode::SERVICE_UNAVAILABLE, code::BLOB_STORE_DOWN, message)
                    .hint("Try again in a few seconds.");
            Answer { log: Some(chain(error)), ..answer }
        }
        BlobError::Io { .. } | BlobError::Cancelled { .. } => Answer::internal(error),
    }
}

fn store_answer(error: &StoreError) -> Answer {
    match error {
        StoreError::Full => Answer::full(error),
        StoreError::Unavailable => {
            let message = "The registry's database cannot be reached. Nothing of this was stored.";
            let answer = Answer::new(StatusCode::SERVICE_UNAVAILABLE, code::DATABASE_DOWN, message)
                .hint("Try again in a few seconds; what was read lately is served meanwhile.");
            Answer { database_away: true, ..answer }
        }
        StoreError::Moved => Answer::overloaded("Another server changed the fleet meanwhile."),
        StoreError::Busy => Answer {
            database_away: true,
            ..Answer::overloaded("All database connections are busy.")
        },
        StoreError::Text => Answer::new(StatusCode::BAD_REQUEST, code::MALFORMED, sentence(error))
            .hint("Leave NUL characters out."),
        StoreError::Open { .. }
        | StoreError::Migrate { .. }
        | StoreError::Query { .. }
        | StoreError::Corrupt { .. } => Answer::internal(error),
    }
}

fn publish_answer(error: &PublishError) -> Answer {
    use PublishError as E;
    const REFUSED: StatusCode = StatusCode::UNPROCESSABLE_ENTITY;
    let plain = |code| Answer::new(REFUSED, code, sentence(error));
    match error {
        E::NoNamespace { namespace } => {
            let message = format!("There is no namespace {namespace}.");
            Answer::new(StatusCode::NOT_FOUND, code::NOT_FOUND, message)
                .hint("An admin claims it for its publisher's keys first.")
        }
        E::RoleText => Answer::new(StatusCode::BAD_REQUEST, code::MALFORMED, sentence(error)),
        E::Role { source, .. } => plain(role_code(source))
            .hint("The role file must be signed by the keys the namespace is registered with."),
        E::RoleConflict { found, wanted } => {
            let message = format!(
                "The role file has version {found}, the namespace needs {wanted}: somebody else published, or an old file was sent."
            );
            Answer::new(StatusCode::CONFLICT, code::ROLE_CONFLICT, message)
                .hint("Fetch the newest role file, add the version to it and sign again.")
        }
        E::ReleaseNotNewer { .. } => {
            Answer::new(StatusCode::CONFLICT, code::RELEASE_NOT_NEWER, sentence(error))
                .hint("The release counter must be higher than every one before.")
        }
        E::VersionExists { same, .. } => {
            let message = format!("{} {same}", sentence(error));
            let answer = Answer::new(StatusCode::CONFLICT, code::VERSION_EXISTS, message);
            match same {
                Sameness::Same => answer,
                Sameness::Different => answer.hint("Publish the change under a new version."),
            }
        }
        E::Tombstoned { package, message } => packages::tombstoned(package, message),
        E::BlobMissing { .. } => plain(code::BLOB_MISSING).hint("Upload it, then publish again."),
        E::Quota(quota) => Answer::new(StatusCode::FORBIDDEN, code::QUOTA, sentence(quota))
            .hint("Remove what is not needed, or ask the registry's admin for more."),
        E::TooLarge => Answer::new(StatusCode::PAYLOAD_TOO_LARGE, code::TOO_LARGE, sentence(error)),
        E::Rewrites { .. } => plain(code::PACKAGE_REFUSED)
            .hint("Published versions never change. Start from the newest role file."),
        E::NoTarget { .. }
        | E::OtherIndex { .. }
        | E::TooManyBlobs { .. }
        | E::Unrelated { .. }
        | E::Package { .. }
        | E::OtherName { .. } => plain(code::PACKAGE_REFUSED),
        E::Blob(error) => blob_answer(error),
        E::Store(error) => store_answer(error),
        E::Log(error) => log::answer(error),
        E::Cancelled { .. } => Answer::internal(error),
    }
}

/// A role that was not signed as it must be is untrusted; one that cannot be read is refused.
fn role_code(error: &RoleError) -> &'static str {
    match error {
        RoleError::Threshold { .. }
        | RoleError::BadSignature { .. }
        | RoleError::DuplicateKey { .. }
        | RoleError::Unverifiable { .. } => code::SIGNATURE_UNTRUSTED,
        _ => code::PACKAGE_REFUSED,
    }
}
