//! `skep node detach --all`: takes every chain off this host. Works without any server.

use crate::cmd::Session;
use crate::exit::Ends;
use crate::local_agent::{LocalAgent, LocalAgentError, Place, SOCKET_DEFAULT};
use anyhow::Context as _;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The agent's program, which can detach on its own when no agent runs.
const AGENT_PROGRAM: &str = "skep-agent";

#[derive(clap::Args)]
#[command(after_help = "Examples:
  skep node detach --all
  skep node detach --all --socket /var/lib/skep/agent.sock

When no agent answers, `skep-agent detach --all` does the same from the pins of the kernel.")]
pub(crate) struct Args {
    /// Take off every chain; there is no partial form, a policy does that
    #[arg(long, required = true)]
    all: bool,
    /// Socket of the agent on this host
    #[arg(long, value_name = "FILE", default_value = SOCKET_DEFAULT)]
    socket: PathBuf,
    /// Folder of the agent's state, handed on when no agent answers
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// Folder of the agent's pins, handed on when no agent answers
    #[arg(long, value_name = "DIR")]
    pin_root: Option<PathBuf>,
}

#[derive(Serialize)]
struct Detached {
    detached: Vec<Place>,
}

pub(crate) async fn run(args: &Args, session: &Session) -> anyhow::Result<()> {
    let agent = LocalAgent::at(args.socket.clone());
    match agent.detach_all().await {
        Ok(detached) => {
            let done = Detached { detached };
            session.out.result(&done, || text(&done))
        }
        // On the worst day an agent that cannot is no reason to stop: its program can.
        Err(error) => without_agent(args, &error, session),
    }
}

fn text(done: &Detached) -> String {
    if done.detached.is_empty() {
        return "No chain was attached on this host.\n".to_owned();
    }
    let line = |p: &Place| format!("  {} {}\n", p.interface, p.hook);
    let lines: String = done.detached.iter().map(line).collect();
    format!(
        "Taken off this host:\n{lines}The agent attaches nothing again until `skep-agent resume`.\n"
    )
}

fn without_agent(args: &Args, why: &LocalAgentError, session: &Session) -> anyhow::Result<()> {
    let program = agent_program().ok_or_else(|| {
        Ends::not_found(format!(
            "{why} And {AGENT_PROGRAM} is neither beside this program nor on PATH. Run `{AGENT_PROGRAM} detach --all` as root on this host."
        ))
    })?;
    session.out.say(&format!("{why} Running {} detach --all.", program.display()));
    let mut command = Command::new(&program);
    command.args(["detach", "--all", "--json", "--socket"]).arg(&args.socket);
    let handed_on = [("--state", &args.state), ("--pin-root", &args.pin_root)];
    for (flag, value) in handed_on {
        if let Some(value) = value {
            command.arg(flag).arg(value);
        }
    }
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("{} cannot be started.", program.display()))?;
    anyhow::ensure!(
        output.status.success(),
        "{} detach --all ended with {}; what it said stands above.",
        program.display(),
        output.status
    );
    let detached = serde_json::from_slice(&output.stdout).with_context(|| {
        format!("What {} took off cannot be read; it may be of another version.", program.display())
    })?;
    let done = Detached { detached };
    session.out.result(&done, || text(&done))
}

/// Beside this program first: that one is of the same version.
fn agent_program() -> Option<PathBuf> {
    let beside = std::env::current_exe().ok().and_then(|me| Some(me.parent()?.to_owned()));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = beside.into_iter().chain(std::env::split_paths(&path));
    folders.map(|folder| folder.join(AGENT_PROGRAM)).find(|p: &PathBuf| Path::is_file(p))
}
