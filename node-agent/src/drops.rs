//! "Who dropped this packet", told to one caller of the local socket for as long as it listens. When it
//! leaves, telling ends at once; when this process dies, the kernel side ends it with its lease. Drops
//! stay on this node. Refuses to know how a chain is looked into.

use crate::explain::explain;
use serde::{Deserialize, Serialize};
use skep_api::v1::drops::{self as wire, DropLine};
use skep_artifact::hook::Hook;
use skep_chain_dispatcher::{
    DropCause, DropEvent, DropStream, DropsError, Flow, HookPoint, Observer, SeeingError,
};
use std::fmt::Write as _;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;

/// Lines waiting for a slow caller. What does not fit waits in the ring buffer, and is lost and counted
/// when that is full, too.
const LINES_WAITING: usize = 256;
/// Longest wait for drops before the caller is looked after.
const BREATH: Duration = Duration::from_millis(200);
/// How long a new caller waits for one who leaves: some of the breaths above.
const HANDOVER: Duration = Duration::from_secs(1);
/// Between two tries: nothing tells when the ring has lost its reader.
const HANDOVER_POLL: Duration = Duration::from_millis(20);
/// How often the sums are told.
const TALLY_PERIOD: Duration = Duration::from_secs(1);
/// How long a caller may take to take one line; a slower one is gone.
const LINE_PATIENCE: Duration = Duration::from_secs(10);

/// What a caller wants to see.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// The interface.
    pub interface: String,
    /// The hook.
    pub hook: Hook,
    /// One drop in so many, at least 1.
    pub one_in: u32,
}

/// Tells drops until the caller leaves, the chain is taken off, or the agent stops.
pub(crate) async fn tell(
    pins: PathBuf,
    asked: Asked,
    mut caller: impl AsyncRead + Unpin,
    mut answer: impl AsyncWrite + Unpin,
) -> io::Result<()> {
    let (lines, mut told) = mpsc::channel(LINES_WAITING);
    // Ends within a breath once `told` is dropped.
    tokio::task::spawn_blocking(move || watch(&pins, &asked, &lines));
    let mut byte = [0];
    loop {
        tokio::select! {
            line = told.recv() => {
                let Some(line) = line else { return Ok(()) };
                let mut bytes = serde_json::to_vec(&line)?;
                bytes.push(b'\n');
                tokio::time::timeout(LINE_PATIENCE, answer.write_all(&bytes)).await??;
            }
            // Nothing is expected any more: either the end, or somebody who does not keep to the rules.
            _ = caller.read(&mut byte) => return Ok(()),
        }
    }
}

fn watch(pins: &std::path::Path, asked: &Asked, lines: &mpsc::Sender<DropLine>) {
    let at = HookPoint { interface: asked.interface.clone(), hook: asked.hook };
    let ended = |error: &DropsError| {
        let line = DropLine::End { code: code(error).to_owned(), message: explain(error) };
        // A caller that left needs no last word.
        let _ = lines.blocking_send(line);
    };
    let mut stream = match open(pins, &at, asked.one_in, lines) {
        Ok(stream) => stream,
        Err(error) => return ended(&error),
    };
    if lines.blocking_send(DropLine::Open { one_in: asked.one_in }).is_err() {
        return;
    }
    if let Err(error) = follow(&mut stream, &at, lines) {
        ended(&error);
    }
}

/// Waits a moment for a caller who just left: people end one listening and start the next.
fn open(
    pins: &std::path::Path,
    at: &HookPoint,
    one_in: u32,
    lines: &mpsc::Sender<DropLine>,
) -> Result<DropStream, DropsError> {
    let asked = Instant::now();
    loop {
        match Observer::of(pins).drops(at, one_in) {
            Err(DropsError::Taken { .. }) if asked.elapsed() < HANDOVER && !lines.is_closed() => {
                std::thread::sleep(HANDOVER_POLL);
            }
            other => return other,
        }
    }
}

/// Until the caller is gone.
fn follow(
    stream: &mut DropStream,
    at: &HookPoint,
    lines: &mpsc::Sender<DropLine>,
) -> Result<(), DropsError> {
    let (mut told, mut lost, mut tallied) = (0, 0, Instant::now());
    while !lines.is_closed() {
        let drops = stream.read(BREATH)?;
        lost += drops.lost;
        for event in drops.events {
            told += 1;
            if lines.blocking_send(DropLine::Drop(Box::new(on_the_wire(at, event)))).is_err() {
                return Ok(());
            }
        }
        if tallied.elapsed() >= TALLY_PERIOD {
            tallied = Instant::now();
            if lines.blocking_send(DropLine::Tally { told, lost }).is_err() {
                return Ok(());
            }
        }
    }
    Ok(())
}

fn on_the_wire(at: &HookPoint, event: DropEvent) -> wire::DropEvent {
    let flow = |flow: Flow| wire::Flow {
        source: flow.source,
        destination: flow.destination,
        protocol: flow.protocol,
        source_port: flow.source_port,
        destination_port: flow.destination_port,
    };
    let member = event.member.map(|by| wire::DroppedBy {
        policy: by.policy,
        name: by.name,
        package: by.package,
        version: by.version,
    });
    let mut head = String::with_capacity(2 * event.head.len());
    for byte in &event.head {
        // Writing to a String cannot fail.
        let _ = write!(head, "{byte:02x}");
    }
    wire::DropEvent {
        time_us: event.time_ns / 1000,
        interface: at.interface.clone(),
        hook: at.hook,
        place: event.place,
        member,
        missed: event.cause == DropCause::Missed,
        verdict: event.verdict,
        length: event.length,
        one_in: event.one_in,
        ether_type: event.headers.ether_type,
        vlans: event.headers.vlans,
        flow: event.headers.flow.map(flow),
        head,
    }
}

/// The stable code of an error.
fn code(error: &DropsError) -> &'static str {
    match error {
        DropsError::Seeing(error) => seeing_code(error),
        DropsError::OneInNone => "request.malformed",
        DropsError::Taken { .. } => "drops.taken",
        DropsError::Lock { .. } | DropsError::Ring(_) => "drops.kernel",
    }
}

/// The stable code of an error about looking into a chain.
pub(crate) fn seeing_code(error: &SeeingError) -> &'static str {
    match error {
        SeeingError::NoChain { .. } => "chain.none",
        SeeingError::NotBuiltIn { .. } => "chain.not_seen_into",
        SeeingError::Observe(_) | SeeingError::Write { .. } => "chain.unreadable",
    }
}
