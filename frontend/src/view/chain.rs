//! What becomes of the packets of a chain: per member, how many go on, pass early, leave, are dropped.
//! It refuses to know where numbers come from (totals or rates) and how flows are drawn.

use skep_api::v1::chains::{ChainStatus, MemberCounters, MemberStatus};
use skep_artifact::hook::{Hook, Mode, Verdict, VerdictSet};

/// Packets per verdict: totals since the chain went live, or packets per second.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Amounts {
    pub packets: f64,
    pub bytes: f64,
    pub missed: f64,
    /// Mean time of a timed packet in the member, in nanoseconds; `None` where none was timed.
    pub ns_per_packet: Option<f64>,
    pub verdicts: Vec<(String, f64)>,
}

/// What became of the packets that met a member. The four parts add up to `entering`.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Flow {
    pub entering: f64,
    /// On to the next member, or past the last.
    pub onward: f64,
    /// Accepted here: to the stack without meeting the members that follow.
    pub early: f64,
    /// Sent elsewhere: transmitted back, redirected, stolen.
    pub diverted: f64,
    pub dropped: f64,
    /// What the member would have dropped, had its verdicts counted (mode observe).
    pub would_drop: f64,
}

/// What a verdict that does not let the next member run means for the packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Dropped,
    Accepted,
    Diverted,
}

impl Amounts {
    /// Totals since the chain went live.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "beyond 2^53 packets a picture stays the same")]
    pub fn totals(counters: &MemberCounters) -> Self {
        Self {
            packets: counters.packets as f64,
            bytes: counters.bytes as f64,
            missed: counters.missed as f64,
            ns_per_packet: counters.ns_per_packet(),
            verdicts: counters
                .verdicts
                .iter()
                .map(|v| (v.verdict.clone(), v.packets as f64))
                .collect(),
        }
    }

    /// The change from one report to a later one, per second; `None` when they do not compare, because
    /// counters went back.
    #[must_use]
    pub fn per_second(then: &MemberCounters, now: &MemberCounters, secs: f64) -> Option<Self> {
        let (before, after) = (Self::totals(then), Self::totals(now));
        if secs <= 0.0 || after.packets < before.packets {
            return None;
        }
        let was = |name: &str| {
            before.verdicts.iter().find(|(v, _)| v == name).map_or(0.0, |(_, packets)| *packets)
        };
        Some(Self {
            packets: (after.packets - before.packets) / secs,
            bytes: (after.bytes - before.bytes).max(0.0) / secs,
            missed: (after.missed - before.missed).max(0.0) / secs,
            // A time is no rate: that of the packets since then, or of all if none was timed since.
            ns_per_packet: newly_timed(then, now).ns_per_packet().or(after.ns_per_packet),
            verdicts: after
                .verdicts
                .iter()
                .map(|(name, packets)| (name.clone(), (packets - was(name)).max(0.0) / secs))
                .collect(),
        })
    }
}

/// What was timed between two reports.
fn newly_timed(then: &MemberCounters, now: &MemberCounters) -> MemberCounters {
    MemberCounters {
        ns: now.ns.saturating_sub(then.ns),
        timed: now.timed.saturating_sub(then.timed),
        ..MemberCounters::default()
    }
}

/// The totals of every member of a chain.
#[must_use]
pub fn totals(chain: &ChainStatus) -> Vec<Amounts> {
    chain.members.iter().map(|m| Amounts::totals(&m.counters)).collect()
}

/// What became of the packets of one member.
#[must_use]
pub fn flow(hook: Hook, member: &MemberStatus, amounts: &Amounts) -> Flow {
    let judged: f64 = amounts.verdicts.iter().map(|(_, packets)| packets).sum();
    // Counters of several CPUs are not read in one instant; what has no verdict yet counts as gone on.
    let entering = judged.max(amounts.packets);
    if member.mode == Mode::Observe {
        let would_drop = dropped_by(hook, amounts);
        return Flow { entering, onward: entering, would_drop, ..Flow::default() };
    }
    let mut flow = Flow { entering, onward: entering - judged, ..Flow::default() };
    for (name, packets) in &amounts.verdicts {
        match fate(hook, name, member.proceed_on) {
            None => flow.onward += packets,
            Some(Fate::Accepted) => flow.early += packets,
            Some(Fate::Diverted) => flow.diverted += packets,
            Some(Fate::Dropped) => flow.dropped += packets,
        }
    }
    flow
}

fn dropped_by(hook: Hook, amounts: &Amounts) -> f64 {
    let drops = |name: &str| fate(hook, name, VerdictSet::EMPTY) == Some(Fate::Dropped);
    amounts.verdicts.iter().filter(|(name, _)| drops(name)).map(|(_, packets)| packets).sum()
}

