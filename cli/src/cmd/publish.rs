//! `skep publish [DIR] --key FILE`: builds, signs on this machine, uploads.

use crate::attesting::{self, Built, PROVENANCE_TYPE};
use crate::cmd::{Session, build};
use crate::keys;
use crate::publishing::Publication;
use crate::render::packages;
use crate::seen_log::SeenLog;
use anyhow::Context as _;
use skep_artifact::key::PublicKey;
use skep_trust::Wanted;
use std::path::PathBuf;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  skep publish --key acme.key
  skep publish ratelimit --key one.key --key two.key
  skep publish --key mine.key --cosigner skep-ed25519:oE…=
  skep publish --key acme.key --provenance

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
    /// Attest how it was built (SLSA provenance), signed with the same keys
    #[arg(long)]
    provenance: bool,
    /// The compiler to run
    #[arg(long, env = "SKEP_CLANG", default_value = "clang")]
    clang: String,
}

pub(crate) async fn run(args: &Args, session: &Session) -> anyhow::Result<()> {
    let keys = keys::to_sign_with(&args.keys, &session.settings)?;
    let client = session.settings.client()?;
    let began = session.now();
    let built = build::build(&args.folder, &args.clang, session)?;
    let ended = session.now();
    let publication = Publication {
        client: &client,
        manifest: &built.project.manifest,
        blobs: &built.blobs,
        keys: &keys,
        cosigners: &args.cosigners,
    };
    let receipt = publication.publish(session.now(), session.out).await?;
    // Nobody else can tell a publisher that what was acknowledged is what everybody sees.
    let mut log = SeenLog::open(&client, &session.settings, None, session.out).await?;
    let (name, version, index) = (receipt.name.clone(), receipt.version.clone(), receipt.index);
    let wanted = Wanted { name, version, index };
    log.prove(&client, &wanted).await.with_context(|| {
        format!("The registry took {wanted}, and does not prove that it is in its log.")
    })?;
    if args.provenance {
        let manifest = &built.project.manifest;
        let materials = build::materials(&built.project)?;
        let compiler = build::compiler(manifest, &args.clang);
        let provenance = Built { manifest, materials, compiler, began, ended };
        let predicate = provenance.predicate()?;
        attesting::add(&client, &wanted, PROVENANCE_TYPE, predicate, &keys).await?;
    }
    session.out.result(&receipt, || packages::published(&receipt, client.server()))
}
