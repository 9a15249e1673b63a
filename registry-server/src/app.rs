//! The long-lived handles of a running server, and starting and stopping it. Refuses to know routes.

use crate::blob::{BlobError, BlobStore};
use crate::clock;
use crate::config::{Settings, Transport};
use crate::control::{ControlError, Fleet};
use crate::error::ApiError;
use crate::faults::Faults;
use crate::jobs;
use crate::metrics::Metrics;
use crate::router;
use crate::secret::{Kind, Secret};
use crate::store::tokens::StoredToken;
use crate::store::{Place, Store, StoreError};
use crate::tls::{self, TlsError};
use crate::tuf::Tuf;
use crate::tuf::keys::OnlineKeyError;
use skep_api::v1::tokens::{Scope, TokenInfo};
use std::fs::File;
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{RwLock, Semaphore};
use tokio_util::sync::CancellationToken;

/// Uploads that may be written at the same time: more only make each other's flushes slower.
const UPLOADS_MAX: usize = 32;
/// How long requests may go on after the server was told to stop. Parked polls end at once.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);
/// Validity of the first admin token: ten years; an operator replaces it sooner.
const ADMIN_TOKEN_SECS: i64 = 10 * 365 * 86_400;

/// Why the server does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot {what} {}", path.display())]
    File { what: &'static str, path: PathBuf, source: std::io::Error },
    #[error("cannot listen on {address}")]
    Listen { address: SocketAddr, source: std::io::Error },
    #[error("the server stopped by itself")]
    Serve { source: std::io::Error },
    #[error("the blob folder cannot be used")]
    Blobs(#[from] BlobError),
    #[error("the database cannot be used")]
    Store(#[from] StoreError),
    #[error("the fleet cannot be loaded")]
    Fleet(#[from] ControlError),
    #[error("the keys that sign trust documents cannot be used")]
    Trust(#[from] OnlineKeyError),
    #[error("TLS cannot be set up")]
    Tls(#[from] TlsError),
    #[error("no token can be made")]
    Token(#[from] ApiError),
    #[error("another server uses {}", path.display())]
    InUse { path: PathBuf },
}

/// Everything routes share. Cloning costs a counter.
#[derive(Clone)]
pub struct App {
    inner: Arc<Inner>,
}

impl std::ops::Deref for App {
    type Target = Inner;
    fn deref(&self) -> &Inner {
        &self.inner
    }
}

/// The handles behind [`App`].
pub struct Inner {
    pub store: Store,
    pub blobs: BlobStore,
    pub fleet: Fleet,
    pub tuf: Tuf,
    pub metrics: Metrics,
    pub uploads: Semaphore,
    /// Held for reading while a blob gets its place or a version its blobs, and for writing while
    /// unused blobs are collected, so that neither pulls the ground from under the other.
    pub collecting: RwLock<()>,
    /// Cancelled when the server is told to stop.
    pub stopping: CancellationToken,
    pub faults: Faults,
    /// Held as long as the folder is in use; the kernel lets go of it when the process dies.
    _lock: File,
}

/// Two servers on one folder would collect each other's uploads.
fn lock(data: &Path) -> Result<File, StartError> {
    let path = data.join("lock");
    let failed = |source| StartError::File { what: "create", path: path.clone(), source };
    let file = File::create(&path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(StartError::InUse { path: data.to_owned() }),
        Err(std::fs::TryLockError::Error(source)) => Err(failed(source)),
    }
}

impl App {
    /// Opens the data folder, making it at the first start.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn open(data: &Path, faults: Faults) -> Result<Self, StartError> {
        let file = |what, path: &Path| {
            let path = path.to_owned();
            move |source| StartError::File { what, path, source }
        };
        std::fs::create_dir_all(data).map_err(file("create", data))?;
        let lock = lock(data)?;
        let store = Store::open(&Place::in_folder(data)).await?;
        let blobs = BlobStore::open(&data.join("blobs"), faults)?;
        let fleet = Fleet::load(store.clone()).await?;
        let inner = Inner {
            store,
            blobs,
            fleet,
            tuf: Tuf::open(data)?,
            metrics: Metrics::default(),
            uploads: Semaphore::new(UPLOADS_MAX),
            collecting: RwLock::default(),
            stopping: CancellationToken::new(),
            faults,
            _lock: lock,
        };
        Ok(Self { inner: Arc::new(inner) })
    }
}

/// Makes an API token and stores its hash.
///
/// # Errors
/// [`ApiError`] when there is no randomness or the database refuses.
pub async fn create_token(
    store: &Store,
    name: String,
    scope: Scope,
    namespace: Option<String>,
    valid_secs: i64,
) -> Result<(TokenInfo, Secret), ApiError> {
    let secret = Secret::draw(Kind::Api)?;
    let now = clock::now();
    let hash = secret.hash();
    let info = TokenInfo {
        id: hash.id(),
        name,
        scope,
        namespace,
        created_at: now,
        expires_at: now.saturating_add(valid_secs),
    };
    store.add_token(&StoredToken { info: info.clone(), hash }).await?;
    Ok((info, secret))
}

/// Writes the first admin token to `admin.token`, readable by its owner only, unless it is there.
async fn first_admin_token(data: &Path, store: &Store) -> Result<PathBuf, StartError> {
    let path = data.join("admin.token");
    if path.exists() {
        return Ok(path);
    }
    let name = "admin.token".to_owned();
    let (_, secret) = create_token(store, name, Scope::Admin, None, ADMIN_TOKEN_SECS).await?;
    let failed = |source| StartError::File { what: "write", path: path.clone(), source };
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o600).open(&path).map_err(failed)?;
    writeln!(file, "{}", secret.reveal()).map_err(failed)?;
    file.sync_all().map_err(failed)?;
    Ok(path)
}

/// A server that listens and has not begun to answer.
pub struct Bound {
    pub app: App,
    /// `http(s)://host:port`.
    pub address: String,
    pub admin_token: PathBuf,
    listener: TcpListener,
    acceptor: Option<axum_server::tls_openssl::OpenSSLConfig>,
}

/// Opens everything and binds the port.
///
/// # Errors
/// [`StartError`].
pub async fn bind(settings: &Settings) -> Result<Bound, StartError> {
    let app = App::open(&settings.data, settings.faults).await?;
    let admin_token = first_admin_token(&settings.data, &app.store).await?;
    let failed = |source| StartError::Listen { address: settings.listen, source };
    let listener = TcpListener::bind(settings.listen).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    let acceptor = match &settings.transport {
        Transport::Plain => None,
        Transport::OwnCa => Some(tls::from_own_ca(&settings.data, &bound, &settings.hosts)?),
        Transport::Files { cert, key } => Some(tls::from_files(cert, key)?),
    };
    let scheme = if acceptor.is_some() { "https" } else { "http" };
    let address = format!("{scheme}://{}", reachable(&bound, &settings.hosts));
    Ok(Bound { app, address, admin_token, listener, acceptor })
}

/// How a client reaches the listening socket: by its name when one was given, and on this machine
/// when it listens on every address.
fn reachable(bound: &SocketAddr, hosts: &[String]) -> String {
    match hosts.first() {
        Some(host) => format!("{host}:{}", bound.port()),
        None if bound.ip().is_unspecified() => format!("127.0.0.1:{}", bound.port()),
        None => bound.to_string(),
    }
}

impl Bound {
    /// Answers requests until [`Inner::stopping`] is cancelled, then lets running ones finish and
    /// writes down what is only in memory.
    ///
    /// # Errors
    /// [`StartError::Serve`] when the listening socket fails.
    pub async fn serve(self) -> Result<(), StartError> {
        let failed = |source| StartError::Serve { source };
        let handle = axum_server::Handle::new();
        let jobs = jobs::spawn(&self.app);
        let (stop, stopping) = (handle.clone(), self.app.stopping.clone());
        tokio::spawn(async move {
            stopping.cancelled().await;
            stop.graceful_shutdown(Some(STOP_TIMEOUT));
        });
        let service = router::router(self.app.clone()).into_make_service();
        let server = axum_server::from_tcp(self.listener).map_err(failed)?.handle(handle);
        match self.acceptor {
            None => {
                let nodelay = axum_server::accept::NoDelayAcceptor::new();
                server.acceptor(nodelay).serve(service).await.map_err(failed)?;
            }
            Some(config) => {
                let tls = axum_server::tls_openssl::OpenSSLAcceptor::new(config)
                    .acceptor(axum_server::accept::NoDelayAcceptor::new());
                server.acceptor(tls).serve(service).await.map_err(failed)?;
            }
        }
        self.app.stopping.cancel();
        jobs.wait().await;
        self.app.fleet.flush().await?;
        self.app.store.close().await;
        Ok(())
    }
}
