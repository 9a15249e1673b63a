//! `skep bundle create|verify|load`: packages on the way to a registry that no network reaches.

mod create;
mod load;

use crate::archive::{self, Archive, Listed};
use crate::attesting::Said;
use crate::bundle::Bundle;
use crate::cmd::Session;
use crate::exit::Ends;
use crate::render::{paint, units};
use crate::trusting::{Trust, Whom};
use anyhow::Context as _;
use serde::Serialize;
use skep_artifact::digest::Digest;
use skep_trust::VerifiedPackage;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Write packages and their signatures into one file
    #[command(after_help = "Examples:
  skep bundle create skep/firewall@1.2 skep/flowlog --key skep-ed25519:oE…= --out bundle.tar
  skep bundle create acme/ratelimit@=1.4.2 --policy /etc/skep/policy.toml --out bundle.tar

Takes the highest version in each range that is not yanked, with its log proof and attestations. Everything is
verified first, as a node would. The file is an OCI image layout in a tar archive: skopeo and oras read it, too.")]
    Create(create::Args),
    /// Check a bundle without a registry
    #[command(after_help = "Examples:
  skep bundle verify bundle.tar --key skep-ed25519:oE…=")]
    Verify {
        #[command(flatten)]
        source: Source,
    },
    /// Verify a bundle and bring it into a registry
    #[command(after_help = "Examples:
  skep bundle load bundle.tar --key skep-ed25519:oE…=
  skep bundle load bundle.tar --policy /etc/skep/policy.toml --claim

Nothing is stored unless everything in the bundle holds. A namespace's role file only ever gets newer. --claim
registers namespaces the registry does not have yet with the keys you name, which needs an admin token.")]
    Load {
        #[command(flatten)]
        source: Source,
        /// Register namespaces that the registry does not have, with these keys
        #[arg(long)]
        claim: bool,
    },
}

/// A bundle, and whom to trust.
#[derive(clap::Args)]
pub(crate) struct Source {
    /// The bundle
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    whom: Whom,
}

/// One package that holds.
#[derive(Serialize)]
struct Shown {
    name: String,
    version: String,
    index: Digest,
    signed_by: Vec<String>,
}

impl Shown {
    fn of(package: &VerifiedPackage) -> Self {
        Self {
            name: package.name().to_string(),
            version: package.version().to_string(),
            index: package.index_digest(),
            signed_by: package.signed_by().iter().map(ToString::to_string).collect(),
        }
    }
}

#[derive(Serialize)]
struct Verified {
    file: PathBuf,
    packages: Vec<Shown>,
}

pub(crate) async fn run(command: &Command, session: &Session) -> anyhow::Result<()> {
    match command {
        Command::Create(args) => create::run(args, session).await,
        Command::Verify { source } => {
            let opened = Opened::verify(source, session)?;
            let packages = opened.packages.iter().map(|p| Shown::of(&p.package)).collect();
            let shown = Verified { file: source.file.clone(), packages };
            session.out.result(&shown, || list("Verified", &source.file, &shown.packages))
        }
        Command::Load { source, claim } => {
            let opened = Opened::verify(source, session)?;
            load::run(&opened, *claim, session).await
        }
    }
}

/// A bundle in which everything holds.
struct Opened {
    trust: Trust,
    packages: Vec<Proven>,
}

/// One package, with its blobs complete.
struct Proven {
    bundle: Bundle,
    package: VerifiedPackage,
    attestations: Vec<Said>,
}

impl Opened {
    /// Reads and verifies all of it before anybody is told that any of it holds.
    fn verify(source: &Source, session: &Session) -> anyhow::Result<Self> {
        let archive: Archive = archive::read(&source.file)?;
        let namespaces: BTreeSet<_> =
            archive.packages.iter().map(|p| p.name.namespace().clone()).collect();
        let trust = source.whom.trust(&namespaces)?;
        let bar = session.out.progress("verifying", archive.packages.len() as u64);
        let mut packages = Vec::new();
        for listed in &archive.packages {
            packages.push(Proven::of(&archive, listed, &trust, session).with_context(|| {
                format!("{} {} in the bundle is refused.", listed.name, listed.version)
            })?);
            bar.inc(1);
        }
        bar.finish_and_clear();
        Ok(Self { trust, packages })
    }
}

impl Proven {
    fn of(
        archive: &Archive,
        listed: &Listed,
        trust: &Trust,
        session: &Session,
    ) -> anyhow::Result<Self> {
        let mut bundle = Bundle::from_archive(archive, listed)?;
        bundle.see(&trust.policy)?;
        let package = bundle.verify(&trust.policy, session.now())?;
        bundle.complete(&package);
        let mut attestations = Vec::new();
        for said in &listed.attestations {
            let content = archive.get(&said.content).unwrap_or_default();
            let said = Said { media_type: said.media_type.clone(), content };
            let refused = |why| Ends::refused("An attestation is refused.", why);
            said.check(&bundle.wanted).map_err(refused)?;
            attestations.push(said);
        }
        Ok(Self { bundle, package, attestations })
    }
}

fn list(word: &str, file: &Path, packages: &[Shown]) -> String {
    let mut text = format!(
        "{} {}  {}\n",
        paint::moss(word),
        file.display(),
        paint::dim(&units::plural(packages.len(), "package", "packages"))
    );
    for package in packages {
        let index = paint::dim(&package.index.short());
        text.push_str(&format!("  {} {}  {index}\n", package.name, package.version));
    }
    text
}
