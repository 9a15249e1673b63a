//! `cargo xtask bench`: builds optimised programs, measures the road and the chain, and prints a page; `--write` keeps
//! it in `docs/benchmarks.md`. Refuses to judge the figures and to know how they are taken.

use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::build::{self, Profile};
use crate::workspace::Workspace;
use crate::{run, say, setup};

#[derive(clap::Args)]
pub(crate) struct BenchArguments {
    /// Write the page to docs/benchmarks.md.
    #[arg(long)]
    write: bool,
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
    say::step("programs", "optimised");
    build::programs(workspace, Profile::Release)?;

    say::step("road", "publish to first packet, and an idle agent; about a minute");
    let folder = workspace.programs(Profile::Release.folder());
    let mut figures = Command::new(folder.join("skep-figures"));
    let road = run::captured(figures.current_dir(&workspace.root).env("SKEP_BIN_DIR", &folder))?;

    say::step(
        "chain",
        "nanoseconds a packet for several lengths, against one program written by hand",
    );
    let mut bench = run::cargo(&workspace.root);
    bench.args(["bench", "--package", "skep-chain-dispatcher", "--bench", "chain", "--", "--json"]);
    let chain = run::captured(&mut bench)?;

    let page = page(&machine(&workspace.root)?, &parsed(&road)?, &parsed(&chain)?)?;
    say::text(&page);
    if arguments.write {
        let path = workspace.root.join("docs").join("benchmarks.md");
        std::fs::write(&path, &page)
            .with_context(|| format!("{} could not be written", path.display()))?;
        say::note("Written to docs/benchmarks.md.");
    }
    Ok(ExitCode::SUCCESS)
}

fn parsed(text: &str) -> Result<Value> {
    let line = text
        .lines()
        .rev()
        .find(|line| line.starts_with('{'))
        .context("a measurement printed no JSON")?;
    serde_json::from_str(line).context("a measurement printed JSON that cannot be read")
}

/// What the figures were taken on, in one line each.
struct Machine {
    processor: String,
    processors: usize,
    kernel: String,
    commit: String,
}

fn machine(root: &Path) -> Result<Machine> {
    let cpuinfo =
        std::fs::read_to_string("/proc/cpuinfo").context("/proc/cpuinfo could not be read")?;
    let model =
        cpuinfo.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or(": unknown");
    Ok(Machine {
        processor: model.trim_start_matches([' ', '\t', ':']).to_owned(),
        processors: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        kernel: run::captured(Command::new("uname").arg("-r"))?,
        commit: run::captured(Command::new("git").current_dir(root).args([
            "rev-parse",
            "--short",
            "HEAD",
        ]))?,
    })
}

/// The page. Pure.
fn page(machine: &Machine, road: &Value, chain: &Value) -> Result<String> {
    let mut text = format!(
        "# Benchmarks\n\nMade by `cargo xtask bench --write` at commit {}, on {} × {}, Linux {}.\n\
         Only ratios within one run travel to other machines.\n\n## The road\n\n| what | median | all runs |\n| --- | ---: | --- |\n",
        machine.commit, machine.processors, machine.processor, machine.kernel
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
        text += &format!(
            "| {what} | {} | {} |\n",
            all.get(all.len() / 2).context("no runs")?,
            all.join(", ")
        );
    }
    let number = |key: &str| road[key].as_f64().with_context(|| format!("the road has no {key}"));
    text += &format!(
        "\nAn agent with one chain of two members: {:.1} MiB resident, {:.2} % of one core while nothing changes (over 10 s).\n",
        number("agent_rss_kib")? / 1024.0,
        number("agent_idle_cpu_percent")?
    );
    text += "\n## The chain\n\nOne packet through N members with a realistic body each, against one program written by hand with the \
             same N bodies; `BPF_PROG_TEST_RUN`, measured in turn in one run.\n\n\
             `by-hand` keeps each body a function of its own and is what ratios are taken from; `by-hand-merged` lets the \
             compiler melt the bodies into one, which programs loaded one by one cannot have; `slots` is our \
             dispatcher, `slots-counting` with its counters on, as agents run it.\n\n| members | way | median ns a packet | fastest quarter | ratio of medians |\n| ---: | --- | ---: | ---: | ---: |\n";
    let rows = chain["rows"].as_array().context("the chain bench has no rows")?;
    for row in rows {
        let number = |key: &str| {
            row[key].as_f64().with_context(|| format!("a row of the chain bench has no {key}"))
        };
        text += &format!(
            "| {} | {} | {:.0} | {:.1} | {:.2} |\n",
            row["members"],
            row["way"].as_str().unwrap_or("?"),
            number("median_ns")?,
            number("fastest_quarter_ns")?,
            number("ratio_to_by_hand")?
        );
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_holds_the_medians_the_machine_and_every_row() {
        let machine = Machine {
            processor: "Abacus 3".to_owned(),
            processors: 2,
            kernel: "6.18".to_owned(),
            commit: "abc".to_owned(),
        };
        let road = serde_json::json!({"publish_to_first_packet_ms": [900, 1000, 1200], "apply_to_first_packet_ms": [90, 100, 120],
            "agent_rss_kib": 10240, "agent_idle_cpu_percent": 0.1});
        let chain = serde_json::json!({"rows": [{"members": 2, "way": "slots", "median_ns": 20.0, "fastest_quarter_ns": 19.5, "ratio_to_by_hand": 1.25}]});
        let page = page(&machine, &road, &chain).unwrap();
        assert!(page.contains("| 1000 | 900, 1000, 1200 |"));
        assert!(page.contains("2 × Abacus 3, Linux 6.18"));
        assert!(page.contains("10.0 MiB resident"));
        assert!(page.contains("| 2 | slots | 20 | 19.5 | 1.25 |"));
    }

    #[test]
    fn a_missing_figure_is_an_error_and_not_a_zero() {
        let machine = Machine {
            processor: String::new(),
            processors: 1,
            kernel: String::new(),
            commit: String::new(),
        };
        assert!(page(&machine, &serde_json::json!({}), &serde_json::json!({"rows": []})).is_err());
    }
}
