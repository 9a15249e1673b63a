//! Package folders for scenarios: the first-party ones copied from the checkout, so that versions can be changed
//! without touching it. Refuses to know what is inside beyond the version line.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::{process, programs};

/// Copies `programs/<name>` into a folder.
///
/// # Errors
/// When it cannot be copied.
pub fn copy(name: &str, into: &Path) -> Result<PathBuf> {
    std::fs::create_dir_all(into).context("a folder for packages could not be made")?;
    let from = programs::checkout().join("programs").join(name);
    let to = into.join(name);
    process::run(Command::new("cp").arg("-a").arg(&from).arg(&to))?.expect_success()?;
    Ok(to)
}

/// Copies everything that first-party packages share (headers), which lies beside them.
///
/// # Errors
/// When it cannot be copied.
pub fn copy_all(into: &Path) -> Result<()> {
    let from = programs::checkout().join("programs");
    process::run(Command::new("cp").arg("-a").arg(&from).arg(into))?.expect_success().map(drop)
}

/// Writes another version into a package's `skep.toml`. Returns the one it had.
///
/// # Errors
/// When the file has no version line.
pub fn set_version(package: &Path, version: &str) -> Result<String> {
    let path = package.join("skep.toml");
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("{} could not be read", path.display()))?;
    let mut old = None;
    let lines: Vec<String> = text
        .lines()
        .map(|line| {
            match line
                .strip_prefix("version")
                .map(str::trim_start)
                .and_then(|rest| rest.strip_prefix('='))
            {
                Some(value) if old.is_none() => {
                    old = Some(value.trim().trim_matches('"').to_owned());
                    format!("version = \"{version}\"")
                }
                _ => line.to_owned(),
            }
        })
        .collect();
    ensure!(old.is_some(), "{} has no version line", path.display());
    std::fs::write(&path, lines.join("\n") + "\n")
        .with_context(|| format!("{} could not be written", path.display()))?;
    old.context("a version line was found")
}
