//! Our chains against libxdp's own, on kernels that allow extension programs: inside Debian's kernels in QEMU, where only
//! ratios within one boot mean anything.

use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::number;
use crate::pages::Machine;
use crate::workspace::Workspace;
use crate::{run, say};

const SERIES: [&str; 2] = ["6.1", "6.12"];
/// How a measurement marks its line among those of the tests.
const MARK: &str = "@figures ";
/// What `xdp-loader` needs is multiplied by this for the goal of load and change.
const LATENCY_GOAL: f64 = 0.25;

pub(super) fn measure(workspace: &Workspace) -> Result<String> {
    let machine = Machine::look(&workspace.root)?;
    let mut boots = Vec::new();
    for series in SERIES {
        say::step(&format!("kernel {series}"), "our chains beside xdp-loader's; minutes");
        let mut vm = Command::new(std::env::current_exe().context("xtask has no path")?);
        vm.current_dir(&workspace.root).args([
            "vm",
            "--optimised",
            "--kernel",
            series,
            "--shell-command",
        ]);
        vm.arg("SKEP_BENCH_REPORT=- /tests/kernel --nocapture --test-threads 1 against");
        boots.push((series, figures(&run::captured(&mut vm)?)?));
    }
    section(&machine, &boots)
}

/// The measurements among the lines of the tests.
fn figures(output: &str) -> Result<Vec<Value>> {
    let marked = output.lines().filter_map(|line| line.split_once(MARK));
    // The console may put a message of the kernel behind it.
    let figures = marked.map(|(_, json)| {
        serde_json::Deserializer::from_str(json)
            .into_iter()
            .next()
            .context("a figure is missing")?
            .with_context(|| format!("a figure is no JSON: {json}"))
    });
    let figures: Vec<Value> = figures.collect::<Result<_>>()?;
    if figures.is_empty() {
        bail!("the kernel measured nothing: {output}");
    }
    Ok(figures)
}

/// The section of the page. Pure.
fn section(machine: &Machine, boots: &[(&str, Vec<Value>)]) -> Result<String> {
    let mut text = format!(
        "## Beside libxdp\n\nMade by `cargo xtask bench libxdp --write` {machine}; inside QEMU without hardware acceleration, so \
         only the ratios within one boot mean anything, and those of single packets little: emulation prices jumps otherwise than \
         processors do. The same members, compiled once: `xdp-loader` is Debian's, with libxdp's own dispatcher; `libxdp`, `slots` \
         and `fused` are our chains, with counters off for the packets and on for the changes.\n"
    );
    for (series, figures) in boots {
        let rows = |measure: &str| {
            let figure = figures.iter().find(|figure| figure["measure"] == measure);
            let rows = figure.and_then(|figure| figure["rows"].as_array());
            rows.with_context(|| format!("kernel {series} has no figures of {measure}"))
        };
        text += &format!(
            "\n### Linux {series}: a packet\n\n| members | way | median ns | ratio to `xdp-loader` |\n| ---: | --- | ---: | ---: |\n"
        );
        let packets = rows("packets")?;
        for row in packets {
            let theirs = packets
                .iter()
                .find(|one| one["members"] == row["members"] && one["way"] == "xdp-loader")
                .context("xdp-loader's chain was not measured")?;
            let (ns, base) = (number(row, "median_ns")?, number(theirs, "median_ns")?);
            let way = row["way"].as_str().unwrap_or("?");
            text += &format!("| {} | {way} | {ns:.0} | {:.2} |\n", row["members"], ns / base);
        }
        text += &changes(series, rows("changes")?)?;
    }
    Ok(text)
}

fn changes(series: &str, rows: &[Value]) -> Result<String> {
    let theirs = rows.iter().find(|row| row["way"] == "xdp-loader");
    let theirs = theirs.context("xdp-loader's changes were not measured")?;
    let mut text = format!(
        "\n### Linux {series}: load and change\n\nFive members onto a free interface, then a sixth beside them; medians. Ours through \
         the crate, as the agent calls it; `xdp-loader` is a process, whose start and end alone took {:.0} ms.\n\n\
         | way | load, ms | ratio | | grow, ms | ratio | |\n| --- | ---: | ---: | --- | ---: | ---: | --- |\n",
        number(theirs, "nothing_ms")?
    );
    for row in rows {
        let way = row["way"].as_str().unwrap_or("?");
        let mut cells = String::new();
        for key in ["load_ms", "grow_ms"] {
            let (ms, base) = (number(row, key)?, number(theirs, key)?);
            let ratio = ms / base;
            let met = match way {
                "xdp-loader" => "",
                _ if ratio <= LATENCY_GOAL => "≤ 0.25: met",
                _ => "≤ 0.25: **missed**",
            };
            cells += &format!(" {ms:.0} | {ratio:.2} | {met} |");
        }
        text += &format!("| {way} |{cells}\n");
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = r#"test against::a ... @figures {"measure": "packets", "rows": [{"members": 5, "way": "xdp-loader", "median_ns": 200.0}, {"members": 5, "way": "fused", "median_ns": 150.0}]}ok [   11.3] veth: up
ok
@figures {"measure": "changes", "rows": [{"way": "slots", "load_ms": 10.0, "grow_ms": 30.0}, {"way": "xdp-loader", "load_ms": 100.0, "grow_ms": 100.0, "nothing_ms": 9.0}]}"#;

    #[test]
    fn a_section_holds_ratios_and_goals_of_each_boot() {
        let boots = [("6.1", figures(OUTPUT).unwrap())];
        let section = section(&Machine::example(), &boots).unwrap();
        assert!(section.contains("| 5 | fused | 150 | 0.75 |"), "{section}");
        assert!(
            section
                .contains("| slots | 10 | 0.10 | ≤ 0.25: met | 30 | 0.30 | ≤ 0.25: **missed** |")
        );
    }

    #[test]
    fn a_boot_that_measured_nothing_is_an_error() {
        assert!(figures("ok\n").is_err());
        assert!(section(&Machine::example(), &[("6.1", Vec::new())]).is_err());
    }
}
