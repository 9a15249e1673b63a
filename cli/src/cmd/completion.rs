//! `skep completion SHELL`.

use crate::cmd::App;
use anyhow::Context as _;
use clap::CommandFactory as _;
use std::io::Write as _;

#[derive(clap::Args)]
#[command(after_help = "Example:
  skep completion bash > ~/.local/share/bash-completion/completions/skep")]
pub(crate) struct Args {
    /// The shell to complete for
    shell: clap_complete::Shell,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut App::command(), "skep", &mut script);
    std::io::stdout().write_all(&script).context("Standard output cannot be written.")
}
