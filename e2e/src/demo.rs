//! The demo: the main job with real parts, told scene by scene, with every expectation checked. One file a scene group
//! below `demo/`. Refuses to look inside any program; what it shows is what a person would see.

mod attacks;
mod rollouts;
mod tell;
mod traffic;

use anyhow::{Context, Result};

use crate::demo::tell::Teller;
use crate::stage::{self, Stage};
use crate::world::World;
use crate::{chain, interrupt, kernel, node, wait};

/// What happens when the story has been told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Everything is taken away.
    CleanUp,
    /// Everything runs on until Ctrl-C.
    KeepRunning,
}

/// Label of both nodes.
const EDGE: &str = "role=edge";
/// First version of the firewall, and the one it is upgraded to.
const FIREWALL_OLD: &str = "0.1.0";
const FIREWALL_NEW: &str = "0.1.1";

/// Tells the story. Returns the expectations that did not hold, each a sentence.
///
/// # Errors
/// When a step cannot be done at all.
pub fn perform(ending: Ending) -> Result<Vec<String>> {
    interrupt::watch()?;
    let mut teller = Teller::default();
    let mut stage = registry_and_keys(&mut teller)?;
    packages(&mut teller, &stage)?;
    nodes(&mut teller, &mut stage)?;
    policies(&mut teller, &stage)?;
    traffic::treated_as_policies_say(&mut teller, &stage)?;
    traffic::upgrade_without_a_gap(&mut teller, &stage)?;
    attacks::tampered_package(&mut teller, &mut stage)?;
    attacks::unknown_signer(&mut teller, &stage)?;
    attacks::downgrade(&mut teller, &mut stage)?;
    agent_dies(&mut teller, &mut stage)?;
    rollouts::a_good_version(&mut teller, &stage)?;
    rollouts::a_bad_version(&mut teller, &stage)?;

    teller.scene("What came of it");
    teller.verdict();
    if ending == Ending::KeepRunning {
        keep_running(&mut teller, &stage)?;
    }
    teller.line("Cleaning up: agents, registry, chains, namespaces.");
    Ok(teller.into_failures())
}

fn registry_and_keys(teller: &mut Teller) -> Result<Stage> {
    teller.scene("A registry");
    teller.line("SQLite and a folder for blobs, nothing configured. It listens outside loopback, so it made a CA of its own and speaks TLS only.");
    let mut world = World::create()?;
    world.open_door()?;
    teller.shown(
        &format!(
            "skep-registry serve --data DIR --listen {}",
            world.registry.address().trim_start_matches("https://")
        ),
        "",
    );
    teller.fact("address", world.registry.address());
    teller.fact(
        "web",
        &format!("{}/ (its CA: {})", world.registry.address(), world.registry.ca().display()),
    );
    teller.expect("the registry speaks TLS", world.registry.address().starts_with("https://"));

    teller.scene("Two keys");
    teller.line("The publisher signs packages, the operator signs policies. Both keys stay where they were made.");
    let stage = Stage::set_in(world)?;
    teller.fact("publisher", &stage.publisher.public);
    teller.fact("operator", &stage.operator.public);
    Ok(stage)
}

fn packages(teller: &mut Teller, stage: &Stage) -> Result<()> {
    teller.scene("Three packages, built, signed, published");
    for name in ["firewall", "ratelimit", "flowlog"] {
        teller.shown(
            &format!("skep publish programs/{name} --key publisher.key"),
            &stage.publish(name)?,
        );
    }
    let found = stage.world.operator.skep(&["search", "skep"])?;
    teller.shown("skep search skep", &found);
    teller.expect(
        "all three are found",
        ["firewall", "ratelimit", "flowlog"].iter().all(|name| found.contains(name)),
    );
    Ok(())
}

