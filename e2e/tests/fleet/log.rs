//! The transparency log with real programs: a node that asks for proofs, a registry that is put back to an older copy of
//! its data and continues differently, a witness, and the commands that read the log.

use serde_json::Value;
use skep_e2e::stage::{self, Stage};
use skep_e2e::{chain, wait};

/// Seconds of a long poll; the log is looked at as often.
const HEARTBEAT: [&str; 2] = ["--poll-secs", "1"];

fn guard() -> String {
    stage::policy("guard", "role=edge", "xdp", &[stage::guard("skep/firewall@^0.1", "enforce")])
}

fn logged(stage: &Stage, extra: &str) -> String {
    let key = stage.world.operator.skep(&["log", "key"]).unwrap();
    format!(
        "require-log = true\n{}\n[log]\nkey = \"{}\"\n{extra}",
        stage.trusting_policy(),
        key.trim()
    )
}

fn json(stage: &Stage, words: &[&str]) -> Value {
    stage.world.operator.skep_json(words).unwrap()
}

/// Waits until the registry's log is exactly what the node saw last.
fn caught_up(stage: &Stage, node: &str) -> u64 {
    wait::until("the node sees the newest checkpoint", wait::PATIENCE, || {
        let log = stage.world.operator.skep_json(&["log", "show"])?;
        let shown = stage.world.operator.skep_json(&["node", "show", node])?;
        Ok((shown["log"]["root"] == log["root"]).then(|| log["size"].as_u64()).flatten())
    })
    .unwrap()
}

fn alarmed(stage: &Stage, code: &str) {
    wait::until(&format!("the alarm {code} stands"), wait::PATIENCE, || {
        let finished = stage.world.operator.try_skep(&["log", "alarms", "--json"])?;
        let alarms: Value = serde_json::from_str(&finished.stdout).unwrap_or_default();
        let is = |alarm: &Value| alarm["node"] == "edge-1" && alarm["code"] == code;
        let stands = alarms["alarms"].as_array().is_some_and(|alarms| alarms.iter().any(is));
        Ok((stands && finished.code == 3).then_some(()))
    })
    .unwrap();
}

#[test]
fn a_registry_that_forks_its_log_is_refused_by_the_node_and_named_within_a_heartbeat() {
    if !crate::can_run(
        "log::a_registry_that_forks_its_log_is_refused_by_the_node_and_named_within_a_heartbeat",
    ) {
        return;
    }
    let mut stage = Stage::set().unwrap();
    stage.publish("firewall").unwrap();
    let policy = logged(&stage, "");
    let edge = stage.add_node_with("edge-1", "role=edge", &policy).unwrap();
    stage.world.nodes[edge].stop_agent().unwrap();
    stage.world.nodes[edge].start_agent_with(&HEARTBEAT).unwrap();
    stage.apply("guard.yaml", &guard()).unwrap();
    stage.converged(edge).unwrap();
    caught_up(&stage, "edge-1");
    let none = json(&stage, &["log", "alarms"]);
    assert_eq!(none["alarms"], serde_json::json!([]));

    // A copy of the data, from which the registry is restored later; meanwhile the log grows.
    let backup = stage.world.folder().join("backup");
    stage.world.registry.stop().unwrap();
    stage.world.registry.copy_data(&backup).unwrap();
    stage.world.registry.start_again(&stage.world.hub).unwrap();
    stage.publish("ratelimit").unwrap();
    let seen = caught_up(&stage, "edge-1");

    stage.world.registry.stop().unwrap();
    stage.world.registry.replace_data(&backup).unwrap();
    stage.world.registry.start_again(&stage.world.hub).unwrap();
    alarmed(&stage, "log.node_ahead");
    stage.refused_with(edge, "log.shrunk").unwrap();

    // It goes on differently until it is longer than what the node saw.
    for round in 0.. {
        let name = format!("other{round}");
        let key = stage.publisher.public.clone();
        stage.world.operator.skep(&["namespace", "claim", &name, "--key", &key]).unwrap();
        if json(&stage, &["log", "show"])["size"].as_u64().unwrap() > seen {
            break;
        }
    }
    alarmed(&stage, "log.split_view");
    let (_, said) = stage.refused_with(edge, "log.forked").unwrap();
    assert!(said.contains("forked"), "{said}");
    // Fail static: what ran goes on, and nothing new comes in.
    let running = stage.world.nodes[edge].chain(&stage.world.operator, "xdp").unwrap();
    assert_eq!(chain::names(&running), ["guard"]);
    // Whoever watched from the command line is told as well, and a publisher is not told that all is well.
    let verify = stage.world.operator.try_skep(&["log", "verify"]).unwrap();
    assert_eq!(verify.code, 3, "{verify}");
    assert!(verify.stderr.contains("forked"), "{verify}");
    let watch = stage.world.operator.try_skep(&["log", "watch", "--since", "0"]).unwrap();
    assert_eq!(watch.code, 3, "{watch}");
    let package = stage.package("ratelimit");
    let key = stage.publisher.argument().unwrap();
    let words = ["publish", package.to_str().unwrap(), "--key", key];
    let publish = stage.world.operator.try_skep(&words).unwrap();
    assert_eq!(publish.code, 3, "{publish}");
    assert!(publish.stderr.contains("does not prove"), "{publish}");
}

