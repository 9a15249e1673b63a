//! `skep build [DIR]`: compiles, then compares the manifest with what the objects really do.

use crate::cmd::Session;
use crate::limits::{MATERIAL_BYTES_MAX, MATERIALS_MAX};
use crate::project::{ObjectFile, Project};
use crate::render::facts::{self, Title};
use crate::{compile, render::paint};
use serde::Serialize;
use skep_artifact::digest::Digest;
use skep_artifact::layout::PackageBlobs;
use skep_artifact::manifest::Manifest;
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

/// The files of a package that its build may have read, with their digests: everything in its folder but objects.
///
/// # Errors
/// When a file cannot be read, or there are more than belong into a package.
pub(crate) fn materials(project: &Project) -> anyhow::Result<Vec<(String, Digest)>> {
    let mut found = Vec::new();
    let mut folders = vec![project.folder.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder)? {
            let path = entry?.path();
            let hidden = path.file_name().is_some_and(|n| n.as_encoded_bytes().starts_with(b"."));
            if path.is_dir() && !hidden {
                folders.push(path);
            } else if path.is_file() && !hidden && path.extension().is_none_or(|e| e != "o") {
                let bytes = crate::project::read_bytes(&path, MATERIAL_BYTES_MAX)?;
                let name = path.strip_prefix(&project.folder).unwrap_or(&path);
                found.push((name.display().to_string(), Digest::of(&bytes)));
            }
            if found.len() > MATERIALS_MAX {
                let message = format!(
                    "More than {MATERIALS_MAX} files lie in the package's folder; provenance names each. Move what does not belong there."
                );
                return Err(crate::exit::Ends::usage(message).into());
            }
        }
    }
    found.sort();
    Ok(found)
}

/// What compiles a package, as it calls itself; the command's own words when the author has one.
pub(crate) fn compiler(manifest: &Manifest, clang: &str) -> String {
    let Some(build) = &manifest.build else { return "none".to_owned() };
    if !build.command.is_empty() {
        return build.command.join(" ");
    }
    let said = std::process::Command::new(clang).arg("--version").output();
    let said = said.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    said.ok().and_then(|text| text.lines().next().map(str::to_owned)).unwrap_or_default()
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
