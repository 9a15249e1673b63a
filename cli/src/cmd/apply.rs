//! `skep apply -f FILE|DIR --key OPERATOR_KEY`: signs what the plan says and hands it in.

use crate::cmd::{Session, plan};
use crate::limits::WAIT_DEFAULT;
use crate::render::{paint, plan as drawn, units};
use crate::{keys, wait};
use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Serialize;
use skep_api::client::Client;
use skep_api::v1::policies::{ApplyReceipt, ApplyRequest};
use skep_artifact::dsse;
use skep_artifact::key::SecretKey;
use skep_fleet::policy::PolicyRevision;
use std::collections::BTreeSet;
use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::time::Duration;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  skep apply -f edge.yaml --key operator.key
  skep apply -f policies/ --key operator.key --yes --wait
  skep apply -f edge.yaml --key a.key --key b.key --yes --wait 10m

Nodes verify the signature against their own policy; the registry only carries it.")]
pub(crate) struct Args {
    /// A policy file, or a folder of them
    #[arg(short = 'f', long = "file", value_name = "FILE|DIR")]
    file: PathBuf,
    /// Operator key file to sign with; give it once for every key
    #[arg(long = "key", value_name = "FILE", env = "SKEP_KEY")]
    keys: Vec<PathBuf>,
    /// Apply without asking; without a terminal nobody is asked anyway
    #[arg(long)]
    yes: bool,
    /// Wait until the nodes run it, or until one refuses it
    #[arg(long, value_name = "TIME", num_args = 0..=1, default_missing_value = WAIT_DEFAULT,
          value_parser = units::parse_duration)]
    wait: Option<Duration>,
}

#[derive(Serialize)]
struct Applied {
    applied: Vec<ApplyReceipt>,
    /// Nodes whose desired state changed.
    nodes: BTreeSet<String>,
}

pub(crate) async fn run(args: &Args, session: &Session) -> anyhow::Result<()> {
    let client = session.settings.client()?;
    let keys = keys::to_sign_with(&args.keys, &session.settings)?;
    let prepared = plan::prepare(&client, &args.file).await?;
    session.out.say(drawn::plan(&prepared.plan).trim_end());
    let mut done = Applied { applied: Vec::new(), nodes: BTreeSet::new() };
    if prepared.changed.is_empty() {
        return session.out.result(&done, || {
            "Every policy is as written already; nothing was signed.\n".to_owned()
        });
    }
    confirm(args)?;
    for revision in &prepared.changed {
        let receipt = match hand_in(&client, revision, &keys).await {
            Ok(receipt) => receipt,
            Err(error) => {
                // Each policy stands for itself: what was applied before stays applied.
                for before in &done.applied {
                    session.out.say(&format!("Applied {} r{}.", before.policy, before.revision));
                }
                return Err(error);
            }
        };
        done.nodes.extend(receipt.nodes.iter().cloned());
        done.applied.push(receipt);
    }
    if let Some(limit) = args.wait {
        let names: Vec<String> = done.nodes.iter().cloned().collect();
        wait::until_applied(&client, &names, limit, session).await?;
    }
    session.out.result(&done, || text(&done, args.wait.is_some()))
}

/// Signs a revision and hands it to the registry.
///
/// # Errors
/// The registry's refusal, with the policy it was about.
pub(crate) async fn hand_in(
    client: &Client,
    revision: &PolicyRevision,
    keys: &[SecretKey],
) -> anyhow::Result<ApplyReceipt> {
    let payload = revision.to_json()?;
    let envelope = dsse::sign(dsse::POLICY_PAYLOAD_TYPE, &payload, keys)
        .with_context(|| format!("Policy {} could not be signed.", revision.name))?;
    let request = ApplyRequest { envelope: BASE64.encode(envelope) };
    client.apply(&request).await.with_context(|| {
        format!("Policy {} revision {} was not applied.", revision.name, revision.revision)
    })
}

fn confirm(args: &Args) -> anyhow::Result<()> {
    // A script that names a key has made up its mind; only a person at a terminal is asked.
    if args.yes || !std::io::stdin().is_terminal() {
        return Ok(());
    }
    let mut err = anstream::stderr();
    write!(err, "{} Type yes to go on: ", paint::honey("Sign and apply this?"))?;
    err.flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).context("Your answer could not be read.")?;
    anyhow::ensure!(answer.trim() == "yes", "Not applied: the answer was not yes.");
    Ok(())
}

fn text(done: &Applied, waited: bool) -> String {
    let lines = done.applied.iter().map(|receipt| {
        format!("{} {} r{}\n", paint::moss("Applied"), receipt.policy, receipt.revision)
    });
    let mut text: String = lines.collect();
    let nodes: Vec<&str> = done.nodes.iter().map(String::as_str).collect();
    let line = match (nodes.as_slice(), waited) {
        ([], _) => "No node is affected.\n".to_owned(),
        (names, true) => format!("Runs on {}.\n", names.join(", ")),
        (names, false) => {
            format!("Wanted on {}; `skep node list` shows how far they are.\n", names.join(", "))
        }
    };
    text.push_str(&line);
    text
}
