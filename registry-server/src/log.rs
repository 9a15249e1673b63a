//! The transparency log: its key, checkpoints signed by it, proofs, tiles, cosignatures, and whether nodes see the same
//! log as this registry. Everything but the key follows from what the database holds. Refuses to know HTTP.

pub mod alarms;
mod key;

use crate::clock;
use crate::store::log::Cosignature;
use crate::store::{Store, StoreError};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use signed_note::{Note, NoteError};
use skep_api::v1::log::{CheckpointAnswer, LogDescription, LogProof};
use skep_artifact::digest::Digest;
use skep_artifact::key::SecretKey;
use skep_artifact::name::{PackageName, Version};
use skep_trust::log::{LogPolicy, LogPolicyError, LogRefusal, WITNESSES_MAX};
use skep_trust::note::{self, NoteKey};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use tlog_tiles::checkpoint::Checkpoint;
use tlog_tiles::tile::Tile;
use tlog_tiles::tlog::Hash;

/// Height of a tile: 256 hashes or entries, which the tlog-tiles specification fixes.
pub const TILE_HEIGHT: u8 = 8;
/// Highest level of a tile: a tree of 2^62 entries has eight.
const LEVEL_MAX: u8 = 7;
/// Entries or hashes in a whole tile.
pub const TILE_WIDTH: u64 = 1 << TILE_HEIGHT;

