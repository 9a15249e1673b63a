//! What a run that returns at once leaves behind: how to see it, how to stop it. Lists and stops.

use super::Args;
use crate::cmd::Session;
use crate::exit::Ends;
use crate::local::host::{Host, Joined, Left};
use crate::local::reading::{self, Keeper};
use crate::local::seat::{Holder, Place, Seats, Standing, Stored};
use crate::local::{Places, capability, interface};
use crate::render::table::{self, Cell};
use crate::render::{paint, units};
use serde::Serialize;
use skep_artifact::hook::Hook;
use skep_chain_dispatcher::{ObservedChain, ObservedMember};

/// A seat as `--list` shows it.
#[derive(Serialize)]
struct Listed {
    interface: String,
    hook: Hook,
    name: String,
    what: String,
    program: String,
    priority: u32,
    state: State,
    /// Of the process in the foreground, also when it is gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    process: Option<u32>,
    /// Seconds since 1970; unknown when nothing remembers it.
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<i64>,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum State {
    Foreground,
    Detached,
    LeftOver,
    /// Somebody took the chain off, or the interface is gone.
    NotRunning,
}

#[derive(Serialize)]
struct List {
    runs: Vec<Listed>,
    /// How many lie in other network namespaces.
    elsewhere: usize,
}

#[derive(Serialize)]
struct Stopped {
    interface: String,
    hook: Hook,
    names: Vec<String>,
    remaining: usize,
}

#[derive(Serialize)]
struct Detached<'a> {
    interface: &'a str,
    hook: Hook,
    name: &'a str,
    what: &'a str,
    program: &'a str,
    backend: Option<String>,
    members: usize,
}

/// `--list`
pub(super) fn list(places: &Places, session: &Session) -> anyhow::Result<()> {
    capability::check("Listing what runs")?;
    let seats = Seats::open(&places.run_state)?;
    let chains = places.observe(&places.run_pin_root).observe()?;
    let netns = interface::netns()?;
    let interfaces = interface::all()?;
    let mut list = List { runs: Vec::new(), elsewhere: 0 };
    for place in seats.places()? {
        if place.netns != netns {
            list.elsewhere += seats.names(place)?.len();
            continue;
        }
        let current = interfaces.iter().find(|i| i.index == place.ifindex).map(|i| i.name.as_str());
        let running: Vec<&str> = chains
            .iter()
            .filter(|chain| Some(chain.at.interface.as_str()) == current)
            .filter(|chain| chain.at.hook == place.hook && chain.dispatcher_id.is_some())
            .flat_map(|chain| chain.members.iter().map(|m| m.name.as_str()))
            .collect();
        let stored = seats.at(place)?.into_iter();
        list.runs.extend(stored.map(|stored| listed(place, current, &running, stored)));
    }
    for chain in chains.iter().filter(|chain| chain.dispatcher_id.is_some()) {
        let reading = reading::of_chain(Keeper::Run, chain, &[]);
        for (member, shown) in chain.members.iter().zip(reading.members) {
            let seated = |run: &Listed| {
                (&run.interface, run.hook, &run.name)
                    == (&chain.at.interface, chain.at.hook, &member.name)
            };
            if !list.runs.iter().any(seated) {
                list.runs.push(unseated(chain, member, shown.what));
            }
        }
    }
    session.out.result(&list, || text(&list, session.now()))
}

/// A member that runs and that nothing remembers: the folder of seats was removed.
fn unseated(chain: &ObservedChain, member: &ObservedMember, what: String) -> Listed {
    Listed {
        interface: chain.at.interface.clone(),
        hook: chain.at.hook,
        name: member.name.clone(),
        what,
        program: member.program.clone(),
        priority: member.priority,
        state: State::LeftOver,
        process: None,
        since: None,
    }
}

fn listed(place: Place, current: Option<&str>, running: &[&str], stored: Stored) -> Listed {
    let seat = stored.seat;
    let state = match stored.standing {
        _ if !running.contains(&seat.name.as_str()) => State::NotRunning,
        Standing::Foreground => State::Foreground,
        Standing::Detached => State::Detached,
        Standing::LeftOver => State::LeftOver,
    };
    Listed {
        interface: current.unwrap_or(&seat.interface).to_owned(),
        hook: place.hook,
        name: seat.name,
        what: seat.title,
        program: seat.program,
        priority: seat.priority,
        state,
        process: match seat.holder {
            Holder::Process(number) => Some(number),
            Holder::Detached => None,
        },
        since: Some(seat.since),
    }
}

