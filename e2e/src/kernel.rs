//! What the kernel says, asked with the tools a person would use: `ip`, `bpftool`. Refuses to ask our own programs.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, anyhow};
use serde_json::Value;

use crate::namespace::Namespace;
use crate::process;

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
