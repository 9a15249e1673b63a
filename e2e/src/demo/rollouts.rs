//! Scenes in which a version goes out in waves: a good one that goes through, and a bad one that comes back by itself.

use anyhow::{Context, Result};
use serde_json::Value;

use super::edge_guard;
use super::tell::Teller;
use crate::node::INTERFACE;
use crate::rollout::{self, POLICY, Traffic};
use crate::stage::Stage;
use crate::{chain, kernel, wait};

const GOOD: &str = "0.1.3";
const BAD: &str = "0.1.4";
/// Long enough that somebody sees the canary being watched.
const BAKE_SECS: u32 = 3;

pub(super) fn a_good_version(teller: &mut Teller, stage: &Stage) -> Result<()> {
    teller.scene("A canary");
    let published = stage.publish_version("firewall", GOOD)?;
    teller.shown("skep publish programs/firewall --key publisher.key", &published);
    let strategy = rollout::careful(BAKE_SECS);
    teller.line("The policy names a strategy: one node first, then everybody, and a gate that compares what both drop.");
    teller.text(&strategy);
    let traffic = Traffic::to_all(stage)?;
    let operator = &stage.world.operator;
    let document = rollout::in_waves(&edge_guard(GOOD), &strategy);
    teller.shown(
        "skep apply -f edge-guard.yaml --key operator.key",
        &stage.apply("edge-guard.yaml", &document)?,
    );
    let revision = newest(stage)?;
    let watched = |detail: &Value| detail["summary"]["stage"] == "bake";
    let detail = rollout::until(operator, revision, "the canary is watched", watched)?;
    let (canary, other) = rollout::canary_and_other(stage, &detail)?;
    let names = [canary, other].map(|node| stage.world.nodes[node].name.clone());
    teller.shown("skep rollout show edge-guard", &operator.skep(&["rollout", "show", POLICY])?);
    teller.expect(
        &format!("{} runs {GOOD}, {} still runs what it had", names[0], names[1]),
        version(stage, canary)? == GOOD && version(stage, other)? != GOOD,
    );
    let done = rollout::until(operator, revision, "the rollout goes through", |detail| {
        rollout::is(detail, "succeeded")
    })?;
    for node in [canary, other] {
        stage.converged(node)?;
    }
    teller.shown("skep rollout show edge-guard", &operator.skep(&["rollout", "show", POLICY])?);
    let passed = |one: &Value| one["what"] == "gate-passed";
    let gates = done["evidence"].as_array().is_some_and(|all| all.iter().any(passed));
    teller.expect("the gates let it pass, on what both nodes counted", gates);
    teller.expect(
        &format!("both nodes run {GOOD}"),
        version(stage, canary)? == GOOD && version(stage, other)? == GOOD,
    );
    drop(traffic);
    Ok(())
}

pub(super) fn a_bad_version(teller: &mut Teller, stage: &Stage) -> Result<()> {
    teller.scene("A bad version");
    rollout::publish_bad_firewall(stage, BAD)?;
    teller.line(&format!(
        "skep/firewall {BAD} is published and signed like every other. It loads, it runs, and it drops UDP, which nobody \
         asked for. Nobody watches."
    ));
    let traffic = Traffic::to_all(stage)?;
    let operator = &stage.world.operator;
    let running = |node: usize| kernel::attached_xdp(&stage.world.nodes[node].namespace, INTERFACE);
    let before = [running(0)?, running(1)?];
    let document = rollout::in_waves(&edge_guard(BAD), &rollout::careful(BAKE_SECS));
    teller.shown(
        "skep apply -f edge-guard.yaml --key operator.key",
        &stage.apply("edge-guard.yaml", &document)?,
    );
    let revision = newest(stage)?;
    let (canary, other) = rollout::canary_and_other(stage, &rollout::shown(operator, revision)?)?;
    wait::until("the canary runs the bad version", wait::PATIENCE, || {
        Ok((running(canary)? != before[canary]).then_some(()))
    })?;
    let detail = rollout::until(operator, revision, "the rollout goes back", |detail| {
        rollout::is(detail, "rolled back")
    })?;
    stage.converged(canary)?;
    teller.shown("skep rollout show edge-guard", &operator.skep(&["rollout", "show", POLICY])?);
    let names = [canary, other].map(|node| stage.world.nodes[node].name.clone());
    let failed = |one: &Value| {
        let mut samples = one["samples"].as_array().into_iter().flatten();
        one["what"] == "gate-failed" && samples.any(|sample| sample["node"] == *names[0])
    };
    let evidence = detail["evidence"].as_array().is_some_and(|all| all.iter().any(failed));
    teller.expect(&format!("what {} counted is the evidence", names[0]), evidence);
    teller.expect(
        &format!("{} runs {GOOD} again, and no person did that", names[0]),
        version(stage, canary)? == GOOD,
    );
    teller.expect(
        &format!("{} was never touched", names[1]),
        before[other].is_some() && running(other)? == before[other],
    );
    drop(traffic);
    Ok(())
}

fn version(stage: &Stage, node: usize) -> Result<String> {
    let xdp = stage.world.nodes[node].chain(&stage.world.operator, "xdp")?;
    Ok(chain::version(&xdp, "guard")?.to_owned())
}

/// The newest revision of the policy that is rolled out.
fn newest(stage: &Stage) -> Result<u64> {
    let all = stage.world.operator.skep_json(&["rollout", "list"])?;
    let numbers = all["rollouts"].as_array().context("`skep rollout list` lists")?;
    let numbers = numbers.iter().filter_map(|rollout| rollout["revision"].as_u64());
    numbers.max().context("a rollout has a revision")
}
