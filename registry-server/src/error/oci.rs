//! Errors of the OCI API: its own codes, statuses and headers. Refuses to let anything internal out.

use super::envelope::{Envelope, to_response};
use super::{Answer, ApiError, sentence};
use crate::auth::oci::OciAuthError;
use crate::blob::BlobError;
use crate::oci::access::AccessError;
use crate::oci::digest::OciDigestError;
use crate::oci::name::{NameError, Repository};
use crate::push::PushError;
use crate::store::StoreError;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use skep_api::reason::code;

/// An error of the OCI API, whose envelope the distribution specification fixes.
pub struct OciError {
    answer: Box<Answer>,
    code: &'static str,
    headers: HeaderMap,
}

impl OciError {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        let ours = match status {
            StatusCode::NOT_FOUND => code::NOT_FOUND,
            StatusCode::PAYLOAD_TOO_LARGE => code::TOO_LARGE,
            StatusCode::UNAUTHORIZED => code::UNAUTHORISED,
            StatusCode::FORBIDDEN => code::FORBIDDEN,
            _ => code::MALFORMED,
        };
        let answer = Box::new(Answer::new(status, ours, message));
        Self { answer, code, headers: HeaderMap::new() }
    }

    fn ours(error: &ApiError, code: &'static str) -> Self {
        Self { answer: Box::new(error.answer()), code, headers: HeaderMap::new() }
    }

    fn hint(mut self, hint: &str) -> Self {
        self.answer = Box::new(self.answer.hint(hint));
        self
    }

    /// The same with one header more. A value that cannot be in a header is left out.
    #[must_use]
    pub fn with(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
        self
    }

    /// The repository is not there.
    #[must_use]
    pub fn name_unknown(name: &str) -> Self {
        let shown: String = name.chars().take(100).collect();
        Self::new(StatusCode::NOT_FOUND, "NAME_UNKNOWN", format!("There is no repository {shown}."))
    }

    /// The address is none of the API's.
    #[must_use]
    pub fn nowhere() -> Self {
        Self::new(StatusCode::NOT_FOUND, "NAME_UNKNOWN", "There is nothing at this address.")
    }

    /// The repository has no such manifest.
    #[must_use]
    pub fn manifest_unknown(reference: &str) -> Self {
        let message = format!("There is no manifest {reference} in this repository.");
        Self::new(StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN", message)
    }

    /// The repository has no such blob.
    #[must_use]
    pub fn blob_unknown(digest: &str) -> Self {
        let message = format!("There is no blob {digest} in this repository.");
        Self::new(StatusCode::NOT_FOUND, "BLOB_UNKNOWN", message)
    }

    /// A request that cannot be understood; `what` is a full sentence.
    #[must_use]
    pub fn unsupported(what: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "UNSUPPORTED", what)
    }

    /// A header or query of an upload that cannot be understood; `what` is a full sentence.
    #[must_use]
    pub fn upload_invalid(what: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BLOB_UPLOAD_INVALID", what)
    }

    /// A method that this address does not take.
    #[must_use]
    pub fn not_allowed(allowed: &'static str) -> Self {
        let message = format!("This address takes {allowed}.");
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED", message)
            .with(header::ALLOW, allowed)
    }

    /// A manifest that is too large.
    #[must_use]
    pub fn manifest_too_large(most: usize) -> Self {
        let message = format!("A manifest has at most {most} bytes.");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "MANIFEST_INVALID", message)
    }

    /// Who calls is not known, or may not do this.
    #[must_use]
    pub fn auth(
        error: OciAuthError,
        challenge: impl FnOnce(Option<&'static str>) -> String,
    ) -> Self {
        match error {
            OciAuthError::Challenge { why } => {
                let message = "This needs credentials; none were given, or they are not enough.";
                Self::new(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", message)
                    .hint("Log in with any user name and an API token of the namespace as the password.")
                    .with(header::WWW_AUTHENTICATE, &challenge(why.map(|why| why.as_str())))
            }
            OciAuthError::Denied(error) => Self::ours(&error.into(), "DENIED"),
            OciAuthError::Store(error) => error.into(),
        }
    }

    /// What became of a push.
    #[must_use]
    pub fn push(repository: &Repository, error: PushError) -> Self {
        use PushError as E;
        use StatusCode as S;
        let with = |status, code| Self::new(status, code, sentence(&error));
        match &error {
            E::NoNamespace { .. } => with(S::NOT_FOUND, "NAME_UNKNOWN")
                .hint("An admin claims it for its publisher's keys first."),
            E::NoUpload { .. } => with(S::NOT_FOUND, "BLOB_UPLOAD_UNKNOWN")
                .hint("It is over, or nothing was heard of it for a day. Begin a new one."),
            E::OutOfOrder { id, received } => with(S::RANGE_NOT_SATISFIABLE, "BLOB_UPLOAD_INVALID")
                .with(header::RANGE, &range(*received))
                .with(header::LOCATION, &upload_location(repository, id)),
            E::Size { .. } => with(S::BAD_REQUEST, "SIZE_INVALID"),
            E::TooManyParts => with(S::BAD_REQUEST, "BLOB_UPLOAD_INVALID"),
            E::WrongDigest { .. } => with(S::BAD_REQUEST, "DIGEST_INVALID"),
            E::Manifest(_) => with(S::BAD_REQUEST, "MANIFEST_INVALID"),
            E::Unknown { .. } => with(S::NOT_FOUND, "MANIFEST_BLOB_UNKNOWN")
                .hint("Push what it names first, into the same repository."),
            E::Taken { .. } => with(S::FORBIDDEN, "DENIED")
                .hint("Publish a new version, or push under another tag."),
            E::Published { .. } => with(S::METHOD_NOT_ALLOWED, "DENIED")
                .hint("Yank the version if nobody should take it any more."),
            E::InUse { .. } => {
                with(S::METHOD_NOT_ALLOWED, "DENIED").hint("Delete that manifest first.")
            }
            E::Missing { what } if what.contains(':') => with(S::NOT_FOUND, "BLOB_UNKNOWN"),
            E::Missing { .. } => with(S::NOT_FOUND, "MANIFEST_UNKNOWN"),
            E::Busy(_) | E::Randomness(_) | E::Blob(_) | E::Store(_) => Self::internal(error),
        }
    }

    fn internal(error: PushError) -> Self {
        match error {
            PushError::Busy(error) => Self::ours(&error.into(), "TOOMANYREQUESTS"),
            PushError::Randomness(error) => Self::ours(&error.into(), "UNKNOWN"),
            PushError::Blob(error) => error.into(),
            PushError::Store(error) => error.into(),
            other => Self::new(StatusCode::BAD_REQUEST, "UNSUPPORTED", sentence(&other)),
        }
    }
}

/// How far an upload is, as its headers say: an empty one is written like one of one byte, which is what
/// clients read back as the start.
#[must_use]
pub(crate) fn range(received: u64) -> String {
    format!("0-{}", received.saturating_sub(1))
}

/// Where an upload goes on.
#[must_use]
pub(crate) fn upload_location(repository: &Repository, id: &str) -> String {
    format!("/v2/{repository}/blobs/uploads/{id}")
}

impl From<StoreError> for OciError {
    fn from(error: StoreError) -> Self {
        Self::ours(&error.into(), "UNKNOWN")
    }
}

impl From<BlobError> for OciError {
    fn from(error: BlobError) -> Self {
        let code = match error {
            BlobError::Missing { .. } => "BLOB_UNKNOWN",
            BlobError::TooLarge { .. } => "SIZE_INVALID",
            BlobError::Body { .. } | BlobError::Stalled => "BLOB_UPLOAD_INVALID",
            _ => "UNKNOWN",
        };
        Self::ours(&error.into(), code)
    }
}

impl From<AccessError> for OciError {
    fn from(error: AccessError) -> Self {
        let mut error = Self {
            answer: Box::new(Answer::internal(&error)),
            code: "UNKNOWN",
            headers: HeaderMap::new(),
        };
        error.headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        error
    }
}

impl From<NameError> for OciError {
    fn from(error: NameError) -> Self {
        match error {
            NameError::Digest(error) => error.into(),
            NameError::Tag => {
                Self::new(StatusCode::BAD_REQUEST, "MANIFEST_INVALID", sentence(&error))
            }
            NameError::Repository | NameError::Namespace => {
                Self::new(StatusCode::BAD_REQUEST, "NAME_INVALID", sentence(&error))
            }
        }
    }
}

impl From<OciDigestError> for OciError {
    fn from(error: OciDigestError) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "DIGEST_INVALID", sentence(&error))
    }
}

impl IntoResponse for OciError {
    fn into_response(self) -> Response {
        let mut response = to_response(*self.answer, Envelope::Oci { code: self.code });
        response.headers_mut().extend(self.headers);
        response
    }
}
