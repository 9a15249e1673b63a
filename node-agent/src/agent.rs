//! The running agent: one loop that owns the node, fed by tasks that talk to the server, fetch,
//! watch interfaces and answer the socket. Every event means "look again". Refuses to know how any
//! of that is done.

use crate::cache::Cache;
use crate::config::Settings;
use crate::explain::explain;
use crate::facts;
use crate::fetch::{Fetched, Fetcher, Needed};
use crate::interfaces::Watch;
use crate::link::{Contact, Known, Offered, Poll, Reports};
use crate::log::Checkpointed;
use crate::metrics_server::{self, About};
use crate::node::{Node, NodeError, Parts};
use crate::notices::Me;
use crate::observe;
use crate::report::{self, Due};
use crate::socket::{self, Question};
use crate::tuf::{Heard, Kept};
use skep_api::client::{Client, ClientConfig, ClientError};
use skep_api::v1::nodes::Feature;
use skep_api::v1::sync::Report;
use skep_chain_dispatcher::{Engine, EngineConfig, EngineError, LibxdpVersion, libxdp_root};
use skep_trust::NodePolicy;
use skep_trust::tuf::Delegations;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};

mod answers;
mod tasks;

/// How often counters are read while packets move.
const LIVELY_PERIOD: Duration = Duration::from_secs(2);
/// How often the host is looked at for drift while nothing moves.
const QUIET_TICKS: u32 = 3;
/// How often chains that failed for a passing reason are tried again.
const FORGIVE_PERIOD: Duration = Duration::from_secs(30);
/// A burst of interface changes (a container starting) is waited out for this long, then looked at once.
const SETTLE_PERIOD: Duration = Duration::from_millis(100);

/// Why the agent could not start. What runs stays.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("The chains of this host cannot be worked with.")]
    Engine { source: EngineError },
    #[error("The node could not be opened.")]
    Node { source: NodeError },
    #[error("The cache could not be opened.")]
    Cache { source: crate::cache::CacheError },
    #[error("The server cannot be called.")]
    Client { source: ClientError },
    #[error("The local socket could not be served.")]
    Socket { source: socket::SocketError },
    #[error("The metrics could not be served.")]
    Metrics { source: metrics_server::ServeError },
    #[error("Interface changes could not be watched.")]
    Watch { source: crate::interfaces::InterfaceError },
    #[error("Signals could not be watched.")]
    Signal { source: std::io::Error },
    #[error(
        "Another agent uses {}. Stop that one first; two agents on one node would undo each other's work.", path.display()
    )]
    Running { path: PathBuf },
    #[error("{} could not be locked.", path.display())]
    Lock { path: PathBuf, source: std::io::Error },
}

/// Opens the engine over a pin root, and beside the pins of libxdp's own users.
///
/// # Errors
/// [`StartError::Engine`].
pub fn open_engine(pin_root: &Path, libxdp_bpffs: &Path) -> Result<Engine, StartError> {
    let config = EngineConfig {
        libxdp_root: libxdp_root(libxdp_bpffs),
        libxdp_version: LibxdpVersion::installed().unwrap_or_default(),
        ..EngineConfig::new(pin_root)
    };
    Engine::open(config).map_err(|source| StartError::Engine { source })
}

/// Opens the node over an engine: ledger, cache and what the node is called.
///
/// # Errors
/// [`StartError`].
pub fn open_node(settings: &Settings) -> Result<Node, StartError> {
    let enrolled = settings.identity.enrolled.as_ref();
    let labels = enrolled.map(|e| e.labels.clone());
    let server = enrolled.and_then(|e| e.server_key.clone());
    let cache = Cache::open(&settings.state).map_err(|source| StartError::Cache { source })?;
    Node::open(Parts {
        engine: open_engine(&settings.pin_root, &settings.libxdp_bpffs)?,
        policy: remembered(settings),
        me: Me { name: settings.identity.name.to_string(), server },
        labels: labels.unwrap_or_default(),
        state: settings.state.clone(),
        cache,
    })
    .map_err(|source| StartError::Node { source })
}

/// The policy with what the registry's trust metadata said last, so that what was accepted runs before the registry answers.
fn remembered(settings: &Settings) -> NodePolicy {
    let policy = settings.policy.clone();
    let Some(root) = &settings.root else { return policy };
    let stored = match Kept::new(&settings.state).load(root) {
        Ok(stored) => stored,
        Err(error) => {
            tracing::warn!("{}", explain(&error));
            return policy;
        }
    };
    match Delegations::read(&stored) {
        Ok(known) => policy.with_delegations(Arc::new(known)),
        // Nothing was read yet, or it was of another root: the refresh will tell.
        Err(_) => policy,
    }
}

