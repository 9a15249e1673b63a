//! The files of a backup: private, flushed, whole or not there. Refuses to know what is in them.

use super::BackupError;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

/// What of a data folder is in the backup in another form, or only there while a server runs.
const LEFT_OUT: [&str; 5] = ["blobs", "uploads", "lock", "registry.sqlite", "address"];

pub(super) fn failed(what: &'static str, path: &Path) -> impl Fn(io::Error) -> BackupError {
    let path = path.to_owned();
    move |source| BackupError::File { what, path: path.clone(), source }
}

/// A folder that only its owner may look into: there are keys and hashes of secrets in it.
pub(super) fn private_folder(path: &Path) -> Result<(), BackupError> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true).mode(0o700).create(path).map_err(failed("create", path))
}

pub(super) fn private_file(path: &Path) -> Result<File, BackupError> {
    let mut options = OpenOptions::new();
    let opened = options.write(true).create(true).truncate(true).mode(0o600).open(path);
    opened.map_err(failed("create", path))
}

pub(super) fn remove(path: &Path) -> Result<(), BackupError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", path)(error)),
        _ => Ok(()),
    }
}

/// Flushes a file and gives it its name.
pub(super) fn durable(file: File, beside: &Path, path: &Path) -> Result<(), BackupError> {
    file.sync_all().map_err(failed("flush", beside))?;
    std::fs::rename(beside, path).map_err(failed("name", path))?;
    if let Some(folder) = path.parent() {
        File::open(folder).and_then(|f| f.sync_all()).map_err(failed("flush", folder))?;
    }
    Ok(())
}

/// Writes what says that the backup is whole.
pub(super) fn sealed(path: &Path, value: &impl Serialize) -> Result<(), BackupError> {
    let beside = path.with_extension("half");
    let text = serde_json::to_vec_pretty(value).map_err(|e| failed("write", path)(e.into()))?;
    let mut file = private_file(&beside)?;
    file.write_all(&text).map_err(failed("write", &beside))?;
    durable(file, &beside, path)
}

pub(super) fn read_json<T: DeserializeOwned>(path: &Path) -> Option<T> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

/// Copies keys and certificates. A file that is there already must be the same.
pub(super) fn copy_files(from: &Path, to: &Path) -> Result<(), BackupError> {
    if !from.exists() {
        return Ok(());
    }
    private_folder(to)?;
    for entry in std::fs::read_dir(from).map_err(failed("list", from))? {
        let entry = entry.map_err(failed("list", from))?;
        let name = entry.file_name();
        let shown = name.to_string_lossy();
        if LEFT_OUT.iter().any(|left| shown == *left || shown.starts_with("registry.sqlite-")) {
            continue;
        }
        let (source, target) = (entry.path(), to.join(&name));
        if source.is_dir() {
            copy_files(&source, &target)?;
            continue;
        }
        let bytes = std::fs::read(&source).map_err(failed("read", &source))?;
        let beside = to.join(format!("{shown}.half"));
        let mut file = private_file(&beside)?;
        file.write_all(&bytes).map_err(failed("write", &beside))?;
        durable(file, &beside, &target)?;
    }
    Ok(())
}
