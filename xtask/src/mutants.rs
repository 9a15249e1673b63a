//! `cargo xtask mutants`: changes `trust` line by line and sees whether a test notices. By default only lines that differ from
//! the merge base; `--all` walks the whole crate. Refuses to know what a check is for; `.cargo/mutants.toml` lists the exceptions,
//! each with its reason.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};

use crate::workspace::Workspace;
use crate::{run, say, setup};

/// The crate whose checks must each have a case that catches their absence.
const PACKAGE: &str = "skep-trust";
/// Its folder.
const FOLDER: &str = "trust/src";
/// The version of the tool: what it counts as a mutant changes with it.
const VERSION: &str = "27.1.0";

#[derive(clap::Args)]
pub(crate) struct MutantsArguments {
    /// Every line of the crate, not only those that differ from the merge base.
    #[arg(long)]
    all: bool,
    /// How many mutants are tried at the same time.
    #[arg(long, default_value_t = 1)]
    jobs: u32,
    /// Only this file, from the root of the workspace.
    #[arg(long)]
    file: Option<PathBuf>,
    /// The branch that lines are compared with.
    #[arg(long, default_value = "main")]
    base: String,
}

pub(crate) fn perform(workspace: &Workspace, arguments: &MutantsArguments) -> Result<ExitCode> {
    let tool = setup::cargo_mutants(workspace, VERSION)?;
    let folder = workspace.target.join("mutants");
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("{} could not be made", folder.display()))?;
    let mut command = Command::new(&tool);
    command.current_dir(&workspace.root).args(["mutants", "--package", PACKAGE]);
    command.args(["--test-package", PACKAGE, "--jobs", &arguments.jobs.to_string()]);
    command.args(["--colors", "never", "--no-times", "--output"]).arg(&folder);
    if let Some(file) = &arguments.file {
        command.arg("--file").arg(file);
    } else if !arguments.all {
        let Some(diff) = changed_lines(workspace, &arguments.base, &folder)? else {
            say::note(&format!("No line of {FOLDER} differs from {}.", arguments.base));
            return Ok(ExitCode::SUCCESS);
        };
        command.arg("--in-diff").arg(diff);
    }
    say::step("mutants", "each check of trust is taken away once, and a test must notice");
    let status = command.status().context("cargo-mutants could not be started")?;
    // 0: every mutant was caught; 2: some survived; 3: some ran out of time, which is a catch of its own.
    match status.code() {
        Some(0 | 3) => Ok(ExitCode::SUCCESS),
        Some(2) => {
            let missed = folder.join("mutants.out").join("missed.txt");
            let text = std::fs::read_to_string(&missed).unwrap_or_default();
            say::failure(&format!("No test notices these:\n{text}"));
            Ok(ExitCode::FAILURE)
        }
        _ => bail!("cargo-mutants ended with {status}"),
    }
}

/// The lines that differ from the merge base, in a file; nothing when none does.
fn changed_lines(workspace: &Workspace, base: &str, folder: &Path) -> Result<Option<PathBuf>> {
    let git = || {
        let mut git = Command::new("git");
        git.current_dir(&workspace.root);
        git
    };
    let base = run::captured(git().args(["merge-base", "HEAD", base]))
        .with_context(|| format!("git finds no common ancestor with {base}"))?;
    let diff = run::captured(git().args(["diff", &base, "--", FOLDER]))?;
    if diff.is_empty() {
        return Ok(None);
    }
    let file = folder.join("changed.diff");
    std::fs::write(&file, diff + "\n")
        .with_context(|| format!("{} could not be written", file.display()))?;
    Ok(Some(file))
}
