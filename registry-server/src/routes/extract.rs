//! Bodies, paths and queries as types, with our own errors. Refuses to know what they are for.

use crate::error::{ApiError, RequestError};
use axum::extract::rejection::{BytesRejection, PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use bytes::Bytes;
use serde::de::DeserializeOwned;
use skep_artifact::name::PackageName;
use std::str::FromStr;

/// Largest JSON body of ordinary calls, in bytes: reports of 64 chains stay far below.
pub const JSON_BYTES_MAX: usize = 1 << 20;
/// Largest JSON body of a publish or an apply: 1 MiB of signed content, twice in base64, and what
/// is around it.
pub const SIGNED_JSON_BYTES_MAX: usize = 3 << 20;

/// A JSON body within [`JSON_BYTES_MAX`], or [`SIGNED_JSON_BYTES_MAX`] where the route says so.
/// The content type is not asked for: what parses is what was meant.
pub struct ApiJson<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for ApiJson<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let bytes = Bytes::from_request(request, state).await.map_err(refuse)?;
        serde_json::from_slice(&bytes).map(Self).map_err(|e| {
            ApiError::malformed(format!("The body is not the JSON this call takes: {e}."))
        })
    }
}

fn refuse(rejection: BytesRejection) -> ApiError {
    if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
        return RequestError::TooLarge.into();
    }
    ApiError::malformed("The body broke off.")
}

/// A query string, with our own error.
pub struct ApiQuery<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for ApiQuery<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let query: Result<Query<T>, QueryRejection> = Query::from_request_parts(parts, state).await;
        query.map(|Query(value)| Self(value)).map_err(|rejection| {
            ApiError::malformed(format!("The query cannot be read: {}.", rejection.body_text()))
        })
    }
}

/// Path segments as text; routes parse them with [`name`] and [`package`].
pub struct ApiPath<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for ApiPath<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let path: Result<Path<T>, PathRejection> = Path::from_request_parts(parts, state).await;
        path.map(|Path(value)| Self(value)).map_err(|_| ApiError::not_found("This address"))
    }
}

/// Parses a path segment. A text that cannot be a name names nothing: not found.
///
/// # Errors
/// [`ApiError`] with status 404.
pub fn name<T: FromStr>(what: &str, text: &str) -> Result<T, ApiError> {
    let shown = || text.chars().take(100).collect::<String>();
    text.parse().map_err(|_| ApiError::not_found(format!("{what} {}", shown())))
}

/// Puts a package's name together from its two path segments.
///
/// # Errors
/// [`ApiError`] with status 404.
pub fn package(namespace: &str, short: &str) -> Result<PackageName, ApiError> {
    name("Package", &format!("{namespace}/{short}"))
}
