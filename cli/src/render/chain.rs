//! The chain drawn as a pipeline: our signature picture. Refuses to know where samples come from.

use crate::render::{paint, units};
use skep_api::v1::chains::{ChainStatus, MemberCounters, MemberStatus};
use skep_artifact::hook::{Mode, Verdict, VerdictSet};
use std::fmt::Write as _;

/// What stands above every chain.
pub(crate) struct Header<'a> {
    pub node: &'a str,
    /// Seconds since 1970.
    pub now: i64,
}

/// Every chain of a node. `before` holds an older sample and its age in seconds; without it sums
/// are shown instead of rates.
pub(crate) fn chains(
    header: &Header<'_>,
    chains: &[ChainStatus],
    before: Option<(&[ChainStatus], f64)>,
) -> String {
    if chains.is_empty() {
        return format!(
            "No chain runs on {0}. `skep apply -f POLICY.yaml` asks for one; `skep node show {0}` tells what was refused \
             or taken off by hand.\n",
            header.node
        );
    }
    let drawn: Vec<String> = chains
        .iter()
        .map(|chain| {
            let older = before.and_then(|(old, secs)| Some((find(old, chain)?, secs)));
            one(header, chain, older)
        })
        .collect();
    drawn.join("\n")
}

/// The same chain in an older sample, unless it was replaced in between: its counters began anew.
fn find<'a>(old: &'a [ChainStatus], chain: &ChainStatus) -> Option<&'a ChainStatus> {
    old.iter()
        .find(|c| (&c.interface, c.hook) == (&chain.interface, chain.hook))
        .filter(|c| c.generation == chain.generation && c.applied_at == chain.applied_at)
}

fn one(header: &Header<'_>, chain: &ChainStatus, before: Option<(&ChainStatus, f64)>) -> String {
    let flow = Flow { before };
    let mut text = title(header, chain);
    // Writing into a String cannot fail.
    let _ = writeln!(text, "  packets in {}", flow.amount(chain, packets_in));
    let rows: Vec<Row> = chain.members.iter().map(|member| flow.row(chain, member)).collect();
    let widths = Widths::of(&rows);
    for (seat, row) in rows.iter().enumerate() {
        let branch = if seat + 1 == rows.len() { "└─" } else { "├─" };
        let _ = writeln!(text, "  {} {}", paint::slate(branch), row.draw(&widths));
    }
    let missed = units::count(chain.members.iter().map(|m| m.counters.missed).sum());
    let _ = writeln!(
        text,
        "  to the stack {}{} · missed {missed}",
        flow.amount(chain, to_stack),
        flow.cost(chain).map_or_else(String::new, |ns| format!(" · {ns} a packet"))
    );
    text
}

fn title(header: &Header<'_>, chain: &ChainStatus) -> String {
    let mode = if chain.attach_mode.is_empty() {
        String::new()
    } else {
        format!(" {}", chain.attach_mode)
    };
    let reason = if chain.backend_reason.is_empty() {
        String::new()
    } else {
        format!(" ({})", chain.backend_reason.trim_end_matches('.'))
    };
    format!(
        "{} · {} · {}{mode} · backend {}{reason}     {}\n",
        paint::bold(header.node),
        paint::bold(&chain.interface),
        chain.hook,
        chain.backend,
        paint::dim(&format!(
            "generation {} · applied {}",
            chain.generation,
            units::ago(chain.applied_at, header.now)
        )),
    )
}

/// Turns counters into amounts: per second with an older sample, sums without.
struct Flow<'a> {
    before: Option<(&'a ChainStatus, f64)>,
}

