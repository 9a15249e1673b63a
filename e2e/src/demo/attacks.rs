//! Scenes in which somebody tries something: a tampered package, an unknown signer, a downgrade. Each is refused with
//! the reason, and the chain that runs goes on.

use anyhow::{Context, Result};

use super::tell::Teller;
use super::{EDGE, FIREWALL_NEW};
use crate::node::INTERFACE;
use crate::stage::{self, Stage};
use crate::{chain, kernel};

/// The node on which attacks are tried; both would answer alike.
const VICTIM: usize = 1;
/// The version whose bytes are changed.
const TAMPERED: &str = "0.1.2";
/// A namespace that nodes accept from the publisher only.
pub(super) const VENDOR: &str = "acme";
/// The name of the policy that asks for what must be refused.
const TRIAL: &str = "trial";

pub(super) fn tampered_package(teller: &mut Teller, stage: &mut Stage) -> Result<()> {
    teller.scene("A tampered package");
    stage.publish_version("firewall", TAMPERED)?;
    let tampered = stage.world.registry.tamper_with_layers()?;
    let changed = tampered.count();
    teller.line(&format!(
        "skep/firewall {TAMPERED} is published, then somebody with the registry's disk flips a bit in each of {changed} layers. \
         An operator who knows nothing of it asks for that version."
    ));
    let range = format!("skep/firewall@={TAMPERED}");
    try_it(teller, stage, &range, "package.digest_mismatch")?;
    stage.world.registry.stop()?;
    tampered.undo()?;
    stage.world.registry.start_again(&stage.world.hub)
}

pub(super) fn unknown_signer(teller: &mut Teller, stage: &Stage) -> Result<()> {
    teller.scene("An unknown signer");
    let stranger = stage.stranger()?;
    let operator = &stage.world.operator;
    operator.skep(&["namespace", "claim", VENDOR, "--key", &stranger.public])?;
    let folder = stage.package("firewall");
    let manifest = folder.join("skep.toml");
    let text = std::fs::read_to_string(&manifest).context("skep.toml could not be read")?;
    std::fs::write(&manifest, text.replace("skep/firewall", "acme/firewall"))
        .context("skep.toml could not be written")?;
    operator.skep(&[
        "publish",
        folder.to_str().context("a path is text")?,
        "--key",
        stranger.argument()?,
    ])?;
    std::fs::write(&manifest, text).context("skep.toml could not be written")?;
    teller.line(
        "The nodes' owners expect acme/* to be signed by the publisher's key. Somebody else claims acme at this registry \
         and publishes there, properly signed, with a key that no node's owner has ever heard of.",
    );
    try_it(teller, stage, "acme/firewall@*", "package.signature_untrusted")
}

/// Asks for a package that must be refused, shows the refusal, and checks that nothing changed.
fn try_it(teller: &mut Teller, stage: &Stage, range: &str, code_wanted: &str) -> Result<()> {
    let node = &stage.world.nodes[VICTIM];
    let running = kernel::attached_xdp(&node.namespace, INTERFACE)?;
    let members = [stage::Member {
        name: "newcomer",
        package: range,
        priority: 5,
        mode: "enforce",
        config: "{}".to_owned(),
    }];
    stage.apply("trial.yaml", &stage::policy(TRIAL, EDGE, "xdp", &members))?;
    let (code, message) = stage.refused(VICTIM)?;
    teller.shown(&format!("skep node show {}", node.name), &format!("{code}\n{message}"));
    teller.expect(&format!("refused with {code}"), code == code_wanted && !message.is_empty());
    teller.expect(
        "the chain that ran still runs",
        running.is_some() && kernel::attached_xdp(&node.namespace, INTERFACE)? == running,
    );
    stage.world.operator.skep(&["policy", "remove", TRIAL, "--key", stage.operator.argument()?])?;
    for index in [0, 1] {
        stage.converged(index)?;
    }
    teller.expect("without that policy the node is healthy again", true);
    Ok(())
}

pub(super) fn downgrade(teller: &mut Teller, stage: &mut Stage) -> Result<()> {
    teller.scene("A downgrade");
    let (older, newest) = (stage.world.folder().join("older"), stage.world.folder().join("newest"));
    stage.world.registry.stop()?;
    stage.world.registry.copy_data(&older)?;
    stage.world.registry.start_again(&stage.world.hub)?;
    // A newer revision that the nodes accept: the firewall only watches.
    let members =
        [stage::guard("skep/firewall@=0.1.1", "observe"), stage::limiter("skep/ratelimit@^0.1")];
    stage.apply("edge-guard.yaml", &stage::policy("edge-guard", EDGE, "xdp", &members))?;
    for index in [0, 1] {
        stage.converged(index)?;
    }
    let running = kernel::attached_xdp(&stage.world.nodes[VICTIM].namespace, INTERFACE)?;
    stage.world.registry.stop()?;
    stage.world.registry.copy_data(&newest)?;
    stage.world.registry.replace_data(&older)?;
    stage.world.registry.start_again(&stage.world.hub)?;
    teller.line("The registry's disk is put back to an older backup. Everything in it is properly signed, only old: it asks the nodes for a revision they have left behind.");
    let (code, message) = stage.refused(VICTIM)?;
    let node = &stage.world.nodes[VICTIM];
    teller.shown(&format!("skep node show {}", node.name), &format!("{code}\n{message}"));
    teller.expect(&format!("refused with {code}"), code == "state.rollback");
    teller.expect(
        "the chain that ran still runs",
        running.is_some() && kernel::attached_xdp(&node.namespace, INTERFACE)? == running,
    );
    let xdp = node.chain(&stage.world.operator, "xdp")?;
    teller.expect("at the version it had", chain::version(&xdp, "guard")? == FIREWALL_NEW);

    stage.world.registry.stop()?;
    stage.world.registry.replace_data(&newest)?;
    stage.world.registry.start_again(&stage.world.hub)?;
    for index in [0, 1] {
        stage.converged(index)?;
    }
    Ok(())
}
