//! The command line of `skep-agent`: reads arguments, calls the library, prints. Refuses to decide
//! anything about chains.

use anyhow::{Context, Result, bail};
use clap::{Args, Parser, Subcommand};
use skep_api::client::{Client, ClientConfig};
use skep_api::v1::nodes::{EnrolRequest, EnrolResponse};
use skep_artifact::hook::Hook;
use skep_chain_dispatcher::HookPoint;
use skep_fleet::ids::NodeName;
use skep_fleet::selector::Labels;
use skep_node_agent::config::{self, Given, Seeing};
use skep_node_agent::explain::explain;
use skep_node_agent::identity::{self, Enrolled};
use skep_node_agent::ledger::Place;
use skep_node_agent::socket::{self, Answer, Request, SocketError, Status};
use skep_node_agent::{agent, detached, facts, files};
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;

/// Largest CA file that is read: a bundle of a few hundred certificates.
const CA_BYTES_MAX: u64 = 1 << 20;
/// Exit code of a command that did what it should.
const DONE: u8 = 0;
/// Exit code of a command that could not.
const FAILED: u8 = 1;

/// Keeps this host's chains of eBPF programs at the state its operators signed.
#[derive(Parser)]
#[command(name = "skep-agent", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Introduce this node to a registry. Doing it again is harmless.
    Enrol(Enrol),
    /// Keep the node at its desired state until stopped. Stopping detaches nothing.
    Run(Run),
    /// Take chains off, with or without a server or a running agent. They stay off until `resume`.
    Detach(Detach),
    /// Let the agent attach again what was detached by hand.
    Resume(Local),
    /// Say how the node is doing.
    Status(Local),
    /// Print what the next pass would do, without doing it.
    Plan(Run),
}

#[derive(Args)]
struct Enrol {
    /// Address of the registry, like `https://registry.example:7600`.
    #[arg(long)]
    server: String,
    /// Node token, from `skep node token create`.
    #[arg(long, env = "SKEP_AGENT_TOKEN", hide_env_values = true)]
    token: String,
    /// Name of this node, unique within the registry.
    #[arg(long)]
    name: NodeName,
    /// A label of this node, as key=value; may be given several times. The token's labels win.
    #[arg(long = "label", value_parser = label)]
    labels: Vec<(String, String)>,
    /// PEM file of the authority that signed the registry's certificate.
    #[arg(long)]
    ca: Option<PathBuf>,
    #[command(flatten)]
    state: State,
}

#[derive(Args)]
struct State {
    /// Folder of everything the agent must remember.
    #[arg(long, env = "SKEP_AGENT_STATE", default_value = "/var/lib/skep")]
    state: PathBuf,
}

#[derive(Args)]
struct Libxdp {
    /// The BPF file system in which libxdp's own tools keep their pins; they read the same variable.
    #[arg(long, env = "LIBXDP_BPFFS", value_name = "DIR", default_value = "/sys/fs/bpf")]
    libxdp_bpffs: PathBuf,
}

#[derive(Args)]
struct Run {
    #[command(flatten)]
    state: State,
    /// This node's own policy: which namespaces and operators it trusts.
    #[arg(long, env = "SKEP_AGENT_POLICY", default_value = "/etc/skep/policy.toml")]
    policy: PathBuf,
    /// Folder of the pins.
    #[arg(long, env = "SKEP_AGENT_PIN_ROOT", default_value = "/sys/fs/bpf/skep")]
    pin_root: PathBuf,
    #[command(flatten)]
    libxdp: Libxdp,
    /// Local socket; agent.sock in the state folder when left out.
    #[arg(long, env = "SKEP_AGENT_SOCKET")]
    socket: Option<PathBuf>,
    /// Longest wait of one long poll, in seconds, 1 to 240.
    #[arg(long, env = "SKEP_AGENT_POLL_SECS", default_value_t = 200)]
    poll_secs: u32,
    #[command(flatten)]
    seeing: Seeing,
}

