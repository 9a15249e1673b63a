//! The marker of hooks that a person took chains off by hand, on disk, so that no agent puts them
//! back until the person says so. Refuses to know whether an agent runs.

use crate::files::{self, FileError};
use crate::ledger::Place;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

const FILE: &str = "detached.json";
/// Largest marker file: 10,000 places.
const MARKER_BYTES_MAX: u64 = 1 << 20;

/// Hooks that must stay bare.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Detached {
    /// Every hook of this node, also those of interfaces that appear later.
    pub all: bool,
    pub places: BTreeSet<Place>,
}

/// Why the marker could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum DetachedError {
    #[error("The marker of hooks detached by hand could not be kept.")]
    File { source: FileError },
    #[error(
        "{} cannot be read. Until it is removed or repaired the agent treats every hook as detached by hand.", path.display()
    )]
    Unreadable { path: PathBuf, source: serde_json::Error },
}

impl Detached {
    /// Whether nothing may be attached at this place.
    #[must_use]
    pub fn holds(&self, place: &Place) -> bool {
        self.all || self.places.contains(place)
    }

    /// Whether no hook is marked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.all && self.places.is_empty()
    }
}

/// Reads the marker; an absent file marks nothing.
///
/// # Errors
/// [`DetachedError`].
pub fn load(state: &Path) -> Result<Detached, DetachedError> {
    let path = state.join(FILE);
    let found = files::read(&path, MARKER_BYTES_MAX);
    match found.map_err(|source| DetachedError::File { source })? {
        None => Ok(Detached::default()),
        Some(bytes) => serde_json::from_slice(&bytes)
            .map_err(|source| DetachedError::Unreadable { path, source }),
    }
}

/// Marks every hook.
///
/// # Errors
/// [`DetachedError`].
pub fn mark_all(state: &Path) -> Result<(), DetachedError> {
    store(state, &Detached { all: true, places: BTreeSet::new() })
}

/// Marks one hook more.
///
/// # Errors
/// [`DetachedError`].
pub fn mark(state: &Path, place: Place) -> Result<(), DetachedError> {
    let mut marked = load(state)?;
    marked.places.insert(place);
    store(state, &marked)
}

/// Lifts every mark.
///
/// # Errors
/// [`DetachedError`].
pub fn lift(state: &Path) -> Result<(), DetachedError> {
    store(state, &Detached::default())
}

fn store(state: &Path, marked: &Detached) -> Result<(), DetachedError> {
    let path = state.join(FILE);
    let bytes = serde_json::to_vec(marked)
        .map_err(|source| DetachedError::Unreadable { path: path.clone(), source })?;
    files::replace(&path, &bytes).map_err(|source| DetachedError::File { source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use skep_artifact::hook::Hook;

    fn place(interface: &str) -> Place {
        Place { interface: interface.to_owned(), hook: Hook::Xdp }
    }

    #[test]
    fn marks_add_up_and_are_lifted_together() {
        let state = tempfile::tempdir().unwrap();
        assert!(load(state.path()).unwrap().is_empty());
        mark(state.path(), place("eth0")).unwrap();
        mark(state.path(), place("eth1")).unwrap();
        let marked = load(state.path()).unwrap();
        assert!(marked.holds(&place("eth0")) && marked.holds(&place("eth1")));
        assert!(!marked.holds(&place("eth2")));
        mark_all(state.path()).unwrap();
        assert!(load(state.path()).unwrap().holds(&place("eth2")));
        lift(state.path()).unwrap();
        assert!(load(state.path()).unwrap().is_empty());
    }

    #[test]
    fn a_damaged_marker_is_an_error_and_not_an_empty_one() {
        let state = tempfile::tempdir().unwrap();
        std::fs::write(state.path().join(FILE), b"{").unwrap();
        assert!(matches!(load(state.path()), Err(DetachedError::Unreadable { .. })));
    }
}
