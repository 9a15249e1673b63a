//! `cargo xtask drill`: a registry falls into the wrong hands, and agents answer. Set-up and programs here; the drill is a
//! program of its own (`e2e`), so that tests run the same. Refuses to know what is tried.

use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};

use crate::build::{self, Profile};
use crate::workspace::Workspace;
use crate::{run, say, setup};

#[derive(clap::Args)]
pub(crate) struct DrillArguments {
    which: Which,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Which {
    /// Whoever has the packages: bytes, role files, revocations, backups.
    OwnedRegistry,
    /// Whoever has the control plane: policies, sets, assignments, labels.
    OwnedController,
}

pub(crate) fn perform(workspace: &Workspace, arguments: &DrillArguments) -> Result<ExitCode> {
    if !run::is_root() {
        bail!(
            "a drill makes network namespaces and loads BPF programs, which only root may do; run it as root"
        );
    }
    say::step("set-up", "what is missing is named, then installed");
    let missing = setup::install(workspace)?;
    if !missing.is_empty() {
        bail!("still missing: {}", missing.join(", "));
    }
    say::step("programs", "registry, agent, command line, built once");
    build::programs(workspace, Profile::Development)?;
    let folder = workspace.programs(Profile::Development.folder());
    let word = match arguments.which {
        Which::OwnedRegistry => "owned-registry",
        Which::OwnedController => "owned-controller",
    };
    say::step("drill", word);
    let mut drill = Command::new(folder.join("skep-drill"));
    drill.current_dir(&workspace.root).env("SKEP_BIN_DIR", &folder).arg(word);
    let status = drill.status().context("skep-drill could not be started")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
