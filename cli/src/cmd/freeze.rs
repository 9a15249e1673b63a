//! `skep freeze …`: times in which rollouts stand still. Refuses to know what they hold back.

use crate::cmd::Session;
use crate::limits::POLICY_FILE_BYTES_MAX;
use crate::project;
use crate::render::paint;
use crate::render::rollouts as drawn;
use anyhow::Context as _;
use serde::Serialize;
use skep_fleet::rollout::Freeze;
use std::path::PathBuf;

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Set a freeze, in the place of one of the same name
    #[command(after_help = "Example:
  skep freeze set -f winter.yaml

The file:
  kind: Freeze
  name: winter
  from: 2026-12-20T00:00:00Z
  until: 2027-01-04T00:00:00Z
  reason: nobody is there
  policies: [edge-firewall]        all policies without this line")]
    Set {
        /// The file
        #[arg(short = 'f', long = "file", value_name = "FILE")]
        file: PathBuf,
    },
    /// List freezes
    #[command(after_help = "Examples:
  skep freeze list
  skep freeze list --json")]
    List,
    /// Take a freeze away
    #[command(after_help = "Example:
  skep freeze remove winter")]
    Remove { name: String },
}

#[derive(Serialize)]
struct Done<'a> {
    freeze: &'a str,
}

pub(crate) async fn run(command: &Command, session: &Session) -> anyhow::Result<()> {
    let client = session.settings.client()?;
    match command {
        Command::Set { file } => {
            let limit = usize::try_from(POLICY_FILE_BYTES_MAX).unwrap_or(usize::MAX);
            let bytes = project::read_bytes(file, limit)?;
            let unreadable = || format!("{} is not a freeze that can be read.", file.display());
            let text = String::from_utf8(bytes).with_context(unreadable)?;
            let freeze: Freeze = serde_saphyr::from_str(&text).with_context(unreadable)?;
            freeze.check().with_context(unreadable)?;
            client.set_freeze(&freeze).await?;
            let (name, until) = (&freeze.name, String::from(freeze.until));
            session.out.result(&Done { freeze: name }, || {
                format!("{} {name} until {until}\n", paint::moss("Frozen by"))
            })
        }
        Command::List => {
            let list = client.freezes().await?;
            session.out.result(&list, || drawn::freezes(&list))
        }
        Command::Remove { name } => {
            client.remove_freeze(name).await?;
            session
                .out
                .result(&Done { freeze: name }, || format!("{} {name}\n", paint::moss("Removed")))
        }
    }
}
