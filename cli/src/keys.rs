//! Key files: made once, never overwritten, readable by their owner only. Refuses to know what is
//! signed with them.

use crate::limits::SMALL_FILE_BYTES_MAX;
use crate::settings::Settings;
use skep_artifact::key::{KeyError, SecretKey};
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// Why a key file cannot be made or used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyFileError {
    #[error(
        "{} exists already and was not touched: overwriting a key would make everything signed with it unmaintainable. Choose another file with --out.", path.display()
    )]
    Exists { path: PathBuf },
    #[error("The key file {} cannot be written.", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("The key file {} cannot be read. Make one with `skep key new --out {}`.", path.display(), path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error(
        "The key file {} may be read by others (mode {mode:04o}). Run `chmod 600 {}`; if somebody may have copied it, make a new key.", path.display(), path.display()
    )]
    Exposed { path: PathBuf, mode: u32 },
    #[error("{} does not hold a secret key of Skep.", path.display())]
    Parse { path: PathBuf, source: KeyError },
    #[error("The kernel gave no random numbers for a new key.")]
    Random { source: getrandom::Error },
    #[error("No key to sign with. Pass --key FILE, set SKEP_KEY, or make one with `skep key new`.")]
    None,
}

/// Draws a key and writes it to a new file with mode 0600.
///
/// # Errors
/// [`KeyFileError::Exists`] rather than ever overwriting a file.
pub(crate) fn create(path: &Path) -> Result<SecretKey, KeyFileError> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|source| KeyFileError::Random { source })?;
    let key = SecretKey::from_seed(seed);
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::AlreadyExists => KeyFileError::Exists { path: path.to_owned() },
        _ => KeyFileError::Write { path: path.to_owned(), source },
    };
    if let Some(folder) = path.parent().filter(|f| !f.as_os_str().is_empty() && !f.exists()) {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
    }
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(failed)?;
    writeln!(file, "{}", key.to_text()).and_then(|()| file.sync_all()).map_err(failed)?;
    Ok(key)
}

/// Reads a key that nobody else may read.
///
/// # Errors
/// [`KeyFileError::Exposed`] when group or others have any right on the file.
pub(crate) fn load(path: &Path) -> Result<SecretKey, KeyFileError> {
    let unreadable = |source| KeyFileError::Read { path: path.to_owned(), source };
    let file = fs::File::open(path).map_err(unreadable)?;
    let mode = file.metadata().map_err(unreadable)?.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(KeyFileError::Exposed { path: path.to_owned(), mode });
    }
    let mut text = String::new();
    file.take(SMALL_FILE_BYTES_MAX).read_to_string(&mut text).map_err(unreadable)?;
    SecretKey::from_text(&text)
        .map_err(|source| KeyFileError::Parse { path: path.to_owned(), source })
}

/// The keys to sign with: those named, else the context's, else the one `skep key new` makes.
///
/// # Errors
/// [`KeyFileError::None`] when there is none at all.
pub(crate) fn to_sign_with(
    named: &[PathBuf],
    settings: &Settings,
) -> Result<Vec<SecretKey>, KeyFileError> {
    if !named.is_empty() {
        return named.iter().map(|path| load(path)).collect();
    }
    let own = || settings.key_default().ok().filter(|path| path.exists());
    let path = settings.key().map(Path::to_owned).or_else(own).ok_or(KeyFileError::None)?;
    Ok(vec![load(&path)?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_key_is_private_reads_back_and_is_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys/a.key");
        let key = create(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
        assert_eq!(load(&path).unwrap().public(), key.public());
        assert!(matches!(create(&path), Err(KeyFileError::Exists { .. })));
        assert_eq!(load(&path).unwrap().public(), key.public());
    }

    #[test]
    fn a_key_that_others_may_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.key");
        create(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(load(&path), Err(KeyFileError::Exposed { mode: 0o640, .. })));
    }

    #[test]
    fn a_file_that_is_no_key_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.key");
        fs::write(&path, "-----BEGIN PRIVATE KEY-----").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert!(matches!(load(&path), Err(KeyFileError::Parse { .. })));
    }
}
