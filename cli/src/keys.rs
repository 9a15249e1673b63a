//! Key files: made once, never overwritten, readable by their owner only, encrypted when asked for. Refuses to know what
//! is signed with them.

mod passphrase;

use crate::limits::SMALL_FILE_BYTES_MAX;
use crate::settings::Settings;
use age::secrecy::SecretString;
use skep_artifact::key::{KeyError, PublicKey, SecretKey};
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// How an encrypted file begins, after the line with the public key.
const AGE_BEGIN: &str = "-----BEGIN AGE ENCRYPTED FILE-----";
/// What stands before the public key of an encrypted file, so that it can be shown without the passphrase.
const PUBLIC_LINE: &str = "# public key: ";
/// log2 of the rounds of scrypt a file may ask for: 2^22 take some 10 s and 4 GiB; a file with more is no key of ours.
const WORK_FACTOR_MAX: u8 = 22;

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
    #[error("{} is encrypted and cannot be opened: {reason}.", path.display())]
    Locked { path: PathBuf, reason: String },
    #[error("{} cannot be encrypted: {reason}.", path.display())]
    Encrypt { path: PathBuf, reason: String },
    #[error("{} is encrypted already.", path.display())]
    Encrypted { path: PathBuf },
    #[error(
        "No passphrase was given. Type it at a terminal, or set SKEP_KEY_PASSPHRASE to it where there is none."
    )]
    NoPassphrase,
    #[error("The two passphrases differ. Nothing was written.")]
    PassphrasesDiffer,
    #[error("The kernel gave no random numbers for a new key.")]
    Random { source: getrandom::Error },
    #[error("No key to sign with. Pass --key FILE, set SKEP_KEY, or make one with `skep key new`.")]
    None,
}

/// How a key lies on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protection {
    /// Only the file's mode.
    Mode,
    /// A passphrase as well.
    Passphrase,
}

/// Draws a key and writes it to a new file with mode 0600.
///
/// # Errors
/// [`KeyFileError::Exists`] rather than ever overwriting a file.
pub(crate) fn create(path: &Path, protection: Protection) -> Result<SecretKey, KeyFileError> {
    if path.exists() {
        return Err(KeyFileError::Exists { path: path.to_owned() });
    }
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|source| KeyFileError::Random { source })?;
    let key = SecretKey::from_seed(seed);
    let text = match protection {
        Protection::Mode => format!("{}\n", key.to_text()),
        Protection::Passphrase => encrypted(path, &key, &passphrase::new(path)?)?,
    };
    write_new(path, &text)?;
    Ok(key)
}

fn write_new(path: &Path, text: &str) -> Result<(), KeyFileError> {
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
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)
}

/// Reads a key that nobody else may read; asks for its passphrase when it is encrypted.
///
/// # Errors
/// [`KeyFileError::Exposed`] when group or others have any right on the file.
pub(crate) fn load(path: &Path) -> Result<SecretKey, KeyFileError> {
    let text = read(path)?;
    let parse = |source| KeyFileError::Parse { path: path.to_owned(), source };
    match text.find(AGE_BEGIN) {
        None => SecretKey::from_text(&text).map_err(parse),
        Some(begin) => {
            let plain = decrypted(path, &text[begin..], &passphrase::of(path)?)?;
            SecretKey::from_text(&plain).map_err(parse)
        }
    }
}

/// The public key of a file, without its passphrase when the file says it.
///
/// # Errors
/// As [`load`].
pub(crate) fn public(path: &Path) -> Result<(PublicKey, Protection), KeyFileError> {
    let text = read(path)?;
    if !text.contains(AGE_BEGIN) {
        return load(path).map(|key| (key.public(), Protection::Mode));
    }
    // What the file says of itself is shown and signs nothing; signing decrypts.
    let said = text.lines().find_map(|line| line.strip_prefix(PUBLIC_LINE)?.trim().parse().ok());
    let public = match said {
        Some(public) => public,
        None => load(path)?.public(),
    };
    Ok((public, Protection::Passphrase))
}

/// Encrypts a key file where it lies.
///
/// # Errors
/// [`KeyFileError`]; the file is untouched then.
pub(crate) fn encrypt(path: &Path) -> Result<PublicKey, KeyFileError> {
    if read(path)?.contains(AGE_BEGIN) {
        return Err(KeyFileError::Encrypted { path: path.to_owned() });
    }
    let key = load(path)?;
    let text = encrypted(path, &key, &passphrase::new(path)?)?;
    let mut draft = path.as_os_str().to_owned();
    draft.push(".new");
    let draft = PathBuf::from(draft);
    write_new(&draft, &text)?;
    let failed = |source| KeyFileError::Write { path: path.to_owned(), source };
    fs::rename(&draft, path).map_err(failed)?;
    Ok(key.public())
}

