//! `skep log witness`: cosigns checkpoints of a log, each only after proving that it continues the one before.

use super::Trusted;
use crate::cmd::Session;
use crate::exit::Ends;
use crate::keys;
use crate::render::{paint, units};
use crate::seen_log::SeenLog;
use anyhow::Context as _;
use serde::Serialize;
use skep_api::client::{Client, ClientError};
use skep_api::v1::log::Cosigned;
use skep_trust::note::{NoteAlgorithm, NoteKey, cosign};
use std::path::PathBuf;
use std::time::Duration;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  skep log witness --name witness.example/w1 --key w1.key --show    its key, for the registry and node policies
  skep log witness --name witness.example/w1 --key w1.key           cosign for ever
  skep log witness --name witness.example/w1 --key w1.key --once    for a timer

What was cosigned is kept beside the settings: run a witness under a user and --config of its own.
Ends with 3 when the log is refused; nothing is cosigned then.")]
pub(crate) struct Args {
    /// The witness's name, which stands beside its signatures
    #[arg(long, value_name = "NAME")]
    name: String,
    /// Its key file; `skep key new` makes one
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Print the witness's verifier key and do nothing
    #[arg(long)]
    show: bool,
    /// Cosign the newest checkpoint and end
    #[arg(long)]
    once: bool,
    /// How often to look
    #[arg(long, value_name = "TIME", default_value = "15s", value_parser = units::parse_duration)]
    every: Duration,
    #[command(flatten)]
    trusted: Trusted,
}

#[derive(Serialize)]
struct Made {
    witness: String,
    origin: String,
    size: u64,
}

pub(super) async fn run(args: &Args, client: &Client, session: &Session) -> anyhow::Result<()> {
    let key = keys::load(&args.key)?;
    let own = NoteKey::new(&args.name, NoteAlgorithm::Cosignature, key.public()).map_err(|_| {
        Ends::usage("A witness's name has no spaces and no `+`, like witness.example/w1.")
    })?;
    if args.show {
        let shown = serde_json::json!({ "key": own.to_string() });
        return session.out.result(&shown, || format!("{own}\n"));
    }
    let named = args.trusted.log_key.as_ref();
    let mut log = SeenLog::open(client, &session.settings, named, session.out).await?;
    let mut last = None;
    loop {
        match log.newest(client).await {
            Ok(checkpoint) if last == Some(checkpoint.size()) => {}
            Ok(checkpoint) => {
                // Kept before it is signed: a witness that forgets could be made to sign two histories.
                log.continue_to(client, &checkpoint).await?;
                let note = checkpoint.note();
                let (text, _) = note.split_once("\n\n").context("a verified note has two parts")?;
                let line = cosign(&args.name, &key, format!("{text}\n").as_bytes(), session.now())?;
                let line =
                    String::from_utf8(line.to_bytes()).context("a signature line is text")?;
                let cosigned = Cosigned { checkpoint: format!("{note}{line}") };
                client.cosign(&cosigned).await?;
                last = Some(checkpoint.size());
                let made = Made {
                    witness: args.name.clone(),
                    origin: checkpoint.origin().to_owned(),
                    size: checkpoint.size(),
                };
                say(session, &made, args.once)?;
            }
            Err(error)
                if !args.once
                    && error.downcast_ref::<ClientError>().is_some_and(ClientError::is_passing) =>
            {
                session.out.say("The registry does not answer; waiting.");
            }
            Err(error) => return Err(error),
        }
        if args.once {
            return Ok(());
        }
        tokio::time::sleep(args.every).await;
    }
}

fn say(session: &Session, made: &Made, once: bool) -> anyhow::Result<()> {
    if session.out.is_json() && !once {
        return session.out.line(made);
    }
    session.out.result(made, || {
        format!("{} {} at {} entries\n", paint::moss("Cosigned"), made.origin, made.size)
    })
}
