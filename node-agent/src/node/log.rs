//! What the node remembers of the transparency log, and what it refuses of it. Refuses to know how checkpoints arrive.

use super::{Node, NodeError};
use crate::evidence::{self, Kept};
use crate::fetch::FetchedBeside;
use crate::prepare::FetchResult;
use skep_api::v1::log::{CheckpointAnswer, LogSeen};
use skep_api::v1::nodes::Refused;
use skep_fleet::plan::NeededPackage;
use skep_trust::{LogMemory, LogRefusal};

impl Node {
    /// Entries of the log this node knows: what the next checkpoint must continue.
    #[must_use]
    pub fn log_known(&self) -> u64 {
        self.log_memory().size
    }

    /// What this node saw of the log its policy names.
    pub(super) fn log_memory(&self) -> LogMemory {
        self.parts.policy.log().map(|policy| self.ledger.log.of(policy)).unwrap_or_default()
    }

    /// Takes a checkpoint that was asked for with the first `from` entries known.
    ///
    /// # Errors
    /// [`NodeError::Ledger`] when the disk refuses.
    pub fn checkpointed(&mut self, from: u64, answer: &CheckpointAnswer) -> Result<(), NodeError> {
        let CheckpointAnswer { checkpoint, consistency } = answer;
        match self.follow_log(from, checkpoint, consistency) {
            Ok(Some(memory)) => self.remember_log(memory),
            Ok(None) => Ok(()),
            Err(refusal) => {
                self.refuse_log(&refusal);
                Ok(())
            }
        }
    }

    fn follow_log(
        &self,
        from: u64,
        checkpoint: &str,
        consistency: &[skep_artifact::digest::Digest],
    ) -> Result<Option<LogMemory>, LogRefusal> {
        let Some(policy) = self.parts.policy.log() else { return Ok(None) };
        evidence::follow(policy, &self.ledger.log, from, checkpoint, consistency)
    }

    fn remember_log(&mut self, memory: LogMemory) -> Result<(), NodeError> {
        self.log_refused = None;
        let mut next = self.ledger.clone();
        next.log = memory;
        self.remember(next)
    }

    fn refuse_log(&mut self, refusal: &LogRefusal) -> Refused {
        let (code, message) = (refusal.code().to_owned(), format!("Refused: {refusal}."));
        let refused = Refused { code, message };
        if self.log_refused.as_ref() != Some(&refused) {
            tracing::error!(code = refused.code, "The transparency log is refused: {refusal}.");
        }
        self.log_refused = Some(refused.clone());
        refused
    }

    /// Takes what came beside a package. Its checkpoint must continue the log like any other; then the proof may be
    /// used again as long as the package is.
    pub(super) fn take_beside(
        &mut self,
        package: &NeededPackage,
        beside: FetchedBeside,
    ) -> FetchResult {
        if let Some((proof, from)) = &beside.log {
            match self.follow_log(*from, &proof.checkpoint, &proof.consistency) {
                Ok(Some(memory)) => self.remember_log(memory.pin()).map_err(|error| Refused {
                    code: "node.storage".to_owned(),
                    message: crate::explain::explain(&error),
                })?,
                Ok(None) if self.parts.policy.log().is_some() => {
                    return Err(Refused {
                        code: "fetch.log_moved".to_owned(),
                        message:
                            "The log grew while its proof was on the way; it is asked for again."
                                .to_owned(),
                    });
                }
                Ok(None) => {}
                Err(refusal) => return Err(self.refuse_log(&refusal)),
            }
        }
        let kept = Kept { log: beside.log_blob, attestations: beside.attestations };
        self.offered_evidence.insert(package.index, kept);
        Ok(())
    }

    /// What the report says of the log.
    pub(super) fn log_seen(&self) -> Option<LogSeen> {
        let memory = self.log_memory();
        Some(LogSeen {
            origin: memory.origin.clone(),
            size: memory.size,
            root: memory.root?,
            checkpoint: memory.note.clone(),
            refused: self.log_refused.clone(),
        })
    }
}
