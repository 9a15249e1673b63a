//! Chains and their counters at one moment, whoever runs them, and what two moments say together:
//! rates, verdicts, nanoseconds. Pure but for the two functions that ask the engine.

use serde::Serialize;
use skep_api::v1::chains::ChainStatus;
use skep_artifact::hook::{Hook, Mode, Verdict};
use skep_chain_dispatcher::{MemberCounters, ObserveError, ObservedChain, Observer, XdpMode};

/// Who keeps a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Keeper {
    /// The agent, for the fleet.
    Agent,
    /// A person, with `skep run`.
    Run,
}

/// One chain at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reading {
    pub keeper: Keeper,
    pub interface: String,
    pub hook: Hook,
    pub backend: String,
    pub why: String,
    /// `native`, `generic` or `offloaded`; empty on tc.
    pub xdp_mode: String,
    /// Together with the keeper and the place, says whether counters began anew.
    pub generation: u64,
    pub members: Vec<MemberReading>,
}

/// One member at one moment; its counters since the chain went live.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct MemberReading {
    pub policy: String,
    pub name: String,
    /// `acme/ratelimit 1.4.2`, or `local object`.
    pub what: String,
    pub priority: u32,
    pub observe: bool,
    pub packets: u64,
    pub bytes: u64,
    pub missed: u64,
    pub verdicts: Vec<(Verdict, u64)>,
    /// Nanoseconds that the timed packets spent in it, all together.
    pub ns: u64,
    /// How many packets were timed.
    pub timed: u64,
}

/// One chain as it is shown: totals, and rates where two moments are known.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct ChainRow {
    pub keeper: Keeper,
    pub interface: String,
    pub hook: Hook,
    pub backend: String,
    pub why: String,
    pub xdp_mode: String,
    pub generation: u64,
    pub members: Vec<MemberRow>,
}

/// One member as it is shown.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct MemberRow {
    pub policy: String,
    pub name: String,
    pub what: String,
    pub priority: u32,
    pub observe: bool,
    pub packets: Amount,
    pub bytes: Amount,
    pub missed: Amount,
    /// Those that occurred.
    pub verdicts: Vec<VerdictRow>,
    /// Nanoseconds a packet spent in it; absent while nothing is timed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ns_per_packet: Option<f64>,
}

/// How often one verdict was given.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct VerdictRow {
    pub verdict: Verdict,
    #[serde(flatten)]
    pub amount: Amount,
}

/// A counter, and how fast it grows.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub(crate) struct Amount {
    pub total: u64,
    /// Absent when there is one moment only, or counters began anew between two.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_second: Option<f64>,
}

impl Amount {
    fn of(total: u64, before: Option<(u64, f64)>) -> Self {
        // Differences of counters are far below 2^53.
        let per_second = before
            .filter(|(old, secs)| *secs > 0.0 && *old <= total)
            .map(|(old, secs)| (total - old) as f64 / secs);
        Self { total, per_second }
    }
}

/// The chains of one keeper in this network namespace.
///
/// # Errors
/// When pins or kernel cannot be read.
pub(crate) fn of_host(observer: &Observer, keeper: Keeper) -> Result<Vec<Reading>, ObserveError> {
    let mut readings = Vec::new();
    for chain in observer.observe()? {
        if chain.dispatcher_id.is_none() {
            continue;
        }
        let counters = match observer.counters(&chain.at) {
            Ok(counters) => counters,
            // It went away while we looked.
            Err(ObserveError::InterfaceGone { .. }) => continue,
            Err(error) => return Err(error),
        };
        readings.push(of_chain(keeper, &chain, &counters));
    }
    Ok(readings)
}

