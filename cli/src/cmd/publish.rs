//! `skep publish [DIR] --key FILE`: builds, signs on this machine, uploads.

use crate::cmd::{Session, build};
use crate::keys;
use crate::publishing::Publication;
use crate::render::packages;
use skep_artifact::key::PublicKey;
use std::path::PathBuf;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  skep publish --key acme.key
  skep publish ratelimit --key one.key --key two.key
  skep publish --key mine.key --cosigner skep-ed25519:oE…=

The secret key never leaves this machine. A published version never changes.")]
pub(crate) struct Args {
    /// The package's folder
    #[arg(default_value = ".")]
    folder: PathBuf,
    /// Publisher key file to sign with; give it once for every key
    #[arg(long = "key", value_name = "FILE", env = "SKEP_KEY")]
    keys: Vec<PathBuf>,
    /// Public key of a co-maintainer whose earlier publishes are built upon
    #[arg(long = "cosigner", value_name = "PUBLIC_KEY")]
    cosigners: Vec<PublicKey>,
    /// The compiler to run
    #[arg(long, env = "SKEP_CLANG", default_value = "clang")]
    clang: String,
}

pub(crate) async fn run(args: &Args, session: &Session) -> anyhow::Result<()> {
    let keys = keys::to_sign_with(&args.keys, &session.settings)?;
    let client = session.settings.client()?;
    let built = build::build(&args.folder, &args.clang, session)?;
    let publication = Publication {
        client: &client,
        manifest: &built.project.manifest,
        blobs: &built.blobs,
        keys: &keys,
        cosigners: &args.cosigners,
    };
    let receipt = publication.publish(session.now(), session.out).await?;
    session.out.result(&receipt, || packages::published(&receipt, client.server()))
}
