//! The server's online key: signs which of the operators' revisions one node should follow, and nothing else. Whoever
//! steals it can choose among what operators signed. Refuses to know what is chosen.

use crate::shared_keys::SharedKey;
use skep_artifact::dsse::{self, ASSIGNMENT_PAYLOAD_TYPE, DsseError};
use skep_artifact::key::{KeyError, PublicKey, SecretKey};
use skep_trust::Assignment;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// The key's file in the data folder. Nodes pin the key when they enrol: replicas and restored servers need the same file.
const FILE: &str = "assignment.key";
/// Largest key file: a prefix and 32 bytes in base64.
const KEY_FILE_BYTES_MAX: u64 = 1024;

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum ServerKeyError {
    #[error("cannot {what} {}", path.display())]
    File { what: &'static str, path: PathBuf, source: std::io::Error },
    #[error("{} does not hold a key; put back the file nodes know", path.display())]
    Parse { path: PathBuf, source: KeyError },
    #[error("the operating system gave no random bytes")]
    Randomness(#[from] getrandom::Error),
}

/// The server's online key.
pub struct ServerKey(SecretKey);

impl ServerKey {
    /// Reads the key of a data folder, making it at the first start, readable by its owner only.
    ///
    /// # Errors
    /// [`ServerKeyError`].
    pub fn open(data: &Path) -> Result<Self, ServerKeyError> {
        let path = data.join(FILE);
        let failed = |what| {
            let path = path.clone();
            move |source| ServerKeyError::File { what, path, source }
        };
        if !path.exists() {
            let mut seed = [0; 32];
            getrandom::fill(&mut seed)?;
            let text = SecretKey::from_seed(seed).to_text();
            // Written beside and renamed, so that a crash leaves no half of it.
            let beside = data.join("assignment.key.new");
            let mut options = std::fs::OpenOptions::new();
            let mut file = options
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&beside)
                .map_err(failed("write"))?;
            writeln!(file, "{text}").and_then(|()| file.sync_all()).map_err(failed("write"))?;
            std::fs::rename(&beside, &path).map_err(failed("write"))?;
        }
        let mut text = String::new();
        let file = std::fs::File::open(&path).map_err(failed("read"))?;
        file.take(KEY_FILE_BYTES_MAX).read_to_string(&mut text).map_err(failed("read"))?;
        let key = SecretKey::from_text(&text)
            .map_err(|source| ServerKeyError::Parse { path: path.clone(), source })?;
        Ok(Self(key))
    }

    /// What nodes pin.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        self.0.public()
    }

    pub(crate) fn shared(&self) -> SharedKey {
        SharedKey { name: "assignment", file: FILE, public: vec![self.public().to_string()] }
    }

    /// Signs an assignment: the envelope's bytes.
    ///
    /// # Errors
    /// [`DsseError`] when it cannot be written.
    pub fn assign(&self, assignment: &Assignment) -> Result<Vec<u8>, DsseError> {
        let unwritable = |error: serde_json::Error| {
            DsseError::Json(skep_artifact::json::JsonError::Unwritable {
                reason: error.to_string(),
            })
        };
        let payload = serde_json::to_vec(assignment).map_err(unwritable)?;
        dsse::sign(ASSIGNMENT_PAYLOAD_TYPE, &payload, std::slice::from_ref(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn the_key_is_made_once_kept_private_and_read_again() {
        let data = tempfile::tempdir().unwrap();
        let first = ServerKey::open(data.path()).unwrap().public();
        assert_eq!(ServerKey::open(data.path()).unwrap().public(), first);
        let mode = std::fs::metadata(data.path().join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        std::fs::write(data.path().join(FILE), "rubbish").unwrap();
        assert!(matches!(ServerKey::open(data.path()), Err(ServerKeyError::Parse { .. })));
    }
}
