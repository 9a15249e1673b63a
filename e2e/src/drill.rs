//! Drills: a real registry falls into the hands of somebody malicious, and real agents answer. Each attempt is made the way
//! its owner would make it (files, database, tokens); each answer is what `skep node show` prints. Refuses to help the agents.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::node::INTERFACE;
use crate::stage::{self, Key, Member, Stage};
use crate::{kernel, process, wait};

/// How long an agent may take to answer an attempt: its back-off after a registry that was gone reaches a minute.
const ANSWER: Duration = Duration::from_secs(120);
/// The node that is tried.
const EDGE: usize = 0;

/// One thing that was tried, and what came of it.
#[derive(Debug)]
pub struct Attempt {
    /// What the owner of the registry did.
    pub what: &'static str,
    /// The code the agent answered with; empty when it had nothing to refuse.
    pub code: String,
    /// What the agent said.
    pub said: String,
    /// Whether what ran before still runs, untouched.
    pub kept: bool,
    /// Whether the answer is the one it must be.
    pub holds: bool,
}

/// Which drill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drill {
    /// The packages are in the wrong hands: blobs, role files, revocations, backups.
    OwnedRegistry,
    /// The control plane is: policies, sets, assignments, labels, tokens.
    OwnedController,
}

/// Runs a drill from nothing to the table.
///
/// # Errors
/// When an attempt could not be made at all.
pub fn perform(drill: Drill) -> Result<Vec<Attempt>> {
    let mut scene = Scene::set()?;
    match drill {
        Drill::OwnedRegistry => registry(&mut scene)?,
        Drill::OwnedController => controller(&mut scene)?,
    }
    Ok(scene.attempts)
}

/// The attempts as people read them.
#[must_use]
pub fn table(attempts: &[Attempt]) -> String {
    let mut text = String::new();
    for attempt in attempts {
        let code = if attempt.code.is_empty() { "nothing to refuse" } else { &attempt.code };
        let kept = if attempt.kept { "what ran runs on" } else { "WHAT RAN IS GONE" };
        let mark = if attempt.holds { "held" } else { "BROKE" };
        // Writing into a String cannot fail.
        let _ = writeln!(text, "{mark:5}  {:46}  {code:34}  {kept}", attempt.what);
        let _ = writeln!(text, "       {}", attempt.said);
    }
    text
}

struct Scene {
    stage: Stage,
    stranger: Key,
    pristine: PathBuf,
    attempts: Vec<Attempt>,
}

fn guard(range: &str) -> String {
    stage::policy("edge-guard", "role=edge", "xdp", &[stage::guard(range, "enforce")])
}

impl Scene {
    /// A registry, a node that runs a firewall by a signed set, and somebody nobody knows.
    fn set() -> Result<Self> {
        let mut stage = Stage::set()?;
        stage.publish("firewall")?;
        stage.add_node("edge-1", "role=edge")?;
        stage.apply("guard.yaml", &guard("skep/firewall@=0.1.0"))?;
        stage.converged(EDGE)?;
        let pristine = stage.world.folder().join("pristine");
        let stranger = stage.stranger()?;
        Ok(Self { stage, stranger, pristine, attempts: Vec::new() })
    }

    fn running(&self) -> Result<Option<kernel::AttachedXdp>> {
        kernel::attached_xdp(&self.stage.world.nodes[EDGE].namespace, INTERFACE)
    }

    fn summary(&self) -> Result<Value> {
        let seen = self.stage.world.nodes[EDGE].as_seen_by(&self.stage.world.operator)?;
        Ok(seen["summary"].clone())
    }

    /// Changes the database of the stopped registry, as whoever has its disk can.
    fn with_the_disk(&mut self, change: impl FnOnce(&Self) -> Result<()>) -> Result<()> {
        self.stage.world.registry.stop()?;
        change(self)?;
        self.stage.world.registry.start_again(&self.stage.world.hub)
    }

    fn sql(&self, statement: &str) -> Result<String> {
        let file = self.stage.world.folder().join("registry").join("registry.sqlite");
        let mut command = Command::new("sqlite3");
        process::run(command.arg(file).arg(statement))?.expect_success()
    }

    /// Waits for one of the codes that count as the right answer, and writes down what was said.
    fn expect(&mut self, what: &'static str, codes: &[&str]) -> Result<()> {
        let before = self.running()?;
        let mut last = Value::Null;
        let heard = wait::until(what, ANSWER, || {
            last = self.summary()?["refusal"].clone();
            Ok(codes.iter().any(|code| last["code"] == *code).then_some(()))
        });
        let text = |key: &str| last[key].as_str().unwrap_or_default().to_owned();
        let kept = before.is_some() && self.running()? == before;
        let (code, said) = (text("code"), text("message"));
        self.attempts.push(Attempt { what, code, said, kept, holds: heard.is_ok() && kept });
        Ok(())
    }

