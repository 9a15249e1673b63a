//! A small fleet and a rollout over it, for cases and properties about rollouts. Refuses to assert anything.

use skep_artifact::digest::Digest;
use skep_artifact::hook::{Failure, Hook, Mode, VerdictSet};
use skep_fleet::policy::{Attach, Fallback, InterfaceMatch, PinnedProgram};
use skep_fleet::rollout::event::{Joining, Said, Seen, Surroundings};
use skep_fleet::rollout::gate::Observations;
use skep_fleet::rollout::{
    Event, Held, Measured, Member, Phase, Rollout, RolloutStrategy, Sample, step,
};
use skep_fleet::selector::Labels;
use skep_fleet::{NodeName, PolicyRevision, Selector};

pub(crate) const OLD: Held = Held { revision: 1, fallback: false };
pub(crate) const NEW: Held = Held { revision: 2, fallback: false };
pub(crate) const BACK: Held = Held { revision: 2, fallback: true };

/// A canary of one, a quarter, everybody; at most 5% may be dropped.
pub(crate) const CAREFUL: &str = r#"{"kind":"RolloutStrategy","name":"careful",
    "waves":[{"name":"canary","nodes":{"count":1}},{"percent":25},{"percent":100}],
    "bake":{"min":"60s","max":"10m"},"converge":"5m","limits":{"unavailable":"20%"},
    "gates":[{"builtin":"verdicts","drop":{"atMost":"5%"}}]}"#;

pub(crate) fn node(n: usize) -> NodeName {
    format!("n{n}").parse().unwrap()
}

pub(crate) fn strategy(text: &str) -> RolloutStrategy {
    serde_json::from_str(text).unwrap()
}

/// With `{}` of the careful strategy replaced by what a case is about.
pub(crate) fn careful_with(change: &str, by: &str) -> RolloutStrategy {
    assert!(CAREFUL.contains(change), "{change}");
    strategy(&CAREFUL.replace(change, by))
}

pub(crate) fn members(count: usize) -> Vec<Member> {
    let member = |n: usize| Member {
        name: node(n),
        labels: Labels::from([("zone".to_owned(), ["a", "b", "c"][n % 3].to_owned())]),
        class: "6.1".to_owned(),
    };
    (0..count).map(member).collect()
}

fn program(version: u64) -> PinnedProgram {
    PinnedProgram {
        name: "guard".parse().unwrap(),
        package: "acme/guard".parse().unwrap(),
        version: semver::Version::new(version, 0, 0),
        index: Digest::of(&version.to_be_bytes()),
        program: "guard".to_owned(),
        priority: 10,
        proceed_on: VerdictSet::default_for(Hook::Xdp),
        mode: Mode::Enforce,
        failure: Failure::Open,
        config: skep_artifact::config::ConfigValues::default(),
    }
}

pub(crate) fn revision(name: &str, strategy: &RolloutStrategy, fleet: &[Member]) -> PolicyRevision {
    let policy = name.parse().unwrap();
    PolicyRevision {
        rollout: Some(strategy.plan(&policy, 2, fleet).unwrap()),
        name: policy,
        revision: 2,
        removed: false,
        nodes: Selector { every_node: true, ..Selector::default() },
        attach: Attach::on(InterfaceMatch { patterns: vec!["eth*".to_owned()] }, Hook::Xdp),
        programs: vec![program(2)],
        fallback: Some(Fallback { revision: 1, programs: vec![program(1)] }),
        approval: strategy.approval.clone(),
    }
}

pub(crate) fn joining(member: &Member) -> Joining {
    Joining { member: member.clone(), before: Some(OLD) }
}

/// Everybody has revision 1; revision 2 is planned over them.
pub(crate) fn planned(name: &str, strategy: &RolloutStrategy, fleet: &[Member]) -> Rollout {
    let revision = revision(name, strategy, fleet);
    let payload = Digest::of(&revision.to_json().unwrap());
    let draft = Rollout::draft(&revision, payload, Some(OLD), 0).unwrap();
    let nodes = fleet.iter().map(joining).collect();
    step(&draft, &Event::Plan { nodes }, 0).unwrap().0
}

pub(crate) fn start() -> Event {
    Event::Start { by: "ada".to_owned(), hash: None, glass: None }
}

pub(crate) fn tick() -> Event {
    Event::Tick(Surroundings::default())
}

pub(crate) fn seen(node: &NodeName, said: Said) -> Event {
    Event::Seen { nodes: vec![Seen { node: node.clone(), said }] }
}

pub(crate) fn refuses(node: &NodeName) -> Event {
    let (code, message) = ("chain.verifier".to_owned(), "not on this kernel".to_owned());
    seen(node, Said::Refuses { offered: NEW, code, message })
}

/// So many packets met the new version on this node, so many were dropped.
pub(crate) fn measured(rollout: &Rollout, node: &NodeName, packets: u64, dropped: u64) -> Event {
    let wave = rollout.phase.wave().unwrap_or(0);
    let member = "guard".parse().unwrap();
    let sample = Sample { node: node.clone(), member, packets, dropped, ns: 0, timed: 0 };
    Event::Measured(Measured {
        wave,
        seen: Observations { treated: vec![sample], ..Observations::default() },
    })
}

/// A rollout and its time, driven by a case.
pub(crate) struct Story {
    pub(crate) it: Rollout,
    pub(crate) now: i64,
}

impl Story {
    pub(crate) fn of(strategy: &RolloutStrategy, nodes: usize) -> Self {
        Self { it: planned("p", strategy, &members(nodes)), now: 1000 }
    }

    #[track_caller]
    pub(crate) fn then(&mut self, event: &Event) -> &mut Self {
        self.it = step(&self.it, event, self.now).unwrap().0;
        self
    }

    pub(crate) fn after(&mut self, secs: i64) -> &mut Self {
        self.now += secs;
        self.then(&tick())
    }

    pub(crate) fn dispatched(&self) -> Vec<NodeName> {
        let nodes = self.it.targets.iter().filter(|(_, target)| target.state.in_flight());
        nodes.map(|(node, _)| node.clone()).collect()
    }

    /// Every node in flight runs it, until none is left to give it to.
    #[track_caller]
    pub(crate) fn converge(&mut self) -> &mut Self {
        for _ in 0..1000 {
            let nodes = self.dispatched();
            if nodes.is_empty() {
                return self;
            }
            for node in nodes {
                self.then(&seen(&node, Said::Runs(NEW)));
            }
            self.after(1);
        }
        panic!("it never converges: {:?}", self.it.phase)
    }

    /// The wave is watched, and what it counts is good.
    #[track_caller]
    pub(crate) fn bake(&mut self) -> &mut Self {
        self.after(60);
        let good = measured(&self.it, &node(0), 1000, 0);
        self.then(&good).after(1)
    }

    pub(crate) fn touched(&self) -> usize {
        self.it.targets.values().filter(|target| target.state.touched()).count()
    }

    pub(crate) fn is_paused(&self) -> bool {
        matches!(self.it.phase, Phase::Paused { .. })
    }
}