fn text(list: &List, now: i64) -> String {
    let mut text = if list.runs.is_empty() {
        "Nothing runs here. `skep run NAME --interface IFACE` runs a package.\n".to_owned()
    } else {
        table::layout(&rows(list, now), 0)
    };
    if list.runs.iter().any(|run| matches!(run.state, State::LeftOver | State::NotRunning)) {
        text.push_str("`skep run --stop IFACE` clears away what is left over or does not run.\n");
    }
    if list.elsewhere > 0 {
        let runs = units::plural(list.elsewhere, "program", "programs");
        text.push_str(&format!("In other network namespaces: {runs}; enter one to list them.\n"));
    }
    text
}

fn rows(list: &List, now: i64) -> Vec<Vec<Cell>> {
    let header = ["interface", "hook", "priority", "name", "package", "program", "state", "since"];
    let mut rows = vec![header.map(|word| Cell::new(word).paint(paint::dim)).into()];
    for run in &list.runs {
        let number = run.process.map(|number| format!(" {number}")).unwrap_or_default();
        let state = match run.state {
            State::Foreground => Cell::new(format!("process{number}")).paint(paint::moss),
            State::Detached => Cell::new("detached").paint(paint::moss),
            State::LeftOver if number.is_empty() => Cell::new("left over").paint(paint::honey),
            State::LeftOver => {
                Cell::new(format!("left over from process{number}")).paint(paint::honey)
            }
            State::NotRunning => Cell::new("does not run").paint(paint::clay),
        };
        rows.push(vec![
            Cell::new(&run.interface),
            Cell::new(run.hook.as_str()),
            Cell::number(run.priority.to_string()),
            Cell::new(&run.name).paint(paint::bold),
            Cell::new(&run.what),
            Cell::new(&run.program),
            state,
            Cell::new(run.since.map_or("unknown".to_owned(), |since| units::ago(since, now))),
        ]);
    }
    rows
}

/// `--stop IFACE`
pub(super) fn stop(args: &Args, name: &str, session: &Session) -> anyhow::Result<()> {
    capability::check("Taking a program off")?;
    let interface = interface::named(name)?;
    let host = Host::open(&args.places)?;
    let stopped = host.stop(&interface, args.hook, args.name.as_deref())?;
    if stopped.is_empty() {
        let which = args.name.as_deref().unwrap_or("Nothing");
        let message = if args.name.is_some() {
            format!("No {which} of `skep run` is on {name}. `skep run --list` shows what is.")
        } else {
            format!(
                "{which} of `skep run` is on {name}. `skep run --list` shows what is; chains of the agent are its own."
            )
        };
        return Err(Ends::not_found(message).into());
    }
    let rows: Vec<Stopped> = stopped
        .into_iter()
        .map(|(at, Left { names, remaining })| Stopped {
            interface: at.interface,
            hook: at.hook,
            names,
            remaining,
        })
        .collect();
    session.out.result(&rows, || {
        let line = |s: &Stopped| {
            let rest = match s.remaining {
                0 => "nothing of `skep run` is left there".to_owned(),
                left => format!("{} left", units::plural(left, "member is", "members are")),
            };
            format!("Taken off {} {}: {}; {rest}.\n", s.interface, s.hook, s.names.join(", "))
        };
        rows.iter().map(line).collect()
    })
}

/// After `--detach`.
pub(super) fn detached(joined: &Joined, session: &Session) -> anyhow::Result<()> {
    let seat = &joined.seat;
    let shown = Detached {
        interface: &joined.at.interface,
        hook: joined.at.hook,
        name: &seat.name,
        what: &seat.title,
        program: &seat.program,
        backend: joined.chain.backend.map(|backend| backend.to_string()),
        members: joined.chain.members.len(),
    };
    session.out.result(&shown, || {
        format!(
            "{} runs on {} until it is stopped or the machine restarts.\n  see it   skep run --list · skep top\n  stop it  skep run --stop {} --hook {} --name {}\n",
            seat.name, joined.at, joined.at.interface, joined.at.hook, seat.name
        )
    })
}
