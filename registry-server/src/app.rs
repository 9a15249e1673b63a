//! The long-lived handles of a running server, and starting and stopping it. Refuses to know routes.

use crate::blob::{BlobError, BlobStore};
use crate::clock;
use crate::config::{Settings, Transport};
use crate::control::{ControlError, Fleet};
use crate::cosign::{CosignError, CosignKey};
use crate::downloads::Downloads;
use crate::error::ApiError;
use crate::facets::FacetMemory;
use crate::faults::Faults;
use crate::jobs;
use crate::log::{Log, LogError};
use crate::maintenance::Tasks;
use crate::memory::Memory;
use crate::metrics::Metrics;
use crate::oci::access::AccessKey;
use crate::oci::lookups::Lookups;
use crate::oidc::issuers::IssuersError;
use crate::partial::Partials;
use crate::people::People;
use crate::rollouts::prometheus::{Prometheus, PrometheusError};
use crate::router;
use crate::secret::{Kind, NoRandomness, Secret};
use crate::server_key::{ServerKey, ServerKeyError};
use crate::shared_keys::{self, SharedKeyError};
use crate::storage::Storage;
use crate::store::accounts::Account;
use crate::store::tokens::StoredToken;
use crate::store::{Place, Store, StoreError};
use crate::tls::{self, TlsError};
use crate::tuf::Tuf;
use crate::tuf::keys::OnlineKeyError;
use skep_api::v1::tokens::{Scope, TokenInfo};
use skep_trust::note::NoteKey;
use std::fs::File;
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
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
    #[error("the key for foreign tools cannot be used")]
    Cosign(#[from] CosignError),
    #[error("the transparency log cannot be used")]
    Log(#[from] LogError),
    #[error("the key of assignments cannot be used")]
    ServerKey(#[from] ServerKeyError),
    #[error("the keys that sign trust documents cannot be used")]
    Trust(#[from] OnlineKeyError),
    #[error("this server's keys are not those of its database")]
    SharedKeys(#[from] SharedKeyError),
    #[error("TLS cannot be set up")]
    Tls(#[from] TlsError),
    #[error("no token can be made")]
    Token(#[from] ApiError),
    #[error("the file of issuers cannot be used")]
    Issuers(#[source] IssuersError),
    #[error("Prometheus cannot be asked")]
    Prometheus(#[from] PrometheusError),
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
    pub tasks: Tasks,
    /// Uploads that are not whole yet.
    pub partials: Partials,
    pub fleet: Fleet,
    pub log: Log,
    pub cosign: CosignKey,
    pub tuf: Tuf,
    pub metrics: Metrics,
    /// What is served while the database does not answer.
    pub memory: Memory,
    pub people: People,
    pub uploads: Semaphore,
    /// What the OCI API looked up lately.
    pub lookups: Lookups,
    /// Downloads that are not written down yet.
    pub downloads: Downloads,
    /// What packages can be narrowed by, as it was counted lately.
    pub facets: FacetMemory,
    /// Signs and checks the tokens of OCI clients.
    pub access_key: AccessKey,
    /// How clients reach this server; set before it answers.
    pub origin: OnceLock<Origin>,
    /// Held for reading while a blob gets its place or a version its blobs, and for writing while
    /// unused blobs are collected, so that neither pulls the ground from under the other.
    pub collecting: RwLock<()>,
    /// Cancelled when the server is told to stop.
    pub stopping: CancellationToken,
    pub faults: Faults,
    /// Held as long as the folder is in use; the kernel lets go of it when the process dies.
    _lock: File,
}

/// How clients reach the server, as far as it knows by itself.
#[derive(Debug, Clone)]
pub struct Origin {
    /// `https://registry.example`, when an operator said so: a proxy stands before the server.
    pub public_url: Option<String>,
    pub scheme: &'static str,
}

/// Bytes of the key that signs tokens: as many as the hash it goes into has.
const ACCESS_KEY_BYTES: usize = 32;

/// The key of the tokens that OCI clients get: made at the first start, and shared by every server on one
/// database.
async fn access_key(store: &Store) -> Result<AccessKey, StartError> {
    let mut fresh = vec![0; ACCESS_KEY_BYTES];
    getrandom::fill(&mut fresh).map_err(|e| ApiError::from(NoRandomness::from(e)))?;
    let secret = store.server_secret("oci-access", fresh, clock::now()).await?;
    Ok(AccessKey::new(&secret))
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
    /// Opens folder, database and blobs, making what is missing at the first start.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn open(
        storage: &Storage,
        faults: Faults,
        people: People,
        witnesses: Vec<NoteKey>,
    ) -> Result<Self, StartError> {
        let data = &storage.data;
        let file = |what, path: &Path| {
            let path = path.to_owned();
            move |source| StartError::File { what, path, source }
        };
        std::fs::create_dir_all(data).map_err(file("create", data))?;
        let lock = lock(data)?;
        let store = Store::open(&storage.database).await?;
        shared_keys::refuse_missing(&store, data).await?;
        let (server_key, cosign, tuf) =
            (ServerKey::open(data)?, CosignKey::open(data)?, Tuf::open(data)?);
        let mut keys = tuf.shared_keys();
        keys.extend([server_key.shared(), cosign.shared()?]);
        shared_keys::note(&store, data, keys, clock::now()).await?;
        let blobs = BlobStore::open_with(&data.join("blobs"), storage.bucket.as_ref(), faults)?;
        let fleet = Fleet::load(store.clone(), server_key).await?;
        let partials = Partials::open(&data.join("uploads"))?;
        let log = Log::open(store.clone(), data, witnesses).await?;
        let access_key = access_key(&store).await?;
        let inner = Inner {
            store,
            blobs,
            partials,
            tasks: Tasks::default(),
            fleet,
            log,
            cosign,
            tuf,
            metrics: Metrics::default(),
            memory: Memory::of(router::public_reads()),
            people,
            uploads: Semaphore::new(UPLOADS_MAX),
            lookups: Lookups::default(),
            downloads: Downloads::default(),
            facets: FacetMemory::default(),
            access_key,
            origin: OnceLock::new(),
            collecting: RwLock::default(),
            stopping: CancellationToken::new(),
            faults,
            _lock: lock,
        };
        Ok(Self { inner: Arc::new(inner) })
    }
}

/// What a new API token is to be.
pub struct NewToken {
    /// Who or what will use it.
    pub name: String,
    pub scope: Scope,
    /// What it may publish, as a pattern.
    pub namespace: Option<String>,
    pub valid_secs: i64,
}

/// Makes an API token, for an account or for nobody, and stores its hash.
///
/// # Errors
/// [`ApiError`] when there is no randomness or the database refuses.
pub async fn create_token(
    store: &Store,
    new: NewToken,
    account: Option<&Account>,
) -> Result<(TokenInfo, Secret), ApiError> {
    let secret = Secret::draw(Kind::Api)?;
    let now = clock::now();
    let hash = secret.hash();
    let NewToken { name, scope, namespace, valid_secs } = new;
    let info = TokenInfo {
        id: hash.id(),
        name,
        scope,
        namespace,
        created_at: now,
        expires_at: now.saturating_add(valid_secs),
        account: account.map(|account| account.name.clone()),
        last_used_at: None,
    };
    let account = account.map(|account| account.id.clone());
    store.add_token(&StoredToken { info: info.clone(), hash, account }).await?;
    Ok((info, secret))
}

/// Writes the first admin token to `admin.token`, readable by its owner only, unless it is there; or,
/// where several servers share a database, unless one of them did so before.
async fn first_admin_token(
    storage: &Storage,
    store: &Store,
) -> Result<Option<PathBuf>, StartError> {
    let path = storage.data.join("admin.token");
    if path.exists() {
        return Ok(Some(path));
    }
    let shared = matches!(storage.database, Place::Postgres(_));
    if shared && store.tokens().await?.iter().any(|token| token.scope == Scope::Admin) {
        return Ok(None);
    }
    let new = NewToken {
        name: "admin.token".to_owned(),
        scope: Scope::Admin,
        namespace: None,
        valid_secs: ADMIN_TOKEN_SECS,
    };
    let (_, secret) = create_token(store, new, None).await?;
    let failed = |source| StartError::File { what: "write", path: path.clone(), source };
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o600).open(&path).map_err(failed)?;
    writeln!(file, "{}", secret.reveal()).map_err(failed)?;
    file.sync_all().map_err(failed)?;
    Ok(Some(path))
}

/// A server that listens and has not begun to answer.
pub struct Bound {
    pub app: App,
    /// `http(s)://host:port`.
    pub address: String,
    /// The file of the first admin token, when this server made it.
    pub admin_token: Option<PathBuf>,
    /// Asked by gates; absent where no operator named one.
    prometheus: Option<Prometheus>,
    listener: TcpListener,
    acceptor: Option<axum_server::tls_openssl::OpenSSLConfig>,
}

/// Opens everything and binds the port.
///
/// # Errors
/// [`StartError`].
pub async fn bind(settings: &Settings) -> Result<Bound, StartError> {
    let data = &settings.storage.data;
    let failed = |source| StartError::Listen { address: settings.listen, source };
    let listener = TcpListener::bind(settings.listen).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    let scheme = if settings.transport == Transport::Plain { "http" } else { "https" };
    let address = format!("{scheme}://{}", reachable(&bound, &settings.hosts));
    let mut about_people = settings.people.clone();
    about_people.url.get_or_insert_with(|| address.clone());
    let people = People::new(about_people).map_err(StartError::Issuers)?;
    let witnesses = settings.witnesses.clone();
    let prometheus = settings.prometheus.as_deref().map(Prometheus::at).transpose()?;
    let app = App::open(&settings.storage, settings.faults, people, witnesses).await?;
    let admin_token = first_admin_token(&settings.storage, &app.store).await?;
    let acceptor = match &settings.transport {
        Transport::Plain => None,
        Transport::OwnCa => Some(tls::from_own_ca(data, &bound, &settings.hosts)?),
        Transport::Files { cert, key } => Some(tls::from_files(cert, key)?),
    };
    let _ = app.origin.set(Origin { public_url: settings.public_url.clone(), scheme });
    Ok(Bound { app, address, admin_token, prometheus, listener, acceptor })
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
        let jobs = jobs::spawn(&self.app, self.prometheus);
        let (stop, stopping) = (handle.clone(), self.app.stopping.clone());
        tokio::spawn(async move {
            stopping.cancelled().await;
            stop.graceful_shutdown(Some(STOP_TIMEOUT));
        });
        let service =
            router::router(self.app.clone()).into_make_service_with_connect_info::<SocketAddr>();
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
        self.app.downloads.flush(&self.app.store, clock::now()).await?;
        self.app.store.close().await;
        Ok(())
    }
}
