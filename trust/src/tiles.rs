//! Proofs made from the tiles of a log (C2SP tlog-tiles). It refuses to know where tiles come from, and trusts none of
//! them: what is made of them are proofs, and each is checked against a checkpoint's root.
//!
//! The library's own `TileHashReader` is not used. It leaves tiles unauthenticated where several subtrees of the root
//! lie in one tile (decision 0026).

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use skep_artifact::Digest;
use skep_artifact::log::{ProofError, check_consistency, check_inclusion};
use tlog_tiles::tile::Tile;
use tlog_tiles::tlog::{self, Hash, HashReader};

use crate::log::VerifiedCheckpoint;

/// Height of a tile, fixed by the specification.
const HEIGHT: u8 = 8;
/// Hashes or entries in a whole tile.
pub const TILE_WIDTH: u64 = 1 << HEIGHT;
/// Bytes of a whole hash tile.
pub const HASH_TILE_BYTES_MAX: usize = 256 * 32;
/// Bytes of a whole entry tile: 256 entries of the largest size with their lengths.
pub const ENTRY_TILE_BYTES_MAX: usize = 256 * (2 + skep_artifact::log::ENTRY_BYTES_MAX);

/// Tiles of one tree, by their paths below `/log/`. Nothing in it is believed.
pub struct Tiles {
    size: u64,
    known: BTreeMap<String, Vec<u8>>,
    missing: RefCell<BTreeSet<String>>,
}

/// What came of asking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FromTiles<T> {
    /// The answer.
    Known(T),
    /// Tiles that are needed for it, by their paths.
    Needs(BTreeSet<String>),
}

/// Why tiles prove nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TileError {
    /// A tile of the wrong length, or an entry tile that ends in an entry.
    #[error("the tile {path} is not well formed")]
    Form {
        /// Its path.
        path: String,
    },
    /// The tiles do not lead to the checkpoint.
    #[error("the tiles do not lead to the root of the checkpoint at entry {at}: {why}")]
    Proof {
        /// The entry, or the size of the older tree.
        at: u64,
        /// Why.
        why: ProofError,
    },
    /// The question makes no sense for this tree.
    #[error("the tree has {size} entries")]
    Outside {
        /// Its size.
        size: u64,
    },
}

impl Tiles {
    /// No tiles of a tree of this size.
    #[must_use]
    pub fn of(size: u64) -> Self {
        Self { size, known: BTreeMap::new(), missing: RefCell::default() }
    }

    /// Takes a tile.
    ///
    /// # Errors
    /// [`TileError::Form`] when it has not the length its path says.
    pub fn add(&mut self, path: &str, bytes: Vec<u8>) -> Result<(), TileError> {
        if bytes.len() != width_of(path) * 32 {
            return Err(TileError::Form { path: path.to_owned() });
        }
        self.known.insert(path.to_owned(), bytes);
        Ok(())
    }

    /// Forgets the tiles at the bottom, which no later entry needs again.
    pub fn forget_leaves(&mut self) {
        self.known.retain(|path, _| !path.starts_with("tile/0/"));
    }

    /// Checks that `entry` is the `index`-th of the checkpoint's tree.
    ///
    /// # Errors
    /// [`TileError`].
    pub fn check_entry(
        &self,
        checkpoint: &VerifiedCheckpoint,
        index: u64,
        entry: &[u8],
    ) -> Result<FromTiles<()>, TileError> {
        let proof = self.ask(|reader| tlog::prove_record(self.size, index, reader))?;
        let FromTiles::Known(proof) = proof else { return Ok(needs(proof)) };
        let tip = (checkpoint.size(), checkpoint.root());
        check_inclusion(tip, index, entry, &digests(proof))
            .map(FromTiles::Known)
            .map_err(|why| TileError::Proof { at: index, why })
    }

    /// The hashes that prove that the tree continues one of `old` entries, checked.
    ///
    /// # Errors
    /// [`TileError`].
    pub fn check_older(
        &self,
        checkpoint: &VerifiedCheckpoint,
        old: (u64, Digest),
    ) -> Result<FromTiles<Vec<Digest>>, TileError> {
        if old.0 == 0 || old.0 >= checkpoint.size() {
            return Ok(FromTiles::Known(Vec::new()));
        }
        let proof = self.ask(|reader| tlog::prove_tree(self.size, old.0, reader))?;
        let FromTiles::Known(proof) = proof else { return Ok(needs(proof)) };
        let proof = digests(proof);
        check_consistency(old, (checkpoint.size(), checkpoint.root()), &proof)
            .map_err(|why| TileError::Proof { at: old.0, why })?;
        Ok(FromTiles::Known(proof))
    }

