//! Writing errors into answers: our own envelope, and the one the OCI specification fixes.
//! Refuses to know what went wrong; it gets status, code and words.

use super::{Answer, ApiError, REQUEST_ID};
use axum::Json;
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use skep_api::reason::{ErrorBody, code};

/// An error on its way out; [`finish`] writes it, because only there the request id is known.
#[derive(Clone)]
struct Failure {
    body: ErrorBody,
    envelope: Envelope,
    log: Option<String>,
}

/// Marks an answer that says that the database did not answer.
#[derive(Clone, Copy)]
pub struct DatabaseAway;

/// Marks an error that is written already, for people: a page.
#[derive(Clone, Copy)]
pub struct Written;

#[derive(Clone, Copy)]
pub(super) enum Envelope {
    Ours,
    Oci { code: &'static str },
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        to_response(self.answer(), Envelope::Ours)
    }
}

pub(super) fn to_response(answer: Answer, envelope: Envelope) -> Response {
    let Answer { status, code, message, hint, log, retry_after, database_away } = answer;
    let body = ErrorBody { code: code.to_owned(), message, hint, request_id: String::new() };
    let mut response = status.into_response();
    if status == StatusCode::UNAUTHORIZED {
        let challenge = HeaderValue::from_static("Bearer realm=\"skep\"");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    }
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
    }
    if let Some(secs) = retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(secs));
    }
    if database_away {
        response.extensions_mut().insert(DatabaseAway);
    }
    response.extensions_mut().insert(Failure { body, envelope, log });
    response
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
    if parts.extensions.get::<Written>().is_some() {
        return Response::from_parts(parts, body);
    }
    let failure = parts.extensions.remove::<Failure>().or_else(|| generic(status));
    let Some(mut failure) = failure else { return Response::from_parts(parts, body) };
    id.clone_into(&mut failure.body.request_id);
    if let Some(log) = &failure.log {
        tracing::error!(request.id = id, "request {id} failed: {log}");
    }
    let written = match failure.envelope {
        Envelope::Ours => Json(failure.body).into_response(),
        Envelope::Oci { code } => {
            let ErrorBody { message, hint, .. } = failure.body;
            // Clients print the message and nothing else, so what to do next is part of it.
            let message = hint.map_or(message.clone(), |hint| format!("{message} {hint}"));
            let detail = serde_json::json!({ "request_id": id });
            let error = serde_json::json!({ "code": code, "message": message, "detail": detail });
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