fn nodes(teller: &mut Teller, stage: &mut Stage) -> Result<()> {
    teller.scene("Two nodes");
    teller.line("Each is a network namespace with an agent of its own. Each agent verifies by itself, against this file of its owner:");
    let policy = format!(
        "[[namespace]]\nname = \"{}\"\nkeys = [\"{}\"]\nthreshold = 1\nhooks = [\"xdp\"]\n\n{}",
        attacks::VENDOR,
        stage.publisher.public,
        stage.trusting_policy()
    );
    teller.text(&policy);
    for name in ["edge-1", "edge-2"] {
        stage.add_node_with(name, EDGE, &policy)?;
    }
    wait::until("both nodes are healthy", wait::PATIENCE, || {
        let list = stage.world.operator.skep_json(&["node", "list"])?;
        let nodes = list["nodes"].as_array().context("`skep node list --json` has no nodes")?;
        Ok((nodes.len() == 2 && nodes.iter().all(|node| node["state"] == "healthy")).then_some(()))
    })?;
    teller.shown("skep node list", &stage.world.operator.skep(&["node", "list"])?);
    Ok(())
}

/// What the operator wants of every edge node on XDP, with one version of the firewall.
fn edge_guard(firewall: &str) -> String {
    let range = format!("skep/firewall@={firewall}");
    let members = [stage::guard(&range, "enforce"), stage::limiter("skep/ratelimit@^0.1")];
    stage::policy("edge-guard", EDGE, "xdp", &members)
}

fn policies(teller: &mut Teller, stage: &Stage) -> Result<()> {
    teller.scene("Two policies, three programs, one interface");
    let guard = edge_guard(FIREWALL_OLD);
    teller.text(&guard);
    let path = stage.world.operator.write("edge-guard.yaml", &guard)?;
    let path = path.to_str().context("a path is text")?;
    teller
        .shown("skep plan -f edge-guard.yaml", &stage.world.operator.skep(&["plan", "-f", path])?);
    teller.shown(
        "skep apply -f edge-guard.yaml --key operator.key",
        &stage.apply("edge-guard.yaml", &guard)?,
    );
    let flows =
        stage::policy("observability", EDGE, "tc-ingress", &[stage::flows("skep/flowlog@^0.1")]);
    teller.shown(
        "skep apply -f observability.yaml --key operator.key",
        &stage.apply("observability.yaml", &flows)?,
    );
    for index in [0, 1] {
        stage.converged(index)?;
    }
    teller.line(
        "Both agents fetched, verified, loaded, and switched. What the kernel of edge-1 says:",
    );
    let node = &stage.world.nodes[0];
    teller.shown("bpftool net show", &kernel::attachments(&node.namespace)?.join("\n"));
    let xdp = kernel::attached_xdp(&node.namespace, node::INTERFACE)?.context("XDP is attached")?;
    teller.expect("XDP runs in native mode", xdp.mode == "native");
    let names = |hook: &str| -> Result<Vec<String>> {
        let chain = node.chain(&stage.world.operator, hook)?;
        Ok(chain::names(&chain).into_iter().map(str::to_owned).collect())
    };
    teller.expect("XDP runs guard, then limiter", names("xdp")? == ["guard", "limiter"]);
    teller.expect("tc runs flows", names("tc-ingress")? == ["flows"]);
    Ok(())
}

fn agent_dies(teller: &mut Teller, stage: &mut Stage) -> Result<()> {
    teller.scene("An agent is killed");
    let node = &mut stage.world.nodes[0];
    let before = kernel::attached_xdp(&node.namespace, node::INTERFACE)?;
    node.kill_agent()?;
    teller.shown("kill -9 $(pidof skep-agent)", "");
    teller.expect(
        "the chain runs on",
        before.is_some() && kernel::attached_xdp(&node.namespace, node::INTERFACE)? == before,
    );
    node.start_agent()?;
    teller.expect(
        "the new agent adopts it",
        kernel::attached_xdp(&node.namespace, node::INTERFACE)? == before,
    );
    Ok(())
}

fn keep_running(teller: &mut Teller, stage: &Stage) -> Result<()> {
    teller.scene("Look around");
    let registry = &stage.world.registry;
    teller.line("Everything runs on until Ctrl-C. In another terminal:");
    teller.text(&format!(
        "export SKEP_SERVER={} SKEP_CA={} SKEP_TOKEN_FILE={}\nskep node list\nskep node chain edge-1",
        registry.address(),
        registry.ca().display(),
        registry.admin_token().display()
    ));
    teller.fact("web", registry.address());
    while !interrupt::happened() {
        // A signal handler may do no more than set a flag; this is how late Ctrl-C is noticed.
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    Ok(())
}
