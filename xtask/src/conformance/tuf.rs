//! The conformance suite of The Update Framework: Python, run as it lies there against our agent's own TUF client, which
//! speaks the suite's command line in `node-agent/examples/tuf-client.rs`. Refuses to know what it asks.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::{Counts, counts_of_junit};
use crate::build::{self, Profile};
use crate::workspace::Workspace;
use crate::{run, say, tools};

/// What the suite imports, in the versions it names itself: a folder of tools, and what pip installs into it.
const PYTHON: (&str, &[&str]) = (
    "tuf-conformance-1",
    &[
        "tuf==7.0.0",
        "securesystemslib[crypto]==1.4.0",
        "pytest==9.1.1",
        "pytest-json-report==1.5.0",
    ],
);

/// Runs the suite and returns what it counted.
pub(super) fn run(workspace: &Workspace, suite: &Path) -> Result<Counts> {
    let suite =
        suite.canonicalize().with_context(|| format!("{} is not there", suite.display()))?;
    if !suite.join("tuf_conformance").is_dir() {
        bail!("{} is no checkout of the TUF conformance suite", suite.display());
    }
    if run::find("faketime").is_none() {
        bail!("the suite needs `faketime` (Debian's package of that name) for what expires");
    }
    let python = tools::python(workspace, PYTHON.0, PYTHON.1)?;
    say::step("client", "the agent's TUF client on the suite's command line is built");
    // The programs are built with the examples, of which this client is one.
    build::programs(workspace, Profile::Development)?;
    let results = workspace.target.join("conformance").join("tuf");
    std::fs::create_dir_all(&results).context("no folder for the results could be made")?;
    let report = results.join("junit.xml");
    let _ = std::fs::remove_file(&report);
    say::step("conformance", "the suite against the agent's client");
    let client = workspace.programs(Profile::Development.folder()).join("examples/tuf-client");
    let mut tests = Command::new(python.join("bin/python"));
    tests.current_dir(&suite).stdin(Stdio::null()).env("PYTHONDONTWRITEBYTECODE", "1");
    tests.args(["-m", "pytest", "tuf_conformance", "-q", "-p", "no:cacheprovider", "--entrypoint"]);
    tests.arg(client).arg("--junitxml").arg(&report);
    // It ends badly for a test that failed; what counts is what it counted.
    tests.status().context("the suite could not be started")?;
    let text = std::fs::read_to_string(&report).context("the suite wrote no report")?;
    counts_of_junit(&text).context("the suite's report has no counts")
}
