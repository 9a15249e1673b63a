//! `skep policy check|list|show|remove`.

use crate::cmd::{Session, signed};
use crate::exit::Ends;
use crate::render::{paint, policies};
use crate::signing::{self, Bundle};
use crate::{keys, policy_files};
use serde::Serialize;
use skep_api::client::Client;
use skep_api::v1::policies::PolicyInfo;
use skep_fleet::ids::PolicyName;
use std::path::{Path, PathBuf};

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Check policy files without asking any registry
    #[command(after_help = "Example:
  skep policy check -f policies/")]
    Check {
        /// A policy file, or a folder of them
        #[arg(short = 'f', long = "file", value_name = "FILE|DIR")]
        file: PathBuf,
    },
    /// List the policies of the registry
    #[command(after_help = "Example:
  skep policy list")]
    List,
    /// Show one policy
    #[command(after_help = "Example:
  skep policy show edge-firewall --json")]
    Show { name: PolicyName },
    /// Sign that a policy asks for nothing any more; its programs leave the nodes
    #[command(after_help = "Example:
  skep policy remove edge-firewall --key operator.key")]
    Remove {
        name: PolicyName,
        /// Operator key file to sign with; give it once for every key
        #[arg(long = "key", value_name = "FILE", env = "SKEP_KEY")]
        keys: Vec<PathBuf>,
    },
    /// Add a signature to what `skep apply --sign-only` wrote
    Sign(signed::SignArgs),
    /// Show the policy set: every policy of the environment and the lowest revision a node may follow
    #[command(after_help = "Example:
  skep policy set")]
    Set,
    /// Begin a new epoch after the registry was restored from a backup
    Epoch(signed::EpochArgs),
}

#[derive(Serialize)]
struct Checked {
    policies: Vec<CheckedPolicy>,
}

#[derive(Serialize)]
struct CheckedPolicy {
    name: PolicyName,
    file: PathBuf,
    programs: usize,
}

pub(crate) async fn run(command: &Command, session: &Session) -> anyhow::Result<()> {
    match command {
        Command::Check { file } => check(file, session),
        Command::List => {
            let list = session.settings.client()?.policies().await?;
            session.out.result(&list, || policies::list(&list, session.now()))
        }
        Command::Show { name } => {
            let policy = find(&session.settings.client()?, name).await?;
            session.out.result(&policy, || policies::detail(&policy, session.now()))
        }
        Command::Remove { name, keys } => remove(name, keys, session).await,
        Command::Sign(args) => signed::sign(args, session),
        Command::Set => signed::show(session).await,
        Command::Epoch(args) => signed::epoch(args, session).await,
    }
}

fn check(file: &Path, session: &Session) -> anyhow::Result<()> {
    let files = policy_files::read(file)?;
    for one in &files.policies {
        files.strategy_of(&one.document)?;
    }
    let written = files.policies;
    for one in &written {
        one.document.nodes.check()?;
    }
    let policies = written.into_iter().map(|one| CheckedPolicy {
        name: one.document.name,
        programs: one.document.programs.len(),
        file: one.file,
    });
    let checked = Checked { policies: policies.collect() };
    session.out.result(&checked, || {
        let line = |p: &CheckedPolicy| {
            format!("{} {} ({})\n", paint::moss("ok"), p.name, p.file.display())
        };
        let lines: String = checked.policies.iter().map(line).collect();
        format!(
            "{lines}`skep plan` also resolves versions and checks config against the packages.\n"
        )
    })
}

async fn find(client: &Client, name: &PolicyName) -> anyhow::Result<PolicyInfo> {
    let mut all = client.policies().await?.policies;
    let known: Vec<String> = all.iter().map(|p| p.revision.name.to_string()).collect();
    match all.iter().position(|p| &p.revision.name == name) {
        Some(at) => Ok(all.swap_remove(at)),
        None => {
            let has = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            Err(Ends::not_found(format!("There is no policy {name}. The registry has: {has}."))
                .into())
        }
    }
}

async fn remove(name: &PolicyName, keys: &[PathBuf], session: &Session) -> anyhow::Result<()> {
    let client = session.settings.client()?;
    let keys = keys::to_sign_with(keys, &session.settings)?;
    let found = find(&client, name).await?;
    let info = signing::set_info(&client).await?;
    let accepted = info.as_ref().and_then(|info| info.accepted.get(name.as_str()).copied());
    let current = found.revision.clone();
    if current.removed {
        return Err(Ends::not_found(format!("Policy {name} is removed already.")).into());
    }
    let tombstone = current.tombstone(accepted.unwrap_or(0).max(current.revision) + 1);
    let set = match &info {
        Some(info) => {
            let held = client.policies().await?.policies;
            signing::next_set(info, &held, std::slice::from_ref(&tombstone), None)?
        }
        None => None,
    };
    let bundle = Bundle::sign(std::slice::from_ref(&tombstone), set.as_ref(), &keys)?;
    let receipt = bundle.hand_in(&client).await?.receipts.swap_remove(0);
    session.out.result(&receipt, || {
        let nodes = if receipt.nodes.is_empty() {
            "It ran on no node.".to_owned()
        } else {
            format!("Its programs leave {}.", receipt.nodes.join(", "))
        };
        format!("{} {} r{}. {nodes}\n", paint::clay("Removed"), receipt.policy, receipt.revision)
    })
}
