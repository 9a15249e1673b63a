//! What nodes said and counted, as a rollout understands it. Refuses to know when it is asked, and to judge.

use crate::control::Fleet;
use crate::live::Node;
use skep_api::v1::nodes::{NodeState, Refused};
use skep_fleet::ids::{MemberName, NodeName};
use skep_fleet::rollout::event::{Measured, Said, Seen};
use skep_fleet::rollout::gate::Observations;
use skep_fleet::rollout::state::SAMPLES_SHOWN_MAX;
use skep_fleet::rollout::{Event, Phase, Rollout, Sample, Stage, Target, TargetState};
use std::collections::{BTreeMap, BTreeSet};

/// Verdicts that end a packet.
const DROPS: [&str; 3] = ["drop", "aborted", "shot"];
/// Reasons for which a node has not come to a result yet: it asks again by itself.
const PASSING: [&str; 2] = ["fetch.unreachable", "fetch.failed"];

/// Nodes of which samples are kept one by one: four times what is shown with a piece of evidence.
const SAMPLES_MAX: usize = 4 * SAMPLES_SHOWN_MAX;
/// In whose name the others stand.
const OTHERS: &str = "all-others";

/// What happened to the nodes of a rollout that it does not know yet.
#[must_use]
pub fn news(fleet: &Fleet, it: &Rollout) -> Vec<Event> {
    let mut events = Vec::new();
    let joined = fleet.joining_now(it);
    if !joined.is_empty() {
        events.push(Event::Join { nodes: joined });
    }
    for (wave, keys) in fleet.approved_waves(it) {
        if it.approvals.get(&wave).is_none_or(|known| !keys.is_subset(known)) {
            events.push(Event::Approved { wave, keys });
        }
    }
    let seen: Vec<Seen> = it.targets.iter().filter_map(|(n, t)| seen(fleet, it, n, t)).collect();
    if !seen.is_empty() {
        events.push(Event::Seen { nodes: seen });
    }
    events
}

fn seen(fleet: &Fleet, it: &Rollout, name: &NodeName, target: &Target) -> Option<Seen> {
    let node = fleet.node_named(name)?;
    let said = said(fleet, it, &node);
    let is_news = match &said {
        Said::Silent => !target.silent,
        Said::Busy => target.silent,
        Said::Runs(_) => {
            let open = matches!(
                target.state,
                TargetState::Dispatched { .. }
                    | TargetState::Failed { .. }
                    | TargetState::Reverting { .. }
                    | TargetState::Owed
            );
            target.silent || open
        }
        Said::Refuses { .. } => {
            let open = matches!(
                target.state,
                TargetState::Dispatched { .. } | TargetState::Applied { .. }
            );
            target.silent || open
        }
    };
    is_news.then(|| Seen { node: name.clone(), said })
}

/// A node's word about what it is offered now.
fn said(fleet: &Fleet, it: &Rollout, node: &Node) -> Said {
    let summary = fleet.summary_of(node);
    match (summary.state, it.holds(&node.name), summary.refusal) {
        (NodeState::Unreachable | NodeState::New, _, _) => Said::Silent,
        (NodeState::Healthy, Some(holds), _) => Said::Runs(holds),
        (NodeState::Refused, Some(offered), Some(Refused { code, message }))
            if !PASSING.contains(&code.as_str()) =>
        {
            Said::Refuses { offered, code, message }
        }
        // It is there; what it says is not about this policy, or no result yet.
        _ => Said::Busy,
    }
}

/// What one member counted, by node and member.
type Counts = BTreeMap<(NodeName, MemberName), Counted>;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Counted {
    packets: u64,
    dropped: u64,
    ns: u64,
    timed: u64,
}

impl Counted {
    /// What was counted since; everything, when a chain began anew in between.
    fn since(self, before: Self) -> Self {
        if self.packets < before.packets {
            return self;
        }
        Self {
            packets: self.packets - before.packets,
            dropped: self.dropped.saturating_sub(before.dropped),
            ns: self.ns.saturating_sub(before.ns),
            timed: self.timed.saturating_sub(before.timed),
        }
    }
}

/// What members counted when a wave began: what others counted since, and the treated ones before, is compared with it.
#[derive(Default)]
pub struct Baselines {
    wave: Option<usize>,
    counts: Counts,
    /// What treated nodes counted before they got the revision.
    before: Counts,
}

impl Baselines {
    /// Remembers what was counted, when a wave begins.
    pub fn look(&mut self, fleet: &Fleet, it: &Rollout) {
        let wave = it.phase.wave();
        let waiting = |target: &Target| matches!(target.state, TargetState::Waiting);
        let now = counted(fleet, it, waiting);
        // A node that was given the revision a moment ago counted this much until then.
        self.before.extend(now.iter().map(|(key, counted)| (key.clone(), *counted)));
        if self.wave != wave {
            self.wave = wave;
            self.counts = now;
        }
    }

