//! Turns a package's source into objects, with clang or the author's own command. Refuses to know
//! what the objects do.
//!
//! The compiler runs in the package's folder with relative paths and `-fdebug-compilation-dir=.`,
//! and DWARF is stripped, so that two people with one clang get the same bytes.

use crate::limits::COMPILER_OUTPUT_BYTES_MAX;
use skep_artifact::manifest::{Build, Manifest, ObjectClaim};
use skep_artifact::object::Endian;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Why a package was not built.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CompileError {
    #[error(
        "{program} is not installed. On Debian and Ubuntu: apt install clang llvm libbpf-dev linux-libc-dev. On Fedora: dnf install clang llvm libbpf-devel kernel-headers."
    )]
    Missing { program: String },
    #[error("{program} could not be started.")]
    Start { program: String, source: io::Error },
    #[error("{program} refused the source ({status}). It said:\n{said}")]
    Failed { program: String, status: String, said: String },
}

/// Builds every object the manifest names; does nothing when it has no `[build]`. Returns what the
/// compiler said on success (warnings).
///
/// # Errors
/// [`CompileError`] with the compiler's own words.
pub(crate) fn compile(
    folder: &Path,
    manifest: &Manifest,
    clang: &str,
) -> Result<String, CompileError> {
    let Some(build) = &manifest.build else { return Ok(String::new()) };
    if let Some((program, arguments)) = build.command.split_first() {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(folder);
        return run(command, program);
    }
    let Some(source) = &build.source else { return Ok(String::new()) };
    let mut said = String::new();
    for object in &manifest.objects {
        let mut command = Command::new(clang);
        command.args(clang_arguments(build, source, object)).current_dir(folder);
        said.push_str(&run(command, clang)?);
        strip(folder, object)?;
    }
    Ok(said)
}

fn clang_arguments(build: &Build, source: &str, object: &ObjectClaim) -> Vec<OsString> {
    let target = match object.arch.first().map(|arch| arch.endian()) {
        Some(Endian::Big) => "bpfeb",
        Some(Endian::Little) | None => "bpfel",
    };
    let mut arguments: Vec<OsString> =
        ["-O2", "-g", "-target", target, "-Wall", "-fdebug-compilation-dir=."]
            .map(OsString::from)
            .into();
    let named = build.include.iter().map(PathBuf::from);
    for folder in named.chain(multiarch_include()) {
        arguments.push("-I".into());
        arguments.push(folder.into());
    }
    arguments.extend(["-c", source, "-o", &object.path].map(OsString::from));
    arguments
}

/// Debian keeps `asm/types.h` of the host in a folder that clang does not look into for `-target bpf`.
fn multiarch_include() -> Option<PathBuf> {
    let folder = PathBuf::from(format!("/usr/include/{}-linux-gnu", std::env::consts::ARCH));
    folder.is_dir().then_some(folder)
}

/// Takes DWARF out of an object and leaves BTF. Without llvm-strip the object stays as it is: it
/// works as well, it is only larger.
fn strip(folder: &Path, object: &ObjectClaim) -> Result<(), CompileError> {
    let mut command = Command::new("llvm-strip");
    command.arg("-g").arg(&object.path).current_dir(folder);
    match run(command, "llvm-strip") {
        Ok(_) | Err(CompileError::Missing { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

fn run(mut command: Command, program: &str) -> Result<String, CompileError> {
    let program = || program.to_owned();
    let output = command.output().map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => CompileError::Missing { program: program() },
        _ => CompileError::Start { program: program(), source },
    })?;
    let said = words(&output);
    if output.status.success() {
        return Ok(said);
    }
    Err(CompileError::Failed { program: program(), status: output.status.to_string(), said })
}

/// The beginning of what a compiler said: its first complaint causes the others.
fn words(output: &Output) -> String {
    let all = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    let shown = &all[..all.len().min(COMPILER_OUTPUT_BYTES_MAX)];
    let mut text = String::from_utf8_lossy(shown).trim_end().to_owned();
    if shown.len() < all.len() {
        text.push_str("\n… and more, which is left out.");
    }
    text
}
