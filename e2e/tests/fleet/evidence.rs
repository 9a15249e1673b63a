//! A node policy that asks for more than signatures, and a person who runs a program by hand under it: refused until there
//! is what it asks for, and kept when the chain is put together again.

use std::process::Command;

use skep_e2e::process::{self, Finished};
use skep_e2e::stage::Stage;

const NAME: &str =
    "evidence::a_program_run_by_hand_needs_the_kernels_word_and_the_log_when_the_policy_asks";

/// `skep` of the operator, with places for what it runs.
fn skep(stage: &Stage, words: &[&str]) -> Finished {
    let mut command: Command = stage.world.operator.command(words).unwrap();
    command
        .env("SKEP_RUN_PIN_ROOT", stage.world.bpffs().join("run"))
        .env("SKEP_RUN_STATE", stage.world.folder().join("run-state"))
        .env("SKEP_AGENT_PIN_ROOT", stage.world.bpffs().join("agent"))
        .env("LIBXDP_BPFFS", stage.world.bpffs().join("libxdp"));
    process::run(&mut command).unwrap()
}

#[test]
fn a_program_run_by_hand_needs_the_kernels_word_and_the_log_when_the_policy_asks() {
    if !crate::can_run(NAME) {
        return;
    }
    let stage = Stage::set().unwrap();
    stage.publish("firewall").unwrap();
    stage.publish("ratelimit").unwrap();
    let lab = stage.stranger().unwrap();
    let plain = stage.world.operator.write("plain.toml", &stage.trusting_policy()).unwrap();
    let log = stage.world.operator.skep(&["log", "key"]).unwrap();
    let rule = format!(
        "threshold = 1\nrequire-verified-on = true\nverified-on-keys = [\"{}\"]\n",
        lab.public
    );
    // Only the namespace's table asks for it; the operator's follows.
    let strict = stage.trusting_policy().replacen("threshold = 1\n", &rule, 1);
    let strict = format!("require-log = true\n{strict}\n[log]\nkey = \"{}\"\n", log.trim());
    let strict = stage.world.operator.write("strict.toml", &strict).unwrap();
    let (plain, strict) = (plain.to_str().unwrap(), strict.to_str().unwrap());
    let pair = ["link", "add", "run0", "type", "veth", "peer", "name", "run1"];
    stage.world.hub.ip(&pair).unwrap();
    stage.world.hub.ip(&["link", "set", "run0", "up"]).unwrap();

    let guard = ["run", "skep/firewall@0.1.0", "-i", "run0", "--trust", strict, "--detach"];
    let refused = skep(&stage, &guard).expect_code(3).unwrap();
    assert!(refused.contains("Refused: skep/firewall 0.1.0"), "{refused}");
    assert!(refused.contains("a kernel verified it"), "{refused}");
    // The publisher's own word is not the lab's.
    let attest = |key: &str| {
        let words = ["attest", "verified-on", "skep/firewall@0.1.0", "--key", key];
        skep(&stage, &[&words[..], &["--policy", plain]].concat()).expect_success().unwrap();
    };
    attest(stage.publisher.argument().unwrap());
    skep(&stage, &guard).expect_code(3).unwrap();
    attest(lab.argument().unwrap());
    skep(&stage, &guard).expect_success().unwrap();

    // Another program joins the chain: the first is proved again, by the policy it was taken under.
    let limiter = ["run", "skep/ratelimit@0.1.0", "-i", "run0", "--trust", plain, "--detach"];
    skep(&stage, &limiter).expect_success().unwrap();
    let list = skep(&stage, &["--json", "run", "--list"]).expect_success().unwrap();
    let list: serde_json::Value = serde_json::from_str(&list).unwrap();
    assert_eq!(list["runs"].as_array().unwrap().len(), 2, "{list}");
    skep(&stage, &["run", "--stop", "run0"]).expect_success().unwrap();
}