/// Why the log cannot do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    #[error("cannot {what} {}", path.display())]
    File { what: &'static str, path: PathBuf, source: std::io::Error },
    #[error("{} does not hold the key of a log", path.display())]
    KeyFile { path: PathBuf },
    #[error(
        "the log of this database is signed by {noted}, and {} holds another key or none; put the right file there",
        path.display()
    )]
    OtherKey { path: PathBuf, noted: String },
    #[error("the operating system gave no random bytes")]
    Randomness(#[from] getrandom::Error),
    #[error("the witnesses cannot be used")]
    Witnesses(#[from] LogPolicyError),
    #[error("a checkpoint cannot be written")]
    Note(#[from] NoteError),
    #[error("the log has {size} entries; there is none with number {index}")]
    NoEntry { index: u64, size: u64 },
    #[error("the log has {size} entries; the checkpoint is of {found}")]
    Ahead { size: u64, found: u64 },
    #[error("no checkpoint is cosigned by {witnesses} witnesses")]
    NotWitnessed { witnesses: u64 },
    #[error("entry {index} is newer than the newest checkpoint with {witnesses} witnesses")]
    NotWitnessedYet { index: u64, witnesses: u64 },
    #[error("the checkpoint carries no cosignature of a witness this registry knows")]
    NoCosignature,
    #[error("the checkpoint is not of this log's history")]
    OtherHistory,
    #[error("the cosigned checkpoint is refused")]
    Refused(#[from] LogRefusal),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The log of this registry.
pub struct Log {
    store: Store,
    key: SecretKey,
    public: NoteKey,
    witnesses: Vec<NoteKey>,
    /// The newest checkpoint that was signed, without cosignatures, and its size.
    newest: Mutex<Option<(u64, Vec<u8>)>>,
    views: alarms::Views,
}

impl Log {
    /// Opens the log, making its key at the first start, and logs what was published before there was a log.
    ///
    /// # Errors
    /// [`LogError`].
    pub async fn open(
        store: Store,
        data: &Path,
        witnesses: Vec<NoteKey>,
    ) -> Result<Self, LogError> {
        let (key, public) = key::open(&store, data).await?;
        // The same checks as on a node: distinct keys of the right kind.
        LogPolicy::new(public.clone(), witnesses.clone(), 0)?;
        let mut adopted = 0;
        while store.log_oldest_unlogged().await? {
            adopted += 1;
        }
        if adopted > 0 {
            tracing::info!(
                adopted,
                "{adopted} versions that are older than the log were added to it"
            );
        }
        let views = alarms::Views::default();
        Ok(Self { store, key, public, witnesses, newest: Mutex::default(), views })
    }

    /// The verifier key.
    #[must_use]
    pub fn public(&self) -> &NoteKey {
        &self.public
    }

    /// Entries.
    ///
    /// # Errors
    /// [`LogError::Store`].
    pub async fn size(&self) -> Result<u64, LogError> {
        Ok(self.store.log_size().await?)
    }

    /// What the log is.
    ///
    /// # Errors
    /// [`LogError::Store`].
    pub async fn describe(&self) -> Result<LogDescription, LogError> {
        let size = self.store.log_size().await?;
        Ok(LogDescription {
            origin: self.public.name().to_owned(),
            key: self.public.to_string(),
            size,
            root: self.store.log_root(size).await?,
            witnesses: self.witnesses.iter().map(ToString::to_string).collect(),
        })
    }

    /// The newest checkpoint with the cosignatures it has.
    ///
    /// # Errors
    /// [`LogError`].
    pub async fn checkpoint(&self) -> Result<String, LogError> {
        let size = self.store.log_size().await?;
        self.signed(size).await
    }

    /// The checkpoint of a size. It is signed whenever it is asked for: ed25519 gives the same signature each time, and
    /// the database never holds two trees of one size.
    async fn signed(&self, size: u64) -> Result<String, LogError> {
        let known = {
            let newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
            newest.as_ref().filter(|(of, _)| *of == size).map(|(_, note)| note.clone())
        };
        let note = match known {
            Some(note) => note,
            None => {
                let note = self.sign(size).await?;
                let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
                if newest.as_ref().is_none_or(|(of, _)| *of < size) {
                    *newest = Some((size, note.clone()));
                }
                note
            }
        };
        let mut text = String::from_utf8_lossy(&note).into_owned();
        for line in self.store.cosignatures(size).await? {
            text.push_str(&line);
        }
        Ok(text)
    }

    async fn sign(&self, size: u64) -> Result<Vec<u8>, LogError> {
        let root = Hash(*self.store.log_root(size).await?.as_bytes());
        let origin = self.public.name();
        let checkpoint =
            Checkpoint::new(origin, size, root, "").map_err(|_| NoteError::MalformedNote)?;
        let text = checkpoint.to_bytes();
        let signature =
            note::sign(origin, &self.key, &text).map_err(|_| NoteError::InvalidSigner)?;
        Ok(Note::new(&text, &[signature])?.to_bytes())
    }

    /// A checkpoint that at least `witnesses` cosigned, and the proof that it continues the tree of `from` entries.
    ///
    /// # Errors
    /// [`LogError::NotWitnessed`], [`LogError::Store`].
    pub async fn since(&self, from: u64, witnesses: u64) -> Result<CheckpointAnswer, LogError> {
        let size = self.witnessed_size(witnesses).await?;
        let checkpoint = self.signed(size).await?;
        Ok(CheckpointAnswer { checkpoint, consistency: self.consistency(from, size).await? })
    }

    async fn witnessed_size(&self, witnesses: u64) -> Result<u64, LogError> {
        if witnesses == 0 {
            return Ok(self.store.log_size().await?);
        }
        if witnesses > WITNESSES_MAX as u64 {
            return Err(LogError::NotWitnessed { witnesses });
        }
        let found = self.store.cosigned_size(witnesses).await?;
        found.ok_or(LogError::NotWitnessed { witnesses })
    }

    async fn consistency(&self, from: u64, size: u64) -> Result<Vec<Digest>, LogError> {
        if from == 0 || from >= size {
            return Ok(Vec::new());
        }
        Ok(self.store.log_consistency(size, from).await?)
    }

    /// An entry with its proof in the newest checkpoint that at least `witnesses` cosigned.
    ///
    /// # Errors
    /// [`LogError`].
    pub async fn proof(&self, index: u64, from: u64, witnesses: u64) -> Result<LogProof, LogError> {
        let size = self.witnessed_size(witnesses).await?;
        if index >= size {
            let held = self.store.log_size().await?;
            return Err(if index < held {
                LogError::NotWitnessedYet { index, witnesses }
            } else {
                LogError::NoEntry { index, size: held }
            });
        }
        let entries = self.store.log_entries(index, 1).await?;
        let entry = entries.first().ok_or(LogError::NoEntry { index, size })?;
        Ok(LogProof {
            index,
            entry: BASE64.encode(entry),
            inclusion: self.store.log_inclusion(size, index).await?,
            checkpoint: self.signed(size).await?,
            consistency: self.consistency(from, size).await?,
        })
    }

    /// The proof of a version's publication; `None` when there is no such version.
    ///
    /// # Errors
    /// [`LogError`].
    pub async fn proof_of(
        &self,
        name: &PackageName,
        version: &Version,
        from: u64,
        witnesses: u64,
    ) -> Result<Option<LogProof>, LogError> {
        match self.store.log_position(name, version).await? {
            Some(index) => self.proof(index, from, witnesses).await.map(Some),
            None => Ok(None),
        }
    }

    /// The bytes of a tile; `None` when the log has not grown to it.
    ///
    /// # Errors
    /// [`LogError::Store`].
    pub async fn tile(&self, tile: Tile) -> Result<Option<Vec<u8>>, LogError> {
        let size = self.store.log_size().await?;
        let below = u32::from(tile.level()) * u32::from(TILE_HEIGHT);
        let there = size.checked_shr(below).unwrap_or(0);
        let first = tile.level_index().checked_mul(TILE_WIDTH);
        let end = first.and_then(|first| first.checked_add(u64::from(tile.width())));
        let (Some(first), Some(end)) = (first, end) else { return Ok(None) };
        if tile.width() == 0 || end > there {
            return Ok(None);
        }
        if !tile.is_data() {
            return Ok(Some(self.store.log_tile(tile).await?));
        }
        let mut bytes = Vec::new();
        for entry in self.store.log_entries(first, end - first).await? {
            let long = |_| StoreError::Corrupt {
                what: "log entry",
                reason: "it is longer than a tile can hold".to_owned(),
            };
            bytes.extend_from_slice(&u16::try_from(entry.len()).map_err(long)?.to_be_bytes());
            bytes.extend_from_slice(&entry);
        }
        Ok(Some(bytes))
    }

    /// Keeps the cosignatures of known witnesses on a checkpoint of this log. Gives how many.
    ///
    /// # Errors
    /// [`LogError`] when the checkpoint is not of this log, or no known witness signed it.
    pub async fn cosigned(&self, checkpoint: &str) -> Result<usize, LogError> {
        let policy = LogPolicy::new(self.public.clone(), self.witnesses.clone(), 0)?;
        let verified = policy.verify(checkpoint)?;
        let (size, found) = (self.store.log_size().await?, verified.size());
        if found > size {
            return Err(LogError::Ahead { size, found });
        }
        if self.store.log_root(found).await? != verified.root() {
            return Err(LogError::OtherHistory);
        }
        let lines = verified.cosignatures();
        if lines.is_empty() {
            return Err(LogError::NoCosignature);
        }
        for (witness, line) in lines {
            let new = Cosignature { size: found, witness: witness.clone(), line: line.clone() };
            self.store.put_cosignature(&new, clock::now()).await?;
        }
        Ok(lines.len())
    }
}

/// Reads the path of a tile below `/log/tile/`, as the tlog-tiles specification writes it. Numbers that the library
/// would panic over are taken out first.
#[must_use]
pub fn tile_at(path: &str) -> Option<Tile> {
    let (level, rest) = path.split_once('/')?;
    let level = if level == "entries" { "data" } else { level };
    let high = level != "data" && level.parse::<u8>().ok().is_none_or(|level| level > LEVEL_MAX);
    let width = rest.rsplit_once(".p/").map(|(_, width)| width.parse::<u8>());
    if high || width.is_some_and(|width| !width.is_ok_and(|width| width > 0)) {
        return None;
    }
    Tile::from_path(&format!("tile/{TILE_HEIGHT}/{level}/{rest}")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_tiles_are_those_of_the_specification() {
        let tile = tile_at("0/x001/x234/067.p/12").unwrap();
        assert_eq!((tile.level(), tile.level_index(), tile.width()), (0, 1_234_067, 12));
        let entries = tile_at("entries/000").unwrap();
        assert!(entries.is_data() && entries.width() == 256);
        for wrong in [
            "0/1",
            "0/000.p/0",
            "0/000.p/256",
            "data",
            "x/000",
            "0/../000",
            "64/000",
            "8/000",
            "255/000",
            "300/000",
            "0/000.p/x",
            "0/x999/x999/x999/x999/x999/x999/999",
        ] {
            assert!(tile_at(wrong).is_none(), "{wrong}");
        }
    }
}
