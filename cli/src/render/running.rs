//! A chain of `skep run` while it runs: a picture that stays in place on a terminal, a line at a time
//! elsewhere. Pure: refuses to know where numbers come from.

use crate::local::reading::{Amount, ChainRow, MemberRow};
use crate::render::table::{self, Cell};
use crate::render::{paint, units};
use skep_artifact::hook::Verdict;
use std::time::Duration;

/// What was drawn last, so that the next picture can take its place.
pub(crate) struct Screen {
    in_place: bool,
    lines: usize,
}

impl Screen {
    /// `in_place` for a terminal.
    pub(crate) fn new(in_place: bool) -> Self {
        Self { in_place, lines: 0 }
    }

    /// The chain as it is now; `own` is the member that this run is about.
    pub(crate) fn draw(&mut self, chain: &ChainRow, own: &str, up: Duration) -> String {
        if !self.in_place {
            let member = chain.members.iter().find(|member| member.name == own);
            return member.map(line).unwrap_or_default();
        }
        let picture = picture(chain, own, up);
        // Up to where the last one began, and clear from there.
        let back = match self.lines {
            0 => String::new(),
            lines => format!("\x1b[{lines}A\x1b[J"),
        };
        self.lines = picture.lines().count();
        back + &picture
    }
}

fn line(member: &MemberRow) -> String {
    let mut parts =
        vec![member.name.clone(), format!("{} packets", units::count(member.packets.total))];
    parts.extend(member.packets.per_second.map(units::rate));
    parts.extend(
        member.verdicts.iter().map(|v| format!("{} {}", v.verdict.as_str(), shown(v.amount))),
    );
    parts.extend(member.ns_per_packet.map(units::nanoseconds));
    parts.push(format!("missed {}", units::count(member.missed.total)));
    parts.join("  ") + "\n"
}

fn picture(chain: &ChainRow, own: &str, up: Duration) -> String {
    let mode =
        if chain.xdp_mode.is_empty() { String::new() } else { format!(" {}", chain.xdp_mode) };
    let title = format!(
        "{} · {}{mode} · backend {}     {}\n",
        paint::bold(&chain.interface),
        chain.hook,
        chain.backend,
        paint::dim(&format!("for {} s", up.as_secs()))
    );
    let rows: Vec<Vec<Cell>> = chain.members.iter().map(|member| cells(member, own)).collect();
    title + &table::layout(&rows, 2)
}

fn cells(member: &MemberRow, own: &str) -> Vec<Cell> {
    let own = member.name == own;
    let name = Cell::new(&member.name);
    let mut cells = vec![
        Cell::number(member.priority.to_string()),
        if own { name.paint(paint::bold) } else { name },
        Cell::new(&member.what),
        Cell::number(shown(member.packets)),
    ];
    if member.observe {
        cells.push(Cell::new("observe").paint(paint::honey));
    }
    for verdict in &member.verdicts {
        let colour = if goes_on(verdict.verdict) { paint::moss } else { paint::clay };
        let text = format!("{} {}", verdict.verdict.as_str(), shown(verdict.amount));
        cells.push(Cell::new(text).paint(colour));
    }
    cells.extend(member.ns_per_packet.map(|ns| Cell::number(units::nanoseconds(ns))));
    if member.missed.total > 0 {
        let text = format!("missed {}", units::count(member.missed.total));
        cells.push(Cell::new(text).paint(paint::clay));
    }
    cells
}

/// A rate when it is known, the sum otherwise.
fn shown(amount: Amount) -> String {
    amount.per_second.map_or_else(|| units::short_count(amount.total), units::rate)
}

/// Whether the kernel's stack gets a packet with this verdict at the end of a chain.
fn goes_on(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::Pass | Verdict::Ok | Verdict::Unspec | Verdict::Pipe)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::reading::{Keeper, VerdictRow};
    use crate::render::plain;
    use skep_artifact::hook::Hook;

    fn chain() -> ChainRow {
        let amount = |total, per_second| Amount { total, per_second: Some(per_second) };
        let member = |name: &str, priority, missed| MemberRow {
            policy: "run".into(),
            name: name.into(),
            what: "skep/ratelimit 1.4.2".into(),
            priority,
            observe: false,
            packets: amount(123_456, 1_240_000.0),
            bytes: amount(0, 0.0),
            missed: Amount { total: missed, per_second: None },
            verdicts: vec![
                VerdictRow { verdict: Verdict::Pass, amount: amount(120_000, 1_200_000.0) },
                VerdictRow { verdict: Verdict::Drop, amount: amount(3_456, 40_000.0) },
            ],
            ns_per_packet: Some(21.7),
        };
        ChainRow {
            keeper: Keeper::Run,
            interface: "eth0".into(),
            hook: Hook::Xdp,
            backend: "slots".into(),
            why: String::new(),
            xdp_mode: "native".into(),
            generation: 3,
            members: vec![member("guard", 10, 0), member("limiter", 20, 7)],
        }
    }

    #[test]
    fn without_a_terminal_each_reading_is_one_line_about_the_own_member() {
        let mut screen = Screen::new(false);
        let drawn = screen.draw(&chain(), "limiter", Duration::from_secs(12));
        assert_eq!(
            drawn,
            "limiter  123,456 packets  1.24 M/s  pass 1.20 M/s  drop 40.0 k/s  22 ns  missed 7\n"
        );
    }

    #[test]
    fn on_a_terminal_each_picture_takes_the_place_of_the_last() {
        let mut screen = Screen::new(true);
        let first = screen.draw(&chain(), "limiter", Duration::from_secs(12));
        assert_eq!(
            plain(&first),
            "eth0 · xdp native · backend slots     for 12 s
  10  guard    skep/ratelimit 1.4.2  1.24 M/s  pass 1.20 M/s  drop 40.0 k/s  22 ns
  20  limiter  skep/ratelimit 1.4.2  1.24 M/s  pass 1.20 M/s  drop 40.0 k/s  22 ns  missed 7\n"
        );
        let second = screen.draw(&chain(), "limiter", Duration::from_secs(13));
        assert!(second.starts_with("\x1b[3A\x1b[J"), "{second:?}");
    }
}
