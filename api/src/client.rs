//! The typed HTTP client of the API. Refuses to know where tokens are kept and how errors are
//! shown.

mod adopt;
mod attestations;
mod life;
mod log;
mod maintenance;
mod operators;
mod packages;
mod trust;
mod uploads;

pub use uploads::Piece;
mod people;
mod publishers;
mod rollouts;

use crate::reason::{ErrorBody, code};
use crate::v1::namespaces::{ClaimNamespace, NamespaceInfo};
use crate::v1::nodes::{
    CreateNodeToken, CreatedNodeToken, EnrolRequest, EnrolResponse, NodeDetail, NodeList,
};
use crate::v1::policies::{ApplyReceipt, ApplyRequest, PolicyList};
use crate::v1::sync::{DESIRED_BYTES_MAX, DesiredState, Report, SyncRequest, WAIT_SECS_MAX};
use crate::v1::tokens::{CreateToken, CreatedToken};
use bytes::Bytes;
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use skep_artifact::name::Namespace;
use skep_fleet::ids::NodeName;
use std::time::Duration;

/// Largest JSON answer that is read, in bytes, other than a desired state: a page of 100 packages
/// with long descriptions stays far below.
const ANSWER_BYTES_MAX: usize = 8 << 20;
/// How long an ordinary call may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(60);
/// How long connecting may take; a host that does not answer by then counts as unreachable.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Added to a long poll's own wait before the client gives up on the answer.
const POLL_GRACE: Duration = Duration::from_secs(30);

/// Why a call did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("The registry at {server} could not be reached.")]
    Unreachable { server: String, source: reqwest::Error },
    #[error("{}", refusal(.body))]
    Refused { status: u16, body: ErrorBody },
    #[error("The registry at {server} gave an answer that cannot be read ({what}).")]
    Answer { server: String, what: String },
    #[error("The answer of {server} is larger than {limit} bytes and was cut off.")]
    TooLarge { server: String, limit: usize },
    #[error(
        "'{url}' is not an address of a registry. Write it like https://registry.example:7600."
    )]
    Address { url: String },
    #[error("The certificate authority file does not hold a PEM certificate.")]
    Ca { source: reqwest::Error },
}

/// What a refusal means that came without an envelope: the answer to a HEAD has no body, and a proxy has words of its own.
fn without_words(status: StatusCode) -> ErrorBody {
    let (code, message, hint) = match status {
        StatusCode::UNAUTHORIZED => (
            code::UNAUTHORISED.to_owned(),
            "This needs a token; none was given, or it is unknown or expired.".to_owned(),
            Some("Give one with SKEP_TOKEN or --token. An admin makes them.".to_owned()),
        ),
        StatusCode::FORBIDDEN => {
            let message = "This token does not allow that.".to_owned();
            (code::FORBIDDEN.to_owned(), message, Some("An admin makes others.".to_owned()))
        }
        _ => {
            let message = format!("The registry answered {status}.");
            (format!("http.{}", status.as_u16()), message, None)
        }
    };
    ErrorBody { code, message, hint, request_id: String::new() }
}

fn refusal(body: &ErrorBody) -> String {
    match &body.hint {
        Some(hint) => format!("{} {hint}", body.message),
        None => body.message.clone(),
    }
}

impl ClientError {
    /// The registry's reason code, when it gave one.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Refused { body, .. } => Some(&body.code),
            _ => None,
        }
    }

    /// Whether trying again later may help without anything being changed.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Refused { status, .. } => *status >= 500 || *status == 429,
            _ => false,
        }
    }
}

/// One registry, and who is calling.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    server: String,
    token: Option<String>,
}

/// What a [`Client`] is made from.
#[derive(Clone, Default)]
pub struct ClientConfig {
    /// `https://host:port`; plain `http` is accepted for loopback only, because tokens must not
    /// travel in the clear.
    pub server: String,
    pub token: Option<String>,
    /// PEM certificates trusted besides the system's, for a registry with a CA of its own.
    pub ca_pem: Option<Vec<u8>>,
}

impl Client {
    /// Prepares a client; does not connect yet.
    ///
    /// # Errors
    /// [`ClientError::Address`] or [`ClientError::Ca`] when the configuration cannot work.
    pub fn new(config: ClientConfig) -> Result<Self, ClientError> {
        let server = config.server.trim_end_matches('/').to_owned();
        let address = || ClientError::Address { url: server.clone() };
        let url = reqwest::Url::parse(&server).map_err(|_| address())?;
        let allowed = match url.scheme() {
            "https" => true,
            "http" => is_loopback(&url),
            _ => false,
        };
        if !allowed {
            return Err(address());
        }
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("skep/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none());
        if let Some(pem) = &config.ca_pem {
            let roots = reqwest::Certificate::from_pem_bundle(pem)
                .map_err(|source| ClientError::Ca { source })?;
            builder = builder.tls_certs_merge(roots);
        }
        let http = builder.build().map_err(|source| ClientError::Ca { source })?;
        Ok(Self { http, server, token: config.token })
    }

    /// The address this client talks to.
    #[must_use]
    pub fn server(&self) -> &str {
        &self.server
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.server));
        let request = request.timeout(CALL_TIMEOUT);
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response, ClientError> {
        let unreachable = |source| ClientError::Unreachable { server: self.server.clone(), source };
        let response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let bytes = self.read(response, ANSWER_BYTES_MAX).await?;
        let body = serde_json::from_slice(&bytes).unwrap_or_else(|_| without_words(status));
        Err(ClientError::Refused { status: status.as_u16(), body })
    }

