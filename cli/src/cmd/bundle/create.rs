//! `skep bundle create`: downloads, verifies, writes.

use super::{Shown, Verified, Whom, list};
use crate::archive::{self, Filling, Listed};
use crate::bundle::Bundle;
use crate::cmd::Session;
use crate::exit::Ends;
use crate::resolve::{self, Reference};
use anyhow::Context as _;
use skep_fleet::policy::PackageRange;
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
        let wanted = bundle.wanted.clone();
        let package = bundle
            .verify(&trust.policy, session.now())
            .with_context(|| format!("{wanted} was not bundled."))?;
        bundle.complete(&package);
        shown.push(Shown::of(&package));
        filling.add(
            Listed { name: wanted.name, version: wanted.version, index: wanted.index },
            bundle,
        );
    }
    archive::write(&args.out, &filling)?;
    let shown = Verified { file: args.out.clone(), packages: shown };
    session.out.result(&shown, || list("Bundled", &args.out, &shown.packages))
}

impl Filling {
    /// Adds a verified package. Of two role files of a namespace the later download is the newer.
    fn add(&mut self, listed: Listed, bundle: Bundle) {
        self.roles.insert(listed.name.namespace().clone(), bundle.role);
        let blobs = bundle.blobs.all();
        self.blobs.extend(blobs.map(|(digest, bytes)| (*digest, bytes.clone())));
        if !self.packages.contains(&listed) {
            self.packages.push(listed);
        }
    }
}
