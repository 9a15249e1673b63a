//! Revocations and what they meet on their way: the registry's trust metadata, plans, and publishers without an operator.

use std::time::{Duration, Instant};

use skep_e2e::stage::{self, Stage};

/// How long a poll of these nodes is parked. A revocation that is known before it ends was told by the poll's answer,
/// and not by the next question.
const PARKED: &str = "50";
/// The bar is 5 seconds; a busy test machine gets three times that, and still less than a poll or a refresh takes.
const REVOKED_WITHIN: Duration = Duration::from_secs(15);

fn guard(stage: &Stage, range: &str) {
    let members = [stage::guard(range, "enforce")];
    stage.apply("guard.yaml", &stage::policy("guard", "role=edge", "xdp", &members)).unwrap();
}

#[test]
#[expect(
    clippy::print_stderr,
    reason = "a figure that is read, not asserted beyond a generous bound"
)]
fn a_revocation_by_keys_the_node_has_not_heard_of_makes_it_read_the_trust_metadata_at_once() {
    if !crate::can_run(
        "revoked::a_revocation_by_keys_the_node_has_not_heard_of_makes_it_read_the_trust_metadata_at_once",
    ) {
        return;
    }
    let mut stage = Stage::set().unwrap();
    stage.publish("firewall").unwrap();
    crate::trust::small_ceremony(&stage);
    let edge = stage.world.add_node("edge-1").unwrap();
    let token = stage.node_token("role=edge").unwrap();
    let node = &mut stage.world.nodes[edge];
    let root = node.policy_file().with_file_name("root.json");
    std::fs::copy(stage.world.operator.file("c/1.root.json"), &root).unwrap();
    node.allow(&format!(
        "[trust]\nroot = \"root.json\"\n[[namespace]]\nname = \"skep\"\nhooks = [\"xdp\"]\n\
         [operator]\nkeys = [\"{}\"]\n",
        stage.operator.public
    ))
    .unwrap();
    node.enrol(&stage.world.registry, &token, &[]).unwrap();
    node.start_agent_with(&["--poll-secs", PARKED]).unwrap();
    guard(&stage, "skep/firewall@=0.1.0");
    stage.converged(edge).unwrap();

    // The publisher's key was stolen: the keepers delegate to a new one, and that revokes. The node read the metadata
    // a moment ago and would read it again in five minutes.
    let new = stage.stranger().unwrap();
    let script = format!(
        "set -eu\nskep trust delegate skep --key {} --out 3.targets.json\n\
         skep trust sign 3.targets.json --key targets.key\nskep trust add 3.targets.json\n",
        new.public
    );
    crate::trust::shell(&stage, &script).expect_success().unwrap();
    let words = ["revoke", "skep/firewall@0.1.0", "--reason", "the key was stolen"];
    stage.world.operator.skep(&[&words[..], &["--key", new.argument().unwrap()]].concat()).unwrap();
    let begun = Instant::now();
    let (code, message) = stage.refused_with(edge, "package.revoked").unwrap();
    let took = begun.elapsed();
    assert!(message.contains("the key was stolen"), "{code}: {message}");
    assert!(took < REVOKED_WITHIN, "{took:?}");
    eprintln!("revoke by new keys → metadata read → refused: {} ms", took.as_millis());
    // It was refused when it came, because nobody the node knew had signed it, and counts now.
    let log = stage.world.nodes[edge].agent_log().unwrap();
    assert!(log.contains("revocation.signature_untrusted"), "{log}");
}

#[test]
#[expect(
    clippy::print_stderr,
    reason = "a figure that is read, not asserted beyond a generous bound"
)]
fn a_publisher_revokes_without_an_operator_and_plans_pass_what_is_revoked_over() {
    if !crate::can_run(
        "revoked::a_publisher_revokes_without_an_operator_and_plans_pass_what_is_revoked_over",
    ) {
        return;
    }
    let mut stage = Stage::set().unwrap();
    stage.publish_version("firewall", "0.1.0").unwrap();
    stage.publish_version("firewall", "0.1.1").unwrap();
    let policy = stage.trusting_policy();
    let edge = stage.world.add_node("edge-1").unwrap();
    let token = stage.node_token("role=edge").unwrap();
    let node = &mut stage.world.nodes[edge];
    node.allow(&policy).unwrap();
    node.enrol(&stage.world.registry, &token, &[]).unwrap();
    node.start_agent_with(&["--poll-secs", PARKED]).unwrap();
    guard(&stage, "skep/firewall@^0.1");
    stage.converged(edge).unwrap();

    let made = ["token", "create", "--name", "ci", "--scope", "publish", "--namespace", "skep"];
    let secret = stage.world.operator.skep_json(&made).unwrap();
    let secret = secret["secret"].as_str().unwrap().to_owned();
    let token = stage.world.operator.write("ci.token", &secret).unwrap();
    let as_publisher = |words: &[&str]| {
        let mut command = stage.world.operator.command(words).unwrap();
        command.env("SKEP_TOKEN_FILE", &token);
        skep_e2e::process::run(&mut command).unwrap()
    };
    let revoke = ["revoke", "skep/firewall@0.1.1", "--reason", "lets IPv6 pass", "--key"];
    let stranger = stage.stranger().unwrap();
    let forged = as_publisher(&[&revoke[..], &[stranger.argument().unwrap()]].concat());
    forged.expect_code(3).unwrap();
    let key = stage.publisher.argument().unwrap();
    as_publisher(&[&revoke[..], &[key]].concat()).expect_success().unwrap();
    let begun = Instant::now();
    let (code, message) = stage.refused(edge).unwrap();
    let took = begun.elapsed();
    assert_eq!(code, "package.revoked", "{message}");
    assert!(took < REVOKED_WITHIN, "{took:?}");
    eprintln!(
        "revoke by the publisher → refused, as the registry shows it: {} ms",
        took.as_millis()
    );

    // The same range now means the version before, and says why.
    let file = stage.world.operator.file("guard.yaml");
    let plan = ["plan", "-f", file.to_str().unwrap()];
    let said = stage.world.operator.skep(&plan).unwrap();
    assert!(said.contains("0.1.1 is passed over: it was revoked (lets IPv6 pass)"), "{said}");
    let exact = stage::policy(
        "guard",
        "role=edge",
        "xdp",
        &[stage::guard("skep/firewall@=0.1.1", "enforce")],
    );
    let refused = stage.try_apply("exact.yaml", &exact).unwrap().expect_code(3).unwrap();
    assert!(refused.contains("it was revoked"), "{refused}");
    guard(&stage, "skep/firewall@^0.1");
    stage.world.nodes[edge].wait_until_it_takes_back(&stage.world.operator).unwrap();
    let xdp = stage.world.nodes[edge].chain(&stage.world.operator, "xdp").unwrap();
    assert_eq!(skep_e2e::chain::version(&xdp, "guard").unwrap(), "0.1.0");

    // All of it is in the log, and the registry shows what the log says.
    let verified = stage.world.operator.skep_json(&["log", "verify", "--served"]).unwrap();
    assert_eq!(verified["kinds"]["revoke"], 1, "{verified}");
    assert_eq!(verified["kinds"]["publish"], 2, "{verified}");
    assert!(verified["kinds"]["policy"].as_u64().unwrap() >= 4, "{verified}");
    assert_eq!(verified["left_out"], serde_json::json!([]), "{verified}");
}
