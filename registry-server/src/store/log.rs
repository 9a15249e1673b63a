//! The transparency log in the database: entries and the hashes of complete subtrees, only ever added, inside the
//! transaction that makes the logged thing true. Refuses to know keys and checkpoints.

use super::{Change, Store, StoreError, digest, failed, parsed, signed, unsigned};
use skep_artifact::digest::Digest;
use skep_artifact::log::{Entry, EntryError, Event};
use skep_artifact::name::{PackageName, Version};
use sqlx::AssertSqlSafe;
use std::cell::RefCell;
use std::collections::BTreeMap;
use tlog_tiles::tlog::{self, Hash, HashReader, stored_hash_index};

/// Hashes of the tree, as the library asks for them: first written down, then answered.
enum Hashes {
    /// Notes what is asked for and answers zeros.
    Asked(RefCell<Vec<u64>>),
    /// Answers what was read.
    Read(BTreeMap<u64, Hash>),
}

impl HashReader for Hashes {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<Hash>, tlog::Error> {
        match self {
            Self::Asked(asked) => {
                asked.borrow_mut().extend_from_slice(indexes);
                Ok(vec![Hash([0; 32]); indexes.len()])
            }
            Self::Read(read) => {
                let hash = |index| read.get(index).copied().ok_or(tlog::Error::IndexesNotInTree);
                indexes.iter().map(hash).collect()
            }
        }
    }
}

/// What the library computes from a handful of stored hashes.
trait Computed<T>: Fn(&Hashes) -> Result<T, ComputeError> {}
impl<T, F: Fn(&Hashes) -> Result<T, ComputeError>> Computed<T> for F {}

/// The library's error, which is a fault in the stored hashes.
type ComputeError = tlog::Error;

fn asked<T>(compute: &impl Computed<T>) -> Result<Vec<u64>, StoreError> {
    let recorder = Hashes::Asked(RefCell::default());
    compute(&recorder).map_err(corrupt)?;
    let Hashes::Asked(asked) = recorder else { return Ok(Vec::new()) };
    Ok(asked.into_inner())
}

fn computed<T>(compute: &impl Computed<T>, rows: Vec<(i64, Vec<u8>)>) -> Result<T, StoreError> {
    let read = rows.into_iter().map(|(position, hash)| {
        Ok((unsigned("hash position", position)?, Hash(*digest(&hash)?.as_bytes())))
    });
    compute(&Hashes::Read(read.collect::<Result<_, StoreError>>()?)).map_err(corrupt)
}

fn corrupt(error: tlog::Error) -> StoreError {
    StoreError::Corrupt { what: "log hash", reason: error.to_string() }
}

fn unwritable(error: EntryError) -> StoreError {
    StoreError::Corrupt { what: "log entry", reason: error.to_string() }
}

/// `position IN (…)`: numbers of our own making, so nothing a caller says becomes SQL.
fn select_hashes(positions: &[u64]) -> AssertSqlSafe<String> {
    let list: Vec<String> = positions.iter().map(u64::to_string).collect();
    AssertSqlSafe(format!(
        "SELECT position, hash FROM log_hashes WHERE position IN ({})",
        list.join(", ")
    ))
}

/// Adds an entry to the log inside a change: once the change is committed, the entry is in the log, and not before.
/// Call it last, because other writers wait from here to the commit. Gives its number.
///
/// # Errors
/// [`StoreError`]; the change must then be dropped.
pub(super) async fn append(change: &mut Change, entry: &Entry) -> Result<u64, StoreError> {
    let bytes = entry.to_bytes().map_err(unwritable)?;
    let grow = "UPDATE log_state SET size = size + 1 WHERE id = 1 RETURNING size";
    let size: i64 = sqlx::query_scalar(grow)
        .fetch_one(&mut **change)
        .await
        .map_err(failed("take a place in the log"))?;
    let index = unsigned("log size", size - 1)?;
    let compute = |hashes: &Hashes| tlog::stored_hashes(index, &bytes, hashes);
    let positions = asked(&compute)?;
    let rows = match positions.as_slice() {
        [] => Vec::new(),
        positions => sqlx::query_as(select_hashes(positions))
            .persistent(false)
            .fetch_all(&mut **change)
            .await
            .map_err(failed("read the log's hashes"))?,
    };
    let new = computed(&compute, rows)?;
    sqlx::query("INSERT INTO log_entries (position, entry) VALUES ($1, $2)")
        .bind(signed("log index", index)?)
        .bind(&bytes)
        .execute(&mut **change)
        .await
        .map_err(failed("write a log entry"))?;
    for (position, hash) in (stored_hash_index(0, index)..).zip(new) {
        sqlx::query("INSERT INTO log_hashes (position, hash) VALUES ($1, $2)")
            .bind(signed("hash position", position)?)
            .bind(&hash.0[..])
            .execute(&mut **change)
            .await
            .map_err(failed("write a log hash"))?;
    }
    Ok(index)
}