#[derive(Args)]
struct Local {
    #[command(flatten)]
    state: State,
    /// Local socket; agent.sock in the state folder when left out.
    #[arg(long, env = "SKEP_AGENT_SOCKET")]
    socket: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct Detach {
    #[command(flatten)]
    local: Local,
    /// Folder of the pins.
    #[arg(long, env = "SKEP_AGENT_PIN_ROOT", default_value = "/sys/fs/bpf/skep")]
    pin_root: PathBuf,
    #[command(flatten)]
    libxdp: Libxdp,
    /// Every chain of this node.
    #[arg(long, conflicts_with_all = ["interface", "hook"])]
    all: bool,
    /// The interface to take a chain off.
    #[arg(required_unless_present = "all", requires = "hook")]
    interface: Option<String>,
    /// The hook: xdp, tc-ingress or tc-egress.
    hook: Option<Hook>,
}

impl Local {
    fn socket(&self) -> PathBuf {
        self.socket.clone().unwrap_or_else(|| self.state.state.join("agent.sock"))
    }
}

impl Run {
    fn given(&self) -> Given {
        Given {
            state: self.state.state.clone(),
            policy: self.policy.clone(),
            pin_root: self.pin_root.clone(),
            libxdp_bpffs: self.libxdp.libxdp_bpffs.clone(),
            socket: self.socket.clone(),
            poll_secs: self.poll_secs,
            seeing: self.seeing.clone(),
        }
    }
}

fn label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(format!("'{text}' is not a label; write key=value")),
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    start_log();
    let done = match cli.command {
        Command::Enrol(enrol) => on_runtime(run_enrol(enrol)),
        Command::Run(run) => on_runtime(run_agent(run)),
        Command::Detach(detach) => run_detach(&detach),
        Command::Resume(local) => run_resume(&local),
        Command::Status(local) => run_status(&local),
        Command::Plan(run) => run_plan(&run),
    };
    match done {
        Ok(()) => ExitCode::from(DONE),
        Err(error) => {
            say_error(&explain(error.as_ref()));
            ExitCode::from(FAILED)
        }
    }
}

/// One thread: an agent mostly waits, and threads cost memory. What blocks (disk, kernel) is short.
fn on_runtime(work: impl Future<Output = Result<()>>) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("The agent's event loop could not be started.")?;
    runtime.block_on(work)
}

