//! The waves of one revision, as they are signed with it. A node finds its own wave from them alone, so that whoever
//! joins later knows it as well, and no server can move a node. Refuses to know how far the rollout is.

use super::gate::Gate;
use super::strategy::{
    Bake, Domain, FreezeRule, Limits, OnFailure, RolloutStrategy, StrategyError, WaveDocument,
};
use super::units::{Secs, Share};
use super::window::Window;
use crate::ids::{NodeName, PolicyName};
use crate::policy::ApprovalRule;
use crate::selector::{Labels, Selector};
use serde::{Deserialize, Serialize};
use skep_artifact::digest::Digest;
use std::collections::{BTreeMap, BTreeSet};

/// Most kernel classes of which one node each goes first: more kernels than any fleet should have.
pub const CLASSES_MAX: usize = 64;

/// A node's place in the order of one rollout: the same on every machine, different in every rollout, so that it is not
/// always the same host that goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Order(pub u64);

impl Order {
    /// The place of a node in the rollout of a revision.
    #[must_use]
    pub fn of(policy: &PolicyName, revision: u64, node: &NodeName) -> Self {
        let text = format!("skep wave\n{policy}\n{revision}\n{node}");
        let mut first = [0; 8];
        first.copy_from_slice(&Digest::of(text.as_bytes()).as_bytes()[..8]);
        Self(u64::from_be_bytes(first))
    }
}

impl TryFrom<String> for Order {
    type Error = StrategyError;
    fn try_from(text: String) -> Result<Self, StrategyError> {
        let read = (text.len() == 16).then(|| u64::from_str_radix(&text, 16).ok()).flatten();
        read.map(Self).ok_or(StrategyError::Waves { found: 0 })
    }
}

impl From<Order> for String {
    fn from(it: Order) -> String {
        format!("{:016x}", it.0)
    }
}

/// What is signed of a rollout, as part of a revision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RolloutPlan {
    /// The strategy it was made from.
    pub strategy: String,
    pub waves: Vec<PlannedWave>,
    /// Nodes that go with the first wave whatever their place: one of each kernel that it would lack.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub first: BTreeSet<NodeName>,
    pub bake: Bake,
    pub converge: Secs,
    pub gates: Vec<Gate>,
    pub on_failure: OnFailure,
    pub limits: Limits,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub windows: Vec<Window>,
    #[serde(default)]
    pub freeze: FreezeRule,
}

/// One wave: the nodes that the selector means, up to a place in the order, and that no wave before has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PlannedWave {
    pub name: String,
    /// Absent for every node of the rollout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nodes: Option<Selector>,
    pub up_to: Order,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per: Option<Domain>,
}

/// What must be known of a node to give it a wave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    pub name: NodeName,
    pub labels: Labels,
    /// Kernels that verify alike; empty when nothing is known of its kernel.
    pub class: String,
}

/// Kernels of one series and machine verify alike; empty when nothing is known of a kernel.
#[must_use]
pub fn kernel_class(kernel: &str, arch: &str) -> String {
    if kernel.is_empty() {
        return String::new();
    }
    let series: Vec<&str> = kernel.splitn(3, '.').take(2).collect();
    format!("{} {arch}", series.join("."))
}

impl RolloutStrategy {
    /// The waves of one revision over the nodes it is for.
    ///
    /// # Errors
    /// [`StrategyError`] when the strategy means nothing.
    pub fn plan(
        &self,
        policy: &PolicyName,
        revision: u64,
        fleet: &[Member],
    ) -> Result<RolloutPlan, StrategyError> {
        self.check()?;
        let order = |member: &Member| Order::of(policy, revision, &member.name);
        let named = self.waves.iter().zip(self.wave_names());
        let waves = named.map(|(wave, name)| planned(wave, name, fleet, &order)).collect();
        let mut plan = RolloutPlan {
            strategy: self.name.clone(),
            waves,
            first: BTreeSet::new(),
            bake: self.bake,
            converge: self.converge,
            gates: self.read_gates()?,
            on_failure: self.on_failure,
            limits: self.limits,
            windows: self.windows.clone(),
            freeze: self.freeze,
        };
        plan.first = plan.one_of_each_class(policy, revision, fleet);
        Ok(plan)
    }
}

