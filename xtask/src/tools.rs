//! Programs that others wrote, from PyPI, npm and the Rust registry, with pinned versions, kept beside the other tools: tests run them
//! against what we serve. Refuses to know which tests.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::workspace::Workspace;
use crate::{run, say, setup};

/// Python packages: a folder for each set, a virtual environment.
const PYTHON: &[(&str, &[&str])] = &[
    ("oras-0.2.43", &["oras==0.2.43"]),
    ("python-tuf-7.0.0", &["tuf==7.0.0", "securesystemslib[crypto]==1.4.0"]),
];

/// npm packages: a folder for each set, with its `node_modules`.
const NPM: &[(&str, &[&str])] = &[
    ("axe-core-4.14.1", &["axe-core@4.14.1"]),
    ("tuf-js-6.0.2", &["tuf-js@6.0.2"]),
    ("sigstore-js-3.1.0", &["@sigstore/verify@3.1.0", "@sigstore/bundle@4.0.0"]),
];

/// Rust programs: package, version, features.
const RUST: &[(&str, &str, &str)] = &[("s3s-fs", "0.14.1", "binary")];

/// Installs what is missing. Returns what could not be, each with the reason: tests that want it then say they were skipped.
pub(crate) fn install(workspace: &Workspace) -> Vec<String> {
    let python = PYTHON.iter().filter_map(|(name, pins)| {
        python(workspace, name, pins).err().map(|error| format!("{name}: {error:#}"))
    });
    let npm = NPM.iter().filter_map(|(name, pins)| {
        npm(workspace, name, pins).err().map(|error| format!("{name}: {error:#}"))
    });
    let rust = RUST.iter().filter_map(|(name, version, features)| {
        let installed = setup::foreign(workspace, name, version, features);
        installed.err().map(|error| format!("{name}: {error:#}"))
    });
    python.chain(npm).chain(rust).collect()
}

/// Makes a virtual environment with these packages, once; returns its folder.
pub(crate) fn python(workspace: &Workspace, name: &str, pins: &[&str]) -> Result<PathBuf> {
    let folder = workspace.tools.join(name);
    if is_whole(&folder) {
        return Ok(folder);
    }
    say::note(&format!("{name} is missing; pip installs {} now, once.", pins.join(", ")));
    begin(&folder)?;
    run::shown(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
    let mut pip = Command::new(folder.join("bin").join("python"));
    run::shown(pip.args(["-m", "pip", "install", "--quiet"]).args(pins))?;
    finish(&folder)?;
    Ok(folder)
}

fn npm(workspace: &Workspace, name: &str, pins: &[&str]) -> Result<()> {
    let folder = workspace.tools.join(name);
    if is_whole(&folder) {
        return Ok(());
    }
    if run::find("npm").is_none() {
        anyhow::bail!("npm is not here; tests that want it are skipped");
    }
    say::note(&format!("{name} is missing; npm installs {} now, once.", pins.join(", ")));
    begin(&folder)?;
    std::fs::create_dir_all(&folder)?;
    let mut npm = Command::new("npm");
    npm.args(["install", "--silent", "--no-audit", "--no-fund", "--prefix"]).arg(&folder);
    run::shown(npm.args(pins))?;
    finish(&folder)
}

/// Written last, so that an installation that broke off is begun again.
fn mark(folder: &std::path::Path) -> PathBuf {
    folder.join(".whole")
}

fn is_whole(folder: &std::path::Path) -> bool {
    mark(folder).is_file()
}

fn begin(folder: &std::path::Path) -> Result<()> {
    if folder.exists() {
        std::fs::remove_dir_all(folder)?;
    }
    Ok(())
}

fn finish(folder: &std::path::Path) -> Result<()> {
    Ok(std::fs::write(mark(folder), "")?)
}
