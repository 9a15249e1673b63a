//! The only file that turns errors into HTTP: status, reason code, what a person reads.
//! Refuses to let anything internal out: a 500 says nothing but where to look.

use crate::auth::AuthError;
use crate::blob::BlobError;
use crate::control::ControlError;
use crate::publish::{PublishError, Sameness};
use crate::secret::NoRandomness;
use crate::store::StoreError;
use axum::Json;
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use skep_api::reason::{ErrorBody, code};
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
    Control(#[from] ControlError),
    #[error(transparent)]
    Randomness(#[from] NoRandomness),
}

impl From<PublishError> for ApiError {
    fn from(error: PublishError) -> Self {
        Self::Publish(Box::new(error))
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
            Self::Auth(error) => auth_answer(error),
            Self::Blob(error) => blob_answer(error),
            Self::Store(error) => store_answer(error),
            Self::Publish(error) => publish_answer(error),
            Self::Control(error) => control_answer(error),
            Self::Randomness(error) => Answer::internal(error),
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
}

impl Answer {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), hint: None, log: None }
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
        RequestError::NamespaceExists { .. } => {
            Answer::new(StatusCode::CONFLICT, code::NAMESPACE_EXISTS, sentence(error))
                .hint("Choose another name, or ask its owner for a token.")
        }
    }
}

fn auth_answer(error: &AuthError) -> Answer {
    match error {
        AuthError::Unauthorised => {
            let message = "This needs a token; none was given, or it is unknown or expired.";
            Answer::new(StatusCode::UNAUTHORIZED, code::UNAUTHORISED, message)
                .hint("Give one with SKEP_TOKEN or --token. An admin makes them.")
        }
        AuthError::Scope { needs } => {
            let message = format!("This token's scope does not allow that; {needs} does.");
            Answer::new(StatusCode::FORBIDDEN, code::FORBIDDEN, message)
        }
        AuthError::Namespace { namespace } => {
            let message = format!("This token may not publish into {namespace}.");
            Answer::new(StatusCode::FORBIDDEN, code::FORBIDDEN, message)
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
        BlobError::Missing { digest } => {
            let message = format!("Blob {digest} was not found.");
            Answer::new(StatusCode::NOT_FOUND, code::NOT_FOUND, message)
        }
        BlobError::Io { .. } | BlobError::Cancelled { .. } => Answer::internal(error),
    }
}

fn store_answer(error: &StoreError) -> Answer {
    match error {
        StoreError::Full => Answer::full(error),
        StoreError::Busy => Answer::overloaded("All database connections are busy."),
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
            let hint = match same {
                Sameness::Same => "Nothing is left to do.",
                Sameness::Different => "Publish the change under a new version.",
            };
            let message = format!("{} {same}", sentence(error));
            Answer::new(StatusCode::CONFLICT, code::VERSION_EXISTS, message).hint(hint)
        }
        E::BlobMissing { .. } => plain(code::BLOB_MISSING).hint("Upload it, then publish again."),
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

fn control_answer(error: &ControlError) -> Answer {
    use ControlError as E;
    let refused =
        || Answer::new(StatusCode::UNPROCESSABLE_ENTITY, code::POLICY_REFUSED, sentence(error));
    match error {
        E::Envelope { .. } | E::PayloadType { .. } | E::Revision { .. } => refused(),
        E::EnvelopeText => Answer::new(StatusCode::BAD_REQUEST, code::MALFORMED, sentence(error)),
        E::NoSuchPackage { .. } | E::OtherIndex(_) => {
            refused().hint("Plan again, so that the digests are those of the registry.")
        }
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
            Answer::new(StatusCode::CONFLICT, code::NODE_EXISTS, message)
                .hint("Choose another name. If that host was lost, remove the node first.")
        }
        E::Labels { .. } => Answer::new(StatusCode::BAD_REQUEST, code::MALFORMED, sentence(error)),
        E::Store(error) => store_answer(error),
        E::Randomness(error) => Answer::internal(error),
    }
}

/// An error on its way out; [`finish`] writes it, because only there the request id is known.
#[derive(Clone)]
struct Failure {
    body: ErrorBody,
    envelope: Envelope,
    log: Option<String>,
}

#[derive(Clone, Copy)]
enum Envelope {
    Ours,
    Oci { code: &'static str },
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        to_response(self.answer(), Envelope::Ours)
    }
}

fn to_response(answer: Answer, envelope: Envelope) -> Response {
    let Answer { status, code, message, hint, log } = answer;
    let body = ErrorBody { code: code.to_owned(), message, hint, request_id: String::new() };
    let mut response = status.into_response();
    if status == StatusCode::UNAUTHORIZED {
        let challenge = HeaderValue::from_static("Bearer realm=\"skep\"");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    }
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
    }
    response.extensions_mut().insert(Failure { body, envelope, log });
    response
}

