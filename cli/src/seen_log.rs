//! The transparency log of a registry as this person has seen it: its key and newest checkpoint, kept beside the
//! settings, so that a log that shrinks or forks is noticed. Refuses to know what is printed.

use crate::exit::Ends;
use crate::limits::{LOG_STATE_BYTES_MAX, SMALL_FILE_BYTES_MAX};
use crate::output::Output;
use crate::settings::Settings;
use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};
use skep_api::client::{Client, ClientError};
use skep_api::v1::log::{CheckpointQuery, LogProof};
use skep_artifact::digest::Digest;
use skep_trust::log::{CHECKPOINT_BYTES_MAX, VerifiedCheckpoint};
use skep_trust::tiles::{FromTiles, HASH_TILE_BYTES_MAX, TileError, Tiles};
use skep_trust::{LogEvidence, LogMemory, LogPolicy, LogRefusal, NoteKey, Wanted};
use std::path::PathBuf;

/// What is kept between runs.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    /// The verifier key of the log, as it was first seen or named.
    key: String,
    memory: LogMemory,
}

/// A log this person follows.
pub(crate) struct SeenLog {
    pub policy: LogPolicy,
    pub memory: LogMemory,
    /// Where it is kept; nowhere without a home folder.
    path: Option<PathBuf>,
}

