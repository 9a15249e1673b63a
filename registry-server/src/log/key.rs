//! The key that signs the log: a file beside the other secrets, made at the first start. The database remembers which
//! one it is, so that a log is never continued by another key. Refuses to know what is signed.

use super::LogError;
use crate::store::Store;
use skep_artifact::key::SecretKey;
use skep_trust::note::{NoteAlgorithm, NoteKey};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// The secret: the log's origin in one line, the secret key in the next.
const SECRET_FILE: &str = "log.key";
/// The verifier key, for whoever sets a node up.
const PUBLIC_FILE: &str = "log.pub";

/// Reads the key, or makes it when the database knows of none.
pub(super) async fn open(store: &Store, data: &Path) -> Result<(SecretKey, NoteKey), LogError> {
    let path = data.join(SECRET_FILE);
    let noted = store.log_key().await?;
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => match noted {
            Some(noted) => return Err(LogError::OtherKey { path, noted }),
            None => make(&path)?,
        },
        Err(source) => return Err(LogError::File { what: "read", path, source }),
    };
    let unreadable = || LogError::KeyFile { path: path.clone() };
    let (origin, secret) = text.split_once('\n').ok_or_else(unreadable)?;
    let key = SecretKey::from_text(secret).map_err(|_| unreadable())?;
    let public = NoteKey::new(origin, NoteAlgorithm::Ed25519, key.public());
    let public = public.map_err(|_| unreadable())?;
    let noted = store.claim_log_key(&public.to_string()).await?;
    if noted != public.to_string() {
        return Err(LogError::OtherKey { path, noted });
    }
    let told = data.join(PUBLIC_FILE);
    std::fs::write(&told, format!("{public}\n")).map_err(|source| LogError::File {
        what: "write",
        path: told,
        source,
    })?;
    Ok((key, public))
}

/// Draws a key and an origin that no other registry has, and writes them durably.
fn make(path: &Path) -> Result<String, LogError> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed)?;
    let mut name = [0; 8];
    getrandom::fill(&mut name)?;
    let secret = SecretKey::from_seed(seed).to_text();
    let text = format!("skep-registry/{}\n{secret}\n", hex::encode(name));
    let failed = |source| LogError::File { what: "write", path: path.to_owned(), source };
    let beside = path.with_extension("key.new");
    let mut options = std::fs::OpenOptions::new();
    let options = options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(&beside).map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)?;
    file.sync_all().map_err(failed)?;
    std::fs::rename(&beside, path).map_err(failed)?;
    Ok(text)
}
