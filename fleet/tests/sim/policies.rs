//! What operators sign in a simulated story. Refuses to know what becomes of it.

use crate::random::Random;
use skep_fleet::policy::{Attach, Fallback, InterfaceMatch, PinnedProgram};
use skep_fleet::rollout::{Member, RolloutStrategy};
use skep_fleet::{PolicyRevision, Selector};

pub(crate) fn revision(
    name: &str,
    number: u64,
    strategy: &RolloutStrategy,
    fleet: &[Member],
    bad: bool,
) -> PolicyRevision {
    let program = |version: u64| PinnedProgram {
        name: "m".parse().unwrap(),
        package: "acme/guard".parse().unwrap(),
        version: semver::Version::new(version, 0, u64::from(bad)),
        index: skep_artifact::digest::Digest::of(format!("{name} {version} {bad}").as_bytes()),
        program: "guard".to_owned(),
        priority: 10,
        proceed_on: skep_artifact::hook::VerdictSet::default_for(skep_artifact::hook::Hook::Xdp),
        mode: skep_artifact::hook::Mode::Enforce,
        failure: skep_artifact::hook::Failure::Open,
        config: skep_artifact::config::ConfigValues::default(),
    };
    let policy = name.parse().unwrap();
    PolicyRevision {
        rollout: Some(strategy.plan(&policy, number, fleet).unwrap()),
        name: policy,
        revision: number,
        removed: false,
        nodes: Selector { every_node: true, ..Selector::default() },
        attach: Attach::on(
            InterfaceMatch { patterns: vec!["eth*".to_owned()] },
            skep_artifact::hook::Hook::Xdp,
        ),
        programs: vec![program(number)],
        fallback: Some(Fallback { revision: number - 1, programs: vec![program(number - 1)] }),
        approval: strategy.approval.clone(),
    }
}

pub(crate) fn strategy(random: &mut Random, many: bool) -> RolloutStrategy {
    let waves = *random.pick(&[
        r#"[{"name":"canary","nodes":{"count":1}},{"percent":25},{"percent":100}]"#,
        r#"[{"percent":10},{"percent":50,"per":{"label":"zone","atMost":1}},{"percent":100}]"#,
        r#"[{"name":"lab","nodes":{"labels":{"matchLabels":{"zone":"a"}},"count":2}},{"percent":100}]"#,
        r#"[{"percent":100}]"#,
    ]);
    let approval = if waves.contains("canary") && random.per_mille(300) {
        r#"{"before":["wave-2"],"by":2}"#
    } else {
        "null"
    };
    let applied = random.pick(&["100%", "90%"]);
    let limit = if many { "20%" } else { random.pick(&["5%", "20%", "100%"]) };
    let per_minute = if many { "null" } else { random.pick(&["null", "3", "50"]) };
    let failure = if random.per_mille(800) { "rollback" } else { "hold" };
    let text = format!(
        r#"{{"kind":"RolloutStrategy","name":"s","waves":{waves},"bake":{{"min":"20s","max":"5m"}},
        "converge":"3m","gates":[{{"builtin":"verdicts","drop":{{"atMost":"5%"}},"minPackets":20}},
        {{"builtin":"applied","atLeast":"{applied}"}}],"onFailure":"{failure}","approval":{approval},
        "limits":{{"unavailable":"{limit}","perMinute":{per_minute}}}}}"#
    );
    serde_json::from_str(&text).unwrap()
}
