//! Building what runs inside a guest: the test programs that talk to a kernel, or a benchmark. Knows cargo; refuses to
//! know what is done with the programs.

use std::process::Stdio;

use anyhow::{Context, Result};

use crate::vm::guest::Program;
use crate::workspace::Workspace;
use crate::{build, run};

/// The tests that talk to a kernel, all of the same package.
const TESTS: [&str; 2] = ["kernel", "programs"];

/// How programs are compiled.
#[derive(Clone, Copy)]
pub(super) enum Build {
    /// As for the tests on the host, and so perhaps built already: for a few tests.
    AsOnTheHost,
    /// Emulated, unoptimised code takes three times as long, which is more than the time to compile it again.
    Optimised,
}

/// The test programs, with the features that every other step resolves.
pub(super) fn tests(workspace: &Workspace, build: Build) -> Result<Vec<Program>> {
    let mut arguments = vec!["test"];
    arguments.extend(build::SELECTION);
    TESTS.iter().for_each(|test| arguments.extend(["--test", test]));
    built(workspace, build, &arguments, &TESTS)
}

/// One benchmark.
pub(super) fn bench(workspace: &Workspace, name: &str) -> Result<Vec<Program>> {
    let mut arguments = vec!["bench"];
    arguments.extend(build::SELECTION);
    arguments.extend(["--bench", name]);
    built(workspace, Build::Optimised, &arguments, &[name])
}

fn built(
    workspace: &Workspace,
    build: Build,
    arguments: &[&str],
    names: &[&str],
) -> Result<Vec<Program>> {
    let mut cargo = run::cargo(&workspace.root);
    cargo.args(arguments).args(["--no-run", "--message-format", "json-render-diagnostics"]);
    if let Build::Optimised = build {
        cargo.args(["--profile", "optimised-tests"]);
    }
    cargo.stdin(Stdio::null()).stderr(Stdio::inherit());
    let output = cargo.output().context("cargo could not be started")?;
    anyhow::ensure!(output.status.success(), "{} could not be built", names.join(" and "));
    let mut programs = Vec::new();
    for message in cargo_metadata::Message::parse_stream(output.stdout.as_slice()) {
        let cargo_metadata::Message::CompilerArtifact(artifact) =
            message.context("cargo said something that cannot be read")?
        else {
            continue;
        };
        let name = artifact.target.name.as_str();
        let is_wanted = artifact.target.is_test() || artifact.target.is_bench();
        if let Some(path) = artifact.executable
            && is_wanted
            && names.contains(&name)
        {
            programs.push(Program { name: name.to_owned(), path: path.into_std_path_buf() });
        }
    }
    anyhow::ensure!(
        programs.len() == names.len(),
        "of {} cargo built {}",
        names.join(" and "),
        programs.len()
    );
    Ok(programs)
}
