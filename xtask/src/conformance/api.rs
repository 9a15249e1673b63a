//! The registry's HTTP API asked by schemathesis: requests made up from the OpenAPI document it serves, good ones and bad ones,
//! and answers held against what the document says. Refuses to know operations one by one, but for those it must leave alone.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use super::registry::Registry;
use super::{Counts, counts_of_junit};
use crate::workspace::Workspace;
use crate::{say, tools};

/// The tool: a folder of tools, and what pip installs into it.
const TOOL: (&str, &[&str]) = ("schemathesis-4.32.5", &["schemathesis==4.32.5"]);

/// What is asked of every answer. Not asked: that whatever the document does not forbid is taken, because digests,
/// signatures and names have rules that no schema says; and that every bad request is refused with one of a few numbers.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,ignored_auth,unsupported_method";

/// Operations that are left alone: they would end what the tool is logged in by, or wait as long as they are told.
const LEFT_OUT: &str = "^/v1/(agent/sync$|tokens/)";

/// Asks, and returns what the tool counted: one test an operation and phase.
pub(super) fn run(workspace: &Workspace, examples: u32) -> Result<Counts> {
    let tool = tools::python(workspace, TOOL.0, TOOL.1)?;
    let results = workspace.target.join("conformance").join("api");
    std::fs::create_dir_all(&results).context("no folder for the results could be made")?;
    let report = results.join("junit.xml");
    let _ = std::fs::remove_file(&report);
    let folder = tempfile::tempdir().context("no temporary folder could be made")?;
    let registry = Registry::start(workspace, folder.path())?;
    registry.claim("conformance")?;
    let admin = registry.admin()?;
    say::step("conformance", &format!("{examples} requests made up for each operation"));
    ask(&tool, &registry.host, &admin, examples, &report, &results)?;
    let text = std::fs::read_to_string(&report).context("schemathesis wrote no report")?;
    counts_of_junit(&text).context("the report has no counts")
}

fn ask(
    tool: &Path,
    host: &str,
    admin: &str,
    examples: u32,
    report: &Path,
    results: &Path,
) -> Result<()> {
    let mut tests = Command::new(tool.join("bin/python"));
    tests.current_dir(results).stdin(Stdio::null());
    tests.args(["-m", "schemathesis.cli", "run", &format!("http://{host}/openapi.json")]);
    tests.args(["--header", &format!("Authorization: Bearer {admin}")]);
    tests.args(["--phases", "examples,coverage,fuzzing", "--checks", CHECKS]);
    tests.args(["--max-examples", &examples.to_string(), "--seed", "1", "--workers", "1"]);
    // A report of a node has a hundred fields: making one up takes longer than the tool thinks it should. Two workers trip over
    // each other in its own parser.
    tests.args(["--suppress-health-check", "all"]);
    tests.args(["--continue-on-failure", "--report", "junit", "--report-junit-path"]).arg(report);
    tests.args(["--exclude-path-regex", LEFT_OUT]);
    // It ends badly for a test that failed; what counts is what it counted.
    tests.status().context("schemathesis could not be started")?;
    Ok(())
}
