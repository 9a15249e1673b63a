//! The registry under load, beside Debian's docker-registry with the same bytes.

use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use super::{number, parsed};
use crate::build::{self, Profile};
use crate::pages::Machine;
use crate::workspace::Workspace;
use crate::{run, say};

/// What docker-registry's throughput is multiplied by for the goals of manifests and of blobs.
const MANIFEST_GOAL: f64 = 10.0;
const BLOB_GOAL: f64 = 5.0;
const PUBLISH_GOAL_MS: f64 = 300.0;
const SEARCH_GOAL_MS: f64 = 50.0;
const MEMORY_GOAL_MIB: f64 = 150.0;

pub(super) fn measure(workspace: &Workspace) -> Result<String> {
    say::step("programs", "optimised");
    build::programs(workspace, Profile::Release)?;
    say::step("registry", "load, publishes, and searches in a large database; some four minutes");
    let machine = Machine::look(&workspace.root)?;
    let folder = workspace.programs(Profile::Release.folder());
    let mut figures = Command::new(folder.join("skep-figures"));
    figures.arg("registry").current_dir(&workspace.root).env("SKEP_BIN_DIR", &folder);
    section(&machine, &parsed(&run::captured(&mut figures)?)?)
}

/// Median of the rounds of one server: requests a second, and the 99th percentile in ms.
fn medians(rounds: &[Value], server: &str) -> Result<(f64, f64)> {
    let median = |key: &str| -> Result<f64> {
        let values: Result<Vec<f64>> =
            rounds.iter().map(|round| number(&round[server], key)).collect();
        percentile(&mut values?, 50)
    };
    Ok((median("requests_per_sec")?, median("p99_ms")?))
}

/// The smallest value that so many per cent of all do not exceed.
fn percentile(values: &mut [f64], percent: usize) -> Result<f64> {
    values.sort_by(f64::total_cmp);
    let place = (values.len() * percent).div_ceil(100);
    values.get(place.max(1) - 1).copied().context("nothing was measured")
}

fn list<'a>(of: &'a Value, key: &str) -> Result<&'a Vec<Value>> {
    of[key].as_array().with_context(|| format!("a measurement has no {key}"))
}

fn verdict(met: bool) -> &'static str {
    if met { "met" } else { "**missed**" }
}

/// The section of the page. Pure.
fn section(machine: &Machine, figures: &Value) -> Result<String> {
    let mut text = format!(
        "## The registry\n\nMade by `cargo xtask bench registry --write` {machine}. Both servers hold the same image, copied byte for \
         byte, and serve plain HTTP on loopback; `wrk` asks over 64 connections, the servers take turns, medians of {} rounds. The \
         machine's cores are shared by server and `wrk`.\n\n\
         | what | server | requests a second | p99, ms | ratio | goal |\n| --- | --- | ---: | ---: | ---: | --- |\n",
        list(figures, "manifests")?.len()
    );
    for (key, bytes, what, goal) in [
        ("manifests", "manifest_bytes", "manifest by tag", MANIFEST_GOAL),
        ("blobs", "blob_bytes", "blob", BLOB_GOAL),
    ] {
        let rounds = list(figures, key)?;
        let (ours, ours_p99) = medians(rounds, "skep")?;
        let (theirs, theirs_p99) = medians(rounds, "docker_registry")?;
        let bytes = number(figures, bytes)?;
        let met = verdict(ours >= goal * theirs && ours_p99 < theirs_p99);
        text += &format!(
            "| {what}, {bytes} bytes | skep-registry | {ours:.0} | {ours_p99:.2} | {:.1} | ≥ {goal} and a lower p99: {met} |\n\
             | | docker-registry | {theirs:.0} | {theirs_p99:.2} | 1 | |\n",
            ours / theirs
        );
    }
    text += "\n| what | median | p95 | goal |\n| --- | ---: | ---: | --- |\n";
    let object = number(figures, "object_bytes")?;
    let (packages, versions) = (number(figures, "packages")?, number(figures, "versions")?);
    for (key, what, goal) in [
        (
            "publish_ms",
            format!(
                "`skep publish` of an object of {object} bytes: the process, with signing, verification and log, ms"
            ),
            PUBLISH_GOAL_MS,
        ),
        (
            "search_ms",
            format!(
                "a page of a search among {packages} packages with {versions} versions (SQLite), ms"
            ),
            SEARCH_GOAL_MS,
        ),
    ] {
        let all: Option<Vec<f64>> = list(figures, key)?.iter().map(Value::as_f64).collect();
        let mut all = all.context("a time is a number")?;
        let (median, p95) = (percentile(&mut all, 50)?, percentile(&mut all, 95)?);
        text += &format!(
            "| {what} | {median:.1} | {p95:.1} | p95 ≤ {goal}: {} |\n",
            verdict(p95 <= goal)
        );
    }
    let mib = |key: &str| Ok::<_, anyhow::Error>(number(figures, key)? / 1024.0);
    let (load, search) = (mib("rss_kib_after_load")?, mib("rss_kib_after_search")?);
    text += &format!(
        "\nThe server's resident memory: {load:.0} MiB after the load and the publishes, {search:.0} MiB after the searches in the \
         large database; goal ≤ {MEMORY_GOAL_MIB}: {}.\n",
        verdict(load.max(search) <= MEMORY_GOAL_MIB)
    );
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn figures(ours: f64) -> Value {
        let round = |ours: f64| json!({"skep": {"requests_per_sec": ours, "p99_ms": 1.0}, "docker_registry": {"requests_per_sec": 100.0, "p99_ms": 9.0}});
        let rounds = [round(ours), round(ours), round(1.0)];
        json!({"manifests": rounds, "blobs": rounds, "manifest_bytes": 500, "blob_bytes": 20000, "publish_ms": [100.0, 200.0, 310.0],
            "object_bytes": 65536, "search_ms": [1.0, 2.0], "packages": 100000, "versions": 1000000,
            "rss_kib_after_load": 102400, "rss_kib_after_search": 204800})
    }

    #[test]
    fn a_section_judges_each_goal_by_its_own_figure() {
        let section = section(&Machine::example(), &figures(700.0)).unwrap();
        assert!(
            section.contains("| 700 | 1.00 | 7.0 | ≥ 10 and a lower p99: **missed** |"),
            "{section}"
        );
        assert!(section.contains("| 700 | 1.00 | 7.0 | ≥ 5 and a lower p99: met |"), "{section}");
        assert!(section.contains("| 200.0 | 310.0 | p95 ≤ 300: **missed** |"), "{section}");
        assert!(section.contains("| 1.0 | 2.0 | p95 ≤ 50: met |"), "{section}");
        assert!(
            section.contains("100 MiB after the load") && section.contains("≤ 150: **missed**")
        );
    }

    #[test]
    fn a_missing_figure_is_an_error_and_not_a_zero() {
        assert!(section(&Machine::example(), &json!({})).is_err());
    }
}