#[test]
fn a_node_without_the_logs_key_of_this_registry_loads_nothing_from_it() {
    if !crate::can_run("log::a_node_without_the_logs_key_of_this_registry_loads_nothing_from_it") {
        return;
    }
    let mut stage = Stage::set().unwrap();
    stage.publish("firewall").unwrap();
    let policy = logged(&stage, "");
    let key = stage.world.operator.skep(&["log", "key"]).unwrap();
    let other = other_key(&stage);
    let wrong = policy.replace(key.trim(), &other);
    let edge = stage.add_node_with("edge-1", "role=edge", &wrong).unwrap();
    stage.apply("guard.yaml", &guard()).unwrap();
    stage.refused_with(edge, "log.other_origin").unwrap();
    let node = &mut stage.world.nodes[edge];
    node.stop_agent().unwrap();
    node.allow(&policy).unwrap();
    node.start_agent_with(&HEARTBEAT).unwrap();
    stage.converged(edge).unwrap();
}

/// The key of another registry's log.
fn other_key(stage: &Stage) -> String {
    let mut command = stage.world.hub.command(&skep_e2e::programs::find("skep-registry").unwrap());
    let data = stage.world.folder().join("other-registry");
    command.args(["log-key", "--data"]).arg(&data);
    skep_e2e::process::run(&mut command).unwrap().expect_success().unwrap().trim().to_owned()
}

#[test]
fn the_log_is_verified_watched_and_witnessed_from_the_command_line() {
    if !crate::can_run("log::the_log_is_verified_watched_and_witnessed_from_the_command_line") {
        return;
    }
    let stage = Stage::set().unwrap();
    let said = stage.publish("firewall").unwrap();
    assert!(said.contains("proved"), "{said}");
    let verified = json(&stage, &["log", "verify"]);
    assert_eq!(verified["kinds"]["publish"], 1);
    assert_eq!(verified["entries"], verified["size"]);
    stage.publish("ratelimit").unwrap();
    let again = json(&stage, &["log", "verify", "--from", "2"]);
    assert!(again["seen_before"].as_u64() >= verified["size"].as_u64(), "{again}");
    let words = [
        "log",
        "watch",
        "skep/ratelimit",
        "--since",
        "0",
        "--limit",
        "2",
        "--json",
        "--every",
        "1s",
    ];
    // What concerns the whole namespace concerns the package: whose keys sign comes first.
    let lines = stage.world.operator.skep(&words).unwrap();
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let [claimed, line] = lines.as_slice() else { panic!("{lines:?}") };
    assert_eq!((&claimed["type"], &claimed["namespace"]), (&"delegation".into(), &"skep".into()));
    assert_eq!((&line["type"], &line["package"]), (&"publish".into(), &"skep/ratelimit".into()));
    let info = stage.world.operator.skep(&["info", "skep/ratelimit@0.1.0"]).unwrap();
    assert!(info.contains(&format!("entry {}\n", line["number"])), "{info}{line}");
    // A witness nobody asked for is told so; its key is well formed.
    let key = stage.stranger().unwrap();
    let file = key.argument().unwrap();
    let witness = ["log", "witness", "--name", "witness.example/w", "--key", file];
    let shown = stage.world.operator.skep(&[&witness[..], &["--show"]].concat()).unwrap();
    assert!(shown.starts_with("witness.example/w+"), "{shown}");
    let refused = stage.world.operator.try_skep(&[&witness[..], &["--once"]].concat()).unwrap();
    assert_eq!(refused.code, 3, "{refused}");
}
