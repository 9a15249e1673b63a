//! `skep apply -f FILE|DIR --key OPERATOR_KEY`: signs what the plan says and hands it in.

use crate::cmd::rollout::watch;
use crate::cmd::{Session, plan, signed};
use crate::exit::Ends;
use crate::limits::WAIT_DEFAULT;
use crate::render::{paint, plan as drawn, units};
use crate::signing::Bundle;
use crate::{keys, wait};
use anyhow::Context as _;
use serde::Serialize;
use skep_api::client::Client;
use skep_api::v1::operators::StoredSet;
use skep_api::v1::policies::ApplyReceipt;
use skep_fleet::ids::PolicyName;
use std::collections::BTreeSet;
use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  skep apply -f edge.yaml --key operator.key
  skep apply -f policies/ --key operator.key --yes --wait
  skep apply -f edge.yaml --key a.key --key b.key --yes --wait 10m
  skep apply -f edge.yaml --key a.key --sign-only edge.signed     then, on another machine:
  skep policy sign edge.signed --key b.key
  skep apply --signed edge.signed

Signs the revisions and the policy set over all of them, so that no registry can leave one out unnoticed. Nodes verify
the signatures against their own policy; the registry only carries them.")]
pub(crate) struct Args {
    /// A policy file, or a folder of them
    #[arg(
        short = 'f',
        long = "file",
        value_name = "FILE|DIR",
        required_unless_present = "signed",
        conflicts_with = "signed"
    )]
    file: Option<PathBuf>,
    /// Hand in what --sign-only wrote and others signed
    #[arg(long, value_name = "FILE", conflicts_with = "sign_only")]
    signed: Option<PathBuf>,
    /// Sign into this file and hand nothing in: others sign it next
    #[arg(long, value_name = "FILE")]
    sign_only: Option<PathBuf>,
    /// The environment of a registry's first policy set [default: default]
    #[arg(long, value_name = "NAME")]
    environment: Option<String>,
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

#[derive(Default, Serialize)]
struct Applied {
    applied: Vec<ApplyReceipt>,
    /// Nodes whose desired state changed.
    nodes: BTreeSet<String>,
    /// The policy set that is in force then, when a new one was handed in.
    #[serde(skip_serializing_if = "Option::is_none")]
    set: Option<SetNumber>,
}

#[derive(Serialize)]
struct SetNumber {
    environment: String,
    epoch: u64,
    version: u64,
}

#[derive(Serialize)]
struct SignedOnly<'a> {
    file: &'a Path,
    revisions: usize,
    set: bool,
}

pub(crate) async fn run(args: &Args, session: &Session) -> anyhow::Result<()> {
    let client = session.settings.client()?;
    let bundle = match (&args.signed, &args.file) {
        (Some(signed), _) => {
            let bundle = Bundle::load(signed)?;
            session.out.say(signed::described(&bundle)?.trim_end());
            bundle
        }
        (None, Some(file)) => {
            let keys = keys::to_sign_with(&args.keys, &session.settings)?;
            let prepared = plan::prepare(&client, file, args.environment.as_deref()).await?;
            session.out.say(drawn::plan(&prepared.plan).trim_end());
            if prepared.changed.is_empty() && prepared.set.is_none() {
                return session.out.result(&Applied::default(), || {
                    "Every policy is as written already; nothing was signed.\n".to_owned()
                });
            }
            confirm(args)?;
            Bundle::sign(&prepared.changed, prepared.set.as_ref(), &keys)?
        }
        (None, None) => return Err(Ends::usage("Name what to apply with --file.").into()),
    };
    if let Some(path) = &args.sign_only {
        bundle.store(path)?;
        let (revisions, set) = (bundle.revisions.len(), bundle.set.is_some());
        let told = SignedOnly { file: path, revisions, set };
        return session.out.result(&told, || {
            format!(
                "{} into {}; nothing was handed in.\nOthers add theirs with `skep policy sign {1}`, then `skep apply --signed {1}`.\n",
                paint::moss("Signed"),
                path.display()
            )
        });
    }
    if args.signed.is_some() {
        confirm(args)?;
    }
    hand_in_all(args, &client, &bundle, session).await
}

async fn hand_in_all(
    args: &Args,
    client: &Client,
    bundle: &Bundle,
    session: &Session,
) -> anyhow::Result<()> {
    let handed = bundle.hand_in(client).await?;
    let mut done = Applied::default();
    for receipt in handed.receipts {
        done.nodes.extend(receipt.nodes.iter().cloned());
        done.applied.push(receipt);
    }
    done.set = handed.set.map(|set| {
        let StoredSet { environment, epoch, version, .. } = set;
        SetNumber { environment, epoch, version }
    });
    if let Some(limit) = args.wait {
        let names: Vec<String> = done.nodes.iter().cloned().collect();
        wait::until_applied(client, &names, limit, session).await?;
        for receipt in done.applied.iter().filter(|receipt| receipt.waves > 0) {
            let policy: PolicyName = receipt.policy.parse().context("The registry's answer")?;
            let told = watch::Told::AsRemarks { limit };
            watch::follow(client, session, (&policy, receipt.revision), &told).await?;
        }
    }
    session.out.result(&done, || text(&done, args.wait.is_some()))
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
        let ApplyReceipt { policy, revision, waves, .. } = receipt;
        let waves = match waves {
            0 => String::new(),
            waves => format!(" in {waves} waves; `skep rollout watch {policy}` follows them"),
        };
        format!("{} {policy} r{revision}{waves}\n", paint::moss("Applied"))
    });
    let mut text: String = lines.collect();
    if let Some(SetNumber { environment, epoch, version }) = &done.set {
        text.push_str(&format!("Policy set {version} of {environment} (epoch {epoch})\n"));
    }
    let nodes: Vec<&str> = done.nodes.iter().map(String::as_str).collect();
    let in_waves = done.applied.iter().any(|receipt| receipt.waves > 0);
    let line = match (nodes.as_slice(), waited) {
        ([], _) if in_waves => String::new(),
        ([], _) => "No node is affected.\n".to_owned(),
        (names, true) => format!("Runs on {}.\n", names.join(", ")),
        (names, false) => {
            format!("Wanted on {}; `skep node list` shows how far they are.\n", names.join(", "))
        }
    };
    text.push_str(&line);
    text
}
