//! `cargo xtask soak`: the floods of the kernel tests with full counts: thousands of swaps under numbered packets, by a process
//! that lives and by one that is killed at every step, for every backend of this machine. each result is kept, so that
//! floods can be run one by one, and `--write` puts the newest of each into `docs/benchmarks.md`. Knows the names of the counts; refuses to know how a flood is made.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::pages::{self, Machine};
use crate::workspace::Workspace;
use crate::{run, say, setup};

#[derive(clap::Args)]
pub(crate) struct SoakArguments {
    /// Write the newest result of each flood to docs/benchmarks.md.
    #[arg(long)]
    write: bool,
    /// Run nothing: show, and with --write write, what earlier runs found.
    #[arg(long)]
    gather: bool,
    /// Swaps of each backend under the flood.
    #[arg(long, default_value_t = 10_000)]
    swaps: u32,
    /// Swaps of each backend by processes that are killed.
    #[arg(long, default_value_t = 10_000)]
    killed_swaps: u32,
    /// Seconds of each flood without any swap.
    #[arg(long, default_value_t = 60)]
    control_seconds: u32,
    /// How many floods run at the same time.
    #[arg(long, default_value_t = 6)]
    jobs: u32,
    /// Run no flood: let so many seeds of the simulation of rollouts go by.
    #[arg(long, value_name = "SEEDS", conflicts_with_all = ["write", "gather", "filter"])]
    simulation: Option<u64>,
    /// Run only floods whose name contains this text.
    filter: Option<String>,
}

