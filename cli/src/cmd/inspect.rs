//! `skep inspect FILE|DIR|NAME[@VERSION]`: what a program does, from its ELF.

use crate::cmd::Session;
use crate::cmd::build::BuiltObject;
use crate::exit::Ends;
use crate::project::{self, MANIFEST_FILE, ObjectFile, Project, ProjectError};
use crate::render::{facts, packages};
use crate::resolve::{self, Reference};
use serde::Serialize;
use skep_artifact::limits::OBJECT_BYTES_MAX;
use skep_artifact::manifest::Manifest;
use skep_artifact::object::ObjectFacts;
use std::path::Path;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  skep inspect ratelimit.bpf.o
  skep inspect programs/ratelimit
  skep inspect skep/firewall@1.4.2 --json")]
pub(crate) struct Args {
    /// An object file, a package's folder, or a published package
    #[arg(value_name = "FILE|DIR|NAME[@VERSION]")]
    what: String,
}

#[derive(Serialize)]
struct Shown<'a> {
    objects: &'a [BuiltObject],
    #[serde(skip_serializing_if = "Option::is_none")]
    manifest: Option<&'a Manifest>,
}

pub(crate) async fn run(args: &Args, session: &Session) -> anyhow::Result<()> {
    let path = Path::new(&args.what);
    if path.is_dir() {
        return folder(path, session);
    }
    if path.ends_with(MANIFEST_FILE) && path.is_file() {
        return folder(path.parent().unwrap_or(Path::new(".")), session);
    }
    if path.exists() {
        return file(path, session);
    }
    match args.what.parse::<Reference>() {
        Ok(reference) => published(&reference, session).await,
        Err(_) => Err(Ends::not_found(format!(
            "There is no file or folder {}, and it is not the name of a package like acme/ratelimit@1.4.2.",
            args.what
        ))
        .into()),
    }
}

fn file(path: &Path, session: &Session) -> anyhow::Result<()> {
    let bytes = project::read_bytes(path, OBJECT_BYTES_MAX)?;
    let facts = ObjectFacts::read(&bytes)
        .map_err(|source| ProjectError::Object { path: path.to_owned(), source })?;
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
    let objects = [BuiltObject::of(&ObjectFile { name, bytes, facts })];
    let shown = Shown { objects: &objects, manifest: None };
    session.out.result(&shown, || objects[0].text())
}

fn folder(path: &Path, session: &Session) -> anyhow::Result<()> {
    let project = Project::open(path)?;
    let objects: Vec<BuiltObject> = project.objects()?.iter().map(BuiltObject::of).collect();
    let shown = Shown { objects: &objects, manifest: Some(&project.manifest) };
    session.out.result(&shown, || {
        let mut text: String = objects.iter().map(BuiltObject::text).collect();
        text.push_str(&facts::settings(&project.manifest));
        text
    })
}

async fn published(reference: &Reference, session: &Session) -> anyhow::Result<()> {
    let client = session.settings.client()?;
    let version = match &reference.version {
        Some(version) => version.clone(),
        None => client.package(&reference.name).await?.summary.version,
    };
    let detail = client.version(&reference.name, &version).await?;
    let manifest = resolve::manifest_of(&detail)?;
    session.out.say("These facts were derived by the registry; `skep pull` verifies the bytes.");
    session.out.result(&detail, || {
        let mut text = packages::version(&detail, session.now());
        text.push_str(&facts::settings(&manifest));
        text
    })
}
