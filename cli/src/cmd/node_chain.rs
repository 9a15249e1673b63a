//! `skep node chain NAME [IFACE]`: the running chains, with rates from two samples.

use crate::cmd::Session;
use crate::exit::Ends;
use crate::limits::{SAMPLE_PAUSE, SAMPLES_MAX, TIMING_SECS};
use crate::local_agent::{LocalAgent, LocalAgentError};
use crate::render::chain::{self, Header};
use serde::Serialize;
use skep_api::client::Client;
use skep_api::v1::chains::ChainStatus;
use skep_fleet::ids::NodeName;
use std::path::PathBuf;
use std::time::Instant;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  skep node chain edge-07
  skep node chain edge-07 eth0 --watch
  skep node chain --socket /var/lib/skep/agent.sock eth0    ask the agent of this host, without a server
  skep node chain --socket /var/lib/skep/agent.sock eth0 --watch --time-one-in 100")]
pub(crate) struct Args {
    /// The node; not needed with --socket
    #[arg(required_unless_present = "socket")]
    node: Option<NodeName>,
    /// Only the chains of this interface
    interface: Option<String>,
    /// Socket of the agent on this host; asks it instead of the registry
    #[arg(long, value_name = "FILE")]
    socket: Option<PathBuf>,
    /// Draw again every second until interrupted
    #[arg(long)]
    watch: bool,
    /// Time one packet in so many while this runs; switched off again when it ends
    #[arg(long, value_name = "N", requires = "socket", value_parser = clap::value_parser!(u32).range(1..))]
    time_one_in: Option<u32>,
    /// Take one sample only: sums instead of rates, and no waiting
    #[arg(long, conflicts_with = "watch")]
    once: bool,
}

impl Args {
    /// This host needs no name: with --socket a single word is the interface.
    fn interface(&self) -> Option<&str> {
        let lone = self.node.as_ref().filter(|_| self.socket.is_some()).map(NodeName::as_str);
        self.interface.as_deref().or(lone)
    }
}

/// Where samples come from.
enum Source {
    Registry { client: Box<Client>, node: NodeName },
    Local(LocalAgent),
}

/// The chains at one moment.
struct Sample {
    node: String,
    chains: Vec<ChainStatus>,
    at: Moment,
    now: i64,
}

/// When a sample was taken: by our own clock, or by the report it comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Moment {
    Here(Instant),
    Reported(Option<i64>),
}

#[derive(Serialize)]
struct Shown<'a> {
    node: &'a str,
    /// Seconds between the two samples the rates come from; absent when there was one only.
    #[serde(skip_serializing_if = "Option::is_none")]
    sampled_secs: Option<f64>,
    chains: &'a [ChainStatus],
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<&'a [ChainStatus]>,
}

pub(crate) async fn run(args: &Args, session: &Session) -> anyhow::Result<()> {
    let source = Source::open(args, session)?;
    let mut before = source.sample(args, session).await?;
    if args.once || before.chains.is_empty() {
        return show(&before, None, session);
    }
    if session.out.is_lively() && matches!(source, Source::Registry { .. }) {
        session
            .out
            .say("Waiting for the node's next report, to show rates; --once shows sums at once.");
    }
    loop {
        let after = source.next_sample(&before, args, session).await?;
        if args.watch && session.out.is_lively() {
            // Home and clear: the picture stays where it is.
            session.out.say("\x1b[H\x1b[2J");
        }
        show(&after, Some(&before), session)?;
        if !args.watch {
            return Ok(());
        }
        before = after;
    }
}

/// Has packets timed until a little after the next sample: it ends by itself, however this program ends.
async fn time(
    agent: &LocalAgent,
    chains: &[ChainStatus],
    args: &Args,
    one_in: u32,
) -> Result<(), LocalAgentError> {
    let mut interfaces: Vec<&str> = chains.iter().map(|chain| chain.interface.as_str()).collect();
    interfaces.dedup();
    interfaces.retain(|name| args.interface().is_none_or(|only| only == *name));
    for interface in interfaces {
        agent.time(interface, one_in, TIMING_SECS).await?;
    }
    Ok(())
}

fn show(sample: &Sample, before: Option<&Sample>, session: &Session) -> anyhow::Result<()> {
    let secs = before.and_then(|b| sample.at.secs_since(b.at));
    let old = secs.and(before).map(|b| b.chains.as_slice());
    let data =
        Shown { node: &sample.node, sampled_secs: secs, chains: &sample.chains, before: old };
    session.out.result(&data, || {
        let header = Header { node: &sample.node, now: sample.now };
        chain::chains(&header, &sample.chains, old.zip(secs))
    })
}

impl Moment {
    /// Seconds from `earlier` to here; `None` when both are the same report.
    fn secs_since(self, earlier: Self) -> Option<f64> {
        match (earlier, self) {
            (Self::Here(a), Self::Here(b)) => Some(b.duration_since(a).as_secs_f64()),
            (Self::Reported(Some(a)), Self::Reported(Some(b))) if b > a => Some((b - a) as f64),
            _ => None,
        }
    }
}

impl Source {
    fn open(args: &Args, session: &Session) -> anyhow::Result<Self> {
        match (&args.socket, &args.node) {
            (Some(socket), _) => Ok(Self::Local(LocalAgent::at(socket.clone()))),
            (None, Some(node)) => {
                let client = Box::new(session.settings.client()?);
                Ok(Self::Registry { client, node: node.clone() })
            }
            (None, None) => Err(Ends::usage("Name a node, or an agent with --socket.").into()),
        }
    }

    async fn sample(&self, args: &Args, session: &Session) -> anyhow::Result<Sample> {
        let (node, mut chains, at, now) = match self {
            Self::Registry { client, node } => {
                let detail = client.node(node).await?;
                let at = Moment::Reported(detail.reported_at);
                (node.to_string(), detail.chains, at, detail.now)
            }
            Self::Local(agent) => {
                let chains = agent.chains().await?;
                if let Some(one_in) = args.time_one_in {
                    time(agent, &chains, args, one_in).await?;
                }
                let node = agent.node_name().await?;
                (node, chains, Moment::Here(Instant::now()), session.now())
            }
        };
        if let Some(interface) = args.interface() {
            chains.retain(|chain| chain.interface == interface);
            if chains.is_empty() {
                let message = format!(
                    "No chain runs on {interface} of {node}. `skep node chain {node}` shows where chains run."
                );
                return Err(Ends::not_found(message).into());
            }
        }
        Ok(Sample { node, chains, at, now })
    }

    /// A sample with newer numbers; the same numbers again when none arrive in time.
    async fn next_sample(
        &self,
        before: &Sample,
        args: &Args,
        session: &Session,
    ) -> anyhow::Result<Sample> {
        for _ in 1..SAMPLES_MAX {
            tokio::time::sleep(SAMPLE_PAUSE).await;
            let sample = self.sample(args, session).await?;
            if sample.at.secs_since(before.at).is_some() {
                return Ok(sample);
            }
        }
        self.sample(args, session).await
    }
}
