//! `skep role next|sign|add|show`: a namespace's role file as a file that several publishers sign on their own machines.

use crate::cmd::Session;
use crate::cmd::trust::SignArgs;
use crate::exit::Ends;
use crate::keys;
use crate::limits::ROLE_VALID_SECS;
use crate::project;
use crate::publishing::{self, PublishingError};
use crate::trust_files::{self, Shown};
use anyhow::Context as _;
use skep_artifact::key::{PublicKey, SecretKey};
use skep_artifact::limits::MANIFEST_JSON_BYTES_MAX;
use skep_artifact::name::Namespace;
use skep_artifact::role::Role;
use skep_trust::tuf::Document;
use std::path::PathBuf;

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Make the next role file with the same versions: to renew it, or to sign it with other keys
    #[command(after_help = "Examples:
  skep role next acme --key new.key --cosigner skep-ed25519:OLD…= --out acme.role.json
  skep role next acme --unsigned --cosigner skep-ed25519:oE…= --out acme.role.json

The registry's newest role file is built upon only when --key or --cosigner signed it: whoever signs a role file makes
every version in it true.")]
    Next {
        #[arg(value_name = "NAMESPACE")]
        namespace: Namespace,
        /// Secret key to sign with; give it once for every key
        #[arg(long = "key", env = "SKEP_KEY", value_name = "FILE")]
        keys: Vec<PathBuf>,
        /// Public key of whoever signed the role file before
        #[arg(long = "cosigner", value_name = "PUBLIC_KEY")]
        cosigners: Vec<PublicKey>,
        /// Sign nothing here; others do
        #[arg(long)]
        unsigned: bool,
        /// File to write; an existing one is never overwritten
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Add signatures to a role file
    #[command(after_help = "Examples:
  skep role sign acme.role.json --key bob.key
  skep role sign acme.role.json --merge from-carol/acme.role.json

Look at what it lists first: `skep role show FILE`.")]
    Sign(SignArgs),
    /// Hand a role file with enough signatures in to the registry
    #[command(after_help = "Example:
  skep role add acme --file acme.role.json

For a role file that lists the same versions. One with a new version is handed in by `skep publish --role FILE`.")]
    Add {
        #[arg(value_name = "NAMESPACE")]
        namespace: Namespace,
        #[arg(long, value_name = "FILE")]
        file: PathBuf,
    },
    /// Show a role file, or a namespace's newest one
    #[command(after_help = "Examples:
  skep role show acme
  skep role show --file acme.role.json

Says when it expires: a role is valid for 180 days, and is to be renewed 30 days before.")]
    Show {
        #[arg(value_name = "NAMESPACE", required_unless_present = "file")]
        namespace: Option<Namespace>,
        #[arg(long, value_name = "FILE", conflicts_with = "namespace")]
        file: Option<PathBuf>,
    },
}

pub(crate) async fn run(command: &Command, session: &Session) -> anyhow::Result<()> {
    match command {
        Command::Next { namespace, keys, cosigners, unsigned, out } => {
            let keys =
                if *unsigned { Vec::new() } else { keys::to_sign_with(keys, &session.settings)? };
            let role = next(namespace, &keys, cosigners, session).await?;
            let document = trust_files::of_bytes(&role.sign(&keys)?)?;
            trust_files::write_new(out, &document)?;
            show(&document, session)
        }
        Command::Sign(args) => {
            let mut document = trust_files::read(&args.file)?;
            for path in &args.merge {
                let other = trust_files::read(path)?;
                let merged = document.merge(&other);
                merged.with_context(|| format!("{} was not merged.", path.display()))?;
            }
            if !args.keys.is_empty() || args.merge.is_empty() {
                for key in keys::to_sign_with(&args.keys, &session.settings)? {
                    document.sign(&key)?;
                }
            }
            trust_files::replace(&args.file, &document)?;
            show(&document, session)
        }
        Command::Add { namespace, file } => {
            let bytes = project::read_bytes(file, MANIFEST_JSON_BYTES_MAX)?;
            let receipt = session.settings.client()?.put_role(namespace, bytes).await?;
            session.out.result(&receipt, || {
                format!(
                    "The registry took version {} of {namespace}'s role file.\n",
                    receipt.version
                )
            })
        }
        Command::Show { namespace, file } => {
            let document = match (namespace, file) {
                (_, Some(path)) => trust_files::read(path)?,
                (Some(namespace), None) => {
                    let client = session.settings.client()?;
                    let bytes = client.role(namespace, MANIFEST_JSON_BYTES_MAX).await?;
                    let none = || Ends::not_found(format!("{namespace} has no role file yet."));
                    trust_files::of_bytes(&bytes.ok_or_else(none)?)?
                }
                (None, None) => return Err(Ends::usage("Name a namespace or --file.").into()),
            };
            show(&document, session)
        }
    }
}

fn show(document: &Document, session: &Session) -> anyhow::Result<()> {
    let shown = Shown::of(document);
    session.out.result(&shown, || shown.text(session.now()))
}

async fn next(
    namespace: &Namespace,
    keys: &[SecretKey],
    cosigners: &[PublicKey],
    session: &Session,
) -> anyhow::Result<Role> {
    let client = session.settings.client()?;
    let newest = client.role(namespace, MANIFEST_JSON_BYTES_MAX).await?;
    let none = || Ends::not_found(format!("{namespace} has no role file yet; publish something."));
    let newest = newest.ok_or_else(none)?;
    let known: Vec<PublicKey> =
        keys.iter().map(SecretKey::public).chain(cosigners.iter().cloned()).collect();
    let verified = Role::verify(&newest, namespace, &known, 1).map_err(|source| {
        let error = PublishingError::ForeignRole { namespace: namespace.clone(), source };
        Ends::refused("Nothing was signed.", error)
    })?;
    let expires = publishing::expiry(session.now(), ROLE_VALID_SECS)?;
    Ok(verified.role().clone().next(&expires)?)
}