/// A client that speaks as this node.
///
/// # Errors
/// [`StartError::Client`].
pub fn client(settings: &Settings) -> Result<Client, StartError> {
    let identity = &settings.identity;
    Client::new(ClientConfig {
        server: identity.server.clone(),
        token: identity.enrolled.as_ref().map(|e| e.credential.clone()),
        ca_pem: identity.ca_pem.as_ref().map(|pem| pem.clone().into_bytes()),
    })
    .map_err(|source| StartError::Client { source })
}

/// Runs until told to stop. Stopping detaches nothing.
///
/// # Errors
/// [`StartError`]; once started, nothing but a signal ends it.
pub async fn run(settings: Settings) -> Result<(), StartError> {
    let _lock = lock(&settings.state)?;
    let mut agent = Agent::start(settings)?;
    agent.serve_metrics().await?;
    agent.look_again();
    agent.node.keep_timing(agent.settings.seeing.time_one_in);
    agent.follow().await;
    tracing::info!("Stopping. What runs stays attached.");
    // Removed so that commands see at once that nobody answers; a leftover would do no harm.
    let _ = std::fs::remove_file(&agent.settings.socket);
    Ok(())
}

/// One agent per state folder, for as long as the file stays open.
fn lock(state: &Path) -> Result<std::fs::File, StartError> {
    let path = state.join("lock");
    let failed = |source| StartError::Lock { path: path.clone(), source };
    let options = std::fs::OpenOptions::new().create(true).append(true).open(&path);
    let file = options.map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(StartError::Running { path }),
        Err(std::fs::TryLockError::Error(source)) => Err(StartError::Lock { path, source }),
    }
}

struct Agent {
    settings: Settings,
    node: Node,
    boot_id: String,
    /// Probed once: a kernel does not change under a running agent.
    features: Vec<Feature>,
    seq: u64,
    sent: Option<Report>,
    sent_at: Instant,
    quiet_for: u32,
    inputs: Option<Inputs>,
    have: watch::Sender<Known>,
    needed: watch::Sender<Needed>,
    newest: watch::Sender<Option<Report>>,
    log_known: watch::Sender<u64>,
    contact: watch::Receiver<Contact>,
}

struct Inputs {
    offers: mpsc::Receiver<Offered>,
    fetched: mpsc::Receiver<Fetched>,
    heard: mpsc::Receiver<Heard>,
    checkpoints: mpsc::Receiver<Checkpointed>,
    questions: mpsc::Receiver<Question>,
    /// For others in this process that ask the loop.
    asking: mpsc::Sender<Question>,
    links: Watch,
    terminate: Signal,
    interrupt: Signal,
    lively: Interval,
    forgive: Interval,
}

impl Agent {
    fn start(settings: Settings) -> Result<Self, StartError> {
        let node = open_node(&settings)?;
        let client = client(&settings)?;
        let cache = Cache::open(&settings.state).map_err(|source| StartError::Cache { source })?;
        let signals = |kind| signal(kind).map_err(|source| StartError::Signal { source });
        let known = Known { have: None, notices: node.notices_seen() };
        let (have, have_seen) = watch::channel(known);
        let (needed, needed_seen) = watch::channel(Needed::default());
        let (newest, newest_seen) = watch::channel(None);
        let (contact_heard, contact) = watch::channel(Contact::None);
        // One at a time: the next poll waits until the last answer was looked at.
        let (offers_in, offers) = mpsc::channel(1);
        let (fetched_in, fetched) = mpsc::channel(1);
        let (heard_in, heard) = mpsc::channel(1);
        let (checkpoints_in, checkpoints) = mpsc::channel(1);
        let (log_known, log_known_seen) = watch::channel(node.log_known());
        let (asking, questions) =
            socket::serve(&settings.socket).map_err(|source| StartError::Socket { source })?;
        let inputs = Inputs {
            offers,
            fetched,
            heard,
            checkpoints,
            questions,
            asking,
            links: Watch::open().map_err(|source| StartError::Watch { source })?,
            terminate: signals(SignalKind::terminate())?,
            interrupt: signals(SignalKind::interrupt())?,
            lively: ticks(LIVELY_PERIOD),
            forgive: ticks(FORGIVE_PERIOD),
        };
        let wait_secs = settings.poll_secs;
        let poll = Poll {
            client: client.clone(),
            wait_secs,
            have: have_seen,
            offers: offers_in,
            contact: contact_heard,
        };
        tokio::spawn(poll.run());
        let reports =
            Reports { client: client.clone(), newest: newest_seen, contact: contact.clone() };
        tokio::spawn(reports.run());
        tasks::refresh_trust(&settings, &client, &cache, &needed_seen, heard_in);
        let asked = tasks::follow_log(&settings, &client, log_known_seen, checkpoints_in);
        let fetcher = Fetcher { client, cache, needed: needed_seen, fetched: fetched_in, asked };
        tokio::spawn(fetcher.run());
        tracing::info!(
            node.id = %settings.identity.name,
            "Node {} watches {} for its desired state.",
            settings.identity.name, settings.identity.server
        );
        Ok(Self {
            settings,
            node,
            boot_id: facts::boot_id(),
            features: observe::features(),
            seq: 0,
            sent: None,
            sent_at: Instant::now(),
            quiet_for: 0,
            inputs: Some(inputs),
            have,
            needed,
            newest,
            log_known,
            contact,
        })
    }

