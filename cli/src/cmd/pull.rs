//! `skep pull NAME[@VERSION]`: downloads, verifies everything a node would, then writes.

use crate::cmd::Session;
use crate::download::{self, Blobs};
use crate::exit::Ends;
use crate::oci_folder;
use crate::project;
use crate::render::paint;
use crate::resolve::Reference;
use anyhow::Context as _;
use serde::Serialize;
use skep_artifact::digest::Digest;
use skep_artifact::hook::Hook;
use skep_artifact::key::PublicKey;
use skep_artifact::layout;
use skep_artifact::limits::MANIFEST_JSON_BYTES_MAX;
use skep_artifact::manifest::Arch;
use skep_artifact::name::Namespace;
use skep_trust::{Floors, NodePolicy, VerifiedPackage, Wanted, verify_package};
use std::path::PathBuf;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  skep pull skep/firewall@1.4.2 --key skep-ed25519:oE…=
  skep pull skep/firewall --policy /etc/skep/policy.toml --out firewall

Writes an OCI layout (read by skopeo, oras, bpfman) with the objects beside it. Nothing is written
unless the publisher's signature, every digest and every claim hold.")]
pub(crate) struct Args {
    /// A package; the newest version when none is named
    #[arg(value_name = "NAME[@VERSION]")]
    package: Reference,
    /// Folder to write [default: NAME-VERSION]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Node policy that says whom to trust
    #[arg(long, value_name = "FILE", required_unless_present = "keys", conflicts_with = "keys")]
    policy: Option<PathBuf>,
    /// Publisher's public key to trust for this package; give it once for every key
    #[arg(long = "key", value_name = "PUBLIC_KEY")]
    keys: Vec<PublicKey>,
    /// How many of the keys must have signed
    #[arg(long, default_value_t = 1, requires = "keys")]
    threshold: u32,
}

#[derive(Serialize)]
struct Pulled {
    name: String,
    version: String,
    index: Digest,
    signed_by: Vec<String>,
    folder: PathBuf,
    objects: Vec<PathBuf>,
}

pub(crate) async fn run(args: &Args, session: &Session) -> anyhow::Result<()> {
    let name = &args.package.name;
    let policy = trusted(args)?;
    let client = session.settings.client()?;
    let version = match &args.package.version {
        Some(version) => version.clone(),
        None => client.package(name).await?.summary.version,
    };
    let folder =
        args.out.clone().unwrap_or_else(|| PathBuf::from(format!("{}-{version}", name.short())));
    if folder.exists() {
        let message =
            format!("{} exists already. Choose another folder with --out.", folder.display());
        return Err(Ends::usage(message).into());
    }
    let detail = client.version(name, &version).await?;
    let role = client.role(name.namespace(), MANIFEST_JSON_BYTES_MAX).await?.ok_or_else(|| {
        Ends::refusal(format!("The registry has no role file of {}, so nothing says that {name} {version} is genuine. Nothing was written.", name.namespace()))
    })?;
    let bar = session.out.transfer("downloading", detail.summary.size_bytes);
    let mut blobs = download::download(&client, name, detail.summary.index, &bar).await?;
    bar.finish_and_clear();
    let wanted =
        Wanted { name: name.clone(), version: version.clone(), index: detail.summary.index };
    let fetched = |digest: &Digest| blobs.get(digest);
    let now = session.now();
    let package = verify_package(&policy, &role, &fetched, &wanted, &Floors::default(), now)
        .with_context(|| format!("{name} {version} was not written."))?;
    add_referrers(&mut blobs, &package);
    let objects = oci_folder::write(&folder, &package, &blobs)?;
    let pulled = Pulled {
        name: name.to_string(),
        version: version.to_string(),
        index: package.index_digest(),
        signed_by: package.signed_by().iter().map(ToString::to_string).collect(),
        folder,
        objects,
    };
    session.out.result(&pulled, || text(&pulled, &package))
}

fn text(pulled: &Pulled, package: &VerifiedPackage) -> String {
    let signers: Vec<String> = package.signed_by().iter().map(|id| id.short()).collect();
    let objects: Vec<String> = pulled.objects.iter().map(|p| p.display().to_string()).collect();
    format!(
        "{} {} {}  {}\n  signed by  {}\n  folder     {}\n  objects    {}\n",
        paint::moss("Verified"),
        pulled.name,
        pulled.version,
        paint::dim(&pulled.index.to_string()),
        signers.join(", "),
        pulled.folder.display(),
        objects.join(" ")
    )
}

/// The policy to verify by: a file, or one made of the keys on the command line.
fn trusted(args: &Args) -> anyhow::Result<NodePolicy> {
    let text = match &args.policy {
        Some(path) => {
            let bytes = project::read_bytes(path, MANIFEST_JSON_BYTES_MAX)?;
            String::from_utf8(bytes).with_context(|| format!("{} is not text.", path.display()))?
        }
        None => policy_of_keys(args.package.name.namespace(), &args.keys, args.threshold),
    };
    let of = args.policy.as_ref().map_or("--key".to_owned(), |p| p.display().to_string());
    NodePolicy::parse(&text).with_context(|| format!("The policy of {of} cannot be used."))
}

fn policy_of_keys(namespace: &Namespace, keys: &[PublicKey], threshold: u32) -> String {
    let keys: Vec<String> = keys.iter().map(|key| format!("\"{key}\"")).collect();
    let hooks: Vec<String> = Hook::ALL.iter().map(|hook| format!("\"{hook}\"")).collect();
    format!(
        "[[namespace]]\nname = \"{namespace}\"\nkeys = [{}]\nthreshold = {threshold}\nhooks = [{}]\n",
        keys.join(", "),
        hooks.join(", ")
    )
}

/// The documents hang on the index by small manifests that follow from it. They are made here
/// rather than downloaded, because nobody signed them.
fn add_referrers(blobs: &mut Blobs, package: &VerifiedPackage) {
    let readme = layout::open(package.index_digest(), &|digest| blobs.get(digest))
        .ok()
        .and_then(|opened| opened.readme);
    let claims = &package.manifest().objects;
    let verified = |arch: &[Arch]| arch.first().and_then(|arch| package.object(arch.as_str()));
    let objects: Vec<_> =
        claims.iter().filter_map(|c| Some((c.path.as_str(), verified(&c.arch)?))).collect();
    let objects: Vec<(&str, &[u8])> =
        objects.iter().map(|(path, object)| (*path, object.bytes())).collect();
    let Ok(rebuilt) = layout::build(package.manifest(), &objects, readme.as_deref()) else {
        return;
    };
    if rebuilt.index.digest == package.index_digest() {
        for blob in rebuilt.referrers {
            blobs.add(blob.bytes);
        }
    }
}
