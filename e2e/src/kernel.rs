//! What the kernel says, asked with the tools a person would use: `ip`, `bpftool`. Refuses to ask our own programs.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, anyhow, bail};
use serde_json::Value;

use crate::namespace::Namespace;
use crate::process;

/// Found by root's search path; `cargo xtask setup` installs it.
const BPFTOOL: &str = "bpftool";

/// The XDP program on an interface, as the kernel names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttachedXdp {
    /// The kernel's id of the program.
    pub program_id: u64,
    /// `native` or `generic`.
    pub mode: String,
}

/// What XDP program runs on an interface, if any.
///
/// # Errors
/// When `ip` cannot be asked or its answer cannot be read.
pub fn attached_xdp(within: &Namespace, interface: &str) -> Result<Option<AttachedXdp>> {
    let link = link(within, interface)?;
    let Some(xdp) = link.get("xdp") else { return Ok(None) };
    let mode = match xdp.get("mode").and_then(Value::as_u64) {
        Some(1) => "native",
        Some(2) => "generic",
        _ => "other",
    };
    let id = xdp.pointer("/prog/id").and_then(Value::as_u64).context("ip names no program id")?;
    Ok(Some(AttachedXdp { program_id: id, mode: mode.to_owned() }))
}

/// Packets that an interface received since it exists, by its driver's own count.
///
/// # Errors
/// When `ip` cannot be asked or its answer cannot be read.
pub fn received_packets(within: &Namespace, interface: &str) -> Result<u64> {
    let link = link(within, interface)?;
    link.pointer("/stats64/rx/packets")
        .and_then(Value::as_u64)
        .context("ip counts no received packets")
}

fn link(within: &Namespace, interface: &str) -> Result<Value> {
    let text =
        within.ip(&["-json", "-details", "-statistics", "link", "show", "dev", interface])?;
    let links: Value = serde_json::from_str(&text).context("ip's answer is not JSON")?;
    links.get(0).cloned().ok_or_else(|| anyhow!("ip knows no interface {interface}"))
}

/// `bpftool net show` inside a namespace: everything attached to its interfaces, a line each.
///
/// # Errors
/// When bpftool cannot be run.
pub fn attachments(within: &Namespace) -> Result<Vec<String>> {
    let bpftool =
        ["/usr/sbin/bpftool", "/usr/local/sbin/bpftool", "/sbin/bpftool", "/usr/bin/bpftool"];
    let path = bpftool
        .into_iter()
        .map(Path::new)
        .find(|path| path.exists())
        .context("bpftool is not installed")?;
    let text = process::run(within.command(path).args(["net", "show"]))?.expect_success()?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.ends_with(':'));
    Ok(lines.map(str::to_owned).collect())
}

/// The kernel's release.
///
/// # Errors
/// When `uname` cannot be run.
pub fn release() -> Result<String> {
    Ok(process::run(Command::new("uname").arg("-r"))?.expect_success()?.trim().to_owned())
}

/// The dispatcher's own counters, held by a pin of our own, so that they can be read after the chain was replaced.
/// Whoever only asked the newest chain would not know what the old one saw last.
pub struct HeldCounters {
    pin: PathBuf,
}

impl HeldCounters {
    /// Pins the counters of the dispatcher that runs on an interface now. `bpffs` is a mounted BPF file system.
    ///
    /// # Errors
    /// When no dispatcher runs there or bpftool refuses.
    pub fn hold(within: &Namespace, interface: &str, bpffs: &Path) -> Result<Self> {
        let attached = attached_xdp(within, interface)?.context("no XDP program is attached")?;
        let program = bpftool(&["-j", "prog", "show", "id", &attached.program_id.to_string()])?;
        let maps = program
            .get("map_ids")
            .and_then(Value::as_array)
            .context("bpftool names no maps of the program")?;
        for id in maps.iter().filter_map(Value::as_u64) {
            let map = bpftool(&["-j", "map", "show", "id", &id.to_string()])?;
            if map.get("name").and_then(Value::as_str) == Some("skep_counts") {
                let pin = bpffs.join(format!("held-{id}"));
                let path = pin.to_str().context("a pin's path is text")?;
                process::run(Command::new(BPFTOOL).args([
                    "map",
                    "pin",
                    "id",
                    &id.to_string(),
                    path,
                ]))?
                .expect_success()?;
                return Ok(Self { pin });
            }
        }
        bail!(
            "program {} on {interface} is no Skep dispatcher: it has no counters",
            attached.program_id
        )
    }

    /// Packets that met the member in a slot, over all CPUs.
    ///
    /// # Errors
    /// When the counters cannot be read.
    pub fn packets(&self, slot: usize) -> Result<u64> {
        let pin = self.pin.to_str().context("a pin's path is text")?;
        let dump = bpftool(&["-j", "map", "dump", "pinned", pin])?;
        let cpus = dump
            .pointer("/0/formatted/values")
            .and_then(Value::as_array)
            .context("bpftool shows no counters")?;
        // A packet that met a member got a verdict, or was missed.
        let of_cpu = |cpu: &Value| {
            let member = cpu.pointer(&format!("/value/members/{slot}"))?;
            let verdicts = member.get("verdicts")?.as_array()?;
            let numbers = verdicts.iter().chain(member.get("missed"));
            numbers.map(Value::as_u64).sum::<Option<u64>>()
        };
        let counts: Option<Vec<u64>> = cpus.iter().map(of_cpu).collect();
        Ok(counts.context("a member has no verdict counters")?.iter().sum())
    }
}

impl Drop for HeldCounters {
    fn drop(&mut self) {
        // It also goes with the file system.
        let _ = std::fs::remove_file(&self.pin);
    }
}

fn bpftool(arguments: &[&str]) -> Result<Value> {
    let text = process::run(Command::new(BPFTOOL).args(arguments))?.expect_success()?;
    serde_json::from_str(&text)
        .with_context(|| format!("bpftool {} printed no JSON", arguments.join(" ")))
}
