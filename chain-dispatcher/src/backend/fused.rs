//! The fused build: the members' instructions become one program with a generated walk. Refuses to
//! know how that program is attached.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;

use skep_artifact::Digest;
use skep_artifact::hook::Hook;

use crate::backend::{Builder, Built, Job};
use crate::choice::Unfit;
use crate::error::{ApplyError, ObserveError};
use crate::pins::GenerationDir;
use crate::record::ChainRecord;

/// The members as they are prepared, and the one program.
#[derive(Debug, Default)]
pub(crate) struct Fused {}

impl Builder for Fused {
    fn load_member(
        &mut self,
        job: &Job<'_>,
        _slot: usize,
        _carried: BTreeMap<String, OwnedFd>,
    ) -> Result<(), ApplyError> {
        Err(ApplyError::BackendUnavailable { backend: job.record.backend, why: Unfit::NotBuilt })
    }

    fn load_dispatcher(&mut self, job: &Job<'_>) -> Result<(), ApplyError> {
        Err(ApplyError::BackendUnavailable { backend: job.record.backend, why: Unfit::NotBuilt })
    }

    fn built(&self) -> Built<'_> {
        Built::default()
    }
}

/// What tells one version of the generated walk from another.
pub(crate) fn identity(_hook: Hook) -> Digest {
    Digest::of(b"fused 0")
}

/// Whether a running generation is still as it was built.
pub(crate) fn intact(_dir: &GenerationDir, _record: &ChainRecord) -> Result<bool, ObserveError> {
    Ok(true)
}
