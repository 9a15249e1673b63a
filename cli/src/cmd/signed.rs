//! `skep policy sign|set|epoch`: what several operators sign, the set over all policies, and its epochs.

use crate::cmd::Session;
use crate::exit::Ends;
use crate::keys;
use crate::render::paint;
use crate::signing::{self, Bundle, seal};
use serde::Serialize;
use skep_api::v1::operators::{HandIn, PolicySetInfo, StoredSet};
use skep_artifact::dsse::SET_PAYLOAD_TYPE;
use skep_trust::PolicySet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

#[derive(clap::Args)]
#[command(after_help = "Example:
  skep policy sign edge.signed --key b.key

Shows what is in the file before it is signed. Needs no registry.")]
pub(crate) struct SignArgs {
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Operator key file to sign with; give it once for every key
    #[arg(long = "key", value_name = "FILE", env = "SKEP_KEY")]
    keys: Vec<PathBuf>,
}

#[derive(clap::Args)]
#[command(after_help = "Example:
  skep policy epoch --bump --key operator.key

A registry that was restored from a backup counts on from the backup, and every node refuses that as a way back. A new
epoch, signed by operators, begins the counting anew. Then apply the policies again: revisions go on above what nodes
accepted, because what nodes accepted is never undone.")]
pub(crate) struct EpochArgs {
    /// Sign the next epoch
    #[arg(long)]
    bump: bool,
    /// The environment, for a registry that holds no policy set
    #[arg(long, value_name = "NAME")]
    environment: Option<String>,
    /// Operator key file to sign with; give it once for every key
    #[arg(long = "key", value_name = "FILE", env = "SKEP_KEY")]
    keys: Vec<PathBuf>,
}

#[derive(Serialize)]
struct Signed<'a> {
    file: &'a Path,
    revisions: usize,
    signed_by: Vec<String>,
}

/// What a file of signed policies holds, in words.
///
/// # Errors
/// When it cannot be read.
pub(crate) fn described(bundle: &Bundle) -> anyhow::Result<String> {
    let (revisions, set) = bundle.contents()?;
    let mut text = String::new();
    for revision in &revisions {
        let programs: Vec<String> =
            revision.programs.iter().map(|p| format!("{} {}", p.package, p.version)).collect();
        let what = if revision.removed { "removed".to_owned() } else { programs.join(", ") };
        // Writing into a String cannot fail.
        let _ = writeln!(
            text,
            "{} r{}: {what}",
            paint::bold(revision.name.as_str()),
            revision.revision
        );
    }
    if let Some(PolicySet { environment, epoch, version, policies, .. }) = &set {
        let all: Vec<String> = policies.iter().map(|(name, r)| format!("{name} r{r}")).collect();
        let _ = writeln!(
            text,
            "policy set {version} of {environment}, epoch {epoch}: {}",
            all.join(", ")
        );
    }
    Ok(text)
}

/// `skep policy sign`.
///
/// # Errors
/// When the file is no file of signed policies, or cannot be written.
pub(crate) fn sign(args: &SignArgs, session: &Session) -> anyhow::Result<()> {
    let keys = keys::to_sign_with(&args.keys, &session.settings)?;
    let mut bundle = Bundle::load(&args.file)?;
    session.out.say(described(&bundle)?.trim_end());
    bundle.countersign(&keys)?;
    bundle.store(&args.file)?;
    let signed_by = keys.iter().map(|key| key.public().key_id().to_string()).collect();
    let signed = Signed { file: &args.file, revisions: bundle.revisions.len(), signed_by };
    session.out.result(&signed, || format!("{} {}\n", paint::moss("Signed"), args.file.display()))
}

/// `skep policy set`.
///
/// # Errors
/// When the registry cannot be asked.
pub(crate) async fn show(session: &Session) -> anyhow::Result<()> {
    let info = session.settings.client()?.policy_set().await?;
    session.out.result(&info, || shown(&info))
}

fn shown(info: &PolicySetInfo) -> String {
    let Some(StoredSet { environment, epoch, version, policies, .. }) = &info.set else {
        return "No policy set. The next `skep apply` signs one.\n".to_owned();
    };
    let mut text = format!("{}  epoch {epoch} · version {version}\n", paint::bold(environment));
    for (name, lowest) in policies {
        let accepted = info.accepted.get(name).copied().unwrap_or(0);
        let ahead = if accepted > *lowest {
            paint::honey(&format!("  nodes accepted r{accepted}"))
        } else {
            String::new()
        };
        // Writing into a String cannot fail.
        let _ = writeln!(text, "  {name}  r{lowest}{ahead}");
    }
    if info.epoch_accepted > *epoch {
        let _ = writeln!(
            text,
            "{} nodes accepted epoch {}: this registry was restored. See `skep policy epoch --help`.",
            paint::clay("behind"),
            info.epoch_accepted
        );
    }
    text
}

/// `skep policy epoch`.
///
/// # Errors
/// When the registry cannot be asked or refuses.
pub(crate) async fn epoch(args: &EpochArgs, session: &Session) -> anyhow::Result<()> {
    if !args.bump {
        return show(session).await;
    }
    let client = session.settings.client()?;
    let keys = keys::to_sign_with(&args.keys, &session.settings)?;
    let info = client.policy_set().await?;
    let before = info.set.as_ref().map(signing::read).transpose()?;
    let held = client.policies().await?.policies;
    let anew = PolicySetInfo { set: None, ..info.clone() };
    let named = args.environment.as_deref();
    let environment = before.as_ref().map(|set| set.environment.clone());
    let fresh = signing::next_set(&anew, &held, &[], environment.as_deref().or(named))?;
    let fresh = fresh.ok_or_else(|| {
        Ends::not_found("The registry holds no policy. Apply the policies, then begin an epoch.")
    })?;
    let newest = before.as_ref().map_or(1, |set| set.epoch).max(info.epoch_accepted).max(1);
    let mut set = PolicySet { epoch: newest + 1, version: 1, ..fresh };
    if let Some(before) = &before {
        // What operators signed before stays named and is never lowered.
        for (name, lowest) in &before.policies {
            let entry = set.policies.entry(name.clone()).or_default();
            *entry = (*lowest).max(*entry);
        }
    }
    let envelope = seal(SET_PAYLOAD_TYPE, &set, &keys)?;
    let told = client.hand_in_set(&HandIn { envelope }).await?;
    session.out.result(&told, || {
        let behind: Vec<&str> = held
            .iter()
            .filter(|policy| {
                let name = policy.revision.name.as_str();
                info.accepted.get(name).is_some_and(|have| *have > policy.revision.revision)
            })
            .map(|policy| policy.revision.name.as_str())
            .collect();
        let next = match behind.as_slice() {
            [] => String::new(),
            names => format!(
                "Nodes accepted newer revisions of {} than this registry holds: apply them again.\n",
                names.join(", ")
            ),
        };
        format!(
            "{} epoch {} of {}; generations begin anew.\n{next}",
            paint::moss("Began"),
            told.epoch,
            told.environment
        )
    })
}
