//! `skep bundle create`: downloads, verifies, writes.

use super::{Shown, Verified, list};
use crate::archive::{self, Filling, Listed, ListedAttestation};
use crate::attesting::{self, Said};
use crate::bundle::Bundle;
use crate::cmd::Session;
use crate::exit::Ends;
use crate::resolve::{self, Reference};
use crate::seen_log::written;
use crate::trusting::Whom;
use anyhow::Context as _;
use skep_artifact::digest::Digest;
use skep_fleet::policy::PackageRange;
use skep_trust::Wanted;
use std::collections::BTreeSet;
use std::path::PathBuf;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Packages and version ranges; without a range the highest version
    #[arg(value_name = "NAME[@RANGE]", required = true)]
    packages: Vec<PackageRange>,
    /// The file to write, which must not exist
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    whom: Whom,
}

pub(crate) async fn run(args: &Args, session: &Session) -> anyhow::Result<()> {
    if args.out.exists() {
        let message = format!("{} exists already. Choose another file.", args.out.display());
        return Err(Ends::usage(message).into());
    }
    let namespaces: BTreeSet<_> =
        args.packages.iter().map(|range| range.package.namespace().clone()).collect();
    let trust = args.whom.trust(&namespaces)?;
    let client = session.settings.client()?;
    let (mut filling, mut shown) = (Filling::default(), Vec::new());
    for range in &args.packages {
        let version = resolve::highest(&client, range, session.out).await?;
        let reference = Reference { name: range.package.clone(), version: Some(version) };
        let mut bundle = Bundle::from_registry(&client, &reference, session.out).await?;
        let failed = format!("{} was not bundled.", bundle.wanted);
        bundle
            .prove(&client, &session.settings, &trust.policy, session.out)
            .await
            .with_context(|| failed.clone())?;
        let package = bundle.verify(&trust.policy, session.now()).with_context(|| failed)?;
        bundle.complete(&package);
        let said = attesting::all(&client, &bundle.wanted).await?;
        shown.push(Shown::of(&package));
        filling.add(bundle, said)?;
    }
    archive::write(&args.out, &filling)?;
    let shown = Verified { file: args.out.clone(), packages: shown };
    session.out.result(&shown, || list("Bundled", &args.out, &shown.packages))
}

impl Filling {
    /// Adds a verified package with what is said about it. Of two role files of a namespace the later download is
    /// the newer.
    fn add(&mut self, bundle: Bundle, said: Vec<Said>) -> anyhow::Result<()> {
        let wanted = bundle.wanted;
        if self.packages.iter().any(|p| (&p.name, &p.version) == (&wanted.name, &wanted.version)) {
            return Ok(());
        }
        let log = bundle.beside.log.as_ref().map(|proof| serde_json::to_vec(&written(proof)));
        let log = log.transpose()?.map(|bytes| self.keep(bytes));
        let attestation = |said: Said| ListedAttestation {
            media_type: said.media_type,
            content: self.keep(said.content),
        };
        let attestations = said.into_iter().map(attestation).collect();
        self.roles.insert(wanted.name.namespace().clone(), bundle.role);
        let blobs = bundle.blobs.all();
        self.blobs.extend(blobs.map(|(digest, bytes)| (*digest, bytes.clone())));
        let Wanted { name, version, index } = wanted;
        self.packages.push(Listed { name, version, index, log, attestations });
        Ok(())
    }

    fn keep(&mut self, bytes: Vec<u8>) -> Digest {
        let digest = Digest::of(&bytes);
        self.blobs.insert(digest, bytes);
        digest
    }
}
