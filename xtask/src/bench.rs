//! `cargo xtask bench`: builds optimised programs, measures the road, the chain and the registry, and prints a section for each; `--write`
//! keeps them in `docs/benchmarks.md`. Refuses to judge the figures and to know how they are taken.

mod chain;
mod libxdp;
mod registry;
mod road;

use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::pages;
use crate::workspace::Workspace;
use crate::{run, say, setup};

#[derive(clap::Args)]
pub(crate) struct BenchArguments {
    /// Measure only this.
    what: Option<What>,
    /// Write the result to docs/benchmarks.md.
    #[arg(long)]
    write: bool,
    /// Rounds in which the ways of the chain are measured in turn.
    #[arg(long, default_value_t = 31)]
    rounds: usize,
}

/// What can be measured.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum What {
    /// Publish to first packet, and an idle agent.
    Road,
    /// Nanoseconds a packet for several lengths and ways to chain.
    Chain,
    /// Our chains against libxdp's own, inside Debian's kernels.
    Libxdp,
    /// Manifests and blobs beside docker-registry, publishes, searches, memory.
    Registry,
}

pub(crate) fn perform(workspace: &Workspace, arguments: &BenchArguments) -> Result<ExitCode> {
    if !run::is_root() {
        bail!(
            "benchmarks load BPF programs and make namespaces, which only root may do; run them as root"
        );
    }
    say::step("set-up", "what is missing is named, then installed");
    let missing = setup::install(workspace)?;
    if !missing.is_empty() {
        bail!("still missing: {}", missing.join(", "));
    }
    let wanted = |what| arguments.what.is_none_or(|chosen| chosen == what);
    let mut sections = Vec::new();
    if wanted(What::Road) {
        sections.push(("road", road::measure(workspace)?));
    }
    if wanted(What::Chain) {
        sections.push(("chain", chain::measure(workspace, arguments.rounds)?));
    }
    if wanted(What::Libxdp) {
        sections.push(("libxdp", libxdp::measure(workspace)?));
    }
    if wanted(What::Registry) {
        sections.push(("registry", registry::measure(workspace)?));
    }
    for (name, section) in sections {
        say::text(&section);
        if arguments.write {
            pages::write(&workspace.root, name, &section)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The JSON object that a measurement prints last.
fn parsed(text: &str) -> Result<Value> {
    let line = text
        .lines()
        .rev()
        .find(|line| line.starts_with('{'))
        .context("a measurement printed no JSON")?;
    serde_json::from_str(line).context("a measurement printed JSON that cannot be read")
}

/// A figure that must be there: a missing one is an error and not a zero.
fn number(of: &Value, key: &str) -> Result<f64> {
    of[key].as_f64().with_context(|| format!("a measurement has no {key}"))
}
