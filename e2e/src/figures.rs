//! Figures of the whole road, measured on the real parts: publish to first packet, and what an idle agent costs.
//! Refuses to judge them; `cargo xtask bench` prints and keeps them.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::Serialize;

use crate::kernel::HeldCounters;
use crate::node::{GOOD, INTERFACE, LISTENS_AT};
use crate::stage::{self, Stage};
use crate::traffic::Stream;
use crate::{interrupt, kernel, wait};

/// How often publish to first packet is measured; the median of five forgives one run that was disturbed.
const ROADS: usize = 5;
/// How long the agent is watched doing nothing.
const IDLE: Duration = Duration::from_secs(10);
/// What the kernel counts processor time in: `sysconf(_SC_CLK_TCK)`, which is 100 on every Linux for user space.
const TICKS_PER_SECOND: f64 = 100.0;

/// What was measured.
#[derive(Debug, Serialize)]
pub struct Figures {
    /// From the start of `skep publish` (which compiles) to the first packet in the new chain, milliseconds, sorted.
    pub publish_to_first_packet_ms: Vec<u64>,
    /// Of that, from the start of `skep apply`, milliseconds, sorted.
    pub apply_to_first_packet_ms: Vec<u64>,
    /// Resident memory of an agent with one chain of two members, KiB.
    pub agent_rss_kib: u64,
    /// Processor time of that agent while nothing changes, per cent of one core.
    pub agent_idle_cpu_percent: f64,
}

/// Measures on a registry and a node of its own.
///
/// # Errors
/// When a step of the road cannot be done.
pub fn measure() -> Result<Figures> {
    let mut stage = Stage::set()?;
    stage.publish("firewall")?;
    stage.publish("ratelimit")?;
    let edge = stage.add_node("edge-1", "role=edge")?;
    stage.apply("guard.yaml", &document("0.1.0"))?;
    stage.converged(edge)?;

    let (mut roads, mut applies) = (Vec::new(), Vec::new());
    for round in 1..=ROADS {
        let (road, apply) = one_road(&stage, edge, &format!("0.1.{round}"))?;
        roads.push(milliseconds(road));
        applies.push(milliseconds(apply));
        stage.converged(edge)?;
    }
    roads.sort_unstable();
    applies.sort_unstable();

    let pid = stage.world.nodes[edge].agent_pid().context("the agent runs")?;
    let (before, start) = (processor_ticks(pid)?, Instant::now());
    while start.elapsed() < IDLE {
        interrupt::check()?;
        // What is measured is an agent over a stretch of time; this is how late Ctrl-C is noticed in it.
        std::thread::sleep(Duration::from_millis(100));
    }
    let spent = (processor_ticks(pid)? - before) as f64 / TICKS_PER_SECOND;
    Ok(Figures {
        publish_to_first_packet_ms: roads,
        apply_to_first_packet_ms: applies,
        agent_rss_kib: resident_kib(pid)?,
        agent_idle_cpu_percent: 100.0 * spent / start.elapsed().as_secs_f64(),
    })
}

fn document(version: &str) -> String {
    let range = format!("skep/firewall@={version}");
    let members = [stage::guard(&range, "enforce"), stage::limiter("skep/ratelimit@^0.1")];
    stage::policy("edge-guard", "role=edge", "xdp", &members)
}

/// Publishes and applies a version while packets arrive, and waits until the new chain has counted one.
fn one_road(stage: &Stage, edge: usize, version: &str) -> Result<(Duration, Duration)> {
    let node = &stage.world.nodes[edge];
    let before = kernel::attached_xdp(&node.namespace, INTERFACE)?;
    let stream = Stream::start(&node.peer, GOOD, LISTENS_AT, 2_000)?;
    let start = Instant::now();
    stage.publish_version("firewall", version)?;
    let applying = Instant::now();
    stage.apply("guard.yaml", &document(version))?;
    wait::until("another chain is attached", wait::PATIENCE, || {
        Ok((kernel::attached_xdp(&node.namespace, INTERFACE)? != before).then_some(()))
    })?;
    let counters = HeldCounters::hold(&node.namespace, INTERFACE, stage.world.bpffs())?;
    wait::until("the new chain meets a packet", wait::PATIENCE, || {
        Ok((counters.packets(0)? > 0).then_some(()))
    })?;
    let times = (start.elapsed(), applying.elapsed());
    stream.stop()?;
    Ok(times)
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// `utime` and `stime` of proc(5), the 14th and 15th field of `stat`.
fn processor_ticks(pid: u32) -> Result<u64> {
    let text = read(&format!("/proc/{pid}/stat"))?;
    // The second field, the program's name, may hold blanks; it ends with the last parenthesis.
    let after_name = text.rsplit_once(')').context("stat has a name")?.1;
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let field = |index: usize| {
        fields.get(index).and_then(|text| text.parse::<u64>().ok()).context("stat has times")
    };
    Ok(field(11)? + field(12)?)
}

/// Resident memory of a process, KiB.
pub(crate) fn resident_kib(pid: u32) -> Result<u64> {
    let status = read(&format!("/proc/{pid}/status"))?;
    let line =
        status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("status has VmRSS")?;
    line.trim().trim_end_matches("kB").trim().parse().context("VmRSS is a number")
}

fn read(path: &str) -> Result<String> {
    std::fs::read_to_string(Path::new(path)).with_context(|| format!("{path} could not be read"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_figures_of_this_process() {
        assert!(resident_kib(std::process::id()).unwrap() > 100);
        let before = processor_ticks(std::process::id()).unwrap();
        assert!(before < 1_000_000);
    }
}
