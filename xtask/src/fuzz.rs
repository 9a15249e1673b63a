//! `cargo xtask fuzz`: the targets of `fuzz/` under libFuzzer, one after the other, each for a number of seconds, with the
//! address sanitizer. Refuses to know what a target reads; the short form of the same is part of `cargo xtask test`.

use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};

use crate::workspace::Workspace;
use crate::{run, say, setup};

/// Inputs longer than this only make a run slower: our largest object has a quarter of it.
const INPUT_BYTES_MAX: u32 = 256 << 10;
/// One input that takes longer than this is a finding.
const INPUT_SECONDS_MAX: u32 = 10;
/// A process that grows beyond this is a finding.
const MEMORY_MIB_MAX: u32 = 2048;

#[derive(clap::Args)]
pub(crate) struct FuzzArguments {
    /// Only this target.
    #[arg(long)]
    target: Option<String>,
    /// How long each target runs.
    #[arg(long, default_value_t = 600)]
    seconds: u32,
    /// How many targets run at the same time.
    #[arg(long, default_value_t = 1)]
    jobs: usize,
}

/// How one target ended.
struct Ended {
    target: String,
    clean: bool,
    /// libFuzzer's last word: how many inputs it tried.
    runs: u64,
    log: std::path::PathBuf,
}

pub(crate) fn perform(workspace: &Workspace, arguments: &FuzzArguments) -> Result<ExitCode> {
    let targets = targets(&workspace.root)?;
    let chosen: Vec<&String> = targets
        .iter()
        .filter(|target| arguments.target.as_ref().is_none_or(|wanted| wanted == *target))
        .collect();
    if chosen.is_empty() {
        bail!("there is no such target; there are {}", targets.join(", "));
    }
    say::step("cargo-fuzz", "built once, kept beside the other tools");
    let tool = setup::cargo_fuzz(workspace)?;
    say::step("seeds", "made out of our own programs");
    let corpus = workspace.target.join("fuzz").join("corpus");
    let mut seeds = run::cargo(&workspace.root);
    seeds.args(["run", "--quiet", "--package", "skep-fuzz", "--bin", "skep-fuzz-seeds", "--"]);
    run::shown(seeds.arg(&corpus))?;
    say::step("build", "with coverage and the address sanitizer");
    build(workspace, &tool, arguments.target.as_deref())?;

    let minutes = f64::from(arguments.seconds) / 60.0;
    say::step("fuzz", &format!("{minutes:.1} minutes a target, {} at a time", arguments.jobs));
    let mut good = true;
    for batch in chosen.chunks(arguments.jobs.max(1)) {
        let ended: Vec<Result<Ended>> = std::thread::scope(|scope| {
            let running: Vec<_> = batch
                .iter()
                .map(|target| scope.spawn(|| fuzz(workspace, &corpus, target, arguments.seconds)))
                .collect();
            running
                .into_iter()
                .map(|thread| thread.join().unwrap_or_else(|_| bail!("a thread ended early")))
                .collect()
        });
        for ended in ended {
            let ended = ended?;
            good &= ended.clean;
            let how = if ended.clean { "clean" } else { "found something" };
            say::note(&format!("{:10} {how}: {} inputs tried", ended.target, ended.runs));
            if !ended.clean {
                say::note(&format!("  its last words are in {}", ended.log.display()));
            }
        }
    }
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The targets are the files of `fuzz/fuzz_targets`.
fn targets(root: &Path) -> Result<Vec<String>> {
    let folder = root.join("fuzz").join("fuzz_targets");
    let entries = std::fs::read_dir(&folder)
        .with_context(|| format!("{} could not be read", folder.display()))?;
    let mut targets = Vec::new();
    for entry in entries {
        let path = entry.context("an entry of the targets could not be read")?.path();
        targets.extend(path.file_stem().map(|stem| stem.to_string_lossy().into_owned()));
    }
    targets.sort();
    Ok(targets)
}

/// Builds one target, or all of them in one go, which is quicker than one after the other.
fn build(workspace: &Workspace, tool: &Path, target: Option<&str>) -> Result<()> {
    let mut build = Command::new(tool);
    // The sanitizer's flags are behind a door that only a nightly compiler opens by itself.
    build.current_dir(&workspace.root).env("RUSTC_BOOTSTRAP", "1");
    // Optimising across crates once for each target takes ten times as long and finds nothing more.
    build.env("CARGO_PROFILE_RELEASE_LTO", "off");
    build.args(["fuzz", "build", "--fuzz-dir", "fuzz", "--features", "libfuzzer"]);
    run::shown(build.args(target))
}

fn fuzz(workspace: &Workspace, corpus: &Path, target: &str, seconds: u32) -> Result<Ended> {
    let folder = workspace.target.join("fuzz").join("findings").join(target);
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("{} could not be made", folder.display()))?;
    let log = folder.join("log");
    let file = std::fs::File::create(&log)
        .with_context(|| format!("{} could not be made", log.display()))?;
    let program = workspace.target.join(format!("{}-unknown-linux-gnu", std::env::consts::ARCH));
    let mut command = Command::new(program.join("release").join(target));
    command.current_dir(&workspace.root).arg(corpus.join(target));
    command.arg(format!("-max_total_time={seconds}"));
    command.arg(format!("-max_len={INPUT_BYTES_MAX}"));
    command.arg(format!("-timeout={INPUT_SECONDS_MAX}"));
    command.arg(format!("-rss_limit_mb={MEMORY_MIB_MAX}"));
    command.arg(format!("-artifact_prefix={}/", folder.display()));
    let shared = file.try_clone().context("the log could not be shared")?;
    let status = command
        .stdin(std::process::Stdio::null())
        .stdout(shared)
        .stderr(file)
        .status()
        .with_context(|| format!("the target {target} could not be started"))?;
    let text = std::fs::read(&log).with_context(|| format!("{} is unreadable", log.display()))?;
    let runs = runs(&String::from_utf8_lossy(&text));
    // A run that ends well without having tried anything has found nothing out.
    let clean = status.success() && runs.is_some_and(|runs| runs > 0);
    Ok(Ended { target: target.to_owned(), clean, runs: runs.unwrap_or_default(), log })
}

/// `Done 211271 runs in 41 second(s)`, which libFuzzer says only when it was not stopped by a finding.
fn runs(log: &str) -> Option<u64> {
    let line = log.lines().rev().find(|line| line.starts_with("Done "))?;
    line.split(' ').nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::runs;

    #[test]
    fn a_target_that_was_stopped_by_a_finding_has_not_run_to_its_end() {
        assert_eq!(runs("#1 INITED\nDone 211271 runs in 41 second(s)\n"), Some(211_271));
        assert_eq!(runs("#1 INITED\n==1== ERROR: libFuzzer: deadly signal\n"), None);
    }
}
