//! What Prometheus reads: the running chains as metrics, in the OpenMetrics text format. The names are
//! in docs/metrics.md, and a test compares both. Pure; refuses to know how it is asked.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use skep_api::v1::chains::{ChainStatus, MemberStatus};
use skep_artifact::hook::{Failure, Mode, Verdict};
use std::sync::atomic::AtomicU64;

#[cfg(test)]
mod tests;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AgentLabels {
    node: String,
    version: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ChainLabels {
    interface: String,
    hook: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BuildLabels {
    interface: String,
    hook: String,
    backend: String,
    attach_mode: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MemberLabels {
    interface: String,
    hook: String,
    policy: String,
    member: String,
    package: String,
    version: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct VerdictLabels {
    interface: String,
    hook: String,
    policy: String,
    member: String,
    package: String,
    version: String,
    verdict: String,
}

#[derive(Default)]
struct Metrics {
    agent: Family<AgentLabels, Gauge>,
    trust_fresh_until: Family<Vec<(String, String)>, Gauge>,
    chain: Family<BuildLabels, Gauge>,
    generation: Family<ChainLabels, Gauge>,
    applied: Family<ChainLabels, Gauge>,
    packets: Family<MemberLabels, Counter>,
    bytes: Family<MemberLabels, Counter>,
    missed: Family<MemberLabels, Counter>,
    drops: Family<MemberLabels, Counter>,
    verdicts: Family<VerdictLabels, Counter>,
    timed_packets: Family<MemberLabels, Counter>,
    timed_seconds: Family<MemberLabels, Counter<f64, AtomicU64>>,
}

/// The metrics of a node as text.
#[must_use]
pub fn text(
    node: &str,
    version: &str,
    chains: &[ChainStatus],
    trust_fresh_until: Option<i64>,
) -> String {
    let metrics = Metrics::default();
    let agent = AgentLabels { node: node.to_owned(), version: version.to_owned() };
    metrics.agent.get_or_create(&agent).set(1);
    if let Some(until) = trust_fresh_until {
        metrics.trust_fresh_until.get_or_create(&Vec::new()).set(until);
    }
    chains.iter().for_each(|chain| metrics.add(chain));
    let mut text = String::new();
    // Writing into a String cannot fail.
    let _ = encode(&mut text, &metrics.registry());
    text
}

impl Metrics {
    fn add(&self, chain: &ChainStatus) {
        let labels =
            ChainLabels { interface: chain.interface.clone(), hook: chain.hook.to_string() };
        let generation = i64::try_from(chain.generation).unwrap_or(i64::MAX);
        self.generation.get_or_create(&labels).set(generation);
        self.applied.get_or_create(&labels).set(chain.applied_at);
        let build = BuildLabels {
            interface: labels.interface,
            hook: labels.hook,
            backend: chain.backend.clone(),
            attach_mode: chain.attach_mode.clone(),
        };
        self.chain.get_or_create(&build).set(1);
        chain.members.iter().for_each(|member| self.add_member(chain, member));
    }

    fn add_member(&self, chain: &ChainStatus, member: &MemberStatus) {
        let labels = MemberLabels {
            interface: chain.interface.clone(),
            hook: chain.hook.to_string(),
            policy: member.policy.clone(),
            member: member.name.clone(),
            package: member.package.to_string(),
            version: member.version.to_string(),
        };
        let counters = &member.counters;
        self.packets.get_or_create(&labels).inc_by(counters.packets);
        self.bytes.get_or_create(&labels).inc_by(counters.bytes);
        self.missed.get_or_create(&labels).inc_by(counters.missed);
        self.drops.get_or_create(&labels).inc_by(drops(chain, member));
        self.timed_packets.get_or_create(&labels).inc_by(counters.timed);
        #[expect(clippy::cast_precision_loss, reason = "Prometheus counts in f64")]
        self.timed_seconds.get_or_create(&labels).inc_by(counters.ns as f64 / 1e9);
        for counted in &counters.verdicts {
            let labels = VerdictLabels {
                interface: labels.interface.clone(),
                hook: labels.hook.clone(),
                policy: labels.policy.clone(),
                member: labels.member.clone(),
                package: labels.package.clone(),
                version: labels.version.clone(),
                verdict: counted.verdict.clone(),
            };
            self.verdicts.get_or_create(&labels).inc_by(counted.packets);
        }
    }

    fn registry(&self) -> Registry {
        let mut registry = Registry::with_prefix("skep");
        registry.register("agent", "The agent, always 1", self.agent.clone());
        registry.register(
            "trust_fresh_until_timestamp_seconds",
            "Until when the trust metadata of the registry lets new things be accepted, in seconds since 1970",
            self.trust_fresh_until.clone(),
        );
        registry.register("chain", "A running chain, always 1", self.chain.clone());
        registry.register(
            "chain_generation",
            "Generation of the desired state that put the chain there",
            self.generation.clone(),
        );
        registry.register(
            "chain_applied_timestamp_seconds",
            "When the chain was switched live, in seconds since 1970",
            self.applied.clone(),
        );
        registry.register("member_packets", "Packets that met the member", self.packets.clone());
        registry.register("member_bytes", "Bytes of those packets", self.bytes.clone());
        registry.register(
            "member_missed",
            "Packets for which the member could not run",
            self.missed.clone(),
        );
        registry.register(
            "member_drops",
            "Packets that ended with the member: its drops, and those it missed while closed",
            self.drops.clone(),
        );
        registry.register(
            "member_verdicts",
            "Packets by the member's verdict",
            self.verdicts.clone(),
        );
        registry.register(
            "member_timed_packets",
            "Packets whose time in the member was measured",
            self.timed_packets.clone(),
        );
        registry.register(
            "member_timed_seconds",
            "Time that those packets spent in the member",
            self.timed_seconds.clone(),
        );
        registry
    }
}

/// Packets that ended with this member. One that only observes ends nothing, and a drop after which
/// the chain goes on may be taken back.
fn drops(chain: &ChainStatus, member: &MemberStatus) -> u64 {
    if member.mode == Mode::Observe {
        return 0;
    }
    let ends = |name: &str| {
        Verdict::from_name(chain.hook, name).is_ok_and(|verdict| {
            matches!(verdict, Verdict::Aborted | Verdict::Drop | Verdict::Shot)
                && !member.proceed_on.contains(verdict)
        })
    };
    let said = member.counters.verdicts.iter().filter(|counted| ends(&counted.verdict));
    let missed = if member.failure == Failure::Closed { member.counters.missed } else { 0 };
    said.map(|counted| counted.packets).sum::<u64>() + missed
}