/// A version that was published before there was a log.
#[derive(sqlx::FromRow)]
struct Unlogged {
    id: i64,
    package: String,
    version: String,
    release: i64,
    index_digest: Vec<u8>,
    published_at: i64,
    role_version: i64,
    signed_by: String,
}

/// A cosignature, as it stands in the note.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cosignature {
    pub size: u64,
    pub witness: String,
    pub line: String,
}

impl Store {
    /// Entries in the log.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn log_size(&self) -> Result<u64, StoreError> {
        let size: i64 = sqlx::query_scalar("SELECT size FROM log_state WHERE id = 1")
            .fetch_one(&self.read)
            .await
            .map_err(failed("read the log's size"))?;
        unsigned("log size", size)
    }

    /// Computes something from the tree's hashes: a root, a proof, a tile.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn with_hashes<T>(&self, compute: impl Computed<T> + Send) -> Result<T, StoreError> {
        let positions = asked(&compute)?;
        let rows = match positions.as_slice() {
            [] => Vec::new(),
            positions => sqlx::query_as(select_hashes(positions))
                .persistent(false)
                .fetch_all(&self.read)
                .await
                .map_err(failed("read the log's hashes"))?,
        };
        computed(&compute, rows)
    }

    /// The root of the tree of the first `size` entries.
    ///
    /// # Errors
    /// [`StoreError`], also when the log has fewer.
    pub async fn log_root(&self, size: u64) -> Result<Digest, StoreError> {
        let root = self.with_hashes(|hashes| tlog::tree_hash(size, hashes)).await?;
        Ok(Digest::from_bytes(root.0))
    }

    /// Hashes from an entry to the root of the first `size`.
    ///
    /// # Errors
    /// [`StoreError`], also when the entry is not among them.
    pub async fn log_inclusion(&self, size: u64, index: u64) -> Result<Vec<Digest>, StoreError> {
        self.with_hashes(|hashes| tlog::prove_record(size, index, hashes)).await.map(digests)
    }

    /// Hashes from the tree of `old` entries to that of `size`.
    ///
    /// # Errors
    /// [`StoreError`], also when `old` is 0 or larger.
    pub async fn log_consistency(&self, size: u64, old: u64) -> Result<Vec<Digest>, StoreError> {
        self.with_hashes(|hashes| tlog::prove_tree(size, old, hashes)).await.map(digests)
    }

    /// The bytes of a hash tile.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn log_tile(&self, tile: tlog_tiles::tile::Tile) -> Result<Vec<u8>, StoreError> {
        self.with_hashes(|hashes| tile.read_data(hashes)).await
    }

    /// Entries from one number on, at most `count`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn log_entries(&self, from: u64, count: u64) -> Result<Vec<Vec<u8>>, StoreError> {
        let select = "SELECT entry FROM log_entries WHERE position >= $1 AND position < $2 \
             ORDER BY position";
        sqlx::query_scalar(select)
            .bind(signed("log index", from)?)
            .bind(signed("log index", from.saturating_add(count))?)
            .fetch_all(&self.read)
            .await
            .map_err(failed("read log entries"))
    }

    /// Notes the key that signs this log, unless another one is noted; gives the one that is.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn claim_log_key(&self, key: &str) -> Result<String, StoreError> {
        let claim = "UPDATE log_state SET log_key = COALESCE(log_key, $1) WHERE id = 1 \
             RETURNING log_key";
        let mut change = self.begin().await?;
        let noted = sqlx::query_scalar(claim)
            .bind(key)
            .fetch_one(&mut *change)
            .await
            .map_err(failed("note the log's key"))?;
        change.commit().await.map_err(failed("commit the log's key"))?;
        Ok(noted)
    }

    /// The key that signs this log, if it was noted.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn log_key(&self) -> Result<Option<String>, StoreError> {
        let found: Option<String> =
            sqlx::query_scalar("SELECT log_key FROM log_state WHERE id = 1")
                .fetch_one(&self.read)
                .await
                .map_err(failed("read the log's key"))?;
        Ok(found)
    }

    /// Logs the oldest version that is older than the log; `false` when there is none.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn log_oldest_unlogged(&self) -> Result<bool, StoreError> {
        let select = "SELECT v.id, p.name AS package, v.version, v.release, v.index_digest, \
             v.published_at, v.role_version, v.signed_by FROM versions v \
             JOIN packages p ON p.id = v.package_id WHERE v.id = \
             (SELECT id FROM versions WHERE log_position IS NULL ORDER BY id LIMIT 1)";
        let mut change = self.begin().await?;
        let found: Option<Unlogged> = sqlx::query_as(select)
            .fetch_optional(&mut *change)
            .await
            .map_err(failed("look for a version outside the log"))?;
        let Some(found) = found else { return Ok(false) };
        let entry = Entry {
            at: found.published_at,
            event: Event::Publish {
                package: parsed("package name", &found.package)?,
                version: parsed("version", &found.version)?,
                index: digest(&found.index_digest)?,
                release: unsigned("release", found.release)?,
                role_version: unsigned("role version", found.role_version)?,
                role: None,
                signed_by: super::from_json("key ids", &found.signed_by)?,
            },
        };
        let index = append(&mut change, &entry).await?;
        sqlx::query("UPDATE versions SET log_position = $1 WHERE id = $2")
            .bind(signed("log index", index)?)
            .bind(found.id)
            .execute(&mut *change)
            .await
            .map_err(failed("note a version's place in the log"))?;
        change.commit().await.map_err(failed("commit a log entry"))?;
        Ok(true)
    }

    /// Where the publication of a version is in the log.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn log_position(
        &self,
        name: &PackageName,
        version: &Version,
    ) -> Result<Option<u64>, StoreError> {
        let select = "SELECT v.log_position FROM versions v JOIN packages p \
             ON p.id = v.package_id WHERE p.name = $1 AND v.version = $2";
        let found: Option<Option<i64>> = sqlx::query_scalar(select)
            .bind(name.to_string())
            .bind(version.to_string())
            .fetch_optional(&self.read)
            .await
            .map_err(failed("look a version up in the log"))?;
        found.flatten().map(|position| unsigned("log index", position)).transpose()
    }

    /// Keeps a verified cosignature; a newer one of the same witness replaces it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn put_cosignature(&self, new: &Cosignature, now: i64) -> Result<(), StoreError> {
        let put = "INSERT INTO log_cosignatures (size, witness, line, at) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (size, witness) DO UPDATE SET line = excluded.line, at = excluded.at";
        let mut change = self.begin().await?;
        sqlx::query(put)
            .bind(signed("log size", new.size)?)
            .bind(&new.witness)
            .bind(&new.line)
            .bind(now)
            .execute(&mut *change)
            .await
            .map_err(failed("keep a cosignature"))?;
        change.commit().await.map_err(failed("commit a cosignature"))
    }

    /// The cosignature lines of the checkpoint of this size, by witness.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn cosignatures(&self, size: u64) -> Result<Vec<String>, StoreError> {
        let select = "SELECT line FROM log_cosignatures WHERE size = $1 ORDER BY witness";
        sqlx::query_scalar(select)
            .bind(signed("log size", size)?)
            .fetch_all(&self.read)
            .await
            .map_err(failed("read cosignatures"))
    }

    /// The largest size whose checkpoint at least `witnesses` cosigned.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn cosigned_size(&self, witnesses: u64) -> Result<Option<u64>, StoreError> {
        let select = "SELECT size FROM log_cosignatures GROUP BY size HAVING COUNT(*) >= $1 \
             ORDER BY size DESC LIMIT 1";
        let found: Option<i64> = sqlx::query_scalar(select)
            .bind(signed("number of witnesses", witnesses)?)
            .fetch_optional(&self.read)
            .await
            .map_err(failed("look for a cosigned checkpoint"))?;
        found.map(|size| unsigned("log size", size)).transpose()
    }
}

fn digests(hashes: Vec<Hash>) -> Vec<Digest> {
    hashes.into_iter().map(|hash| Digest::from_bytes(hash.0)).collect()
}
