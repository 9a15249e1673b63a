//! The foreground: shows what the program does until something ends it, then takes it off again.

use super::Args;
use crate::cmd::Session;
use crate::local::host::{Host, Joined};
use crate::local::reading::{self, ChainRow, Keeper, Reading};
use crate::render::{running, units};
use anyhow::Context as _;
use serde::Serialize;
use skep_artifact::hook::Hook;
use skep_chain_dispatcher::{Sampling, Until};
use std::io::IsTerminal as _;
use std::time::Instant;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// One packet in so many is timed in the foreground: a mean within a second even of slow traffic, for less
/// than a nanosecond a packet.
const TIMED_ONE_IN: u32 = 64;
/// For how many intervals each wish to measure holds: a late one is no gap.
const TIMED_INTERVALS: u32 = 3;

/// The signals that end a run in an orderly way.
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
}

/// Why a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Ending {
    Interrupted,
    Terminated,
    HungUp,
    TimeOver,
    /// By `skep run --stop`.
    Stopped,
    /// The chain no longer runs it: somebody took it off, or the interface is gone.
    Gone,
}

/// One line of `--json`.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
enum Event<'a> {
    Started {
        interface: &'a str,
        hook: Hook,
        name: &'a str,
        what: &'a str,
        program: &'a str,
        backend: Option<String>,
        why: &'a str,
        members: usize,
        beside_agent: bool,
    },
    Sample {
        secs: f64,
        chain: &'a ChainRow,
    },
    Ended {
        why: Ending,
        packets: u64,
    },
}

impl Signals {
    /// From here on the signals are waited for instead of ending the process.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub(super) fn listen() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("Signals cannot be waited for.");
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            hang_up: listen(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Ending {
        tokio::select! {
            _ = self.interrupt.recv() => Ending::Interrupted,
            _ = self.terminate.recv() => Ending::Terminated,
            _ = self.hang_up.recv() => Ending::HungUp,
        }
    }
}

/// Says on standard error what was done.
pub(super) fn announce(joined: &Joined, vouched_by: &str, session: &Session) {
    let (seat, at) = (&joined.seat, &joined.at);
    for name in &joined.removed {
        session
            .out
            .say(&format!("Removed {name}, which a killed `skep run` had left over on {at}."));
    }
    if joined.beside_agent {
        session.out.say(&format!(
            "The agent runs a chain on {at} as well; both have their place, and packets meet the one that was attached first."
        ));
    }
    let backend = joined.chain.backend.map(|b| b.to_string()).unwrap_or_default();
    let others = match joined.chain.members.len() {
        0 | 1 => String::new(),
        members => format!(", in a chain of {members}"),
    };
    session.out.say(&format!(
        "Running {} ({vouched_by}) as {} on {at}{others}; backend {backend}: {}.",
        seat.title,
        seat.name,
        joined.chain.reason.trim_end_matches('.')
    ));
}

/// Shows the counters until the run ends, and takes the program off.
///
/// # Errors
/// When the program was taken off by somebody else, or cannot be taken off, or nobody can be told.
pub(super) async fn follow(
    host: &Host,
    joined: Joined,
    signals: Signals,
    args: &Args,
    session: &Session,
) -> anyhow::Result<()> {
    match watch(host, &joined, signals, args, session).await {
        Ok(ending) => end_run(host, &joined, ending, session),
        Err(unheard) => {
            // Nobody reads what is shown (`skep run … | head`): no reason to leave the program behind.
            host.leave(joined.place, std::slice::from_ref(&joined.seat.name))?;
            Err(unheard)
        }
    }
}

async fn watch(
    host: &Host,
    joined: &Joined,
    mut signals: Signals,
    args: &Args,
    session: &Session,
) -> anyhow::Result<Ending> {
    if session.out.is_json() {
        session.out.line(&started(joined))?;
    } else if std::io::stdout().is_terminal() {
        session.out.say("Ctrl-C takes it off.");
    }
    let begun = Instant::now();
    let mut screen = running::Screen::new(in_place());
    let mut before: Option<(Reading, Instant)> = None;
    let mut ticks = tokio::time::interval(args.interval);
    let end = async {
        match args.for_time {
            Some(time) => tokio::time::sleep(time).await,
            None => std::future::pending().await,
        }
    };
    tokio::pin!(end);
    loop {
        tokio::select! {
            ending = signals.next() => return Ok(ending),
            () = &mut end => return Ok(Ending::TimeOver),
            _ = ticks.tick() => {}
        }
        let now = match look(host, joined) {
            Ok(now) => now,
            Err(ending) => return Ok(ending),
        };
        if let one_in @ 1.. = args.timing.unwrap_or(TIMED_ONE_IN) {
            // The kernel stops measuring by itself soon after this process stops asking. Without the times,
            // everything else is still shown.
            let until = Until::After(args.interval * TIMED_INTERVALS);
            let _ = host.time(&joined.at, Sampling { one_in, until });
        }
        let at = Instant::now();
        let older = before.as_ref().map(|(reading, then)| {
            (std::slice::from_ref(reading), at.duration_since(*then).as_secs_f64())
        });
        let rows = reading::rows(std::slice::from_ref(&now), older);
        for row in &rows {
            if session.out.is_json() {
                let secs = begun.elapsed().as_secs_f64();
                session.out.line(&Event::Sample { secs, chain: row })?;
            } else {
                session.out.text(&screen.draw(row, &joined.seat.name, begun.elapsed()))?;
            }
        }
        before = Some((now, at));
    }
}

/// Whether a picture can take the place of the last: on a terminal that gets its control sequences.
fn in_place() -> bool {
    let stdout = std::io::stdout();
    let plain = anstream::AutoStream::choice(&stdout) == anstream::ColorChoice::Never;
    stdout.is_terminal() && !plain
}

fn started(joined: &Joined) -> Event<'_> {
    Event::Started {
        interface: &joined.at.interface,
        hook: joined.at.hook,
        name: &joined.seat.name,
        what: &joined.seat.title,
        program: &joined.seat.program,
        backend: joined.chain.backend.map(|backend| backend.to_string()),
        why: &joined.chain.reason,
        members: joined.chain.members.len(),
        beside_agent: joined.beside_agent,
    }
}

