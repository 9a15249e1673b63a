//! The HTTP client issuers are asked with: bounded in time and size, no redirects. Refuses to know
//! what is asked.

use openidconnect::{AsyncHttpClient, HttpRequest, HttpResponse};
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

/// How long an issuer may take: somebody waits in front of a browser.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Largest answer in bytes: key sets have a few KiB, and some issuers list a hundred keys.
const ANSWER_BYTES_MAX: usize = 512 << 10;

/// Why an issuer did not answer usefully.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    #[error("the request failed")]
    Request(#[from] reqwest::Error),
    #[error("the answer is larger than {ANSWER_BYTES_MAX} bytes")]
    TooLarge,
    #[error("the answer cannot be read")]
    Answer(#[from] axum::http::Error),
}

/// The client.
#[derive(Debug, Clone)]
pub struct Http(reqwest::Client);

impl Http {
    /// Makes a client that also believes this authority (PEM).
    ///
    /// # Errors
    /// [`HttpError::Request`] for a PEM that is none.
    pub fn new(ca: Option<&[u8]>) -> Result<Self, HttpError> {
        // A redirect could send what we know to somebody else.
        let mut builder = reqwest::Client::builder()
            .timeout(TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent("skep-registry");
        if let Some(pem) = ca {
            builder = builder.tls_certs_merge(reqwest::Certificate::from_pem_bundle(pem)?);
        }
        Ok(Self(builder.build()?))
    }

    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let mut answer = self.0.execute(request.try_into()?).await?;
        let mut built = axum::http::Response::builder().status(answer.status());
        for (name, value) in answer.headers() {
            built = built.header(name, value);
        }
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await? {
            if body.len() + chunk.len() > ANSWER_BYTES_MAX {
                return Err(HttpError::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(built.body(body)?)
    }
}

impl<'c> AsyncHttpClient<'c> for Http {
    type Error = HttpError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(Http::call(self, request))
    }
}
