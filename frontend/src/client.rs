//! Questions to the public HTTP API, by relative address. It refuses to know what answers mean; it keeps
//! them bounded.

use crate::view::load::Failure;
use gloo_net::http::{Request, RequestBuilder, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;
use skep_api::reason::ErrorBody;

/// Largest JSON answer that is read, in bytes: what the API's own client reads.
const ANSWER_BYTES_MAX: usize = 8 << 20;
/// Tells the registry that its own page asks: a cookie alone changes nothing there.
const OWN_PAGE: &str = "x-skep-csrf";

/// How something is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    Post,
    Put,
    Delete,
}

/// Asks for JSON, as the owner of a token or by the browser's cookie.
pub(crate) async fn json<T: DeserializeOwned>(
    path: &str,
    token: Option<&str>,
) -> Result<T, Failure> {
    let request = prepared(Request::get(path), token);
    let response = request.send().await.map_err(|_| Failure::Unreachable)?;
    read(&body(response, ANSWER_BYTES_MAX).await?)
}

/// Asks for JSON as anybody, and keeps the text that came: another program reads it, too.
pub(crate) async fn json_and_text<T: DeserializeOwned>(path: &str) -> Result<(T, String), Failure> {
    let bytes = bytes(path, ANSWER_BYTES_MAX).await?;
    let answer = read(&bytes)?;
    Ok((answer, String::from_utf8_lossy(&bytes).into_owned()))
}

/// Asks for bytes, at most `limit` of them.
pub(crate) async fn bytes(path: &str, limit: usize) -> Result<Vec<u8>, Failure> {
    let response = Request::get(path).send().await.map_err(|_| Failure::Unreachable)?;
    body(response, limit).await
}

/// Sends JSON and reads JSON.
pub(crate) async fn send<T: DeserializeOwned>(
    method: Method,
    path: &str,
    token: Option<&str>,
    wish: &impl Serialize,
) -> Result<T, Failure> {
    read(&told(method, path, token, Some(wish)).await?)
}

/// Does something that is answered by nothing.
pub(crate) async fn done(
    method: Method,
    path: &str,
    token: Option<&str>,
    wish: Option<&impl Serialize>,
) -> Result<(), Failure> {
    told(method, path, token, wish).await.map(drop)
}

async fn told(
    method: Method,
    path: &str,
    token: Option<&str>,
    wish: Option<&impl Serialize>,
) -> Result<Vec<u8>, Failure> {
    let builder = match method {
        Method::Post => Request::post(path),
        Method::Put => Request::put(path),
        Method::Delete => Request::delete(path),
    };
    let builder = prepared(builder, token);
    let unwritten = |e: gloo_net::Error| Failure::Unreadable { what: e.to_string() };
    let request = match wish {
        Some(wish) => builder.json(wish).map_err(unwritten)?,
        None => builder.build().map_err(unwritten)?,
    };
    body(request.send().await.map_err(|_| Failure::Unreachable)?, ANSWER_BYTES_MAX).await
}

fn prepared(request: RequestBuilder, token: Option<&str>) -> RequestBuilder {
    let request = request.header(OWN_PAGE, "1");
    match token {
        Some(token) => request.header("authorization", &format!("Bearer {token}")),
        None => request,
    }
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(bytes).map_err(|e| Failure::Unreadable { what: e.to_string() })
}

async fn body(response: Response, limit: usize) -> Result<Vec<u8>, Failure> {
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