    async fn read(&self, mut response: Response, limit: usize) -> Result<Bytes, ClientError> {
        let mut all = Vec::new();
        let unreachable = |source| ClientError::Unreachable { server: self.server.clone(), source };
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            if all.len() + chunk.len() > limit {
                return Err(ClientError::TooLarge { server: self.server.clone(), limit });
            }
            all.extend_from_slice(&chunk);
        }
        Ok(Bytes::from(all))
    }

    async fn json<T: DeserializeOwned>(
        &self,
        response: Response,
        limit: usize,
    ) -> Result<T, ClientError> {
        let bytes = self.read(response, limit).await?;
        serde_json::from_slice(&bytes)
            .map_err(|e| ClientError::Answer { server: self.server.clone(), what: e.to_string() })
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        let response = self.send(self.request(Method::GET, path)).await?;
        self.json(response, ANSWER_BYTES_MAX).await
    }

    async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, ClientError> {
        let response = self.send(self.request(Method::POST, path).json(body)).await?;
        self.json(response, ANSWER_BYTES_MAX).await
    }

    /// Claims a namespace.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn claim_namespace(
        &self,
        claim: &ClaimNamespace,
    ) -> Result<NamespaceInfo, ClientError> {
        self.post("/v1/namespaces", claim).await
    }

    /// A namespace with its keys.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn namespace(&self, name: &Namespace) -> Result<NamespaceInfo, ClientError> {
        self.get(&format!("/v1/namespaces/{name}")).await
    }

    /// The newest role file of a namespace, as signed; `None` before its first publish.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn role(&self, name: &Namespace, limit: usize) -> Result<Option<Bytes>, ClientError> {
        let request = self.request(Method::GET, &format!("/v1/namespaces/{name}/role"));
        match self.send(request).await {
            Ok(response) => self.read(response, limit).await.map(Some),
            Err(ClientError::Refused { status: 404, .. }) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Makes an API token.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn create_token(&self, token: &CreateToken) -> Result<CreatedToken, ClientError> {
        self.post("/v1/tokens", token).await
    }

    /// Hands in a signed policy revision.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn apply(&self, request: &ApplyRequest) -> Result<ApplyReceipt, ClientError> {
        self.post("/v1/policies", request).await
    }

    /// The newest revision of every policy.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn policies(&self) -> Result<PolicyList, ClientError> {
        self.get("/v1/policies").await
    }

    /// Makes a token with which nodes may enrol.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn create_node_token(
        &self,
        token: &CreateNodeToken,
    ) -> Result<CreatedNodeToken, ClientError> {
        self.post("/v1/node-tokens", token).await
    }

    /// All nodes.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn nodes(&self) -> Result<NodeList, ClientError> {
        self.get("/v1/nodes").await
    }

    /// One node with its chains.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn node(&self, name: &NodeName) -> Result<NodeDetail, ClientError> {
        self.get(&format!("/v1/nodes/{name}")).await
    }

    /// Introduces a node.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn enrol(&self, request: &EnrolRequest) -> Result<EnrolResponse, ClientError> {
        self.post("/v1/agent/enrol", request).await
    }

    /// Waits for a desired state other than the one the node has; `None` when the wait is over.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn sync(&self, request: &SyncRequest) -> Result<Option<DesiredState>, ClientError> {
        let wait = Duration::from_secs(u64::from(request.wait_secs.min(WAIT_SECS_MAX)));
        let call =
            self.request(Method::POST, "/v1/agent/sync").timeout(wait + POLL_GRACE).json(request);
        let response = self.send(call).await?;
        if response.status() == StatusCode::NO_CONTENT {
            return Ok(None);
        }
        self.json(response, DESIRED_BYTES_MAX).await.map(Some)
    }

    /// Tells the server what runs.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn report(&self, report: &Report) -> Result<(), ClientError> {
        self.send(self.request(Method::POST, "/v1/agent/report").json(report)).await.map(drop)
    }
}

fn is_loopback(url: &reqwest::Url) -> bool {
    match url.host_str() {
        Some("localhost") => true,
        Some(host) => {
            let bare = host.trim_start_matches('[').trim_end_matches(']');
            bare.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
        }
        None => false,
    }
}

/// Percent-encodes the characters of a version that have a meaning in a path.
fn encode(text: &str) -> String {
    text.replace('+', "%2B")
}