/// One chain as the engine sees it.
pub(crate) fn of_chain(
    keeper: Keeper,
    chain: &ObservedChain,
    counters: &[MemberCounters],
) -> Reading {
    let member = |m: &skep_chain_dispatcher::ObservedMember| {
        let counted = counters.iter().find(|c| c.policy == m.policy && c.name == m.name);
        let what = match (&m.package, &m.version) {
            (Some(package), Some(version)) => format!("{package} {version}"),
            _ => "local object".to_owned(),
        };
        MemberReading {
            policy: m.policy.clone(),
            name: m.name.clone(),
            what,
            priority: m.priority,
            observe: m.mode == Mode::Observe,
            packets: counted.map_or(0, |c| c.packets),
            bytes: counted.map_or(0, |c| c.bytes),
            missed: counted.map_or(0, |c| c.missed),
            verdicts: counted.map(|c| c.verdicts.clone()).unwrap_or_default(),
            ns: counted.map_or(0, |c| c.ns),
            timed: counted.map_or(0, |c| c.timed),
        }
    };
    Reading {
        keeper,
        interface: chain.at.interface.clone(),
        hook: chain.at.hook,
        backend: chain.backend.map(|backend| backend.to_string()).unwrap_or_default(),
        why: chain.reason.clone(),
        xdp_mode: chain.mode.map(mode_word).unwrap_or_default().to_owned(),
        generation: chain.generation,
        members: chain.members.iter().map(member).collect(),
    }
}

/// The agent's chains as its socket tells them.
pub(crate) fn of_agent(chains: &[ChainStatus]) -> Vec<Reading> {
    let one = |chain: &ChainStatus| {
        let member = |m: &skep_api::v1::chains::MemberStatus| {
            let verdict = |v: &skep_api::v1::chains::VerdictCount| {
                Some((Verdict::from_name(chain.hook, &v.verdict).ok()?, v.packets))
            };
            MemberReading {
                policy: m.policy.clone(),
                name: m.name.clone(),
                what: format!("{} {}", m.package, m.version),
                priority: m.priority,
                observe: m.mode == Mode::Observe,
                packets: m.counters.packets,
                bytes: m.counters.bytes,
                missed: m.counters.missed,
                verdicts: m.counters.verdicts.iter().filter_map(verdict).collect(),
                ns: m.counters.ns,
                timed: m.counters.timed,
            }
        };
        Reading {
            keeper: Keeper::Agent,
            interface: chain.interface.clone(),
            hook: chain.hook,
            backend: chain.backend.clone(),
            why: chain.backend_reason.clone(),
            xdp_mode: chain.attach_mode.clone(),
            generation: chain.generation,
            members: chain.members.iter().map(member).collect(),
        }
    };
    chains.iter().map(one).collect()
}

fn mode_word(mode: XdpMode) -> &'static str {
    match mode {
        XdpMode::Native => "native",
        XdpMode::Generic => "generic",
        XdpMode::Offloaded => "offloaded",
    }
}

/// What two moments say together; `before` lies so many seconds back. One moment gives totals alone.
pub(crate) fn rows(now: &[Reading], before: Option<(&[Reading], f64)>) -> Vec<ChainRow> {
    now.iter().map(|reading| chain_row(reading, before)).collect()
}

fn chain_row(now: &Reading, before: Option<(&[Reading], f64)>) -> ChainRow {
    let older = before.and_then(|(readings, secs)| {
        let same = |r: &&Reading| {
            (r.keeper, &r.interface, r.hook, r.generation)
                == (now.keeper, &now.interface, now.hook, now.generation)
        };
        Some((readings.iter().find(same)?, secs))
    });
    ChainRow {
        keeper: now.keeper,
        interface: now.interface.clone(),
        hook: now.hook,
        backend: now.backend.clone(),
        why: now.why.clone(),
        xdp_mode: now.xdp_mode.clone(),
        generation: now.generation,
        members: now.members.iter().map(|member| member_row(member, older)).collect(),
    }
}