    /// What was observed for the gates of the wave under way.
    #[must_use]
    pub fn measured(
        &self,
        fleet: &Fleet,
        it: &Rollout,
        values: &[(usize, Option<f64>)],
    ) -> Option<Event> {
        let Phase::Running { wave, stage } = it.phase else { return None };
        let treated = counted(fleet, it, |t| matches!(t.state, TargetState::Applied { .. }));
        let untreated = counted(fleet, it, |t| matches!(t.state, TargetState::Waiting));
        let since = untreated.iter().filter_map(|(key, now)| {
            let before = self.counts.get(key)?;
            Some((key.clone(), now.since(*before)))
        });
        let nodes: BTreeSet<&NodeName> = treated.keys().map(|(node, _)| node).collect();
        let before = self.before.iter().filter(|((node, _), _)| nodes.contains(node));
        let seen = Observations {
            untreated: samples(since),
            before: samples(before.map(|(key, counted)| (key.clone(), *counted))),
            treated: samples(treated.iter().map(|(key, counted)| (key.clone(), *counted))),
            values: values.to_vec(),
        };
        // Missing data must be judged as well, once the gates are asked.
        (!seen.treated.is_empty() || !values.is_empty() || stage == Stage::Gate)
            .then_some(Event::Measured(Measured { wave, seen }))
    }
}

/// Samples, those that dropped most first. Of many nodes the rest is one sample a member: sums are what gates look at, and
/// every observation is kept.
fn samples(counts: impl Iterator<Item = ((NodeName, MemberName), Counted)>) -> Vec<Sample> {
    let sample = |((node, member), Counted { packets, dropped, ns, timed })| Sample {
        node,
        member,
        packets,
        dropped,
        ns,
        timed,
    };
    let mut samples: Vec<Sample> = counts.map(sample).collect();
    samples.sort_by_key(|sample| std::cmp::Reverse(sample.dropped));
    let rest = samples.split_off(samples.len().min(SAMPLES_MAX));
    let Ok(others) = OTHERS.parse::<NodeName>() else { return samples };
    let mut sums: BTreeMap<MemberName, Sample> = BTreeMap::new();
    for Sample { member, packets, dropped, ns, timed, .. } in rest {
        let sum = sums.entry(member.clone()).or_insert_with(|| {
            let node = others.clone();
            Sample { node, member, packets: 0, dropped: 0, ns: 0, timed: 0 }
        });
        sum.packets = sum.packets.saturating_add(packets);
        sum.dropped = sum.dropped.saturating_add(dropped);
        sum.ns = sum.ns.saturating_add(ns);
        sum.timed = sum.timed.saturating_add(timed);
    }
    samples.extend(sums.into_values());
    samples
}

/// What the members of the policy counted on some of its nodes.
fn counted(fleet: &Fleet, it: &Rollout, wanted: impl Fn(&Target) -> bool) -> Counts {
    let mut counts = Counts::new();
    for (name, _) in it.targets.iter().filter(|(_, target)| wanted(target) && !target.silent) {
        let Some(node) = fleet.node_named(name) else { continue };
        for member in node.members_of(it.policy.as_str()) {
            let Ok(member_name) = member.name.parse::<MemberName>() else { continue };
            let sum = counts.entry((name.clone(), member_name)).or_default();
            let dropped = member.counters.verdicts.iter();
            let dropped = dropped.filter(|count| DROPS.contains(&count.verdict.as_str()));
            sum.packets = sum.packets.saturating_add(member.counters.packets);
            sum.dropped += dropped.map(|count| count.packets).sum::<u64>();
            sum.ns = sum.ns.saturating_add(member.counters.ns);
            sum.timed = sum.timed.saturating_add(member.counters.timed);
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_nodes_the_worst_are_named_and_no_packet_is_left_out() {
        let counted = |at: u64| {
            let node: NodeName = format!("edge-{at}").parse().unwrap();
            let member: MemberName = "guard".parse().unwrap();
            let counted = Counted { packets: 10, dropped: at, ns: 1, timed: 1 };
            ((node, member), counted)
        };
        let many = samples((0..1000).map(counted));
        assert_eq!(many.len(), SAMPLES_MAX + 1);
        assert_eq!((many[0].node.as_str(), many[0].dropped), ("edge-999", 999));
        assert_eq!(many.iter().map(|sample| sample.packets).sum::<u64>(), 10_000);
        assert_eq!(many.iter().map(|sample| sample.dropped).sum::<u64>(), 499_500);
        assert_eq!(many[SAMPLES_MAX].node.as_str(), OTHERS);
    }

    #[test]
    fn counters_that_began_anew_count_from_nothing() {
        let before = Counted { packets: 100, dropped: 10, ns: 0, timed: 0 };
        let after = Counted { packets: 150, dropped: 12, ns: 0, timed: 0 };
        assert_eq!(after.since(before), Counted { packets: 50, dropped: 2, ns: 0, timed: 0 });
        let anew = Counted { packets: 30, dropped: 1, ns: 0, timed: 0 };
        assert_eq!(anew.since(before), anew);
    }
}
