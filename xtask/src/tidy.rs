//! `cargo xtask tidy`: the rules of this workspace that no compiler knows.
//! Gathers files and the dependency graph; each rule is a pure function in its own file below `tidy/`.

mod imports;
mod lists;
mod text;

use std::process::{Command, ExitCode};

use anyhow::{Context, Result};

use crate::workspace::Workspace;
use crate::{run, say};

#[derive(clap::Args)]
pub(crate) struct TidyArguments {}

/// One file that git knows, with its text.
struct SourceFile {
    /// Relative to the workspace, with slashes.
    path: String,
    text: String,
}

pub(crate) fn perform(workspace: &Workspace, _: &TidyArguments) -> Result<ExitCode> {
    let findings = findings(workspace)?;
    findings.iter().for_each(|finding| say::text(finding));
    if findings.is_empty() {
        say::text("Tidy: nothing to say.");
        return Ok(ExitCode::SUCCESS);
    }
    say::failure(&format!("Tidy: {} findings.", findings.len()));
    Ok(ExitCode::FAILURE)
}

/// Everything that breaks a rule, one sentence each, sorted.
pub(crate) fn findings(workspace: &Workspace) -> Result<Vec<String>> {
    let files = source_files(workspace)?;
    let metadata = cargo_metadata::MetadataCommand::new()
        .current_dir(&workspace.root)
        .no_deps()
        .exec()
        .context("cargo could not describe the workspace")?;
    let mut findings = imports::findings(&imports::edges(&metadata));
    findings.extend(text::findings(&files));
    findings.extend(lists::findings(&files));
    findings.sort();
    findings.dedup();
    Ok(findings)
}

/// What git tracks or would track, so that build output and ignored files are never read.
fn source_files(workspace: &Workspace) -> Result<Vec<SourceFile>> {
    let listed = run::captured(Command::new("git").current_dir(&workspace.root).args([
        "ls-files",
        "--cached",
        "--others",
        "--exclude-standard",
    ]))
    .context("git could not list the files")?;
    let mut files = Vec::new();
    for path in listed.lines() {
        // A file that is no text (an object, a picture) breaks no rule about text; one just deleted has none.
        if let Ok(text) = std::fs::read_to_string(workspace.root.join(path)) {
            files.push(SourceFile { path: path.to_owned(), text });
        }
    }
    Ok(files)
}