    /// Answers Prometheus, if the settings say where.
    async fn serve_metrics(&self) -> Result<(), StartError> {
        let (Some(address), Some(inputs)) = (&self.settings.seeing.metrics, &self.inputs) else {
            return Ok(());
        };
        let about = About {
            node: self.settings.identity.name.to_string(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let at = metrics_server::serve(address, about, inputs.asking.clone())
            .await
            .map_err(|source| StartError::Metrics { source })?;
        tracing::info!(metrics.address = %at, "Metrics are served on {at}.");
        Ok(())
    }

    async fn follow(&mut self) {
        let Some(mut inputs) = self.inputs.take() else { return };
        loop {
            tokio::select! {
                biased;
                _ = inputs.terminate.recv() => return,
                _ = inputs.interrupt.recv() => return,
                Some(question) = inputs.questions.recv() => {
                    let answer = self.answer(question.request);
                    // Whoever asked may have gone; nothing depends on the answer.
                    let _ = question.reply.send(answer);
                }
                Some(offered) = inputs.offers.recv() => self.take_offer(offered),
                Some(fetched) = inputs.fetched.recv() => {
                    let Fetched { package, role, beside, result } = fetched;
                    self.node.fetched(package, role, beside, result);
                    self.log_known.send_replace(self.node.log_known());
                    self.look_again();
                }
                Some(heard) = inputs.heard.recv() => {
                    self.node.heard(heard);
                    self.look_again();
                }
                Some(checkpointed) = inputs.checkpoints.recv() => self.take_checkpoint(&checkpointed),
                changed = inputs.links.changed() => {
                    if let Err(error) = changed {
                        tracing::warn!("{error} Interfaces are looked at every few seconds instead.");
                    }
                    tokio::time::sleep(SETTLE_PERIOD).await;
                    self.look_again();
                }
                _ = inputs.forgive.tick() => {
                    self.node.forgive();
                    self.node.keep_timing(self.settings.seeing.time_one_in);
                }
                _ = inputs.lively.tick() => self.tick(),
            }
        }
    }

    fn take_offer(&mut self, offered: Offered) {
        if let Err(error) = self.node.offer(&offered.state, facts::now()) {
            tracing::error!("{}", explain(&error));
        }
        self.look_again();
        self.have.send_replace(Known { have: self.node.seen(), notices: self.node.notices_seen() });
        // The poll goes on whether or not it still listens.
        let _ = offered.looked_at.send(());
    }

    fn take_checkpoint(&mut self, checkpointed: &Checkpointed) {
        if let Err(error) = self.node.checkpointed(checkpointed.from, &checkpointed.answer) {
            tracing::error!("{}", explain(&error));
        }
        self.log_known.send_replace(self.node.log_known());
        self.report();
    }

    /// Looks at the host less often while nothing moves.
    fn tick(&mut self) {
        self.quiet_for += 1;
        let lively = self.quiet_for < QUIET_TICKS;
        if lively || self.quiet_for.is_multiple_of(QUIET_TICKS) {
            self.look_again();
        }
    }

    fn look_again(&mut self) {
        match self.node.reconcile(facts::now()) {
            Ok(pass) => {
                let changed = !pass.done.is_empty();
                let packages = pass.missing.clone();
                let revocations_waiting = self.node.revocations_waiting();
                let missing = Needed { for_state: self.node.seen(), packages, revocations_waiting };
                self.needed.send_if_modified(|before| {
                    let changed = *before != missing;
                    *before = missing;
                    changed
                });
                if changed {
                    self.node.keep_timing(self.settings.seeing.time_one_in);
                }
            }
            Err(error) => tracing::error!("{}", explain(&error)),
        }
        self.report();
    }

    fn report(&mut self) {
        let summary = self.node.summary();
        let facts = facts::gather(&summary.interfaces, self.features.clone());
        let next = report::fill(summary, facts, self.boot_id.clone(), self.seq + 1);
        match report::due(self.sent.as_ref(), self.sent_at.elapsed(), &next) {
            Due::Now => {
                self.quiet_for = 0;
                self.seq += 1;
                self.sent = Some(next.clone());
                self.sent_at = Instant::now();
                self.newest.send_replace(Some(next));
            }
            Due::Later => self.quiet_for = 0,
            Due::No => {}
        }
    }
}

fn ticks(period: Duration) -> Interval {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}
