//! What a node saw of its log, and whether what it is shown now continues it.
//! It refuses to know where the memory is kept.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use skep_artifact::Digest;
use skep_artifact::log as tree;

use super::{LogPolicy, LogRefusal, VerifiedCheckpoint};

/// Checkpoints that are remembered beside the newest because an accepted package was proved in them: four for each of
/// the 256 policies a node may have.
pub const PINNED_MAX: usize = 1024;

/// What a node saw of its log. It only grows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogMemory {
    /// The log's origin; empty before the first checkpoint.
    pub origin: String,
    /// Entries of the newest checkpoint.
    pub size: u64,
    /// Root of the newest checkpoint; of no meaning while `size` is 0.
    pub root: Option<Digest>,
    /// The newest checkpoint as it was signed: the proof, should the log deny it.
    pub note: String,
    /// Checkpoints in which accepted packages were proved, each a beginning of the newest.
    pub pinned: BTreeMap<u64, Digest>,
}

impl LogMemory {
    /// The memory of the log a policy follows; empty when it is of another one, because the owner of the node chose.
    #[must_use]
    pub fn of(&self, policy: &LogPolicy) -> Self {
        if self.origin == policy.key.name() { self.clone() } else { Self::default() }
    }

    /// The newest size and root.
    pub fn tip(&self) -> Option<(u64, Digest)> {
        self.root.map(|root| (self.size, root))
    }

    /// The memory after a checkpoint: it must continue what was seen.
    ///
    /// # Errors
    /// [`LogRefusal::Shrunk`] or [`LogRefusal::Forked`]; the memory stays as it is then.
    pub fn advance(
        &self,
        checkpoint: &VerifiedCheckpoint,
        consistency: &[Digest],
    ) -> Result<Self, LogRefusal> {
        let tip = (checkpoint.size, checkpoint.root);
        if let Some(seen) = self.tip() {
            let origin = || checkpoint.origin.clone();
            if tip.0 < seen.0 {
                return Err(LogRefusal::Shrunk { origin: origin(), seen: seen.0, found: tip.0 });
            }
            let forked = |_| LogRefusal::Forked { origin: origin(), seen: seen.0, found: tip.0 };
            tree::check_consistency(seen, tip, consistency).map_err(forked)?;
            if seen == tip {
                return Ok(self.clone());
            }
        }
        Ok(Self {
            origin: checkpoint.origin.clone(),
            size: checkpoint.size,
            root: Some(checkpoint.root),
            note: checkpoint.note.clone(),
            pinned: self.pinned.clone(),
        })
    }

    /// Keeps the newest checkpoint for proofs that end in it, also once there are newer ones.
    #[must_use]
    pub fn pin(&self) -> Self {
        let mut next = self.clone();
        next.pinned.extend(self.tip());
        while next.pinned.len() > PINNED_MAX {
            next.pinned.pop_first();
        }
        next
    }

    /// Whether a checkpoint is the newest or one that was pinned.
    pub fn holds(&self, checkpoint: &VerifiedCheckpoint) -> bool {
        let tip = (checkpoint.size, checkpoint.root);
        self.origin == checkpoint.origin
            && (self.tip() == Some(tip) || self.pinned.get(&tip.0) == Some(&tip.1))
    }
}
