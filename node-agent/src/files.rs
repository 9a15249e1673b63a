//! Replacing a file so that a crash at any moment leaves the old content or the new, and reading
//! one with a bound. Refuses to know what the files mean.

use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// What every file that is being written is called first; leftovers of a killed agent are found by it.
const UNFINISHED_PREFIX: &str = ".unfinished-";

/// Owner may read and write, nobody else anything: every file of an agent holds a secret or decides what runs.
const PRIVATE: u32 = 0o600;

/// Why a file could not be read or replaced.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// Reading failed for another reason than that the file is not there.
    #[error("{} could not be read.", path.display())]
    Read { path: PathBuf, source: io::Error },
    /// Writing failed; the old content is untouched.
    #[error("{} could not be written. What it held before is untouched.", path.display())]
    Write { path: PathBuf, source: io::Error },
    /// The file holds more than the agent would ever write.
    #[error("{} is larger than {limit} bytes and was not read.", path.display())]
    TooLarge { path: PathBuf, limit: u64 },
}

/// Puts `bytes` where `path` points, readable by the owner only. Either all of it is there after
/// a crash, or what was there before.
///
/// # Errors
/// [`FileError::Write`], for instance on a full disk.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let failed = |source| FileError::Write { path: path.to_owned(), source };
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut unfinished = tempfile::Builder::new()
        .prefix(UNFINISHED_PREFIX)
        .permissions(Permissions::from_mode(PRIVATE))
        .tempfile_in(folder)
        .map_err(failed)?;
    unfinished.write_all(bytes).map_err(failed)?;
    unfinished.as_file().sync_all().map_err(failed)?;
    unfinished.persist(path).map_err(|e| failed(e.error))?;
    sync_folder(folder).map_err(failed)
}

/// Moves a file within a folder, durably. Nothing happens when `from` is not there.
///
/// # Errors
/// [`FileError::Write`].
pub fn set_aside(from: &Path, to: &Path) -> Result<(), FileError> {
    let failed = |source| FileError::Write { path: to.to_owned(), source };
    match fs::rename(from, to) {
        Ok(()) => sync_folder(to.parent().unwrap_or(Path::new("."))).map_err(failed),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(failed(e)),
    }
}

/// Reads at most `limit` bytes; `None` when there is no such file.
///
/// # Errors
/// [`FileError::Read`] and [`FileError::TooLarge`].
pub fn read(path: &Path, limit: u64) -> Result<Option<Vec<u8>>, FileError> {
    let failed = |source| FileError::Read { path: path.to_owned(), source };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(failed(e)),
    };
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > limit {
        return Err(FileError::TooLarge { path: path.to_owned(), limit });
    }
    Ok(Some(bytes))
}

/// Makes a folder only its owner may enter; it may be there already.
///
/// # Errors
/// [`FileError::Write`].
pub fn private_folder(path: &Path) -> Result<(), FileError> {
    let failed = |source| FileError::Write { path: path.to_owned(), source };
    fs::create_dir_all(path).map_err(failed)?;
    fs::set_permissions(path, Permissions::from_mode(0o700)).map_err(failed)
}

/// Removes what a killed agent left half written in a folder.
pub fn sweep(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        if entry.file_name().to_string_lossy().starts_with(UNFINISHED_PREFIX) {
            // A leftover that cannot be removed costs some disk and nothing else.
            let _ = fs::remove_file(entry.path());
        }
    }
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_whole_and_private_and_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        replace(&path, b"old").unwrap();
        replace(&path, b"new and longer").unwrap();
        assert_eq!(read(&path, 100).unwrap().unwrap(), b"new and longer");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, PRIVATE);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_failed_write_names_the_file_and_keeps_the_old_content() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("missing").join("state");
        assert!(matches!(replace(&path, b"x"), Err(FileError::Write { .. })));
        assert_eq!(read(&path, 10).unwrap(), None);
    }

    #[test]
    fn an_oversize_file_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        replace(&path, &[0; 11]).unwrap();
        assert!(matches!(read(&path, 10), Err(FileError::TooLarge { limit: 10, .. })));
        assert_eq!(read(&path, 11).unwrap().unwrap().len(), 11);
    }

    #[test]
    fn leftovers_of_a_killed_write_are_swept_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(".unfinished-abc"), b"half").unwrap();
        replace(&folder.path().join("state"), b"whole").unwrap();
        sweep(folder.path());
        let left: Vec<_> = fs::read_dir(folder.path()).unwrap().flatten().collect();
        assert_eq!(left.len(), 1);
    }
}
