//! What comes with a package beside its content, as the cache keeps it: its proof in the transparency log, and
//! attestations. Refuses to judge it: `trust` does, when the package is used.

use crate::cache::Cache;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};
use skep_api::v1::log::LogProof;
use skep_artifact::digest::Digest;
use skep_trust::{LogEvidence, LogMemory, LogPolicy, LogRefusal};

/// Blobs in the cache that say something about one package.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kept {
    /// A [`LogProof`] as JSON.
    #[serde(default)]
    pub log: Option<Digest>,
    /// DSSE envelopes.
    #[serde(default)]
    pub attestations: Vec<Digest>,
}

impl Kept {
    /// Every blob.
    pub fn blobs(&self) -> impl Iterator<Item = Digest> + '_ {
        self.log.into_iter().chain(self.attestations.iter().copied())
    }

    /// The claimed place in the log, if it is there and can be read.
    #[must_use]
    pub fn proof(&self, cache: &Cache) -> Option<LogEvidence> {
        evidence_of(&serde_json::from_slice(&cache.get(&self.log?)?).ok()?)
    }

    /// The envelopes that are there.
    #[must_use]
    pub fn envelopes(&self, cache: &Cache) -> Vec<Vec<u8>> {
        self.attestations.iter().filter_map(|digest| cache.get(digest)).collect()
    }
}

/// A proof as `trust` reads it; `None` when its entry is not base64.
fn evidence_of(proof: &LogProof) -> Option<LogEvidence> {
    Some(LogEvidence {
        index: proof.index,
        entry: BASE64.decode(&proof.entry).ok()?,
        inclusion: proof.inclusion.clone(),
        checkpoint: proof.checkpoint.clone(),
    })
}

/// The memory after a checkpoint that was asked for with the first `from` entries known. `None` when more were seen in
/// the meantime, so that its proof begins at the wrong place: ask again.
///
/// # Errors
/// [`LogRefusal`] when it is not genuine, or not a continuation of what was seen.
pub fn follow(
    policy: &LogPolicy,
    memory: &LogMemory,
    from: u64,
    checkpoint: &str,
    consistency: &[Digest],
) -> Result<Option<LogMemory>, LogRefusal> {
    let checkpoint = policy.verify(checkpoint)?;
    let memory = memory.of(policy);
    if checkpoint.size() > memory.size && from != memory.size {
        return Ok(None);
    }
    memory.advance(&checkpoint, consistency).map(Some)
}
