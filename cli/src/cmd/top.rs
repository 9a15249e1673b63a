//! `skep top`: the chains of this host, live.

use crate::cmd::Session;
use crate::exit::Ends;
use crate::local::reading::{self, Keeper, Reading};
use crate::local::{Places, capability};
use crate::local_agent::LocalAgent;
use crate::render::top::draw::{Paint, draw};
use crate::render::top::{Key, Next, View};
use crate::render::units::parse_duration;
use anyhow::Context as _;
use crossterm::event::{Event, EventStream, KeyCode, KeyEventKind, KeyModifiers};
use futures::StreamExt as _;
use ratatui::DefaultTerminal;
use serde::Serialize;
use skep_chain_dispatcher::Observer;
use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tokio::signal::unix::{SignalKind, signal};

/// Columns of the picture that `--once` prints: room for the names that people give.
const ONCE_COLUMNS: u16 = 120;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  skep top
  skep top --interval 5s
  skep top --once                     one reading: sums instead of rates
  skep top --json                     the same, for programs
  skep top --socket /var/lib/skep/agent.sock

Keys: q quits, s sorts (place, packets, drops, cost, missed), / filters by interface, hook, keeper,
member or package, j and k or the arrows choose a member, whose verdicts stand below, space pauses.
Shows the agent's chains and those of `skep run` in this network namespace. That needs root; with
--socket the agent is asked for its own instead. NO_COLOR turns colours off.")]
pub(crate) struct Args {
    /// Time between two readings
    #[arg(long, value_name = "TIME", value_parser = parse_duration, default_value = "1s")]
    interval: Duration,
    /// Print one reading and return
    #[arg(long)]
    once: bool,
    /// Ask the agent at this socket for its chains
    #[arg(long, value_name = "FILE")]
    socket: Option<PathBuf>,
    #[command(flatten)]
    places: Places,
}

/// Where readings come from.
enum Source {
    Kernel { agent: Observer, run: Observer },
    Agent(LocalAgent),
}

#[derive(Serialize)]
struct Shown<'a> {
    host: &'a str,
    chains: &'a [reading::ChainRow],
}

pub(crate) async fn run(args: &Args, session: &Session) -> anyhow::Result<()> {
    if args.interval.is_zero() {
        return Err(Ends::usage("--interval must be at least 1s.").into());
    }
    let source = Source::open(args)?;
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let mut view = View::new(host, args.interval.as_secs());
    let first = source.read().await?;
    view.take(&first, None);
    let live = std::io::stdout().is_terminal() && std::io::stdin().is_terminal();
    if args.once || session.out.is_json() || !live {
        let shown = Shown { host: &view.host, chains: view.chains() };
        return session.out.result(&shown, || printed(&view));
    }
    watch(&source, view, first, args).await
}

impl Source {
    fn open(args: &Args) -> anyhow::Result<Self> {
        if let Some(socket) = &args.socket {
            return Ok(Self::Agent(LocalAgent::at(socket.clone())));
        }
        capability::check("Looking at every chain of this host")
            .context("--socket FILE asks the agent for its own chains, without these rights.")?;
        Ok(Self::Kernel {
            agent: args.places.observe(&args.places.agent_pin_root),
            run: args.places.observe(&args.places.run_pin_root),
        })
    }

    async fn read(&self) -> anyhow::Result<Vec<Reading>> {
        match self {
            Self::Agent(agent) => Ok(reading::of_agent(&agent.chains().await?)),
            Self::Kernel { agent, run } => {
                let failed = "The chains of this host cannot be read.";
                let mut all = reading::of_host(agent, Keeper::Agent).context(failed)?;
                all.extend(reading::of_host(run, Keeper::Run).context(failed)?);
                Ok(all)
            }
        }
    }
}

/// The picture as text, without a terminal.
fn printed(view: &View) -> String {
    let rows = u16::try_from(view.rows().len()).unwrap_or(u16::MAX);
    let backend = ratatui::backend::TestBackend::new(ONCE_COLUMNS, rows.max(2).saturating_add(4));
    let Ok(mut terminal) = ratatui::Terminal::new(backend);
    let Ok(drawn) = terminal.draw(|frame| draw(frame, view, Paint::Plain));
    let cells = drawn.buffer.content().chunks(usize::from(ONCE_COLUMNS));
    let line = |row: &[ratatui::buffer::Cell]| {
        let text: String = row.iter().map(ratatui::buffer::Cell::symbol).collect();
        text.trim_end().to_owned() + "\n"
    };
    let lines: Vec<String> = cells.map(line).collect();
    // Without the two lines about keys and the cursor.
    lines[..lines.len().saturating_sub(2)].concat()
}

async fn watch(
    source: &Source,
    mut view: View,
    first: Vec<Reading>,
    args: &Args,
) -> anyhow::Result<()> {
    let paint = match std::env::var_os("NO_COLOR") {
        Some(set) if !set.is_empty() => Paint::Plain,
        _ => Paint::Colours,
    };
    let mut terminate = signal(SignalKind::terminate()).context("Signals cannot be waited for.")?;
    let mut hang_up = signal(SignalKind::hangup()).context("Signals cannot be waited for.")?;
    let mut terminal = ratatui::try_init().context("The terminal cannot be drawn on.")?;
    let screen = Restored;
    let mut events = EventStream::new();
    let mut before = (first, Instant::now());
    let mut ticks =
        tokio::time::interval_at(tokio::time::Instant::now() + args.interval, args.interval);
    loop {
        paint_screen(&mut terminal, &view, paint)?;
        tokio::select! {
            _ = terminate.recv() => break,
            _ = hang_up.recv() => break,
            event = events.next() => match event {
                Some(Ok(event)) => if key(&event).is_some_and(|key| view.press(key) == Next::Quit) { break },
                // The terminal went away.
                Some(Err(_)) | None => break,
            },
            _ = ticks.tick() => match source.read().await {
                Ok(now) => {
                    let at = Instant::now();
                    let secs = at.duration_since(before.1).as_secs_f64();
                    view.take(&now, Some((&before.0, secs)));
                    before = (now, at);
                }
                Err(error) => view.trouble = Some(format!("{error:#}")),
            },
        }
    }
    drop(screen);
    Ok(())
}

/// Gives the terminal back as it was, however the watching ends.
struct Restored;

impl Drop for Restored {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

fn paint_screen(terminal: &mut DefaultTerminal, view: &View, paint: Paint) -> anyhow::Result<()> {
    terminal.draw(|frame| draw(frame, view, paint)).context("The terminal cannot be drawn on.")?;
    Ok(())
}

fn key(event: &Event) -> Option<Key> {
    let Event::Key(key) = event else { return None };
    if key.kind == KeyEventKind::Release {
        return None;
    }
    match key.code {
        KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => Some(Key::Interrupt),
        KeyCode::Char(c) => Some(Key::Char(c)),
        KeyCode::Enter => Some(Key::Enter),
        KeyCode::Esc => Some(Key::Escape),
        KeyCode::Backspace => Some(Key::Backspace),
        KeyCode::Up => Some(Key::Up),
        KeyCode::Down => Some(Key::Down),
        KeyCode::PageUp => Some(Key::PageUp),
        KeyCode::PageDown => Some(Key::PageDown),
        _ => None,
    }
}