/// `None` when the next member runs.
fn fate(hook: Hook, name: &str, proceed_on: VerdictSet) -> Option<Fate> {
    let Ok(verdict) = Verdict::from_name(hook, name) else {
        // A verdict newer than this page: it is somewhere, and not in the next member.
        return Some(Fate::Diverted);
    };
    if proceed_on.contains(verdict) {
        return None;
    }
    Some(match verdict {
        Verdict::Aborted | Verdict::Drop | Verdict::Shot => Fate::Dropped,
        Verdict::Pass | Verdict::Unspec | Verdict::Ok | Verdict::Reclassify | Verdict::Pipe => {
            Fate::Accepted
        }
        Verdict::Tx
        | Verdict::Redirect
        | Verdict::Stolen
        | Verdict::Queued
        | Verdict::Repeat
        | Verdict::Trap => Fate::Diverted,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::samples;

    #[test]
    fn drops_leave_and_the_rest_goes_on() {
        let chain = samples::chain();
        let guard = &chain.members[0];
        let flow = flow(Hook::Xdp, guard, &Amounts::totals(&guard.counters));
        assert_eq!((flow.entering, flow.onward, flow.dropped), (1000.0, 960.0, 40.0));
        assert_eq!((flow.early, flow.diverted, flow.would_drop), (0.0, 0.0, 0.0));
    }

    #[test]
    fn an_observer_takes_nothing_but_tells_what_it_would() {
        let mut member = samples::chain().members[0].clone();
        member.mode = Mode::Observe;
        let flow = flow(Hook::Xdp, &member, &Amounts::totals(&member.counters));
        assert_eq!((flow.entering, flow.onward, flow.dropped), (1000.0, 1000.0, 0.0));
        assert_eq!(flow.would_drop, 40.0);
    }

    #[test]
    fn a_verdict_outside_proceed_on_ends_the_chain_without_being_a_drop() {
        let mut member = samples::chain().members[0].clone();
        member.proceed_on = VerdictSet::EMPTY;
        member.counters.verdicts = samples::verdicts(&[("pass", 10), ("tx", 3), ("warp", 1)]);
        member.counters.packets = 14;
        let flow = flow(Hook::Xdp, &member, &Amounts::totals(&member.counters));
        assert_eq!((flow.onward, flow.early, flow.diverted, flow.dropped), (0.0, 10.0, 4.0, 0.0));
    }

    #[test]
    fn tc_shot_is_a_drop_and_ok_goes_past_the_rest() {
        let mut member = samples::chain().members[0].clone();
        member.proceed_on = VerdictSet::default_for(Hook::TcIngress);
        member.counters.verdicts = samples::verdicts(&[("unspec", 5), ("ok", 3), ("shot", 2)]);
        member.counters.packets = 10;
        let flow = flow(Hook::TcIngress, &member, &Amounts::totals(&member.counters));
        assert_eq!((flow.onward, flow.early, flow.dropped), (5.0, 3.0, 2.0));
    }

    #[test]
    fn a_time_is_that_of_the_packets_since_the_report_before() {
        let timed = |ns, timed| MemberCounters { ns, timed, ..MemberCounters::default() };
        let between = |then, now| Amounts::per_second(&then, &now, 5.0).unwrap().ns_per_packet;
        assert_eq!(between(timed(1_000, 10), timed(1_400, 20)), Some(40.0));
        assert_eq!(
            between(timed(1_000, 10), timed(1_000, 10)),
            Some(100.0),
            "none was timed since"
        );
        assert_eq!(between(timed(0, 0), timed(0, 0)), None);
    }

    #[test]
    fn rates_need_time_to_pass_and_counters_that_grow() {
        let then = samples::chain().members[0].counters.clone();
        let mut now = then.clone();
        now.packets += 100;
        now.verdicts[1].packets += 60;
        let rates = Amounts::per_second(&then, &now, 2.0).unwrap();
        assert_eq!(rates.packets, 50.0);
        assert_eq!(rates.verdicts[1], ("drop".to_owned(), 30.0));
        assert_eq!(Amounts::per_second(&then, &now, 0.0), None);
        assert_eq!(Amounts::per_second(&now, &then, 2.0), None);
    }

    #[test]
    fn parts_always_add_up_to_what_entered() {
        let member = samples::chain().members[0].clone();
        for set in
            [VerdictSet::EMPTY, VerdictSet::of(&[Verdict::Pass]), VerdictSet::of(&[Verdict::Drop])]
        {
            let member = MemberStatus { proceed_on: set, ..member.clone() };
            let f = flow(Hook::Xdp, &member, &Amounts::totals(&member.counters));
            assert_eq!(f.onward + f.early + f.diverted + f.dropped, f.entering);
        }
    }
}
