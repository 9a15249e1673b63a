//! `cargo xtask build`: every program that runs on this machine, in one cargo call, so that features are resolved once.

use std::process::{Command, ExitCode};

use anyhow::Result;

use crate::workspace::Workspace;
use crate::{run, say};

/// The same selection in every step: another one would resolve other features and build everything twice.
pub(crate) const SELECTION: [&str; 3] = ["--workspace", "--exclude", "skep-frontend"];

#[derive(clap::Args)]
pub(crate) struct BuildArguments {
    /// Build optimised programs.
    #[arg(long)]
    release: bool,
}

/// How much the compiler optimises.
#[derive(Clone, Copy)]
pub(crate) enum Profile {
    Development,
    Release,
}

impl Profile {
    /// The name of the folder below the target folder.
    pub(crate) fn folder(self) -> &'static str {
        match self {
            Self::Development => "debug",
            Self::Release => "release",
        }
    }
}

pub(crate) fn perform(workspace: &Workspace, arguments: &BuildArguments) -> Result<ExitCode> {
    let profile = if arguments.release { Profile::Release } else { Profile::Development };
    programs(workspace, profile)?;
    say::note(&format!("The programs are in {}.", workspace.programs(profile.folder()).display()));
    Ok(ExitCode::SUCCESS)
}

/// Builds all programs of the workspace but the one for the browser.
pub(crate) fn programs(workspace: &Workspace, profile: Profile) -> Result<()> {
    run::shown(&mut programs_command(workspace, profile))
}

/// The cargo call of [`programs`].
pub(crate) fn programs_command(workspace: &Workspace, profile: Profile) -> Command {
    let mut build = run::cargo(&workspace.root);
    build.arg("build").args(SELECTION).arg("--bins");
    match profile {
        // There are no examples, but with them cargo resolves features as it does for tests. Without, serde_json and a
        // few others would differ, and everything above them would be built once for programs and once for tests.
        Profile::Development => build.arg("--examples"),
        Profile::Release => build.arg("--release"),
    };
    build
}
