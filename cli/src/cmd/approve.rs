//! `skep approve POLICY --wave W --key OPERATOR_KEY`: signs that a wave of a revision may begin.

use crate::cmd::Session;
use crate::exit::Ends;
use crate::keys;
use crate::render::paint;
use crate::signing::seal;
use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use skep_api::v1::operators::HandIn;
use skep_artifact::digest::Digest;
use skep_artifact::dsse::{APPROVAL_PAYLOAD_TYPE, Envelope};
use skep_fleet::ids::PolicyName;
use skep_fleet::policy::PolicyRevision;
use skep_trust::Approval;
use std::path::PathBuf;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  skep approve edge-firewall --wave canary --key ada.key
  skep approve edge-firewall --wave canary --revision 14 --key grace.key

The approval is for the very bytes of the revision; whoever changes it needs another. Nodes count the operators
themselves: the registry can neither add an approval nor drop one unnoticed.")]
pub(crate) struct Args {
    policy: PolicyName,
    /// The wave that may begin
    #[arg(long)]
    wave: String,
    /// Only if this is the newest revision
    #[arg(long)]
    revision: Option<u64>,
    /// Operator key file to sign with; give it once for every key
    #[arg(long = "key", value_name = "FILE", env = "SKEP_KEY")]
    keys: Vec<PathBuf>,
}

pub(crate) async fn run(args: &Args, session: &Session) -> anyhow::Result<()> {
    let client = session.settings.client()?;
    let keys = keys::to_sign_with(&args.keys, &session.settings)?;
    let held = client.policies().await?.policies;
    let found = held.into_iter().find(|policy| policy.revision.name == args.policy);
    let found =
        found.ok_or_else(|| Ends::not_found(format!("There is no policy {}.", args.policy)))?;
    let unreadable = "The registry's revision cannot be read.";
    let bytes = BASE64.decode(&found.envelope).context(unreadable)?;
    let payload = Envelope::parse(&bytes).context(unreadable)?.unverified_payload().to_vec();
    // What is signed is what is in the envelope, not what the answer says beside it.
    let revision = PolicyRevision::from_json(&payload).context(unreadable)?;
    check(args, &revision)?;
    let approval = Approval {
        policy: revision.name.to_string(),
        revision: Digest::of(&payload),
        wave: args.wave.clone(),
    };
    let envelope = seal(APPROVAL_PAYLOAD_TYPE, &approval, &keys)?;
    let told = client.approve(&HandIn { envelope }).await?;
    let rule = revision.approval.as_ref();
    session.out.result(&told, || {
        let asks =
            rule.map_or_else(String::new, |rule| format!(" It asks for {} operators.", rule.by));
        format!(
            "{} wave {} of {} r{}.{asks}\n",
            paint::moss("Approved"),
            args.wave,
            revision.name,
            revision.revision
        )
    })
}

fn check(args: &Args, revision: &PolicyRevision) -> anyhow::Result<()> {
    if revision.name != args.policy {
        let message = format!(
            "The registry answered with policy {} instead of {}.",
            revision.name, args.policy
        );
        return Err(Ends::refusal(message).into());
    }
    if let Some(wanted) = args.revision.filter(|wanted| *wanted != revision.revision) {
        let message = format!(
            "Policy {} is at revision {}, not {wanted}. Nothing was approved.",
            args.policy, revision.revision
        );
        return Err(Ends::refusal(message).into());
    }
    let asks = |rule: &skep_fleet::policy::ApprovalRule| rule.before.contains(&args.wave);
    if !revision.approval.as_ref().is_some_and(asks) {
        let waves = revision.approval.as_ref().map(|rule| rule.before.join(", "));
        let has = waves.unwrap_or_else(|| "none".to_owned());
        let message = format!(
            "Revision {} of policy {} does not ask for approval before the wave {}. It asks before: {has}.",
            revision.revision, args.policy, args.wave
        );
        return Err(Ends::usage(message).into());
    }
    Ok(())
}