impl Flow<'_> {
    fn amount(&self, chain: &ChainStatus, of: fn(&ChainStatus) -> u64) -> String {
        let old = self.before.map(|(old, secs)| (of(old), secs));
        shown(of(chain), old)
    }

    /// The same member in the older sample, and its age.
    fn older(&self, member: &MemberStatus) -> Option<(&MemberStatus, f64)> {
        let (old, secs) = self.before?;
        let same = |m: &&MemberStatus| (&m.policy, &m.name) == (&member.policy, &member.name);
        Some((old.members.iter().find(same)?, secs))
    }

    /// Nanoseconds that a packet spent in a member: of those timed since the older sample, or of all
    /// if none was.
    fn ns(&self, member: &MemberStatus) -> Option<f64> {
        let now = &member.counters;
        let since = self.older(member).and_then(|(old, _)| {
            let (ns, timed) = (
                now.ns.saturating_sub(old.counters.ns),
                now.timed.saturating_sub(old.counters.timed),
            );
            MemberCounters { ns, timed, ..MemberCounters::default() }.ns_per_packet()
        });
        since.or_else(|| now.ns_per_packet())
    }

    /// What the chain costs a packet that enters it: each member's time, by how many meet it.
    fn cost(&self, chain: &ChainStatus) -> Option<String> {
        let met = |member: &MemberStatus| {
            let old = self.older(member).map_or(0, |(old, _)| old.counters.packets);
            // A difference of counters is far below 2^53.
            member.counters.packets.saturating_sub(old) as f64
        };
        let entered = met(chain.members.first()?);
        if entered <= 0.0 {
            return None;
        }
        let timed = chain.members.iter().filter_map(|m| Some(self.ns(m)? * met(m)));
        let (members, spent) = timed.fold((0, 0.0), |(n, sum), ns| (n + 1, sum + ns));
        (members > 0).then(|| units::nanoseconds(spent / entered))
    }

    fn row(&self, chain: &ChainStatus, member: &MemberStatus) -> Row {
        let older = self.older(member);
        let amount = |name: &str| {
            let old = older.map(|(m, secs)| (verdict(&m.counters, name), secs));
            shown(verdict(&member.counters, name), old)
        };
        let known = chain.hook.verdicts();
        let verdicts = known
            .into_iter()
            .filter(|v| verdict(&member.counters, v.as_str()) > 0)
            .map(|v| (v, amount(v.as_str())));
        Row {
            priority: member.priority.to_string(),
            name: member.name.clone(),
            package: format!("{} {}", member.package, member.version),
            observe: member.mode == Mode::Observe,
            verdicts: sorted(verdicts.collect()),
            ns: self.ns(member).map(units::nanoseconds),
            missed: member.counters.missed,
        }
    }
}

fn shown(now: u64, before: Option<(u64, f64)>) -> String {
    match before {
        // A difference of counters is far below 2^53.
        Some((old, secs)) if secs > 0.0 => units::rate(now.saturating_sub(old) as f64 / secs),
        _ => units::short_count(now),
    }
}

fn verdict(counters: &MemberCounters, name: &str) -> u64 {
    counters.verdicts.iter().find(|v| v.verdict == name).map_or(0, |v| v.packets)
}

/// What goes on comes first, what is taken out of the flow last.
fn sorted(mut verdicts: Vec<(Verdict, String)>) -> Vec<(Verdict, String)> {
    verdicts.sort_by_key(|(verdict, _)| (!goes_up(*verdict), *verdict));
    verdicts
}

/// Whether the kernel's stack gets a packet with this verdict at the end of a chain.
fn goes_up(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::Pass | Verdict::Ok | Verdict::Unspec | Verdict::Pipe)
}

fn packets_in(chain: &ChainStatus) -> u64 {
    chain.members.first().map_or(0, |m| m.counters.packets)
}

/// Packets that leave the chain upwards: each member's that end it there, and the last one's.
fn to_stack(chain: &ChainStatus) -> u64 {
    let last = chain.members.len().saturating_sub(1);
    let of = |(seat, member): (usize, &MemberStatus)| match (member.mode, seat == last) {
        (Mode::Observe, true) => member.counters.packets,
        (Mode::Observe, false) => 0,
        (Mode::Enforce, is_last) => {
            let ends = |v: Verdict, on: VerdictSet| is_last || !on.contains(v);
            let up = chain.hook.verdicts().into_iter().filter(|v| goes_up(*v));
            up.filter(|v| ends(*v, member.proceed_on))
                .map(|v| verdict(&member.counters, v.as_str()))
                .sum()
        }
    };
    chain.members.iter().enumerate().map(of).sum()
}

struct Row {
    priority: String,
    name: String,
    package: String,
    observe: bool,
    verdicts: Vec<(Verdict, String)>,
    /// Time a packet takes; none where none was timed.
    ns: Option<String>,
    missed: u64,
}

struct Widths {
    priority: usize,
    name: usize,
    package: usize,
}

impl Widths {
    fn of(rows: &[Row]) -> Self {
        let most = |of: fn(&Row) -> &str| {
            rows.iter().map(|row| of(row).chars().count()).max().unwrap_or(0)
        };
        Self {
            priority: most(|row| &row.priority),
            name: most(|row| &row.name),
            package: most(|row| &row.package),
        }
    }
}

