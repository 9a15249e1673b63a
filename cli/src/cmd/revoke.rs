//! `skep revoke PACKAGE@VERSION --reason … --key …`: signs that a version is known to be bad, or takes that back.

use crate::cmd::Session;
use crate::exit::Ends;
use crate::keys;
use crate::render::paint;
use crate::resolve::Reference;
use crate::signing::seal;
use skep_api::client::{Client, ClientError};
use skep_api::v1::operators::{HandIn, RevocationInfo};
use skep_artifact::digest::Digest;
use skep_artifact::dsse::{REVOCATION_LIFT_PAYLOAD_TYPE, REVOCATION_PAYLOAD_TYPE};
use skep_artifact::key::SecretKey;
use skep_trust::{Lift, Revocation, Severity};
use std::path::PathBuf;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  skep revoke acme/limiter@1.4.2 --reason \"lets IPv6 pass\" --severity critical --key operator.key
  skep revoke acme/limiter@1.4.2 --reason \"it was 1.4.1\" --lift sha256:… --key a.key --key b.key
  skep revoke --list

Every node that is connected refuses the version within seconds; what becomes of a chain that runs it is what the
node's own policy says (`on-revoke`: keep, fallback or detach). One operator or emergency key is enough to deny; a
publisher needs the namespace's threshold, and so does everybody who allows again.")]
pub(crate) struct Args {
    /// The package and its version
    #[arg(value_name = "PACKAGE@VERSION", required_unless_present = "list")]
    package: Option<Reference>,
    /// Why, in one line; everybody reads it
    #[arg(long, required_unless_present = "list")]
    reason: Option<String>,
    /// low, medium, high or critical
    #[arg(long, default_value = "high", value_parser = severity)]
    severity: Severity,
    /// Take back the revocation with this digest
    #[arg(long, value_name = "DIGEST")]
    lift: Option<Digest>,
    /// List what was revoked
    #[arg(long, conflicts_with_all = ["package", "reason", "lift"])]
    list: bool,
    /// Key file to sign with; give it once for every key
    #[arg(long = "key", value_name = "FILE", env = "SKEP_KEY")]
    keys: Vec<PathBuf>,
}

fn severity(text: &str) -> Result<Severity, String> {
    serde_json::from_value(text.into())
        .map_err(|_| "a severity is low, medium, high or critical".to_owned())
}

pub(crate) async fn run(args: &Args, session: &Session) -> anyhow::Result<()> {
    let client = session.settings.client()?;
    if args.list {
        let list = client.revocations().await?;
        return session.out.result(&list, || listed(&list.revocations));
    }
    let (Some(reference), Some(reason)) = (&args.package, &args.reason) else {
        return Err(Ends::usage("Name what to revoke, and why.").into());
    };
    let keys = keys::to_sign_with(&args.keys, &session.settings)?;
    let told = match args.lift {
        Some(revocation) => {
            lift(&client, reference, revocation, reason, &keys, session.now()).await?
        }
        None => revoke(args, &client, reference, reason, &keys, session.now()).await?,
    };
    session.out.result(&told, || {
        let word =
            if told.lifts.is_some() { paint::moss("Allowed") } else { paint::clay("Revoked") };
        format!(
            "{word} {}: {}\n  {}\n",
            named(&told),
            told.reason,
            paint::dim(&told.digest.to_string())
        )
    })
}

async fn revoke(
    args: &Args,
    client: &Client,
    reference: &Reference,
    reason: &str,
    keys: &[SecretKey],
    now: i64,
) -> anyhow::Result<RevocationInfo> {
    let package = reference.name.clone();
    let Some(version) = reference.version.clone() else {
        let message = format!("Which version of {package} is bad? Write it like {package}@1.4.2.");
        return Err(Ends::usage(message).into());
    };
    // The digest as well: the version may be known under another name elsewhere. A version that the registry does not
    // know any more can be revoked all the same.
    let digests = match client.version(&package, &version).await {
        Ok(detail) => [detail.summary.index].into(),
        Err(ClientError::Refused { status: 404, .. }) => Default::default(),
        Err(error) => return Err(error.into()),
    };
    let revocation = Revocation {
        package,
        versions: [version].into(),
        digests,
        reason: reason.to_owned(),
        severity: args.severity,
        issued_at: now,
    };
    let envelope = seal(REVOCATION_PAYLOAD_TYPE, &revocation, keys)?;
    Ok(client.revoke(&HandIn { envelope }).await?)
}

async fn lift(
    client: &Client,
    reference: &Reference,
    revocation: Digest,
    reason: &str,
    keys: &[SecretKey],
    now: i64,
) -> anyhow::Result<RevocationInfo> {
    let known = client.revocations().await?.revocations;
    let of_package = reference.name.to_string();
    if !known.iter().any(|one| one.digest == revocation && one.package == of_package) {
        let message = format!(
            "There is no revocation {revocation} of {of_package}. `skep revoke --list` shows them."
        );
        return Err(Ends::not_found(message).into());
    }
    let lift = Lift {
        package: reference.name.clone(),
        revocation,
        reason: reason.to_owned(),
        issued_at: now,
    };
    let envelope = seal(REVOCATION_LIFT_PAYLOAD_TYPE, &lift, keys)?;
    Ok(client.revoke(&HandIn { envelope }).await?)
}

fn named(told: &RevocationInfo) -> String {
    match told.versions.as_slice() {
        [] => told.package.clone(),
        versions => format!("{} {}", told.package, versions.join(", ")),
    }
}

fn listed(all: &[RevocationInfo]) -> String {
    if all.is_empty() {
        return "Nothing was revoked.\n".to_owned();
    }
    let line = |one: &RevocationInfo| match one.lifts {
        Some(digest) => {
            format!("{} {}: {} ({digest})\n", paint::moss("allowed"), one.package, one.reason)
        }
        None => {
            format!(
                "{} {}: {} ({}, {})\n",
                paint::clay("revoked"),
                named(one),
                one.reason,
                one.severity,
                one.digest
            )
        }
    };
    all.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn severities_are_words() {
        assert_eq!(severity("critical"), Ok(Severity::Critical));
        assert!(severity("meh").is_err());
    }
}
