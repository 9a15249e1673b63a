//! `skep pull NAME[@VERSION]`: downloads, verifies everything a node would, then writes.

use crate::bundle::Bundle;
use crate::cmd::Session;
use crate::exit::Ends;
use crate::oci_folder;
use crate::render::paint;
use crate::resolve::Reference;
use crate::trusting::Whom;
use anyhow::Context as _;
use serde::Serialize;
use skep_artifact::digest::Digest;
use skep_trust::VerifiedPackage;
use std::path::{Path, PathBuf};

#[derive(clap::Args)]
#[command(after_help = "Examples:
  skep pull skep/firewall@1.4.2 --key skep-ed25519:oE…=
  skep pull skep/firewall --policy /etc/skep/policy.toml --out firewall

Writes an OCI layout (read by skopeo, oras, bpfman) with the objects and the signature beside it; `skep run`
takes the folder. Nothing is written
unless the publisher's signature, every digest and every claim hold.")]
pub(crate) struct Args {
    /// A package; the newest version when none is named
    #[arg(value_name = "NAME[@VERSION]")]
    package: Reference,
    /// Folder to write [default: NAME-VERSION]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    whom: Whom,
}

#[derive(Serialize)]
struct Pulled {
    name: String,
    version: String,
    index: Digest,
    log_index: u64,
    signed_by: Vec<String>,
    folder: PathBuf,
    objects: Vec<PathBuf>,
}

pub(crate) async fn run(args: &Args, session: &Session) -> anyhow::Result<()> {
    let name = &args.package.name;
    let trust = args.whom.trust([name.namespace()])?;
    let client = session.settings.client()?;
    if let Some(folder) = &args.out {
        refuse_existing(folder)?;
    }
    let mut bundle = Bundle::from_registry(&client, &args.package, session.out).await?;
    let log_index = bundle
        .prove(&client, &session.settings, &trust.policy, session.out)
        .await
        .with_context(|| format!("{name} {} was not written.", bundle.wanted.version))?;
    let version = bundle.wanted.version.clone();
    let default = || PathBuf::from(format!("{}-{version}", name.short()));
    let folder = args.out.clone().unwrap_or_else(default);
    refuse_existing(&folder)?;
    let package = bundle
        .verify(&trust.policy, session.now())
        .with_context(|| format!("{name} {version} was not written."))?;
    bundle.complete(&package);
    let objects = oci_folder::write(&folder, &package, &bundle)?;
    let pulled = Pulled {
        name: name.to_string(),
        version: version.to_string(),
        index: package.index_digest(),
        log_index,
        signed_by: package.signed_by().iter().map(ToString::to_string).collect(),
        folder,
        objects,
    };
    session.out.result(&pulled, || text(&pulled, &package))
}

fn refuse_existing(folder: &Path) -> Result<(), Ends> {
    if !folder.exists() {
        return Ok(());
    }
    let message = format!("{} exists already. Choose another folder with --out.", folder.display());
    Err(Ends::usage(message))
}

fn text(pulled: &Pulled, package: &VerifiedPackage) -> String {
    let signers: Vec<String> = package.signed_by().iter().map(|id| id.short()).collect();
    let objects: Vec<String> = pulled.objects.iter().map(|p| p.display().to_string()).collect();
    format!(
        "{} {} {}  {}\n  signed by  {}\n  log        entry {}, proved\n  folder     {}\n  objects    {}\n",
        paint::moss("Verified"),
        pulled.name,
        pulled.version,
        paint::dim(&pulled.index.to_string()),
        signers.join(", "),
        pulled.log_index,
        pulled.folder.display(),
        objects.join(" ")
    )
}
