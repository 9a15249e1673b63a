//! The server's own signing keys: files in the data folder, made at the first start, one more for each rotation.
//! Refuses to know what is signed with them.

use crate::shared_keys::SharedKey;
use skep_artifact::key::{PublicKey, SecretKey};
use skep_trust::tuf::OnlineKeys;
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// The roles a server signs for.
pub const ROLES: [&str; 3] = ["snapshot", "timestamp", "selfservice"];
/// Where the keys are in the data folder.
const FOLDER: &str = "trust";
/// Rotations of one key that are looked for. A key a month for eight years.
const KEYS_MAX: usize = 99;

/// Why the keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OnlineKeyError {
    #[error("cannot {what} {}", path.display())]
    File { what: &'static str, path: PathBuf, source: io::Error },
    #[error("{} does not hold a key", path.display())]
    Parse { path: PathBuf },
    #[error("the operating system gave no random bytes")]
    Random,
    #[error("the {role} role has {KEYS_MAX} keys; remove files of old ones")]
    TooMany { role: &'static str },
}

/// The keys, oldest first. No Debug: they are secret.
pub struct ServerKeys {
    snapshot: Vec<SecretKey>,
    timestamp: Vec<SecretKey>,
    selfservice: Vec<SecretKey>,
}

impl ServerKeys {
    /// Reads the keys of a data folder; makes the first ones.
    ///
    /// # Errors
    /// [`OnlineKeyError`].
    pub fn open(data: &Path) -> Result<Self, OnlineKeyError> {
        let folder = data.join(FOLDER);
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder);
        made.map_err(|source| file("create", &folder, source))?;
        let read = |role| {
            let mut keys = read_all(&folder, role)?;
            if keys.is_empty() {
                keys.push(create(&folder, role)?);
            }
            Ok(keys)
        };
        Ok(Self {
            snapshot: read(ROLES[0])?,
            timestamp: read(ROLES[1])?,
            selfservice: read(ROLES[2])?,
        })
    }

    /// Makes one more key for a role; the ceremony that names it in a new root makes it the one that signs.
    ///
    /// # Errors
    /// [`OnlineKeyError`].
    pub fn add(data: &Path, role: &'static str) -> Result<PublicKey, OnlineKeyError> {
        Self::open(data)?;
        create(&data.join(FOLDER), role).map(|key| key.public())
    }

    pub(crate) fn shared(&self) -> Vec<SharedKey> {
        let of = |name, keys: &[SecretKey]| SharedKey {
            name,
            file: FOLDER,
            public: keys.iter().map(|key| key.public().to_string()).collect(),
        };
        vec![
            of(ROLES[0], &self.snapshot),
            of(ROLES[1], &self.timestamp),
            of(ROLES[2], &self.selfservice),
        ]
    }

    /// The newest keys: those a ceremony should name.
    #[must_use]
    pub fn newest(&self) -> OnlineKeys {
        self.matching(&[])
    }

    /// Of each role the key among `named`, else the newest.
    #[must_use]
    pub fn matching(&self, named: &[PublicKey]) -> OnlineKeys {
        OnlineKeys {
            snapshot: pick(&self.snapshot, named).public(),
            timestamp: pick(&self.timestamp, named).public(),
            selfservice: pick(&self.selfservice, named).public(),
        }
    }

    /// The key that signs for a role: the one among `named`, else the newest.
    #[must_use]
    pub fn signing(&self, role: &str, named: &[PublicKey]) -> &SecretKey {
        let keys = match role {
            "snapshot" => &self.snapshot,
            "timestamp" => &self.timestamp,
            _ => &self.selfservice,
        };
        pick(keys, named)
    }
}

/// There is always one: `open` makes it.
fn pick<'a>(keys: &'a [SecretKey], named: &[PublicKey]) -> &'a SecretKey {
    let named = keys.iter().rev().find(|key| named.contains(&key.public()));
    named.unwrap_or(&keys[keys.len() - 1])
}

fn path(folder: &Path, role: &str, number: usize) -> PathBuf {
    folder.join(format!("{role}-{number}.key"))
}

fn read_all(folder: &Path, role: &str) -> Result<Vec<SecretKey>, OnlineKeyError> {
    let mut keys = Vec::new();
    for number in 1..=KEYS_MAX {
        let path = path(folder, role, number);
        match fs::read_to_string(&path) {
            Ok(text) => {
                keys.push(SecretKey::from_text(&text).map_err(|_| OnlineKeyError::Parse { path })?)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(file("read", &path, source)),
        }
    }
    Ok(keys)
}

fn create(folder: &Path, role: &'static str) -> Result<SecretKey, OnlineKeyError> {
    let free = (1..=KEYS_MAX).map(|number| path(folder, role, number)).find(|path| !path.exists());
    let path = free.ok_or(OnlineKeyError::TooMany { role })?;
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|_| OnlineKeyError::Random)?;
    let key = SecretKey::from_seed(seed);
    let mut options = fs::OpenOptions::new();
    let written = options.write(true).create_new(true).mode(0o600).open(&path).and_then(|mut f| {
        writeln!(f, "{}", key.to_text())?;
        f.sync_all()
    });
    written.map_err(|source| file("write", &path, source))?;
    Ok(key)
}

fn file(what: &'static str, path: &Path, source: io::Error) -> OnlineKeyError {
    OnlineKeyError::File { what, path: path.to_owned(), source }
}
