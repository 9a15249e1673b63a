//! Package folders for scenarios: the first-party ones copied from the checkout, so that versions can be changed
//! without touching it. Refuses to know what is inside beyond the version line.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::{process, programs};

/// Begins the line that tells versions apart in the bytes.
const BUILD_MARK: &str = "\nconst volatile unsigned int skep_build";

/// Copies the folder `programs/` of the checkout, with the headers that the packages share.
///
/// # Errors
/// When it cannot be copied.
pub fn copy_all(into: &Path) -> Result<()> {
    let from = programs::checkout().join("programs");
    process::run(Command::new("cp").arg("-a").arg(&from).arg(into))?.expect_success().map(drop)
}

/// Writes another version into a package's `skep.toml`, and into its C sources a constant that tells it, so that the
/// new version is other bytes, too. Returns the version it had.
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
    for entry in std::fs::read_dir(package.join("src"))
        .context("the package has no folder of sources")?
        .flatten()
    {
        let path = entry.path();
        if path.to_str().is_some_and(|path| path.ends_with(".bpf.c")) {
            let text = std::fs::read_to_string(&path).context("a source could not be read")?;
            let ours = text.split(BUILD_MARK).next().unwrap_or_default();
            let number: String = version.split('.').map(|part| format!("{part:0>3}")).collect();
            std::fs::write(&path, format!("{ours}{BUILD_MARK} = 1{number};\n"))
                .context("a source could not be written")?;
        }
    }
    old.context("a version line was found")
}
