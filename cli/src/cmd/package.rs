//! `skep package tombstone|history`: a package as a whole.

use crate::cmd::Session;
use crate::exit::Ends;
use crate::render::{life, paint};
use anyhow::Context as _;
use skep_api::v1::life::Reason;
use skep_artifact::name::PackageName;
use std::io::{IsTerminal as _, Write as _};

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Delete a package for good: nobody can use its name again
    #[command(after_help = "Examples:
  skep package tombstone acme/ratelimit --message 'Replaced by acme/limiter.'
  skep package tombstone acme/ratelimit --message 'Replaced by acme/limiter.' --yes

It leaves searches, tags and every resolution. Nodes that run one of its versions run on and go on getting it by
digest. This cannot be undone; `skep deprecate` and `skep yank` can.")]
    Tombstone {
        /// The package
        #[arg(value_name = "NAME")]
        name: PackageName,
        /// Why; shown to whoever looks for it
        #[arg(long, short)]
        message: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// What was done to a package: yanked, deprecated, deleted
    #[command(after_help = "Examples:
  skep package history acme/ratelimit")]
    History {
        /// The package
        #[arg(value_name = "NAME")]
        name: PackageName,
    },
}

pub(crate) async fn run(command: &Command, session: &Session) -> anyhow::Result<()> {
    let client = session.settings.client()?;
    match command {
        Command::Tombstone { name, message, yes } => {
            if !yes {
                confirm(name)?;
            }
            let receipt = client.tombstone(name, &Reason { message: message.clone() }).await?;
            session.out.result(&receipt, || life::receipt(&receipt))
        }
        Command::History { name } => {
            let history = client.history(name).await?;
            session.out.result(&history, || life::history(&history, session.now()))
        }
    }
}

/// What cannot be undone is typed out, and a script says `--yes`.
fn confirm(name: &PackageName) -> anyhow::Result<()> {
    if !std::io::stdin().is_terminal() {
        let message = format!("Deleting {name} cannot be undone. Pass --yes to do it.");
        return Err(Ends::usage(message).into());
    }
    let mut err = anstream::stderr();
    let question = format!("Nobody can ever use the name {name} again. Type it to delete it: ");
    write!(err, "{}", paint::honey(&question))?;
    err.flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).context("Your answer could not be read.")?;
    anyhow::ensure!(answer.trim() == name.to_string(), "Not deleted: that was not its name.");
    Ok(())
}
