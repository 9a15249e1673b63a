//! What a person at a terminal is told: by publish, pull, plan, apply and detach, with the exit codes scripts rely on.

use serde_json::Value;
use skep_e2e::node::INTERFACE;
use skep_e2e::stage::{self, Stage};
use skep_e2e::{kernel, process, programs, wait};

#[test]
fn a_pull_writes_what_the_publisher_signed_and_nothing_else() {
    if !crate::can_run("cli::a_pull_writes_what_the_publisher_signed_and_nothing_else") {
        return;
    }
    let stage = Stage::set().unwrap();
    let operator = &stage.world.operator;
    stage.publish("firewall").unwrap();

    let pull = |out: &str, key: &str| {
        operator.try_skep(&["pull", "skep/firewall@0.1.0", "--out", out, "--key", key]).unwrap()
    };
    pull("mine", &stage.publisher.public).expect_success().unwrap();
    let pulled = std::fs::read(operator.file("mine/firewall.bpf.o")).unwrap();
    let built = std::fs::read(stage.package("firewall").join("firewall.bpf.o")).unwrap();
    assert_eq!(pulled, built);
    let index: Value =
        serde_json::from_slice(&std::fs::read(operator.file("mine/index.json")).unwrap()).unwrap();
    let digest = index["manifests"][0]["digest"].as_str().unwrap().replace("sha256:", "");
    assert!(operator.file(&format!("mine/blobs/sha256/{digest}")).is_file());

    let stranger = stage.stranger().unwrap();
    let said = pull("theirs", &stranger.public).expect_code(3).unwrap();
    assert!(said.contains("does not accept for skep/*"), "{said}");
    assert!(!operator.file("theirs").exists());

    let said = operator.try_skep(&["info", "skep/nothing"]).unwrap().expect_code(4).unwrap();
    assert!(said.contains("skep/nothing"), "{said}");
}

#[test]
fn a_version_is_published_once_and_by_its_owner_only() {
    if !crate::can_run("cli::a_version_is_published_once_and_by_its_owner_only") {
        return;
    }
    let stage = Stage::set().unwrap();
    let operator = &stage.world.operator;
    let folder = stage.package("firewall");
    let folder = folder.to_str().unwrap();
    let publish = |key: &stage::Key| {
        operator.try_skep(&["publish", folder, "--key", key.argument().unwrap()]).unwrap()
    };
    let stranger = stage.stranger().unwrap();
    let said = publish(&stranger).expect_code(3).unwrap();
    assert!(said.contains("0 keys of yours may sign for skep"), "{said}");
    publish(&stage.publisher).expect_success().unwrap();
    let said = publish(&stage.publisher).expect_code(3).unwrap();
    assert!(said.contains("is published already"), "{said}");

    let page = operator.skep_json(&["search", "firewall"]).unwrap();
    assert_eq!(page["packages"][0]["name"], "skep/firewall");
    assert_eq!(page["total"], 1);
}

#[test]
fn publishers_who_are_at_it_together_all_get_in() {
    if !crate::can_run("cli::publishers_who_are_at_it_together_all_get_in") {
        return;
    }
    let stage = Stage::set().unwrap();
    let packages = ["firewall", "ratelimit", "flowlog"];
    std::thread::scope(|scope| {
        let publishing = packages.map(|name| scope.spawn(|| stage.publish(name).unwrap()));
        for one in publishing {
            assert!(one.join().unwrap().starts_with("Published skep/"));
        }
    });
    let namespace = stage.world.operator.skep_json(&["namespace", "show", "skep"]).unwrap();
    assert_eq!(namespace["packages"], 3);
    assert_eq!(namespace["role_version"], 3, "nobody's version was overwritten");
}

