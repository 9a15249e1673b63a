//! `skep node drops IFACE`: who drops which packet, told by the agent of this host. Drops never travel:
//! a packet's first bytes are somebody's data.

use crate::cmd::Session;
use crate::local_agent::{LocalAgent, LocalAgentError, SOCKET_DEFAULT};
use crate::render::drops::{self, Tally};
use crate::render::units;
use skep_api::v1::drops::DropLine;
use skep_artifact::hook::Hook;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Lines waiting to be printed; the agent holds the rest.
const LINES_WAITING: usize = 64;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  skep node drops eth0                          every drop on XDP for ten seconds
  skep node drops eth0 --follow --one-in 100    until interrupted, about one drop in a hundred
  skep node drops eth0 --hook tc-ingress --bytes
  skep node drops eth0 --count 1 --json         the next drop, for programs

Telling is switched on while this runs and off when it ends, however it ends. One reader a hook.")]
pub(crate) struct Args {
    /// The interface
    interface: String,
    /// The hook: xdp, tc-ingress or tc-egress
    #[arg(long, default_value = "xdp")]
    hook: Hook,
    /// Tell about one drop in so many
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    one_in: u32,
    /// Go on until interrupted
    #[arg(long, conflicts_with = "time")]
    follow: bool,
    /// How long to listen
    #[arg(long = "for", value_name = "TIME", value_parser = units::parse_duration, default_value = "10s")]
    time: Duration,
    /// End after so many drops
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Show each packet's first bytes
    #[arg(long)]
    bytes: bool,
    /// Socket of the agent on this host
    #[arg(long, value_name = "FILE", default_value = SOCKET_DEFAULT)]
    socket: PathBuf,
}

pub(crate) async fn run(args: &Args, session: &Session) -> anyhow::Result<()> {
    let agent = LocalAgent::at(args.socket.clone());
    let mut lines = agent.drops(&args.interface, args.hook, args.one_in).await?;
    let (told, mut heard) = mpsc::channel(LINES_WAITING);
    // A task of its own, so that giving up a wait below never cuts a line in two.
    let reading = tokio::spawn(async move {
        loop {
            let line = lines.next().await;
            let last = !matches!(line, Ok(Some(_)));
            if told.send(line).await.is_err() || last {
                return;
            }
        }
    });
    let ended = listen(args, session, &mut heard).await;
    reading.abort();
    ended
}

async fn listen(
    args: &Args,
    session: &Session,
    heard: &mut mpsc::Receiver<Result<Option<DropLine>, LocalAgentError>>,
) -> anyhow::Result<()> {
    let mut shown = 0;
    let mut tally = Tally { told: 0, lost: 0, one_in: args.one_in };
    let mut opened = Instant::now();
    let listening = tokio::time::sleep(args.time);
    tokio::pin!(listening);
    loop {
        let line = tokio::select! {
            line = heard.recv() => line.transpose()?.flatten(),
            () = &mut listening, if !args.follow => break,
            _ = tokio::signal::ctrl_c() => break,
        };
        match line {
            None => anyhow::bail!("The agent went away. What runs stays attached."),
            Some(DropLine::Open { .. }) => {
                opened = Instant::now();
                if session.out.is_lively() {
                    session.out.say(&drops::opened(&args.interface, args.hook, args.one_in));
                }
            }
            Some(DropLine::Drop(event)) => {
                shown += 1;
                tally.told = tally.told.max(shown);
                if session.out.is_json() {
                    session.out.line(&event)?;
                } else {
                    session.out.text(&drops::line(&event, args.bytes))?;
                }
                if args.count.is_some_and(|count| shown >= count) {
                    break;
                }
            }
            Some(DropLine::Tally { lost, .. }) => {
                if lost > tally.lost {
                    session.out.say(&drops::losing(lost - tally.lost));
                }
                tally.lost = lost;
            }
            Some(DropLine::End { .. }) => break,
        }
    }
    session.out.say(&drops::summary(&tally, opened.elapsed()));
    Ok(())
}
