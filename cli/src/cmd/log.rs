//! `skep log show|key|verify|watch|witness|alarms`: the transparency log of a registry.

mod served;
mod verify;
mod watch;
mod witness;

use crate::cmd::Session;
use crate::render::log as render;
use skep_trust::NoteKey;

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Show which log the registry keeps
    #[command(after_help = "Examples:
  skep log show
  skep log show --json")]
    Show,
    /// Print the log's key and nothing else, as `[log] key` in a node policy takes it
    #[command(after_help = "Examples:
  skep log key

Compare it with what the registry's operator publishes on another way before a node is told to trust it.")]
    Key,
    /// Prove from the log's own tiles that every entry is in it and that it continues what was seen here before
    Verify(verify::Args),
    /// Print new entries as they come; ends when the log contradicts itself
    Watch(watch::Args),
    /// Cosign checkpoints, each only if it continues the one before
    Witness(witness::Args),
    /// Show nodes whose view of the log is not the registry's
    #[command(after_help = "Examples:
  skep log alarms

Ends with 3 when an alarm stands.")]
    Alarms,
}

/// Whose log it is, when this machine was not told before.
#[derive(clap::Args)]
struct Trusted {
    /// The log's key, when it should not be taken from the registry at first sight
    #[arg(long, value_name = "KEY", env = "SKEP_LOG_KEY")]
    log_key: Option<NoteKey>,
}

pub(crate) async fn run(command: &Command, session: &Session) -> anyhow::Result<()> {
    let client = session.settings.client()?;
    match command {
        Command::Show => {
            let log = client.log().await?;
            session.out.result(&log, || render::description(&log))
        }
        Command::Key => {
            let log = client.log().await?;
            session.out.result(&serde_json::json!({ "key": log.key }), || format!("{}\n", log.key))
        }
        Command::Verify(args) => verify::run(args, &client, session).await,
        Command::Watch(args) => watch::run(args, &client, session).await,
        Command::Witness(args) => witness::run(args, &client, session).await,
        Command::Alarms => {
            let alarms = client.log_alarms().await?;
            session.out.result(&alarms, || render::alarms(&alarms, session.now()))?;
            if alarms.alarms.is_empty() {
                return Ok(());
            }
            let message = "Not every node sees the registry's log. Do not restore anything before it is known why.";
            Err(crate::exit::Ends::refusal(message).into())
        }
    }
}