    /// Puts the registry back as it was before, and waits until the node is well again.
    fn make_good(&mut self) -> Result<()> {
        let pristine = self.pristine.clone();
        self.with_the_disk(|scene| scene.stage.world.registry.replace_data(&pristine))?;
        self.wait_until_well()
    }

    /// The same by the hand of an operator. A node that refused a policy may have followed the number of the state it came
    /// in, and takes no lower one until operators begin an epoch.
    fn heal(&mut self) -> Result<()> {
        let pristine = self.pristine.clone();
        self.with_the_disk(|scene| scene.stage.world.registry.replace_data(&pristine))?;
        let key = self.stage.operator.argument()?;
        self.stage.world.operator.skep(&["policy", "epoch", "--bump", "--key", key])?;
        self.wait_until_well()
    }

    fn wait_until_well(&self) -> Result<()> {
        wait::until("the node is well again", ANSWER, || {
            let summary = self.summary()?;
            let same = summary["wanted_generation"] == summary["applied_generation"];
            Ok((summary["refusal"].is_null() && same).then_some(()))
        })
    }

    fn keep_pristine(&mut self) -> Result<()> {
        let pristine = self.pristine.clone();
        self.with_the_disk(|scene| scene.stage.world.registry.copy_data(&pristine))
    }
}

/// Attempts with packages. They go on from one another, because each asks the node for something new.
fn registry(scene: &mut Scene) -> Result<()> {
    let older_role = scene.sql("SELECT hex(role) FROM namespaces WHERE name = 'skep'")?;
    scene.keep_pristine()?;
    scene.stage.publish_version("firewall", "0.1.1")?;
    scene.stage.apply("guard.yaml", &guard("skep/firewall@=0.1.1"))?;
    scene.wait_until_well()?;

    scene.stage.publish_version("firewall", "0.1.2")?;
    let tampered = scene.stage.world.registry.tamper_with_layers()?;
    scene.stage.apply("guard.yaml", &guard("skep/firewall@=0.1.2"))?;
    scene.expect("swap the bytes of a package", &["package.digest_mismatch"])?;
    scene.stage.world.registry.stop()?;
    tampered.undo()?;
    scene.stage.world.registry.start_again(&scene.stage.world.hub)?;
    scene.stage.apply("guard.yaml", &guard("skep/firewall@=0.1.1"))?;
    scene.wait_until_well()?;

    let (folder, manifest) = {
        let folder = scene.stage.package("firewall");
        let manifest = folder.join("skep.toml");
        (folder, manifest)
    };
    let text = std::fs::read_to_string(&manifest).context("skep.toml could not be read")?;
    std::fs::write(&manifest, text.replace("skep/firewall", "acme/firewall"))
        .context("skep.toml could not be written")?;
    let operator = &scene.stage.world.operator;
    operator.skep(&["namespace", "claim", "acme", "--key", &scene.stranger.public])?;
    let folder = folder.to_str().context("a path is text")?;
    operator.skep(&["publish", folder, "--key", scene.stranger.argument()?])?;
    std::fs::write(&manifest, text).context("skep.toml could not be written")?;
    ask_for(scene, "acme/firewall@*")?;
    scene
        .expect("serve a namespace the node never heard of", &["package.namespace_not_allowed"])?;
    stop_asking(scene)?;

    scene.stage.publish("ratelimit")?;
    let older = older_role.trim().to_owned();
    scene.with_the_disk(|scene| {
        scene.sql(&format!("UPDATE namespaces SET role = x'{older}' WHERE name = 'skep'")).map(drop)
    })?;
    ask_for(scene, "skep/ratelimit@*")?;
    scene.expect(
        "replay an older role file",
        &["package.rollback", "package.not_listed", "trust.rollback"],
    )?;
    stop_asking(scene)?;

    let key = scene.stage.operator.argument()?.to_owned();
    let words = ["revoke", "skep/firewall@0.1.1", "--reason", "lets IPv6 pass", "--key", &key];
    scene.stage.world.operator.skep(&words)?;
    scene.expect("(an operator revokes what runs)", &["package.revoked"])?;
    scene.with_the_disk(|scene| scene.sql("DELETE FROM revocations").map(drop))?;
    scene.stage.world.nodes[EDGE].stop_agent()?;
    scene.stage.world.nodes[EDGE].start_agent()?;
    scene.expect("forget a revocation", &["package.revoked"])?;

    let pristine = scene.pristine.clone();
    scene.with_the_disk(|scene| scene.stage.world.registry.replace_data(&pristine))?;
    scene.expect("put the registry back to an old backup", &["state.rollback", "set.rollback"])
}

