//! `cargo xtask demo`: set-up, the frontend, the programs, then the scenario, which is a program of its own (`e2e`)
//! so that the tests and the demo share one harness. Refuses to know the scenario.

use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};

use crate::build::{self, Profile};
use crate::workspace::Workspace;
use crate::{run, say, setup, web};

#[derive(clap::Args)]
pub(crate) struct DemoArguments {
    /// Leave everything running at the end, until Ctrl-C, so that you can look around.
    #[arg(long)]
    keep: bool,
}

pub(crate) fn perform(workspace: &Workspace, arguments: &DemoArguments) -> Result<ExitCode> {
    if !run::is_root() {
        bail!(
            "the demo makes network namespaces and loads BPF programs, which only root may do; run it as root"
        );
    }
    say::step("set-up", "what is missing is named, then installed");
    let missing = setup::install(workspace)?;
    if !missing.is_empty() {
        bail!("still missing: {}", missing.join(", "));
    }
    say::step("frontend", "built for the browser, embedded in the registry");
    web::build(workspace)?;
    say::step("programs", "registry, agent, command line, built once");
    build::programs(workspace, Profile::Development)?;

    let folder = workspace.programs(Profile::Development.folder());
    let mut demo = Command::new(folder.join("skep-demo"));
    demo.current_dir(&workspace.root).env("SKEP_BIN_DIR", &folder);
    demo.args(arguments.keep.then_some("--keep"));
    // The scenario takes our place, so that Ctrl-C reaches it alone and the prompt waits for its cleaning up.
    let error = demo.exec();
    Err(error).context("skep-demo could not be started")
}
