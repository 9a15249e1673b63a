//! What a story about rollouts needs: a strategy, a policy that goes by it, versions that are good or bad, and how a rollout
//! stands. Refuses to tell the story.

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::node::{GOOD, LISTENS_AT};
use crate::operator::Operator;
use crate::stage::Stage;
use crate::traffic::{Receiver, Stream};
use crate::wait;

/// The policy that goes to its nodes in waves.
pub const POLICY: &str = "edge-guard";
/// Packets a second to each node: a gate's hundred comes with every report.
const PACE: u32 = 200;
/// What decides in the firewall's source when no list names a packet.
const DECIDES: &str = "return default_deny ? COUNTER_DEFAULT_DENIED : COUNTER_PASSED;";
/// The same with a fault: UDP is dropped, which nobody asked for.
const DROPS_UDP: &str =
    "return packet->protocol == IPPROTO_UDP ? COUNTER_DEFAULT_DENIED : COUNTER_PASSED;";

/// A strategy with one node first, judged by what it drops, and watched for so many seconds.
#[must_use]
pub fn careful(bake_secs: u32) -> String {
    format!(
        "kind: RolloutStrategy\nname: careful\n\
         waves: [ {{ name: canary, nodes: {{ count: 1 }} }}, {{ name: everybody, percent: 100 }} ]\n\
         bake: {{ min: {bake_secs}s, max: 3m }}\nconverge: 2m\n\
         gates:\n  - {{ builtin: verdicts, of: guard, drop: {{ atMost: +2% }}, comparedTo: untreated }}\n  \
         - {{ builtin: applied, atLeast: 100% }}\n\
         onFailure: rollback\nlimits: {{ unavailable: 50% }}\n"
    )
}

/// A policy that goes by a strategy, both in one file.
#[must_use]
pub fn in_waves(policy: &str, strategy: &str) -> String {
    format!("{policy}strategy: careful\n---\n{strategy}")
}

/// Publishes a version of the firewall that drops what it should pass.
///
/// # Errors
/// When it cannot be written or published.
pub fn publish_bad_firewall(stage: &Stage, version: &str) -> Result<String> {
    let source = stage.package("firewall").join("src/firewall.bpf.c");
    let text = std::fs::read_to_string(&source).context("the source could not be read")?;
    if text.matches(DECIDES).count() != 1 {
        bail!("the firewall's source decides in another way by now: {DECIDES}");
    }
    std::fs::write(&source, text.replace(DECIDES, DROPS_UDP))
        .context("the source could not be written")?;
    let published = stage.publish_version("firewall", version);
    std::fs::write(&source, text).context("the source could not be put back")?;
    published
}

/// Numbered packets to every node, all the time.
pub struct Traffic {
    pub receivers: Vec<Receiver>,
    pub streams: Vec<Stream>,
}

impl Traffic {
    /// Begins to send from every peer to its node.
    ///
    /// # Errors
    /// When a socket cannot be opened.
    pub fn to_all(stage: &Stage) -> Result<Self> {
        let (mut receivers, mut streams) = (Vec::new(), Vec::new());
        for node in &stage.world.nodes {
            receivers.push(Receiver::listen(&node.namespace, LISTENS_AT)?);
            streams.push(Stream::start(&node.peer, GOOD, LISTENS_AT, PACE)?);
        }
        Ok(Self { receivers, streams })
    }
}

/// How a rollout of the policy stands.
///
/// # Errors
/// When there is none.
pub fn shown(operator: &Operator, revision: u64) -> Result<Value> {
    operator.skep_json(&["rollout", "show", POLICY, "--revision", &revision.to_string()])
}

/// Waits until a rollout stands like this, and says how it stood when it never did.
///
/// # Errors
/// When it does not get there.
pub fn until(
    operator: &Operator,
    revision: u64,
    what: &str,
    holds: impl Fn(&Value) -> bool,
) -> Result<Value> {
    let mut last = Value::Null;
    let found = wait::until(what, wait::PATIENCE, || {
        // A registry that starts again is not there for a moment.
        let Ok(detail) = shown(operator, revision) else { return Ok(None) };
        last = detail;
        Ok(holds(&last).then(|| last.clone()))
    });
    found.with_context(|| format!("it stands like this: {}", last["summary"]))
}

/// Whether a rollout is in this phase.
#[must_use]
pub fn is(detail: &Value, phase: &str) -> bool {
    detail["summary"]["phase"] == phase
}

/// The indices of the node of the first wave and of another one.
///
/// # Errors
/// When no node is in the first wave.
pub fn canary_and_other(stage: &Stage, detail: &Value) -> Result<(usize, usize)> {
    let targets = detail["targets"].as_array().context("a rollout has nodes")?;
    let first = targets.iter().find(|target| target["wave"] == "canary");
    let first = first.and_then(|target| target["node"].as_str()).context("a node goes first")?;
    let place = |wanted: bool| {
        let mut nodes = stage.world.nodes.iter();
        nodes.position(|node| (node.name == first) == wanted).context("there are two nodes")
    };
    Ok((place(true)?, place(false)?))
}