/// Puts a key aside under a name with its id, so that a new one can take its place.
///
/// # Errors
/// [`KeyFileError`].
pub(crate) fn set_aside(path: &Path) -> Result<(PublicKey, PathBuf), KeyFileError> {
    let (public, _) = public(path)?;
    let mut aside = path.as_os_str().to_owned();
    aside.push(format!(".{}", &public.key_id().hex()[..8]));
    let aside = PathBuf::from(aside);
    if aside.exists() {
        return Err(KeyFileError::Exists { path: aside });
    }
    let failed = |source| KeyFileError::Write { path: aside.clone(), source };
    fs::rename(path, &aside).map_err(failed)?;
    Ok((public, aside))
}

fn read(path: &Path) -> Result<String, KeyFileError> {
    let unreadable = |source| KeyFileError::Read { path: path.to_owned(), source };
    let file = fs::File::open(path).map_err(unreadable)?;
    let mode = file.metadata().map_err(unreadable)?.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(KeyFileError::Exposed { path: path.to_owned(), mode });
    }
    let mut text = String::new();
    file.take(SMALL_FILE_BYTES_MAX).read_to_string(&mut text).map_err(unreadable)?;
    Ok(text)
}

fn encrypted(
    path: &Path,
    key: &SecretKey,
    passphrase: &SecretString,
) -> Result<String, KeyFileError> {
    let recipient = age::scrypt::Recipient::new(passphrase.clone());
    let armored =
        age::encrypt_and_armor(&recipient, key.to_text().as_bytes()).map_err(|error| {
            KeyFileError::Encrypt { path: path.to_owned(), reason: error.to_string() }
        })?;
    Ok(format!("{PUBLIC_LINE}{}\n{}\n", key.public(), armored.trim_end()))
}

fn decrypted(
    path: &Path,
    armored: &str,
    passphrase: &SecretString,
) -> Result<String, KeyFileError> {
    let locked = |reason: String| KeyFileError::Locked { path: path.to_owned(), reason };
    let mut identity = age::scrypt::Identity::new(passphrase.clone());
    identity.set_max_work_factor(WORK_FACTOR_MAX);
    let plain =
        age::decrypt(&identity, armored.as_bytes()).map_err(|error| locked(error.to_string()))?;
    String::from_utf8(plain).map_err(|_| locked("it holds no text".to_owned()))
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
        let key = create(&path, Protection::Mode).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
        assert_eq!(load(&path).unwrap().public(), key.public());
        let again = create(&path, Protection::Mode);
        assert!(matches!(again, Err(KeyFileError::Exists { .. })));
        assert_eq!(load(&path).unwrap().public(), key.public());
    }

    #[test]
    fn an_encrypted_key_opens_with_its_passphrase_only() {
        let key = SecretKey::from_seed([7; 32]);
        let path = Path::new("a.key");
        let right = SecretString::from("correct horse".to_owned());
        let text = encrypted(path, &key, &right).unwrap();
        assert!(!text.contains("skep-ed25519-secret"), "{text}");
        assert!(text.starts_with(&format!("{PUBLIC_LINE}{}", key.public())), "{text}");
        let armored = &text[text.find(AGE_BEGIN).unwrap()..];
        let plain = decrypted(path, armored, &right).unwrap();
        assert_eq!(SecretKey::from_text(&plain).unwrap().public(), key.public());
        let wrong = SecretString::from("battery staple".to_owned());
        let refused = decrypted(path, armored, &wrong);
        assert!(matches!(refused, Err(KeyFileError::Locked { .. })));
    }

    #[test]
    fn a_key_set_aside_leaves_its_place_and_keeps_its_content() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.key");
        let key = create(&path, Protection::Mode).unwrap();
        let (public, aside) = set_aside(&path).unwrap();
        assert_eq!(public, key.public());
        assert!(!path.exists());
        assert_eq!(load(&aside).unwrap().public(), key.public());
    }

    #[test]
    fn a_key_that_others_may_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.key");
        create(&path, Protection::Mode).unwrap();
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