/// An error of the OCI API, whose envelope the distribution specification fixes.
pub struct OciError {
    error: ApiError,
    code: &'static str,
}

impl OciError {
    /// The repository is not there.
    #[must_use]
    pub fn name_unknown(name: &str) -> Self {
        Self { error: ApiError::not_found(format!("Repository {name}")), code: "NAME_UNKNOWN" }
    }

    /// The repository has no such manifest.
    #[must_use]
    pub fn manifest_unknown(reference: &str) -> Self {
        let error = ApiError::not_found(format!("Manifest {reference}"));
        Self { error, code: "MANIFEST_UNKNOWN" }
    }

    /// The repository has no such blob.
    #[must_use]
    pub fn blob_unknown(digest: &str) -> Self {
        Self { error: ApiError::not_found(format!("Blob {digest}")), code: "BLOB_UNKNOWN" }
    }

    /// The text is not a digest we know.
    #[must_use]
    pub fn digest_invalid(text: &str) -> Self {
        let shown: String = text.chars().take(100).collect();
        let error = ApiError::malformed(format!("'{shown}' is not a sha256 digest."));
        Self { error, code: "DIGEST_INVALID" }
    }

    /// Something of the OCI API this registry does not do.
    #[must_use]
    pub fn unsupported(what: &str) -> Self {
        Self { error: ApiError::malformed(what), code: "UNSUPPORTED" }
    }
}

impl From<StoreError> for OciError {
    fn from(error: StoreError) -> Self {
        Self { error: error.into(), code: "UNKNOWN" }
    }
}

impl From<BlobError> for OciError {
    fn from(error: BlobError) -> Self {
        let code =
            if matches!(error, BlobError::Missing { .. }) { "BLOB_UNKNOWN" } else { "UNKNOWN" };
        Self { error: error.into(), code }
    }
}

impl IntoResponse for OciError {
    fn into_response(self) -> Response {
        to_response(self.error.answer(), Envelope::Oci { code: self.code })
    }
}

/// Names the request, and writes the envelope of every error: ours, and those axum gives by itself.
pub async fn finish(request: Request, next: Next) -> Response {
    let id = request_id();
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let response = next.run(request).await;
    let status = response.status();
    let mut response = if status.is_client_error() || status.is_server_error() {
        with_envelope(response, &id)
    } else {
        response
    };
    tracing::debug!(%method, path, status = status.as_u16(), request.id = id, "{method} {path} {status}");
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
}

fn with_envelope(response: Response, id: &str) -> Response {
    let status = response.status();
    let (mut parts, body) = response.into_parts();
    let failure = parts.extensions.remove::<Failure>().or_else(|| generic(status));
    let Some(mut failure) = failure else { return Response::from_parts(parts, body) };
    id.clone_into(&mut failure.body.request_id);
    if let Some(log) = &failure.log {
        tracing::error!(request.id = id, "request {id} failed: {log}");
    }
    let written = match failure.envelope {
        Envelope::Ours => Json(failure.body).into_response(),
        Envelope::Oci { code } => {
            let detail = serde_json::json!({ "request_id": id });
            let error = serde_json::json!({
                "code": code, "message": failure.body.message, "detail": detail });
            Json(serde_json::json!({ "errors": [error] })).into_response()
        }
    };
    let (written, body) = written.into_parts();
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.extend(written.headers);
    Response::from_parts(parts, body)
}

/// The envelope of an error that no route of ours gave.
fn generic(status: StatusCode) -> Option<Failure> {
    let (code, message) = match status {
        StatusCode::NOT_FOUND => (code::NOT_FOUND, "There is nothing at this address."),
        StatusCode::METHOD_NOT_ALLOWED => {
            (code::MALFORMED, "This address does not take that method.")
        }
        StatusCode::PAYLOAD_TOO_LARGE => (code::TOO_LARGE, "The body is too large."),
        StatusCode::RANGE_NOT_SATISFIABLE => return None,
        status if status.is_server_error() => (code::INTERNAL, "The registry failed."),
        _ => (code::MALFORMED, "The request cannot be understood."),
    };
    let body = ErrorBody {
        code: code.to_owned(),
        message: message.to_owned(),
        hint: None,
        request_id: String::new(),
    };
    Some(Failure { body, envelope: Envelope::Ours, log: None })
}

/// 96 random bits: enough that two requests of one log never share them.
fn request_id() -> String {
    let mut bytes = [0; 12];
    match getrandom::fill(&mut bytes) {
        Ok(()) => hex::encode(bytes),
        Err(_) => "unknown".to_owned(),
    }
}
