//! The road from `skep publish` to the first packet, and what an idle agent costs.

use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use super::{number, parsed};
use crate::build::{self, Profile};
use crate::pages::Machine;
use crate::workspace::Workspace;
use crate::{run, say};

pub(super) fn measure(workspace: &Workspace) -> Result<String> {
    say::step("programs", "optimised");
    build::programs(workspace, Profile::Release)?;
    say::step("road", "publish to first packet, and an idle agent; about a minute");
    let machine = Machine::look(&workspace.root)?;
    let folder = workspace.programs(Profile::Release.folder());
    let mut figures = Command::new(folder.join("skep-figures"));
    let road = run::captured(
        figures.arg("road").current_dir(&workspace.root).env("SKEP_BIN_DIR", &folder),
    )?;
    section(&machine, &parsed(&road)?)
}

/// The section of the page. Pure.
fn section(machine: &Machine, road: &Value) -> Result<String> {
    let mut text = format!(
        "## The road\n\nMade by `cargo xtask bench road --write` {machine}.\n\n\
         | what | median | all runs |\n| --- | ---: | --- |\n"
    );
    for (key, what) in [
        (
            "publish_to_first_packet_ms",
            "`skep publish` (with clang) to the first packet in the new chain, ms",
        ),
        ("apply_to_first_packet_ms", "`skep apply` to the first packet in the new chain, ms"),
    ] {
        let runs = road[key].as_array().with_context(|| format!("the road has no {key}"))?;
        let all: Vec<String> = runs.iter().map(Value::to_string).collect();
        let median = all.get(all.len() / 2).context("no runs")?;
        text += &format!("| {what} | {median} | {} |\n", all.join(", "));
    }
    text += &format!(
        "\nAn agent with one chain of two members: {:.1} MiB resident, {:.2} % of one core while nothing changes (over 10 s).\n",
        number(road, "agent_rss_kib")? / 1024.0,
        number(road, "agent_idle_cpu_percent")?
    );
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_holds_the_medians_and_the_machine() {
        let road = serde_json::json!({"publish_to_first_packet_ms": [900, 1000, 1200], "apply_to_first_packet_ms": [90, 100, 120],
            "agent_rss_kib": 10240, "agent_idle_cpu_percent": 0.1});
        let section = section(&Machine::example(), &road).unwrap();
        assert!(section.contains("| 1000 | 900, 1000, 1200 |"));
        assert!(section.contains("2 × Abacus 3, Linux 6.18"));
        assert!(section.contains("10.0 MiB resident"));
    }

    #[test]
    fn a_missing_figure_is_an_error_and_not_a_zero() {
        assert!(section(&Machine::example(), &serde_json::json!({})).is_err());
    }
}
