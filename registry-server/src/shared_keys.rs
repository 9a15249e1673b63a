//! Keys that every server of one database must hold: nodes, tools and root documents know their public halves. The
//! database remembers them, so that a server with other ones, or with none, does not start. Refuses to know what they
//! sign and never sees a secret half. The log remembers its key by itself.

use crate::store::{Store, StoreError};
use std::path::{Path, PathBuf};

/// A key, or several of which the last one is the newest, as they are in the data folder.
pub(crate) struct SharedKey {
    pub(crate) name: &'static str,
    /// File or folder below the data folder.
    pub(crate) file: &'static str,
    pub(crate) public: Vec<String>,
}

/// Names and places of all of them.
const PLACES: [(&str, &str); 5] = [
    ("assignment", "assignment.key"),
    ("cosign", "cosign.key"),
    ("snapshot", "trust"),
    ("timestamp", "trust"),
    ("selfservice", "trust"),
];

/// Why a server may not use a database.
#[derive(Debug, thiserror::Error)]
pub enum SharedKeyError {
    #[error(
        "the servers of this database share the {name} key {noted}, and {} holds another one or none; copy it from the server or the backup that has it",
        path.display()
    )]
    Other { name: &'static str, path: PathBuf, noted: String },
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Refuses a folder without a key that the database remembers: a fresh one would be another key. To be called before
/// any is made.
///
/// # Errors
/// [`SharedKeyError`].
pub(crate) async fn refuse_missing(store: &Store, data: &Path) -> Result<(), SharedKeyError> {
    let noted = store.noted_keys().await?;
    for (name, file) in PLACES {
        let path = data.join(file);
        if let Some(noted) = noted.get(name).filter(|_| !path.exists()) {
            return Err(SharedKeyError::Other { name, path, noted: noted.clone() });
        }
    }
    Ok(())
}

/// Refuses a key that is not the one the database remembers, and remembers the newest.
///
/// # Errors
/// [`SharedKeyError`].
pub(crate) async fn note(
    store: &Store,
    data: &Path,
    keys: Vec<SharedKey>,
    now: i64,
) -> Result<(), SharedKeyError> {
    for SharedKey { name, file, public } in keys {
        let noted = store.note_key(name, &public, now).await?;
        if !public.contains(&noted) {
            return Err(SharedKeyError::Other { name, path: data.join(file), noted });
        }
    }
    Ok(())
}