pub(crate) fn perform(workspace: &Workspace, arguments: &SoakArguments) -> Result<ExitCode> {
    if let Some(seeds) = arguments.simulation {
        return simulate(workspace, seeds).map(|()| ExitCode::SUCCESS);
    }
    let machine = Machine::look(&workspace.root)?;
    let kept = workspace.target.join("soak").join("floods.jsonl");
    let ended =
        if arguments.gather { Ok(()) } else { flood(workspace, arguments, &machine, &kept) };
    let text = std::fs::read_to_string(&kept)
        .with_context(|| format!("no flood reported anything in {}", kept.display()))?;
    let section = section(&machine, &newest(&text)?)?;
    say::text(&section);
    // A flood that failed is told, not written down.
    ended?;
    if arguments.write {
        pages::write(&workspace.root, "swaps", &section)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs the simulation of rollouts, optimised: a seed that breaks a promise is named, and replayed with `SKEP_SIM_SEED`.
fn simulate(workspace: &Workspace, seeds: u64) -> Result<()> {
    say::step("simulation", &format!("{seeds} seeds of rollouts under everything that goes wrong"));
    let mut tests = run::cargo(&workspace.root);
    tests.args([
        "test",
        "--package",
        "skep-fleet",
        "--test",
        "sim",
        "--profile",
        "optimised-tests",
    ]);
    tests.env("SKEP_SIM_SEEDS", seeds.to_string());
    run::shown(&mut tests)
}

/// Runs the floods; each appends what it found to the kept file.
fn flood(
    workspace: &Workspace,
    arguments: &SoakArguments,
    machine: &Machine,
    kept: &Path,
) -> Result<()> {
    if !run::is_root() {
        bail!("floods load BPF programs and make namespaces, which only root may do; run as root");
    }
    say::step("set-up", "what is missing is named, then installed");
    let missing = setup::install(workspace)?;
    if !missing.is_empty() {
        bail!("still missing: {}", missing.join(", "));
    }
    let SoakArguments { swaps, killed_swaps, control_seconds, jobs, .. } = arguments;
    say::step("soak", &format!("{swaps} swaps a backend, and {killed_swaps} by processes killed"));
    if let Some(folder) = kept.parent() {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("{} could not be made", folder.display()))?;
    }
    let mut tests = run::cargo(&workspace.root);
    tests.args(["test", "--package", "skep-chain-dispatcher", "--test", "kernel"]);
    tests.args(["--profile", "optimised-tests", "--"]);
    tests.arg(arguments.filter.as_deref().unwrap_or("flood::"));
    tests.arg(format!("--test-threads={jobs}"));
    tests.env("SKEP_SOAK_REPORT", kept);
    tests.env("SKEP_SOAK_COMMIT", machine.commit());
    tests.env("SKEP_SOAK_SWAPS", swaps.to_string());
    tests.env("SKEP_SOAK_KILLED_SWAPS", killed_swaps.to_string());
    tests.env("SKEP_SOAK_CONTROL_SECONDS", control_seconds.to_string());
    run::shown(&mut tests)
}

/// The last report of each flood, in order.
fn newest(text: &str) -> Result<Vec<Value>> {
    let mut floods = BTreeMap::new();
    for line in text.lines() {
        let flood: Value =
            serde_json::from_str(line).context("a flood reported what is no JSON")?;
        floods.insert((text_of(&flood, "what"), text_of(&flood, "backend")), flood);
    }
    Ok(floods.into_values().collect())
}

fn text_of(flood: &Value, key: &str) -> String {
    flood[key].as_str().unwrap_or("?").to_owned()
}

/// The section of the page. Pure.
fn section(machine: &Machine, floods: &[Value]) -> Result<String> {
    if floods.is_empty() {
        bail!("no flood reported anything");
    }
    let mut text = format!(
        "## Swaps under fire\n\nMade by `cargo xtask soak --write`, flood by flood: each says at which commit it ran; put together \
         {machine}.\n\n\
         Numbered packets run through a veth pair while chains of two members are replaced; both members write down which version \
         met which packet. *control*: the same flood without a swap. *swaps*: one process replaces the chain. *killed*: processes \
         that replace it are killed with SIGKILL, after each step of a swap in turn and at moments that nobody chose. *lost*: did \
         not arrive; *neither*: met no chain; *halves*: met two versions or one member only; *twice*: met a chain twice. The first \
         attach is not counted.\n\n\
         | flood | backend | swaps | kills | packets | lost | neither | halves | twice | seconds | commit |\n\
         | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |\n"
    );
    for flood in floods {
        let number = |key: &str| {
            let number = &flood[key];
            if number.is_number() {
                Ok(number.to_string())
            } else {
                bail!("a flood reported no {key}")
            }
        };
        let kills: u64 = kills(flood).map(|(_, count)| count).sum();
        for key in ["lost", "neither", "halves", "twice", "unconfigured"] {
            if flood[key].as_i64() != Some(0) {
                bail!(
                    "the last {} of {} found {key}: {flood}",
                    text_of(flood, "what"),
                    text_of(flood, "backend")
                );
            }
        }
        text += &format!(
            "| {} | {} | {} | {kills} | {} | {} | {} | {} | {} | {} | {} |\n",
            text_of(flood, "what"),
            text_of(flood, "backend"),
            number("swaps")?,
            number("packets")?,
            number("lost")?,
            number("neither")?,
            number("halves")?,
            number("twice")?,
            number("seconds")?,
            text_of(flood, "commit"),
        );
    }
    text += "\nPoints at which a process was killed, and how often:\n\n";
    for flood in floods.iter().filter(|flood| kills(flood).next().is_some()) {
        let points: Vec<String> =
            kills(flood).map(|(point, count)| format!("{point} {count}")).collect();
        text += &format!("- {}: {}.\n", text_of(flood, "backend"), points.join(", "));
    }
    Ok(text)
}

fn kills(flood: &Value) -> impl Iterator<Item = (&str, u64)> {
    let kills = flood["kills"].as_object().into_iter().flatten();
    kills.map(|(point, count)| (point.as_str(), count.as_u64().unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_holds_every_flood_and_every_point() {
        let flood = serde_json::json!({"what": "killed", "backend": "slots", "swaps": 100, "packets": 9000, "lost": 0,
            "neither": 0, "halves": 0, "twice": 0, "unconfigured": 0, "seconds": 2.5, "commit": "abc", "kills": {"after 3 pin": 12, "at any moment": 13}});
        let section = section(&Machine::example(), &[flood]).unwrap();
        assert!(
            section.contains("| killed | slots | 100 | 25 | 9000 | 0 | 0 | 0 | 0 | 2.5 | abc |")
        );
        assert!(section.contains("- slots: after 3 pin 12, at any moment 13."));
    }

    #[test]
    fn the_newest_report_of_each_flood_counts_and_one_that_lost_a_packet_is_not_written_down() {
        let line = |backend: &str, lost: u32, commit: &str| {
            serde_json::json!({"what": "swaps", "backend": backend, "swaps": 1, "packets": 2, "lost": lost, "neither": 0,
                "halves": 0, "twice": 0, "unconfigured": 0, "seconds": 1, "commit": commit}).to_string()
        };
        let lines = [line("slots", 1, "a"), line("fused", 0, "a"), line("slots", 0, "b")];
        let floods = newest(&lines.join("\n")).unwrap();
        assert_eq!(floods.len(), 2);
        assert_eq!(text_of(&floods[1], "commit"), "b");
        assert!(section(&Machine::example(), &floods).is_ok());
        assert!(section(&Machine::example(), &newest(&lines[0]).unwrap()).is_err());
    }

    #[test]
    fn a_missing_figure_is_an_error_and_not_a_zero() {
        let flood = serde_json::json!({"what": "swaps", "backend": "slots"});
        assert!(section(&Machine::example(), &[flood]).is_err());
        assert!(section(&Machine::example(), &[]).is_err());
    }
}