/// Why a log is not believed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SeenLogError {
    #[error(
        "The registry's log is signed by {found}, and this machine knows {known}. If its operator says that the log was begun anew, remove {}.", path.display()
    )]
    OtherKey { found: String, known: String, path: PathBuf },
    #[error("The log's key cannot be read: {0}.")]
    Key(#[from] skep_trust::note::NoteKeyError),
    #[error("The log cannot be followed: {0}.")]
    Policy(#[from] skep_trust::log::LogPolicyError),
    #[error("{0}.")]
    Refused(#[from] LogRefusal),
    #[error("{0}.")]
    Tiles(#[from] TileError),
    #[error("The entry in the proof is not base64.")]
    Base64,
}

/// A refusal of the log, with exit code 3.
pub(crate) fn refused(error: impl Into<SeenLogError>) -> anyhow::Error {
    Ends::refused("The transparency log is refused.", error.into()).into()
}

impl SeenLog {
    /// The log of a registry: by the key that is named, else by the one that was seen first.
    ///
    /// # Errors
    /// Another key than was seen before, or a registry that fails.
    pub(crate) async fn open(
        client: &Client,
        settings: &Settings,
        named: Option<&NoteKey>,
        out: Output,
    ) -> anyhow::Result<Self> {
        let path = settings.log_state(client.server());
        let kept = match &path {
            Some(path) => read(path)?,
            None => None,
        };
        let (key, memory) = match (named, kept) {
            (Some(named), Some(kept)) if kept.key == named.to_string() => {
                (named.clone(), kept.memory)
            }
            (Some(named), _) => (named.clone(), LogMemory::default()),
            (None, Some(kept)) => {
                let (found, known) = (client.log().await?.key, kept.key);
                if found != known {
                    let path = path.unwrap_or_default();
                    return Err(refused(SeenLogError::OtherKey { found, known, path }));
                }
                (known.parse().map_err(refused_key)?, kept.memory)
            }
            (None, None) => {
                let key: NoteKey = client.log().await?.key.parse().map_err(refused_key)?;
                out.say(&format!(
                    "First sight of this registry's log. Its key is taken as it is; compare it with what its operator publishes:\n  {key}"
                ));
                (key, LogMemory::default())
            }
        };
        let policy = LogPolicy::new(key, Vec::new(), 0).map_err(refused)?;
        Ok(Self { policy, memory, path })
    }

    /// The same log with witnesses, as a node policy asks for them.
    pub(crate) fn under(mut self, policy: &LogPolicy) -> Self {
        self.memory = self.memory.of(policy);
        self.policy = policy.clone();
        self
    }

    /// Takes a checkpoint that continues what was seen, and keeps it.
    ///
    /// # Errors
    /// [`LogRefusal`] with exit code 3.
    pub(crate) fn advance(
        &mut self,
        checkpoint: &VerifiedCheckpoint,
        consistency: &[Digest],
    ) -> anyhow::Result<()> {
        self.memory = self.memory.advance(checkpoint, consistency).map_err(refused)?;
        self.save()
    }

    /// Keeps what was seen. Another command may run at the same time: what it saw beyond is not taken back.
    fn save(&self) -> anyhow::Result<()> {
        let Some(path) = &self.path else { return Ok(()) };
        let unwritable = || format!("{} cannot be written.", path.display());
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).with_context(unwritable)?;
        }
        let lock = std::fs::File::create(path.with_extension("lock")).with_context(unwritable)?;
        lock.lock().with_context(unwritable)?;
        let key = self.policy.key().to_string();
        if let Some(kept) = read(path)?.filter(|kept| kept.key == key) {
            let (before, now) = (kept.memory, &self.memory);
            if before.size > now.size || before == *now {
                return Ok(());
            }
            if before.size == now.size && before.root != now.root {
                let (seen, found) = (before.size, now.size);
                return Err(refused(LogRefusal::Forked { origin: before.origin, seen, found }));
            }
        }
        let kept = Kept { key, memory: self.memory.clone() };
        let text = serde_json::to_string(&kept).context("writing JSON")?;
        crate::settings::write_secret(path, &text).with_context(unwritable)
    }

    /// Fetches the proof of a version, checks that its checkpoint continues what was seen and that the version is in
    /// it, and gives the proof.
    ///
    /// # Errors
    /// The check that refused, or a registry that fails.
    pub(crate) async fn prove(
        &mut self,
        client: &Client,
        wanted: &Wanted,
    ) -> anyhow::Result<LogEvidence> {
        let query =
            CheckpointQuery { from: self.memory.size, witnesses: self.policy.quorum() as u64 };
        let proof = client.log_proof(&wanted.name, &wanted.version, &query).await?;
        let evidence = evidence(&proof).map_err(refused)?;
        let checkpoint = self.policy.verify(&proof.checkpoint).map_err(refused)?;
        self.advance(&checkpoint, &proof.consistency)?;
        self.policy.verify_published(&self.memory, wanted, Some(&evidence)).map_err(refused)?;
        Ok(evidence)
    }

    /// The newest checkpoint, its signature verified and nothing else.
    ///
    /// # Errors
    /// [`LogRefusal`] with exit code 3, or a registry that fails.
    pub(crate) async fn newest(&self, client: &Client) -> anyhow::Result<VerifiedCheckpoint> {
        let bytes = client.log_file("checkpoint", CHECKPOINT_BYTES_MAX).await?;
        let note = String::from_utf8_lossy(&bytes);
        self.policy.verify(&note).map_err(refused)
    }

    /// Checks from the log's own tiles that a checkpoint continues what was seen, and keeps it.
    ///
    /// # Errors
    /// [`LogRefusal`] with exit code 3, or a registry that fails.
    pub(crate) async fn continue_to(
        &mut self,
        client: &Client,
        checkpoint: &VerifiedCheckpoint,
    ) -> anyhow::Result<()> {
        let mut proof = Vec::new();
        if let Some(old) = self.memory.tip().filter(|old| old.0 < checkpoint.size()) {
            let mut tiles = Tiles::of(checkpoint.size());
            proof = loop {
                // A proof that does not hold is told by `advance`, which knows what it means.
                match tiles.check_older(checkpoint, old) {
                    Ok(FromTiles::Known(proof)) => break proof,
                    Ok(FromTiles::Needs(paths)) => fetch(client, &mut tiles, paths).await?,
                    Err(_) => break Vec::new(),
                }
            };
        }
        self.advance(checkpoint, &proof)
    }
}

/// Brings tiles here.
///
/// # Errors
/// A registry that fails, or a tile of another length than its path says.
pub(crate) async fn fetch(
    client: &Client,
    tiles: &mut Tiles,
    paths: std::collections::BTreeSet<String>,
) -> anyhow::Result<()> {
    for path in paths {
        let bytes = match client.log_file(&path, HASH_TILE_BYTES_MAX).await {
            Ok(bytes) => bytes,
            Err(ClientError::Refused { status: 404, .. }) => {
                return Err(refused(TileError::Form { path }));
            }
            Err(error) => return Err(error.into()),
        };
        tiles.add(&path, bytes.to_vec()).map_err(refused)?;
    }
    Ok(())
}

/// A proof as `trust` reads it.
pub(crate) fn evidence(proof: &LogProof) -> Result<LogEvidence, SeenLogError> {
    Ok(LogEvidence {
        index: proof.index,
        entry: BASE64.decode(&proof.entry).map_err(|_| SeenLogError::Base64)?,
        inclusion: proof.inclusion.clone(),
        checkpoint: proof.checkpoint.clone(),
    })
}

/// A proof as it travels; it ends in its own checkpoint and continues none.
pub(crate) fn written(evidence: &LogEvidence) -> LogProof {
    LogProof {
        index: evidence.index,
        entry: BASE64.encode(&evidence.entry),
        inclusion: evidence.inclusion.clone(),
        checkpoint: evidence.checkpoint.clone(),
        consistency: Vec::new(),
    }
}

fn refused_key(error: skep_trust::note::NoteKeyError) -> anyhow::Error {
    refused(error)
}

fn read(path: &std::path::Path) -> anyhow::Result<Option<Kept>> {
    use std::io::Read as _;
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            return Err(error).with_context(|| format!("{} cannot be read.", path.display()));
        }
    };
    const { assert!(LOG_STATE_BYTES_MAX > SMALL_FILE_BYTES_MAX) };
    let mut text = String::new();
    file.take(LOG_STATE_BYTES_MAX)
        .read_to_string(&mut text)
        .with_context(|| format!("{} cannot be read.", path.display()))?;
    // Beginning anew in silence would forget what the log must continue.
    let kept = serde_json::from_str(&text).with_context(|| {
        format!(
            "{} is damaged. Remove it to begin anew; what the log showed before is then forgotten.",
            path.display()
        )
    })?;
    Ok(Some(kept))
}
