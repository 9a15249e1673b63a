//! `skep build [DIR]`: compiles, then compares the manifest with what the objects really do.

use crate::cmd::Session;
use crate::project::{ObjectFile, Project};
use crate::render::facts::{self, Title};
use crate::{compile, render::paint};
use serde::Serialize;
use skep_artifact::digest::Digest;
use skep_artifact::layout::PackageBlobs;
use skep_artifact::object::ObjectFacts;
use std::path::{Path, PathBuf};

#[derive(clap::Args)]
#[command(after_help = "Examples:
  skep build
  skep build ratelimit --json")]
pub(crate) struct Args {
    /// The package's folder
    #[arg(default_value = ".")]
    folder: PathBuf,
    /// The compiler to run
    #[arg(long, env = "SKEP_CLANG", default_value = "clang")]
    clang: String,
}

/// A package that was built and whose claims hold.
pub(crate) struct Built {
    pub project: Project,
    pub objects: Vec<BuiltObject>,
    pub blobs: PackageBlobs,
}

/// One object and what it does.
#[derive(Serialize)]
pub(crate) struct BuiltObject {
    pub path: String,
    pub digest: Digest,
    pub facts: ObjectFacts,
}

#[derive(Serialize)]
struct Shown<'a> {
    name: String,
    version: String,
    /// Digest of the package as it would be published.
    index: Digest,
    objects: &'a [BuiltObject],
}

pub(crate) fn run(args: &Args, session: &Session) -> anyhow::Result<()> {
    let built = build(&args.folder, &args.clang, session)?;
    let package = &built.project.manifest.package;
    let shown = Shown {
        name: package.name.to_string(),
        version: package.version.to_string(),
        index: built.blobs.index.digest,
        objects: &built.objects,
    };
    session.out.result(&shown, || {
        let mut text: String = built.objects.iter().map(BuiltObject::text).collect();
        text.push_str(&facts::settings(&built.project.manifest));
        text.push_str(&format!(
            "{} {} {}  {}\n",
            paint::moss("Built"),
            shown.name,
            shown.version,
            paint::dim(&shown.index.to_string())
        ));
        text
    })
}

/// Compiles a folder and puts the package together.
///
/// # Errors
/// The manifest, the compiler or a claim that the objects contradict.
pub(crate) fn build(folder: &Path, clang: &str, session: &Session) -> anyhow::Result<Built> {
    let project = Project::open(folder)?;
    let warnings = compile::compile(folder, &project.manifest, clang)?;
    if !warnings.is_empty() {
        session.out.say(&warnings);
    }
    let files = project.objects()?;
    let objects: Vec<BuiltObject> = files.iter().map(BuiltObject::of).collect();
    let blobs = project.pack(&files)?;
    Ok(Built { project, objects, blobs })
}

impl BuiltObject {
    pub(crate) fn of(file: &ObjectFile) -> Self {
        let digest = Digest::of(&file.bytes);
        Self { path: file.name.clone(), digest, facts: file.facts.clone() }
    }

    pub(crate) fn text(&self) -> String {
        let title = Title { name: &self.path, digest: Some(self.digest) };
        facts::object(&title, &self.facts)
    }
}
