//! `skep attest verified-on`: a real load into this host's kernel, and a statement of what its verifier said.

use super::wanted;
use crate::attesting;
use crate::bundle::Bundle;
use crate::cmd::Session;
use crate::exit::Ends;
use crate::keys;
use crate::render::attestations as render;
use crate::resolve::Reference;
use crate::trusting::Trust;
use anyhow::Context as _;
use skep_api::client::Client;
use skep_artifact::config::{ConfigValues, encode};
use skep_artifact::key::SecretKey;
use skep_chain_dispatcher::testrun::{TestProgram, TestRunError};
use skep_chain_dispatcher::{LoadError, Loadable};
use skep_trust::VerifiedPackage;
use skep_trust::attestation::{VERIFIED_ON, VerifiedOn, VerifiedProgram};
use std::path::PathBuf;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  skep attest verified-on acme/ratelimit@1.4.2 --key lab.key --policy /etc/skep/policy.toml
  skep attest verified-on acme/ratelimit --key acme.key

Needs the right to load BPF programs. Each program is loaded for each hook it offers, attached to nothing and taken out
again. A refusal is attested as well, with the end of the verifier's log; the command then ends with 3.")]
pub(crate) struct Args {
    /// A version of a package; the newest when none is named
    #[arg(value_name = "NAME[@VERSION]")]
    package: Reference,
    /// Key file to sign with; give it once for every key
    #[arg(long = "key", value_name = "FILE", env = "SKEP_KEY")]
    keys: Vec<PathBuf>,
    /// Node policy that says which publishers may be loaded here [default: the key's own namespace]
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Load and print, attest nothing
    #[arg(long)]
    dry_run: bool,
}

pub(super) async fn run(args: &Args, client: &Client, session: &Session) -> anyhow::Result<()> {
    let keys = keys::to_sign_with(&args.keys, &session.settings)?;
    let wanted = wanted(client, &args.package).await?;
    let trust = match &args.policy {
        Some(path) => Trust::of_file(path)?,
        None => {
            let own: Vec<_> = keys.iter().map(SecretKey::public).collect();
            Trust::of_keys(wanted.name.namespace(), &own, 1)?
        }
    };
    let reference = Reference { name: wanted.name.clone(), version: Some(wanted.version.clone()) };
    let mut bundle = Bundle::from_registry(client, &reference, session.out).await?;
    bundle.prove(client, &session.settings, &trust.policy, session.out).await?;
    let package = bundle
        .verify(&trust.policy, session.now())
        .with_context(|| format!("{wanted} was not loaded."))?;
    let result = load(&package, session.now())?;
    if !args.dry_run {
        let predicate = serde_json::to_value(&result).context("writing a statement")?;
        attesting::add(client, &wanted, VERIFIED_ON, predicate, &keys).await?;
    }
    session.out.result(&result, || render::verified_on(&wanted.to_string(), &result))?;
    if result.accepted {
        return Ok(());
    }
    let message = format!("Linux {} does not accept every program of {wanted}.", result.kernel);
    Err(Ends::refusal(message).into())
}

fn load(package: &VerifiedPackage, now: i64) -> anyhow::Result<VerifiedOn> {
    let host = rustix::system::uname();
    let machine = host.machine().to_string_lossy().into_owned();
    let object = package
        .object(&machine)
        .ok_or_else(|| Ends::not_found(format!("The package holds no object for {machine}.")))?;
    let config = encode(package.manifest(), object.facts(), &ConfigValues::default())?;
    let object = Loadable::Verified(object);
    let mut programs = Vec::new();
    for program in &package.manifest().programs {
        for hook in program.hooks() {
            let (accepted, log) = match TestProgram::load(&object, &program.name, hook, &config) {
                Ok(_) => (true, String::new()),
                Err(TestRunError::Load(LoadError::Verifier { last_lines, .. })) => {
                    (false, last_lines.join("\n"))
                }
                Err(error) => {
                    let what = format!("{} could not be loaded on {hook}.", program.name);
                    return Err(anyhow::Error::new(error).context(what));
                }
            };
            let name = format!("{} on {hook}", program.name);
            programs.push(VerifiedProgram { name, accepted, log });
        }
    }
    let accepted = programs.iter().all(|program| program.accepted);
    let kernel = host.release().to_string_lossy().into_owned();
    Ok(VerifiedOn { kernel, machine, accepted, at: now, programs })
}