fn member_row(now: &MemberReading, older: Option<(&Reading, f64)>) -> MemberRow {
    let old = older.and_then(|(chain, secs)| {
        let same = |m: &&MemberReading| (&m.policy, &m.name) == (&now.policy, &now.name);
        Some((chain.members.iter().find(same)?, secs))
    });
    let amount = |of: fn(&MemberReading) -> u64| {
        Amount::of(of(now), old.map(|(member, secs)| (of(member), secs)))
    };
    let verdict = |(verdict, total): &(Verdict, u64)| {
        let before = old.map(|(member, secs)| (count(member, *verdict), secs));
        VerdictRow { verdict: *verdict, amount: Amount::of(*total, before) }
    };
    MemberRow {
        policy: now.policy.clone(),
        name: now.name.clone(),
        what: now.what.clone(),
        priority: now.priority,
        observe: now.observe,
        packets: amount(|m| m.packets),
        bytes: amount(|m| m.bytes),
        missed: amount(|m| m.missed),
        verdicts: now.verdicts.iter().filter(|(_, total)| *total > 0).map(verdict).collect(),
        ns_per_packet: cost(now, old.map(|(member, _)| member)),
    }
}

/// The mean of the packets timed between two moments; of all that were ever timed when none was since.
fn cost(now: &MemberReading, before: Option<&MemberReading>) -> Option<f64> {
    let since = before
        .and_then(|old| Some((now.ns.checked_sub(old.ns)?, now.timed.checked_sub(old.timed)?)));
    let (ns, timed) = since.filter(|(_, timed)| *timed > 0).unwrap_or((now.ns, now.timed));
    (timed > 0).then(|| ns as f64 / timed as f64)
}

fn count(member: &MemberReading, verdict: Verdict) -> u64 {
    member.verdicts.iter().find(|(v, _)| *v == verdict).map_or(0, |(_, total)| *total)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(generation: u64, packets: u64) -> Reading {
        Reading {
            keeper: Keeper::Run,
            interface: "eth0".into(),
            hook: Hook::Xdp,
            backend: "slots".into(),
            why: String::new(),
            xdp_mode: "native".into(),
            generation,
            members: vec![MemberReading {
                name: "guard".into(),
                packets,
                verdicts: vec![(Verdict::Pass, packets), (Verdict::Drop, 0)],
                ..MemberReading::default()
            }],
        }
    }

    #[test]
    fn the_cost_is_that_of_the_packets_timed_since_and_of_all_when_there_are_none() {
        let member = |ns, timed| MemberReading { ns, timed, ..MemberReading::default() };
        assert_eq!(cost(&member(0, 0), None), None);
        assert_eq!(cost(&member(100, 10), None), Some(10.0));
        assert_eq!(cost(&member(160, 12), Some(&member(100, 10))), Some(30.0));
        assert_eq!(cost(&member(100, 10), Some(&member(100, 10))), Some(10.0));
        assert_eq!(cost(&member(100, 10), Some(&member(900, 90))), Some(10.0));
    }

    #[track_caller]
    fn check(before: Option<(Reading, f64)>, expected: Option<f64>) {
        let now = [reading(7, 300)];
        let older = before.map(|(reading, secs)| (vec![reading], secs));
        let rows = rows(&now, older.as_ref().map(|(r, secs)| (r.as_slice(), *secs)));
        let member = &rows[0].members[0];
        assert_eq!(member.packets, Amount { total: 300, per_second: expected });
        assert_eq!(member.verdicts.len(), 1, "a verdict that never occurred is not shown");
        assert_eq!(member.verdicts[0].amount.per_second, expected);
    }

    #[test]
    fn a_rate_needs_two_moments_of_one_chain() {
        check(Some((reading(7, 100), 2.0)), Some(100.0));
        check(None, None);
        check(Some((reading(6, 100), 2.0)), None);
        check(Some((reading(7, 400), 2.0)), None);
        check(Some((reading(7, 100), 0.0)), None);
        check(Some((Reading { keeper: Keeper::Agent, ..reading(7, 100) }, 2.0)), None);
    }
}
