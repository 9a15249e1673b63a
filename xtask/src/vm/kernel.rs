//! Debian's kernels, downloaded once and unpacked beside the other tools; nothing is installed. Takes the newest
//! package of a series that apt offers, because the archive keeps no older ones. Refuses to know what is booted.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::workspace::Workspace;
use crate::{run, say};

/// A kernel that can be booted.
pub(super) struct Kernel {
    /// As `uname -r` says it.
    pub(super) release: String,
    pub(super) vmlinuz: PathBuf,
    /// The folder `lib/modules/<release>`.
    pub(super) modules: PathBuf,
}

/// Whether a kernel could be had.
pub(super) enum Fetched {
    Here(Kernel),
    /// Why not: a sentence.
    Missing(String),
}

/// How many packages of a series are tried, newest first: lists of packages may be older than the archive by a few
/// security updates, not by many.
const TRIES_MAX: usize = 4;

/// The newest kernel of a series: from apt, or from an earlier run when apt has none.
pub(super) fn fetch(workspace: &Workspace, series: &str) -> Result<Fetched> {
    if std::env::consts::ARCH != "x86_64" {
        return Ok(Fetched::Missing("the virtual machine is made for x86-64 only".to_owned()));
    }
    if run::find("qemu-system-x86_64").is_none() {
        return Ok(Fetched::Missing("qemu-system-x86_64 is not installed".to_owned()));
    }
    let folder = workspace.tools.join("kernels");
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("{} could not be made", folder.display()))?;
    let reason = match newest(&folder, series) {
        Ok(kernel) => return Ok(Fetched::Here(kernel)),
        Err(reason) => reason,
    };
    // Old lists of packages name what the archive no longer has; a fresh container has no lists at all.
    if run::is_root() && run::find("apt-get").is_some() {
        run::shown(Command::new("apt-get").args(["-qq", "update"]))?;
        if let Ok(kernel) = newest(&folder, series) {
            return Ok(Fetched::Here(kernel));
        }
    }
    match unpacked(&folder, series) {
        Some(kernel) => Ok(Fetched::Here(kernel)),
        None => Ok(Fetched::Missing(reason)),
    }
}

/// The newest that apt offers, unpacked; or why there is none.
fn newest(folder: &Path, series: &str) -> Result<Kernel, String> {
    let pattern = format!("^linux-image-{}\\..*-cloud-amd64$", series.replace('.', "\\."));
    let offered =
        run::captured(Command::new("apt-cache").args(["--names-only", "search", &pattern]))
            .map_err(|error| format!("apt-cache could not be asked: {error:#}"))?;
    let packages = sorted(offered.lines().filter_map(|line| line.split_whitespace().next()));
    let mut reason = format!("apt offers no package linux-image-{series}.*-cloud-amd64");
    for package in packages.iter().take(TRIES_MAX) {
        let home = folder.join(package);
        if !home.is_dir() {
            say::note(&format!("{package} is downloaded and unpacked, not installed."));
            if let Err(error) = download(folder, package, &home) {
                reason = format!("{error:#}");
                continue;
            }
        }
        match read(&home) {
            Ok(kernel) => return Ok(kernel),
            Err(error) => reason = format!("{package} cannot be used: {error:#}"),
        }
    }
    Err(reason)
}

/// The newest of a series that an earlier run left.
fn unpacked(folder: &Path, series: &str) -> Option<Kernel> {
    let prefix = format!("linux-image-{series}.");
    let names: Vec<String> = std::fs::read_dir(folder)
        .ok()?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.starts_with(&prefix))
        .collect();
    sorted(names.iter().map(String::as_str)).iter().find_map(|name| read(&folder.join(name)).ok())
}

/// Downloads and unpacks beside the place where it shall be, then renames: what is there is whole.
fn download(folder: &Path, package: &str, home: &Path) -> Result<()> {
    let work = tempfile::tempdir_in(folder).context("no temporary folder could be made")?;
    run::captured(
        Command::new("apt-get").current_dir(work.path()).args(["-qq", "download", package]),
    )?;
    let archive = std::fs::read_dir(work.path())
        .context("the download could not be read")?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|extension| extension == "deb"))
        .with_context(|| format!("apt-get downloaded no {package}"))?;
    let tree = work.path().join("tree");
    run::captured(Command::new("dpkg-deb").arg("-x").arg(&archive).arg(&tree))?;
    std::fs::rename(&tree, home)
        .with_context(|| format!("{} could not be put in its place", home.display()))
}

fn read(home: &Path) -> Result<Kernel> {
    let boot = home.join("boot");
    let entries = std::fs::read_dir(&boot).with_context(|| format!("{}", boot.display()))?;
    for entry in entries {
        let name = entry.context("the folder could not be read")?.file_name();
        let Some(release) = name.to_str().and_then(|name| name.strip_prefix("vmlinuz-")) else {
            continue;
        };
        return Ok(Kernel {
            vmlinuz: boot.join(&name),
            modules: home.join("lib").join("modules").join(release),
            release: release.to_owned(),
        });
    }
    anyhow::bail!("{} holds no kernel", boot.display())
}

/// Newest first: the numbers in a name are compared as numbers.
fn sorted<'a>(names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let numbers = |name: &str| -> Vec<u64> {
        name.split(|c: char| !c.is_ascii_digit()).filter_map(|part| part.parse().ok()).collect()
    };
    let mut names: Vec<String> = names.map(str::to_owned).collect();
    names.sort_by_key(|name| std::cmp::Reverse(numbers(name)));
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_kernel_of_a_series_comes_first() {
        let offered = ["6.12.9+deb12", "6.12.107+deb12", "6.12.100+deb12"]
            .map(|version| format!("linux-image-{version}-cloud-amd64"));
        let sorted = sorted(offered.iter().map(String::as_str));
        assert_eq!(sorted, [&offered[1], &offered[2], &offered[0]].map(String::clone));
    }
}
