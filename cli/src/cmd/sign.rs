//! `skep sign DIR`: signs a built package where it lies, without publishing it.

use crate::bundle::ROLE_FILE;
use crate::cmd::Session;
use crate::keys;
use crate::limits::LOCAL_ROLE_VALID_SECS;
use crate::project::Project;
use crate::publishing;
use crate::render::paint;
use anyhow::Context as _;
use serde::Serialize;
use skep_artifact::digest::Digest;
use skep_artifact::role::{Role, Target};
use std::path::PathBuf;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  skep sign ratelimit --key publisher.key
  skep run ./ratelimit --interface eth0 --trust policy.toml

Writes skep.role.json into the folder: a role file that lists this one version and is valid for 30 days.
Whoever changes the objects or the manifest afterwards is noticed. `skep publish` signs anew, for everybody.")]
pub(crate) struct Args {
    /// The package's folder
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Secret key to sign with; give it once for every key
    #[arg(long = "key", env = "SKEP_KEY", value_name = "FILE")]
    keys: Vec<PathBuf>,
}

#[derive(Serialize)]
struct Signed {
    name: String,
    version: String,
    index: Digest,
    signed_by: Vec<String>,
    expires: String,
    role: PathBuf,
}

pub(crate) fn run(args: &Args, session: &Session) -> anyhow::Result<()> {
    let keys = keys::to_sign_with(&args.keys, &session.settings)?;
    let project = Project::open(&args.folder)?;
    let packed = project.pack(&project.objects()?)?;
    let package = &project.manifest.package;
    let expires = publishing::expiry(session.now(), LOCAL_ROLE_VALID_SECS)?;
    let mut role = Role::new(package.name.namespace().clone(), 1, &expires)?;
    role.add(Target {
        package: package.name.clone(),
        version: package.version.clone(),
        index: packed.index.digest,
        length: packed.index.bytes.len() as u64,
        release: 1,
        hooks: project.manifest.hooks(),
        arch: project.manifest.archs(),
    })?;
    let bytes = role.sign(&keys)?;
    let path = args.folder.join(ROLE_FILE);
    std::fs::write(&path, bytes)
        .with_context(|| format!("{} cannot be written.", path.display()))?;
    let signed = Signed {
        name: package.name.to_string(),
        version: package.version.to_string(),
        index: packed.index.digest,
        signed_by: keys.iter().map(|key| key.public().key_id().to_string()).collect(),
        expires,
        role: path,
    };
    session.out.result(&signed, || text(&signed))
}

fn text(signed: &Signed) -> String {
    let short = |id: &String| id.chars().take(8).collect::<String>();
    let by: Vec<String> = signed.signed_by.iter().map(short).collect();
    format!(
        "{} {} {}  {}\n  signed by  {}\n  expires    {}\n  signature  {}\n",
        paint::moss("Signed"),
        signed.name,
        signed.version,
        paint::dim(&signed.index.to_string()),
        by.join(", "),
        signed.expires,
        signed.role.display()
    )
}