fn start_log() {
    let filter = EnvFilter::try_from_env("SKEP_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .init();
}

async fn run_enrol(enrol: Enrol) -> Result<()> {
    let server = enrol.server.trim_end_matches('/').to_owned();
    let ca_pem = enrol.ca.as_deref().map(read_ca).transpose()?;
    let state = &enrol.state.state;
    files::private_folder(state)?;
    let mut identity = identity::prepare(state, &server, &enrol.name, ca_pem)?;
    let client = Client::new(ClientConfig {
        server: server.clone(),
        token: None,
        ca_pem: identity.ca_pem.clone().map(String::into_bytes),
    })?;
    let labels: Labels = enrol.labels.into_iter().collect();
    let request = EnrolRequest {
        token: enrol.token,
        name: enrol.name.clone(),
        labels,
        instance: identity.instance.clone(),
    };
    let answer = client.enrol(&request).await?;
    if answer.name != enrol.name {
        bail!(
            "The registry answered for node {} instead of {}; nothing was stored.",
            answer.name,
            enrol.name
        );
    }
    let labels: Vec<String> = answer.labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
    let EnrolResponse { credential, labels: own, server_key, .. } = answer;
    identity.enrolled = Some(Enrolled { credential, labels: own, server_key });
    identity::store(state, &identity)?;
    let labels = if labels.is_empty() { "no labels".to_owned() } else { labels.join(" ") };
    say(&format!(
        "Node {} is enrolled at {server} ({labels}). Start it with `skep-agent run`.",
        enrol.name
    ))
}

fn read_ca(path: &Path) -> Result<String> {
    let bytes = files::read(path, CA_BYTES_MAX)?
        .with_context(|| format!("The CA file {} is not there.", path.display()))?;
    String::from_utf8(bytes).with_context(|| format!("{} is not a PEM file.", path.display()))
}

async fn run_agent(run: Run) -> Result<()> {
    let settings = config::read(&run.given())?;
    Ok(agent::run(settings).await?)
}

/// Marks first, so that an agent that is busy sees the mark before it attaches anything; then
/// lets a running agent do the work, or does it here when none answers.
fn run_detach(detach: &Detach) -> Result<()> {
    let state = &detach.local.state.state;
    files::private_folder(state)?;
    let request = match (&detach.interface, detach.hook) {
        (Some(interface), Some(hook)) => {
            let place = Place { interface: interface.clone(), hook };
            detached::mark(state, place)?;
            Request::Detach { interface: interface.clone(), hook }
        }
        _ => {
            detached::mark_all(state)?;
            Request::DetachAll
        }
    };
    let places = match socket::ask(&detach.local.socket(), &request) {
        Ok(Answer::Detached { places }) => places,
        Ok(Answer::Refused { message, .. }) => {
            tracing::warn!("The running agent could not do it ({message}); doing it here.");
            detach_here(detach)?
        }
        Ok(_) | Err(SocketError::Nobody { .. }) => detach_here(detach)?,
        Err(error) => {
            tracing::warn!("{} Doing it here.", explain(&error));
            detach_here(detach)?
        }
    };
    if detach.local.json {
        return say(&serde_json::to_string(&places)?);
    }
    for place in &places {
        say(&format!("{place}: detached."))?;
    }
    if places.is_empty() {
        say("Nothing of ours ran there.")?;
    }
    say("The agent attaches nothing there again until `skep-agent resume`.")
}

fn detach_here(detach: &Detach) -> Result<Vec<Place>> {
    let engine = agent::open_engine(&detach.pin_root, &detach.libxdp.libxdp_bpffs)?;
    let place = |at: HookPoint| Place { interface: at.interface, hook: at.hook };
    match (&detach.interface, detach.hook) {
        (Some(interface), Some(hook)) => {
            let at = HookPoint { interface: interface.clone(), hook };
            let ran = engine.observe_hook(&at)?.attachment.is_some();
            engine.detach(&at)?;
            Ok(if ran { vec![place(at)] } else { Vec::new() })
        }
        _ => Ok(engine.detach_all()?.into_iter().map(place).collect()),
    }
}

fn run_resume(local: &Local) -> Result<()> {
    detached::lift(&local.state.state)?;
    match socket::ask(&local.socket(), &Request::Resume) {
        Ok(Answer::Resumed) => say("The agent attaches again what its policies ask for."),
        Ok(Answer::Refused { message, .. }) => bail!("{message}"),
        Ok(_) | Err(SocketError::Nobody { .. }) => {
            say("No agent runs here; the next one attaches what its policies ask for.")
        }
        Err(error) => Err(error.into()),
    }
}

fn run_status(local: &Local) -> Result<()> {
    match socket::ask(&local.socket(), &Request::Status)? {
        Answer::Status(status) if local.json => say(&serde_json::to_string(&status)?),
        Answer::Status(status) => say(&in_words(&status)),
        Answer::Refused { message, .. } => bail!("{message}"),
        _ => bail!("The agent answered another question. Is it of another version?"),
    }
}

fn in_words(status: &Status) -> String {
    let generation = |have: Option<skep_api::v1::sync::Have>| {
        have.map_or_else(|| "none".to_owned(), |h| h.generation.to_string())
    };
    let mut lines = vec![
        format!("node       {}", status.name),
        format!("server     {}", status.server),
        format!("contact    {}", status.contact),
        format!(
            "generation {} applied, {} seen",
            generation(status.applied),
            generation(status.seen)
        ),
        format!("chains     {}", status.chains),
    ];
    if let Some(refusal) = &status.refusal {
        lines.push(format!("refused    {} ({})", refusal.message, refusal.code));
    }
    lines.extend(status.notes.iter().map(|note| format!("note       {note}")));
    lines.join("\n")
}

/// Asks a running agent, or works it out from what the last one left.
fn run_plan(run: &Run) -> Result<()> {
    let given = run.given();
    let socket = given.socket.clone().unwrap_or_else(|| given.state.join("agent.sock"));
    let (steps, notes) = match socket::ask(&socket, &Request::Plan) {
        Ok(Answer::Plan { steps, notes }) => (steps, notes),
        Ok(Answer::Refused { message, .. }) => bail!("{message}"),
        Ok(_) | Err(SocketError::Nobody { .. }) => {
            let settings = config::read(&given)?;
            let decision = agent::open_node(&settings)?.plan(facts::now())?;
            (decision.steps.iter().map(ToString::to_string).collect(), decision.notes)
        }
        Err(error) => return Err(error.into()),
    };
    if steps.is_empty() {
        say("Nothing to do.")?;
    }
    steps.iter().try_for_each(|step| say(step))?;
    notes.iter().try_for_each(|note| say(&format!("note: {note}")))
}

fn say(text: &str) -> Result<()> {
    writeln!(std::io::stdout(), "{text}").context("Standard output is closed.")
}

fn say_error(text: &str) {
    // Where standard error is closed nobody can be told.
    let _ = writeln!(std::io::stderr(), "{text}");
}
