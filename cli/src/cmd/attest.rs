//! `skep attest add|list|verify|verified-on`: statements about published versions.

mod add;
#[cfg(feature = "local")]
mod verified_on;

use crate::attesting;
use crate::cmd::Session;
use crate::exit::Ends;
use crate::render::attestations as render;
use crate::resolve::Reference;
use serde::Serialize;
use skep_api::client::Client;
use skep_artifact::key::PublicKey;
use skep_trust::attestation::{
    AttestationRule, CYCLONEDX, PROVENANCE, SPDX, VERIFIED_ON, VerifiedStatement,
};
use skep_trust::policy::Signers;
use skep_trust::{AttestationRefusal, Wanted};

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Sign a statement about a version, or add a document
    Add(add::Args),
    /// List what is attested about a version
    #[command(after_help = "Examples:
  skep attest list acme/ratelimit@1.4.2
  skep attest list acme/ratelimit --json")]
    List {
        /// A version of a package; the newest when none is named
        #[arg(value_name = "NAME[@VERSION]")]
        package: Reference,
    },
    /// Check that a version is attested by somebody you trust
    #[command(after_help = "Examples:
  skep attest verify acme/ratelimit@1.4.2 --type provenance --signer skep-ed25519:oE…=
  skep attest verify acme/ratelimit --type sbom --signer \"$(skep key show acme.key --public)\" --json

Ends with 3 when no attestation satisfies what is asked; the reason names the one that came closest.")]
    Verify(VerifyArgs),
    /// Load a package into this host's kernel and attest what its verifier said
    #[cfg(feature = "local")]
    VerifiedOn(verified_on::Args),
}

#[derive(clap::Args)]
pub(crate) struct VerifyArgs {
    /// A version of a package; the newest when none is named
    #[arg(value_name = "NAME[@VERSION]")]
    package: Reference,
    /// provenance, sbom, verified-on, or the address of a predicate type
    #[arg(long = "type", value_name = "TYPE")]
    kind: String,
    /// Public key that must have signed; give it once for every key
    #[arg(long = "signer", value_name = "PUBLIC_KEY", required = true)]
    signers: Vec<PublicKey>,
    /// How many of them must have signed
    #[arg(long, default_value_t = 1)]
    threshold: usize,
}

pub(crate) async fn run(command: &Command, session: &Session) -> anyhow::Result<()> {
    let client = session.settings.client()?;
    match command {
        Command::Add(args) => add::run(args, &client, session).await,
        Command::List { package } => {
            let wanted = wanted(&client, package).await?;
            let list = client.attestations(&wanted.name, &wanted.version).await?;
            session.out.result(&list, || render::list(&wanted.to_string(), &list, session.now()))
        }
        Command::Verify(args) => verify(args, &client, session).await,
        #[cfg(feature = "local")]
        Command::VerifiedOn(args) => verified_on::run(args, &client, session).await,
    }
}

/// What a reference means in the registry.
async fn wanted(client: &Client, reference: &Reference) -> anyhow::Result<Wanted> {
    let name = reference.name.clone();
    let version = match &reference.version {
        Some(version) => version.clone(),
        None => client.package(&name).await?.summary.version,
    };
    let index = client.version(&name, &version).await?.summary.index;
    Ok(Wanted { name, version, index })
}

/// The predicate types that a word means.
fn predicates(kind: &str) -> Result<Vec<String>, Ends> {
    let types: Vec<&str> = match kind {
        "provenance" => vec![PROVENANCE],
        "sbom" => vec![SPDX, CYCLONEDX],
        "verified-on" => vec![VERIFIED_ON],
        url if url.contains("://") => vec![url],
        _ => {
            return Err(Ends::usage(format!(
                "'{kind}' is no type of attestation: write provenance, sbom, verified-on or the address of a predicate type."
            )));
        }
    };
    Ok(types.into_iter().map(str::to_owned).collect())
}

#[derive(Serialize)]
struct Verified {
    package: String,
    version: String,
    statements: Vec<Shown>,
}

#[derive(Serialize)]
struct Shown {
    predicate_type: String,
    signed_by: Vec<String>,
    predicate: serde_json::Value,
}

async fn verify(args: &VerifyArgs, client: &Client, session: &Session) -> anyhow::Result<()> {
    let wanted = wanted(client, &args.package).await?;
    if args.threshold == 0 || args.threshold > args.signers.len() {
        return Err(Ends::usage("--threshold is 1 to the number of --signer keys.").into());
    }
    let signers = Signers { keys: args.signers.clone(), threshold: args.threshold };
    let rule = AttestationRule { predicates: predicates(&args.kind)?, signers };
    let envelopes = attesting::envelopes(client, &wanted).await?;
    let statements = rule.verify(&wanted, &envelopes).map_err(|refusal| {
        let AttestationRefusal::Missing = refusal else {
            let message = format!("{wanted} is not attested as asked ({}).", refusal.code());
            return Ends::refused(message, refusal);
        };
        Ends::refused(format!("{wanted} has no attestation."), refusal)
    })?;
    let shown = |statement: VerifiedStatement| Shown {
        predicate_type: statement.predicate_type,
        signed_by: statement.signed_by.iter().map(ToString::to_string).collect(),
        predicate: statement.predicate,
    };
    let verified = Verified {
        package: wanted.name.to_string(),
        version: wanted.version.to_string(),
        statements: statements.into_iter().map(shown).collect(),
    };
    session.out.result(&verified, || {
        let lines = verified.statements.iter();
        lines
            .map(|s| render::verified(&wanted.to_string(), &s.predicate_type, &s.signed_by))
            .collect()
    })
}