impl Row {
    fn draw(&self, widths: &Widths) -> String {
        let name = format!("{:<width$}", self.name, width = widths.name);
        let mut line = format!(
            "{:>priority$} {}  {:<package$}  ",
            self.priority,
            paint::bold(&name),
            self.package,
            priority = widths.priority,
            package = widths.package,
        );
        let mut parts: Vec<String> = Vec::new();
        if self.observe {
            parts.push(paint::honey("observe"));
        }
        for (verdict, amount) in &self.verdicts {
            let colour = if goes_up(*verdict) { paint::moss } else { paint::clay };
            parts.push(format!("{} {amount}", colour(verdict.as_str())));
        }
        if self.verdicts.is_empty() && self.missed == 0 {
            parts.push(paint::dim("no packets yet"));
        }
        if self.missed > 0 {
            parts.push(paint::clay(&format!("missed {}", units::count(self.missed))));
        }
        if let Some(ns) = &self.ns {
            parts.push(paint::slate(ns));
        }
        line.push_str(&parts.join("  "));
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::plain;
    use skep_api::v1::chains::VerdictCount;
    use skep_artifact::digest::Digest;
    use skep_artifact::hook::{Failure, Hook};

    fn member(seat: (u32, &str, &str), mode: Mode, verdicts: &[(&str, u64)]) -> MemberStatus {
        let (priority, name, package) = seat;
        MemberStatus {
            policy: "edge".into(),
            name: name.into(),
            package: package.parse().unwrap(),
            version: "1.4.2".parse().unwrap(),
            index: Digest::of(name.as_bytes()),
            program: format!("xdp_{name}"),
            program_id: 7,
            priority,
            proceed_on: VerdictSet::default_for(Hook::Xdp),
            mode,
            failure: Failure::Closed,
            counters: MemberCounters {
                packets: verdicts.iter().map(|v| v.1).sum(),
                verdicts: verdicts
                    .iter()
                    .map(|(v, packets)| VerdictCount { verdict: (*v).into(), packets: *packets })
                    .collect(),
                ..MemberCounters::default()
            },
        }
    }

    fn chain(scale: u64) -> ChainStatus {
        ChainStatus {
            interface: "eth0".into(),
            hook: Hook::Xdp,
            backend: "slots".into(),
            backend_reason: "libxdp refused: kernel denies EXT.".into(),
            attach_mode: "native".into(),
            generation: 41,
            applied_at: 1_000,
            members: vec![
                member(
                    (10, "guard", "skep/firewall"),
                    Mode::Enforce,
                    &[("drop", 48_200 * scale), ("pass", 1_190_000 * scale)],
                ),
                member(
                    (20, "limiter", "acme/ratelimit"),
                    Mode::Enforce,
                    &[("pass", 1_180_000 * scale), ("drop", 11_000 * scale)],
                ),
                member(
                    (50, "flows", "skep/flowlog"),
                    Mode::Observe,
                    &[("pass", 1_180_000 * scale)],
                ),
            ],
        }
    }

    const HEADER: Header<'_> = Header { node: "edge-07", now: 1_180 };

    #[test]
    fn a_chain_is_drawn_with_rates_from_two_samples() {
        let (before, after) = ([chain(1)], [chain(3)]);
        let text = plain(&chains(&HEADER, &after, Some((&before, 2.0))));
        insta::assert_snapshot!("chain_with_rates", text);
    }

    #[test]
    fn times_and_missed_packets_stand_beside_the_verdicts() {
        let timed = |scale: u64| {
            let mut chain = chain(scale);
            for (member, ns) in chain.members.iter_mut().zip([31, 22, 18]) {
                member.counters.timed = 1000 * scale;
                member.counters.ns = 1000 * ns * scale * scale;
            }
            chain.members[1].counters.missed = 7;
            chain
        };
        // Between the samples a timed packet cost 4 times, over all of them 3 times as much.
        let text = plain(&chains(&HEADER, &[timed(3)], Some((&[timed(1)], 2.0))));
        insta::assert_snapshot!("chain_with_times", text);
        let text = plain(&chains(&HEADER, &[timed(1)], None));
        assert!(text.contains("18 ns") && text.contains("· 69 ns a packet"), "{text}");
    }

    #[test]
    fn one_sample_shows_sums() {
        insta::assert_snapshot!("chain_with_sums", plain(&chains(&HEADER, &[chain(1)], None)));
    }

    #[test]
    fn a_replaced_chain_shows_sums_because_its_counters_began_anew() {
        let older = ChainStatus { generation: 40, ..chain(9) };
        let text = plain(&chains(&HEADER, &[chain(1)], Some((&[older], 1.0))));
        assert!(!text.contains("/s"), "{text}");
    }

    #[test]
    fn a_node_without_chains_says_how_to_get_one() {
        let text = chains(&HEADER, &[], None);
        assert!(text.contains("skep apply"), "{text}");
    }

    #[test]
    fn packets_that_end_early_with_pass_also_reach_the_stack() {
        let mut early = chain(1);
        early.members[0].proceed_on = VerdictSet::EMPTY;
        assert_eq!(to_stack(&early), 1_190_000 + 1_180_000);
    }
}