/// A second policy asks for a package before the firewall.
fn ask_for(scene: &Scene, range: &str) -> Result<()> {
    let member = Member {
        name: "newcomer",
        package: range,
        priority: 5,
        mode: "enforce",
        config: "{}".to_owned(),
    };
    let document = stage::policy("newcomer", "role=edge", "xdp", &[member]);
    scene.stage.apply("newcomer.yaml", &document).map(drop)
}

fn stop_asking(scene: &Scene) -> Result<()> {
    let key = scene.stage.operator.argument()?;
    scene.stage.world.operator.skep(&["policy", "remove", "newcomer", "--key", key])?;
    scene.wait_until_well()
}

/// Attempts with what nodes are told. Nothing new is ever accepted, so each begins from the same registry.
fn controller(scene: &mut Scene) -> Result<()> {
    scene.keep_pristine()?;
    let old = scene.pristine.with_extension("old");
    scene.with_the_disk(|scene| scene.stage.world.registry.copy_data(&old))?;
    scene.with_the_disk(|scene| {
        scene.sql("DELETE FROM node_policies; DELETE FROM policies").map(drop)
    })?;
    scene.expect("leave a policy out", &["set.policy_left_out", "state.equivocation"])?;
    if scene.attempts.last().is_some_and(|attempt| attempt.code == "state.equivocation") {
        bail!("the registry did not count on after its policies were taken away");
    }
    // The node followed that generation: the registry counts on from it, with the policy in it again.
    scene.with_the_disk(|scene| {
        let from = scene.pristine.join("registry.sqlite");
        let from = from.to_str().context("a path is text")?;
        scene
            .sql(&format!(
                "ATTACH '{from}' AS old; INSERT INTO policies SELECT * FROM old.policies; \
                 INSERT INTO node_policies SELECT * FROM old.node_policies"
            ))
            .map(drop)
    })?;
    scene.wait_until_well()?;
    let data = scene.pristine.clone();
    std::fs::remove_dir_all(&data).context("a copy could not be removed")?;
    scene.keep_pristine()?;

    let key_file = scene.stage.world.folder().join("registry").join("assignment.key");
    let stolen = std::fs::read(&scene.stranger.file).context("a key could not be read")?;
    scene.with_the_disk(|scene| {
        std::fs::write(&key_file, &stolen).context("the server's key could not be replaced")?;
        scene.sql("DELETE FROM server_keys WHERE name = 'assignment'").map(drop)
    })?;
    touch(scene)?;
    scene.expect("sign assignments with another key", &["assignment.signature_untrusted"])?;
    scene.make_good()?;

    scene.with_the_disk(|scene| scene.sql("DELETE FROM policy_sets").map(drop))?;
    touch(scene)?;
    scene.expect("hide the policy set", &["assignment.set_rollback"])?;
    scene.make_good()?;

    let stranger = scene.stranger.argument()?.to_owned();
    let members = [stage::guard("skep/firewall@=0.1.0", "observe")];
    let document = stage::policy("edge-guard", "role=edge", "xdp", &members);
    let path = scene.stage.world.operator.write("forged.yaml", &document)?;
    let path = path.to_str().context("a path is text")?;
    scene.stage.world.operator.skep(&["apply", "-f", path, "--key", &stranger])?;
    let forged = ["set.signature_untrusted", "policy.signature_untrusted"];
    scene.expect("sign a policy nobody wanted", &forged)?;

    scene.stage.world.operator.skep(&["policy", "epoch", "--bump", "--key", &stranger])?;
    scene.expect("begin an epoch alone", &["set.signature_untrusted"])?;
    scene.heal()?;

    moved_by_labels(scene)?;
    scene.with_the_disk(|scene| scene.stage.world.registry.replace_data(&old))?;
    scene.expect("go back to an old backup", &["state.rollback", "set.rollback"])
}

/// Has the node ask again: it holds what it was told before, and would not be told the same twice.
fn touch(scene: &mut Scene) -> Result<()> {
    scene.stage.world.nodes[EDGE].stop_agent()?;
    scene.stage.world.nodes[EDGE].start_agent()
}

/// The registry says that the node is somebody else. The node's own labels decide, so that there is nothing to refuse.
fn moved_by_labels(scene: &mut Scene) -> Result<()> {
    let before = scene.running()?;
    scene.with_the_disk(|scene| {
        scene.sql("UPDATE nodes SET labels = '{\"role\":\"core\"}'").map(drop)
    })?;
    touch(scene)?;
    let shown = wait::until("the registry shows the labels it made up", ANSWER, || {
        Ok((scene.summary()?["labels"]["role"] == "core").then_some(()))
    });
    let kept = before.is_some() && scene.running()? == before;
    let said = "The node goes on by the labels it enrolled with.".to_owned();
    let what = "move the node by its labels";
    let holds = shown.is_ok() && kept;
    scene.attempts.push(Attempt { what, code: String::new(), said, kept, holds });
    Ok(())
}
