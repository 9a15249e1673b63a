//! Questions to the public HTTP API, by relative address. It refuses to know what answers mean; it keeps
//! them bounded.

use crate::view::load::Failure;
use gloo_net::http::{Request, Response};
use serde::de::DeserializeOwned;
use skep_api::reason::ErrorBody;

/// Largest JSON answer that is read, in bytes: what the API's own client reads.
const ANSWER_BYTES_MAX: usize = 8 << 20;

/// Asks for JSON, as anybody or as the owner of a token.
pub(crate) async fn json<T: DeserializeOwned>(
    path: &str,
    token: Option<&str>,
) -> Result<T, Failure> {
    let bytes = get(path, token, ANSWER_BYTES_MAX).await?;
    serde_json::from_slice(&bytes).map_err(|e| Failure::Unreadable { what: e.to_string() })
}

/// Asks for bytes, at most `limit` of them.
pub(crate) async fn bytes(path: &str, limit: usize) -> Result<Vec<u8>, Failure> {
    get(path, None, limit).await
}

async fn get(path: &str, token: Option<&str>, limit: usize) -> Result<Vec<u8>, Failure> {
    let mut request = Request::get(path);
    if let Some(token) = token {
        request = request.header("authorization", &format!("Bearer {token}"));
    }
    let response = request.send().await.map_err(|_| Failure::Unreachable)?;
    if !response.ok() {
        return Err(refusal(response).await);
    }
    let announced = response.headers().get("content-length").and_then(|n| n.parse::<usize>().ok());
    if announced.is_some_and(|length| length > limit) {
        return Err(Failure::TooLarge { limit });
    }
    let bytes = response.binary().await.map_err(|_| Failure::Unreachable)?;
    if bytes.len() > limit { Err(Failure::TooLarge { limit }) } else { Ok(bytes) }
}

async fn refusal(response: Response) -> Failure {
    let status = response.status();
    let bytes = response.binary().await.unwrap_or_default();
    let body = serde_json::from_slice(&bytes).unwrap_or_else(|_| ErrorBody {
        code: format!("http.{status}"),
        message: crate::words::bare_status(status),
        hint: None,
        request_id: String::new(),
    });
    Failure::Refused { status, body }
}
