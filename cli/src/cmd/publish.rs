//! `skep publish [DIR] --key FILE`: builds, signs on this machine, uploads.

use crate::attesting::{self, Built, PROVENANCE_TYPE};
use crate::cmd::{Session, build};
use crate::keys;
use crate::project;
use crate::publishing::Publication;
use crate::render::packages;
use crate::seen_log::SeenLog;
use crate::trust_files::{self, Shown};
use anyhow::Context as _;
use skep_artifact::key::PublicKey;
use skep_artifact::limits::MANIFEST_JSON_BYTES_MAX;
use skep_trust::Wanted;
use std::path::PathBuf;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  skep publish --key acme.key
  skep publish ratelimit --key one.key --key two.key
  skep publish --key mine.key --cosigner skep-ed25519:oE…=
  skep publish --key acme.key --provenance

When several must sign and their keys lie on different machines:
  skep publish --key mine.key --partial next.role.json     uploads, signs, publishes nothing yet
  skep role sign next.role.json --key theirs.key           on each of the other machines
  skep publish --role next.role.json                       publishes what all of them signed

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
    #[arg(long, conflicts_with_all = ["partial", "role"])]
    provenance: bool,
    /// Upload, and write the role file for others to sign instead of publishing
    #[arg(long, value_name = "FILE")]
    partial: Option<PathBuf>,
    /// Publish with a role file that was signed elsewhere
    #[arg(long, value_name = "FILE", conflicts_with_all = ["partial", "cosigners"])]
    role: Option<PathBuf>,
    /// The compiler to run
    #[arg(long, env = "SKEP_CLANG", default_value = "clang")]
    clang: String,
}

pub(crate) async fn run(args: &Args, session: &Session) -> anyhow::Result<()> {
    let keys = match &args.role {
        Some(_) => Vec::new(),
        None => keys::to_sign_with(&args.keys, &session.settings)?,
    };
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
    if let Some(path) = &args.partial {
        let role = publication.draft(session.now(), session.out).await?;
        let document = trust_files::of_bytes(&role)?;
        trust_files::write_new(path, &document)?;
        let shown = Shown::of(&document);
        return session.out.result(&shown, || {
            let path = path.display();
            format!("{}Uploaded, not published. Next: the others run `skep role sign {path}`, then `skep publish --role {path}`.\n", shown.text(session.now()))
        });
    }
    let receipt = match &args.role {
        Some(path) => {
            let role = project::read_bytes(path, MANIFEST_JSON_BYTES_MAX)?;
            publication.publish_signed(&role, session.out).await?
        }
        None => publication.publish(session.now(), session.out).await?,
    };
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
