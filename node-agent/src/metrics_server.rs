//! `GET /metrics` on an address or a socket of this host. Asks the agent's loop for the chains and
//! answers with text. Refuses to know what the metrics mean.

use crate::metrics;
use crate::socket::{Answer, Question, Request};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::fs::{self, Permissions};
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{Semaphore, mpsc, oneshot};

/// Scrapers served at once; there is usually one.
const SCRAPERS_MAX: usize = 8;
/// How long one connection may last: a scraper that keeps it open asks again within a minute.
const CONNECTION_MAX: Duration = Duration::from_secs(120);
/// How long a scraper may take to ask.
const HEADER_PATIENCE: Duration = Duration::from_secs(10);
/// Pause after the kernel refused a connection, which it does when descriptors have run out.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);
/// Of the OpenMetrics text format.
const TEXT: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Where metrics are served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// An address and port of this host.
    Tcp(SocketAddr),
    /// A unix socket, for its owner only.
    Unix(PathBuf),
}

/// Not an address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{text}' is no address for metrics. Write it like 127.0.0.1:9464 or unix:/run/skep/metrics.sock."
)]
pub struct AddressError {
    text: String,
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || AddressError { text: text.chars().take(200).collect() };
        match text.strip_prefix("unix:") {
            Some(path) if path.starts_with('/') => Ok(Self::Unix(PathBuf::from(path))),
            Some(_) => Err(wrong()),
            None => text.parse().map(Self::Tcp).map_err(|_| wrong()),
        }
    }
}

/// The metrics could not be served.
#[derive(Debug, thiserror::Error)]
#[error("Metrics could not be served on {address}.")]
pub struct ServeError {
    address: String,
    source: io::Error,
}

/// Whom the metrics are about.
#[derive(Debug, Clone)]
pub struct About {
    /// The node's name.
    pub node: String,
    /// The agent's version.
    pub version: String,
}

/// Opens the address and answers on it until the agent stops. Gives the address, with the port that was
/// taken where 0 was asked for.
///
/// # Errors
/// [`ServeError`] when the address is taken or not this host's.
pub async fn serve(
    address: &Address,
    about: About,
    questions: mpsc::Sender<Question>,
) -> Result<String, ServeError> {
    match address {
        Address::Tcp(at) => {
            let failed = |source| ServeError { address: at.to_string(), source };
            let listener = TcpListener::bind(at).await.map_err(failed)?;
            let bound = listener.local_addr().map_err(failed)?.to_string();
            let desk = Desk::new(about, questions);
            tokio::spawn(async move {
                loop {
                    match listener.accept().await {
                        Ok((stream, _)) => desk.take(stream).await,
                        Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
                    }
                }
            });
            Ok(bound)
        }
        Address::Unix(path) => {
            let failed = |source| ServeError { address: path.display().to_string(), source };
            // One that a killed agent left; the state folder's lock keeps two agents apart.
            match fs::remove_file(path) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(failed(e)),
                _ => {}
            }
            let listener = UnixListener::bind(path).map_err(failed)?;
            fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(failed)?;
            let desk = Desk::new(about, questions);
            tokio::spawn(async move {
                loop {
                    match listener.accept().await {
                        Ok((stream, _)) => desk.take(stream).await,
                        Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
                    }
                }
            });
            Ok(path.display().to_string())
        }
    }
}

/// Takes connections, a bounded number at a time.
struct Desk {
    about: Arc<About>,
    questions: mpsc::Sender<Question>,
    places: Arc<Semaphore>,
}

impl Desk {
    fn new(about: About, questions: mpsc::Sender<Question>) -> Self {
        let places = Arc::new(Semaphore::new(SCRAPERS_MAX));
        Self { about: Arc::new(about), questions, places }
    }

    async fn take(&self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        let Ok(place) = Arc::clone(&self.places).acquire_owned().await else { return };
        let (about, questions) = (Arc::clone(&self.about), self.questions.clone());
        let service = service_fn(move |request| {
            let (about, questions) = (Arc::clone(&about), questions.clone());
            async move { Ok::<_, Infallible>(answer(&request, &about, &questions).await) }
        });
        tokio::spawn(async move {
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEADER_PATIENCE)
                .serve_connection(TokioIo::new(stream), service);
            // A scraper that breaks off asks again.
            let _ = tokio::time::timeout(CONNECTION_MAX, connection).await;
            drop(place);
        });
    }
}

async fn answer(
    request: &hyper::Request<Incoming>,
    about: &About,
    questions: &mpsc::Sender<Question>,
) -> Response<Full<Bytes>> {
    match (request.method(), request.uri().path()) {
        (&Method::GET, "/metrics") => match chains(questions).await {
            Some((chains, fresh)) => {
                let text = metrics::text(&about.node, &about.version, &chains, fresh);
                said(StatusCode::OK, TEXT, text)
            }
            None => plain(StatusCode::SERVICE_UNAVAILABLE, "The agent is stopping.\n"),
        },
        (_, "/metrics") => plain(StatusCode::METHOD_NOT_ALLOWED, "Only GET is answered here.\n"),
        _ => plain(StatusCode::NOT_FOUND, "Metrics are at /metrics.\n"),
    }
}

async fn chains(
    questions: &mpsc::Sender<Question>,
) -> Option<(Vec<skep_api::v1::chains::ChainStatus>, Option<i64>)> {
    let (reply, answer) = oneshot::channel();
    questions.send(Question { request: Request::Chains, reply }).await.ok()?;
    match answer.await.ok()? {
        Answer::Chains { chains, trust_fresh_until } => Some((chains, trust_fresh_until)),
        _ => None,
    }
}

fn plain(status: StatusCode, text: &str) -> Response<Full<Bytes>> {
    said(status, "text/plain; charset=utf-8", text.to_owned())
}

fn said(status: StatusCode, kind: &'static str, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

#[cfg(test)]
mod tests {
    use super::Address;

    #[test]
    fn an_address_is_a_port_of_this_host_or_a_socket() {
        assert_eq!("127.0.0.1:9464".parse(), Ok(Address::Tcp(([127, 0, 0, 1], 9464).into())));
        assert_eq!("unix:/run/m.sock".parse(), Ok(Address::Unix("/run/m.sock".into())));
        for wrong in ["", "9464", "localhost:9464", "unix:", "unix:relative", "127.0.0.1"] {
            assert!(wrong.parse::<Address>().is_err(), "{wrong}");
        }
    }
}