#[test]
fn a_plan_says_what_an_apply_then_does() {
    if !crate::can_run("cli::a_plan_says_what_an_apply_then_does") {
        return;
    }
    let mut stage = Stage::set().unwrap();
    stage.publish("firewall").unwrap();
    let edge = stage.add_node("edge-1", "role=edge").unwrap();
    let operator = &stage.world.operator;
    wait::until("the registry knows the node's interfaces", wait::PATIENCE, || {
        let seen = stage.world.nodes[edge].as_seen_by(operator)?;
        let interfaces = seen["summary"]["interfaces"].as_array().cloned().unwrap_or_default();
        Ok(interfaces.iter().any(|name| name == INTERFACE).then_some(()))
    })
    .unwrap();
    let policy = |mode| {
        let members = [stage::guard("skep/firewall@^0.1", mode)];
        let text = stage::policy("edge-guard", "role=edge", "xdp", &members);
        operator.write("edge.yaml", &text).unwrap()
    };

    let file = policy("observe");
    let file = file.to_str().unwrap();
    let plan = || operator.skep(&["plan", "-f", file]).unwrap();
    let apply = |key: &stage::Key| {
        let words =
            ["apply", "-f", file, "--key", key.argument().unwrap(), "--yes", "--wait", "60s"];
        operator.try_skep(&words).unwrap()
    };
    let planned = plan();
    assert!(planned.contains("edge-guard  new, r1 · selects 1 node"), "{planned}");
    assert!(planned.contains("+ 10 guard (edge-guard)  skep/firewall 0.1.0"), "{planned}");
    let held = operator.skep_json(&["policy", "list"]).unwrap();
    assert_eq!(held["policies"], Value::Array(Vec::new()), "a plan changes nothing");

    let said = apply(&stage.operator).expect_success().unwrap();
    assert!(said.contains("Runs on edge-1."), "{said}");
    assert!(plan().ends_with("Nothing changes on any node.\n"));
    let drawn = operator.skep(&["node", "chain", "edge-1", INTERFACE, "--once"]).unwrap();
    assert!(
        drawn.contains(&format!("edge-1 · {INTERFACE} · xdp native · backend slots")),
        "{drawn}"
    );
    assert!(drawn.contains("└─ 10 guard  skep/firewall 0.1.0  observe"), "{drawn}");

    policy("enforce");
    let planned = plan();
    assert!(planned.contains("~ 10 guard (edge-guard)  mode observe → enforce"), "{planned}");
    let stranger = stage.stranger().unwrap();
    let said = apply(&stranger).expect_code(3).unwrap();
    assert!(said.contains("Node edge-1 refused generation"), "{said}");
    assert!(said.contains("What ran before still runs."), "{said}");
    let chain = stage.world.nodes[edge].chain(operator, "xdp").unwrap();
    assert_eq!(chain["members"][0]["mode"], "observe");
}

#[test]
fn detaching_works_through_the_agent_and_without_it() {
    if !crate::can_run("cli::detaching_works_through_the_agent_and_without_it") {
        return;
    }
    let mut stage = Stage::set().unwrap();
    stage.publish("firewall").unwrap();
    for (name, agent_runs) in [("edge-1", true), ("edge-2", false)] {
        let label = format!("name={name}");
        let index = stage.add_node(name, &label).unwrap();
        let members = [stage::guard("skep/firewall@^0.1", "enforce")];
        stage.apply("guard.yaml", &stage::policy(name, &label, "xdp", &members)).unwrap();
        stage.converged(index).unwrap();
        let node = &mut stage.world.nodes[index];
        assert!(kernel::attached_xdp(&node.namespace, INTERFACE).unwrap().is_some());
        if !agent_runs {
            node.kill_agent().unwrap();
        }
        let mut detach = node.namespace.command(&programs::find("skep").unwrap());
        detach.args(["--json", "node", "detach", "--all", "--socket"]).arg(node.socket());
        detach.arg("--state").arg(node.state()).arg("--pin-root").arg(node.pin_root());
        detach.env("LIBXDP_BPFFS", node.libxdp_bpffs());
        let said = process::run(&mut detach).unwrap().expect_success().unwrap();
        let said: Value = serde_json::from_str(&said).unwrap();
        assert_eq!(said["detached"][0]["interface"], INTERFACE);
        assert_eq!(said["detached"][0]["hook"], "xdp");
        assert!(kernel::attached_xdp(&node.namespace, INTERFACE).unwrap().is_none());
    }
}