fn look(host: &Host, joined: &Joined) -> Result<Reading, Ending> {
    if !host.holds(joined) {
        return Err(Ending::Stopped);
    }
    let Ok(Some((chain, counters))) = host.look(joined) else { return Err(Ending::Gone) };
    let reading = reading::of_chain(Keeper::Run, &chain, &counters);
    let there = reading.members.iter().any(|m| m.name == joined.seat.name);
    if there { Ok(reading) } else { Err(Ending::Gone) }
}

fn end_run(host: &Host, joined: &Joined, ending: Ending, session: &Session) -> anyhow::Result<()> {
    // The last numbers, before the chain goes.
    let last = look(host, joined).ok();
    let own = last.iter().flat_map(|r| &r.members).find(|m| m.name == joined.seat.name);
    let packets = own.map_or(0, |member| member.packets);
    let left = match ending {
        Ending::Stopped => None,
        _ => Some(host.leave(joined.place, std::slice::from_ref(&joined.seat.name))?),
    };
    if session.out.is_json() {
        session.out.line(&Event::Ended { why: ending, packets })?;
    }
    let (name, at) = (&joined.seat.name, &joined.at);
    match ending {
        Ending::Gone => anyhow::bail!(
            "{name} no longer runs on {at}: somebody took the chain off, or the interface is gone. `skep top` shows what runs."
        ),
        Ending::Stopped => {
            session.out.say(&format!("{name} was taken off {at} by `skep run --stop`."))
        }
        _ => {
            let rest = match left.map_or(0, |left| left.remaining) {
                0 => "nothing of `skep run` is left there".to_owned(),
                rest => {
                    format!("{} on", units::plural(rest, "other member runs", "other members run"))
                }
            };
            session.out.say(&format!(
                "Took {name} off {at} after {} packets; {rest}.",
                units::count(packets)
            ));
        }
    }
    Ok(())
}