    fn ask<T>(
        &self,
        compute: impl Fn(&Self) -> Result<T, tlog::Error>,
    ) -> Result<FromTiles<T>, TileError> {
        self.missing.borrow_mut().clear();
        let answer = compute(self).map_err(|_| TileError::Outside { size: self.size })?;
        let missing = self.missing.take();
        Ok(if missing.is_empty() { FromTiles::Known(answer) } else { FromTiles::Needs(missing) })
    }
}

impl HashReader for Tiles {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<Hash>, tlog::Error> {
        let hash = |index: &u64| {
            let tile = Tile::from_index(HEIGHT, *index);
            let tile = tile.parent(0, self.size).ok_or(tlog::Error::IndexesNotInTree)?;
            let path = path_of(&tile);
            match self.known.get(&path) {
                Some(bytes) => tile.hash_at_index(bytes, *index),
                None => {
                    self.missing.borrow_mut().insert(path);
                    Ok(Hash([0; 32]))
                }
            }
        };
        indexes.iter().map(hash).collect()
    }
}

fn needs<T, U>(answer: FromTiles<T>) -> FromTiles<U> {
    match answer {
        FromTiles::Needs(paths) => FromTiles::Needs(paths),
        FromTiles::Known(_) => FromTiles::Needs(BTreeSet::new()),
    }
}

fn digests(hashes: Vec<Hash>) -> Vec<Digest> {
    hashes.into_iter().map(|hash| Digest::from_bytes(hash.0)).collect()
}

/// A tile's path below `/log/`: the library writes the height as well, which the specification fixes.
fn path_of(tile: &Tile) -> String {
    tile.path().replacen("tile/8/", "tile/", 1).replacen("/data/", "/entries/", 1)
}

fn width_of(path: &str) -> usize {
    path.rsplit_once(".p/").and_then(|(_, width)| width.parse().ok()).unwrap_or(256)
}

/// The path of the entry tile that begins with entry `first` (a multiple of 256) in a tree of this size, and how many
/// entries it holds. `None` when the tree ends before it.
#[must_use]
pub fn entry_tile(size: u64, first: u64) -> Option<(String, usize)> {
    let width = u32::try_from(size.checked_sub(first)?.min(TILE_WIDTH)).ok().filter(|w| *w > 0)?;
    let tile = Tile::new(HEIGHT, 0, first / TILE_WIDTH, width, true);
    Some((path_of(&tile), width as usize))
}

/// Takes an entry tile apart into exactly `count` entries.
///
/// # Errors
/// [`TileError::Form`].
pub fn entries_of(path: &str, bytes: &[u8], count: usize) -> Result<Vec<Vec<u8>>, TileError> {
    let form = || TileError::Form { path: path.to_owned() };
    let (mut rest, mut entries) = (bytes, Vec::with_capacity(count));
    for _ in 0..count {
        let (length, after) = rest.split_first_chunk::<2>().ok_or_else(form)?;
        let length = usize::from(u16::from_be_bytes(*length));
        let (entry, after) = after.split_at_checked(length).ok_or_else(form)?;
        entries.push(entry.to_vec());
        rest = after;
    }
    if rest.is_empty() { Ok(entries) } else { Err(form()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entry_tiles_are_named_and_taken_apart() {
        assert_eq!(entry_tile(3, 0), Some(("tile/entries/000.p/3".to_owned(), 3)));
        assert_eq!(entry_tile(256, 0), Some(("tile/entries/000".to_owned(), 256)));
        assert_eq!(entry_tile(300, 256), Some(("tile/entries/001.p/44".to_owned(), 44)));
        assert_eq!(entry_tile(256, 256), None);
        let bytes = b"\0\x01a\0\0\0\x02bc";
        assert_eq!(
            entries_of("t", bytes, 3).unwrap(),
            [b"a".to_vec(), b"".to_vec(), b"bc".to_vec()]
        );
        for (bytes, count) in [(&bytes[..], 2), (&bytes[..], 4), (&bytes[..8], 3), (&b"\0"[..], 1)]
        {
            assert!(entries_of("t", bytes, count).is_err());
        }
    }
}