fn planned(
    wave: &WaveDocument,
    name: String,
    fleet: &[Member],
    order: &dyn Fn(&Member) -> Order,
) -> PlannedWave {
    let selector = wave.nodes.as_ref().and_then(|nodes| nodes.labels.clone());
    let meant = |member: &&Member| selector.as_ref().is_none_or(|s| s.matches(&member.labels));
    let mut orders: Vec<Order> = fleet.iter().filter(meant).map(order).collect();
    orders.sort_unstable();
    let most = match (wave.nodes.as_ref().and_then(|nodes| nodes.count), wave.percent) {
        (Some(count), _) => Some(count),
        (None, Some(percent)) if percent < 100 => Some(Share(percent * 100).ceil_of(orders.len())),
        _ => None,
    };
    let up_to = match most {
        None => Order(u64::MAX),
        Some(most) => {
            let last = most.min(orders.len()).checked_sub(1);
            last.map_or(Order(0), |last| orders[last])
        }
    };
    PlannedWave { name, nodes: selector, up_to, per: wave.per.clone() }
}

impl RolloutPlan {
    /// The wave of a node. Every node has one: the last is for all.
    #[must_use]
    pub fn wave_of(
        &self,
        policy: &PolicyName,
        revision: u64,
        node: &NodeName,
        labels: &Labels,
    ) -> usize {
        if self.first.contains(node) {
            return 0;
        }
        let order = Order::of(policy, revision, node);
        let holds = |wave: &PlannedWave| {
            order <= wave.up_to && wave.nodes.as_ref().is_none_or(|s| s.matches(labels))
        };
        self.waves.iter().position(holds).unwrap_or(self.waves.len().saturating_sub(1))
    }

    /// For each kernel class that the first wave lacks, the node of it that comes first.
    fn one_of_each_class(
        &self,
        policy: &PolicyName,
        revision: u64,
        fleet: &[Member],
    ) -> BTreeSet<NodeName> {
        let mut first: BTreeMap<&str, (bool, Order, &NodeName)> = BTreeMap::new();
        for member in fleet {
            let wave = self.wave_of(policy, revision, &member.name, &member.labels);
            let place = (wave != 0, Order::of(policy, revision, &member.name), &member.name);
            let best = first.entry(&member.class).or_insert(place);
            *best = place.min(*best);
        }
        let lacking = first.into_values().filter(|(later, _, _)| *later);
        lacking.take(CLASSES_MAX).map(|(_, _, name)| name.clone()).collect()
    }

    /// The waves from the first up to and with `wave` that ask for approval.
    #[must_use]
    pub fn asking(&self, rule: &ApprovalRule, wave: usize) -> Vec<&str> {
        let names = self.waves.iter().take(wave + 1).map(|wave| wave.name.as_str());
        names.filter(|name| rule.before.iter().any(|asked| asked == name)).collect()
    }

    /// Refuses plans in which some node would have no wave, or that are endless.
    ///
    /// # Errors
    /// [`StrategyError`].
    pub fn check(&self) -> Result<(), StrategyError> {
        let found = self.waves.len();
        if found == 0 || found > super::strategy::WAVES_MAX {
            return Err(StrategyError::Waves { found });
        }
        let for_all = |wave: &PlannedWave| wave.nodes.is_none() && wave.up_to == Order(u64::MAX);
        if !self.waves.last().is_some_and(for_all) {
            return Err(StrategyError::LastWave);
        }
        let mut seen = BTreeSet::new();
        if let Some(twice) = self.waves.iter().find(|wave| !seen.insert(&wave.name)) {
            return Err(StrategyError::WaveTwice { wave: twice.name.clone() });
        }
        if self.first.len() > CLASSES_MAX || self.gates.len() > super::strategy::GATES_MAX {
            return Err(StrategyError::Gates { found: self.gates.len() });
        }
        if self.bake.min > self.bake.max {
            return Err(StrategyError::Bake);
        }
        if self.converge.0 == 0 {
            return Err(StrategyError::Converge);
        }
        Ok(())
    }
}
