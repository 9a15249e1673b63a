//! What a signed revision says about its own limits: the one thing a node may run instead, and who must agree first.
//! Refuses to know who signed and who agreed: that is `trust`.

use super::{PROGRAMS_MAX, PinnedProgram, PolicyDocument, PolicyError, PolicyRevision};
use crate::rollout::StrategyError;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Waves that may ask for approval: more steps than anybody would approve by hand.
const APPROVED_WAVES_MAX: usize = 32;
/// Operators whose approval may be asked for: as many as may have a key.
const APPROVERS_MAX: u32 = 32;
/// Longest name of a wave, in bytes: the same as of every other name.
const WAVE_BYTES_MAX: usize = crate::ids::NAME_BYTES_MAX;

/// What an operator writes about a fallback.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FallbackWish {
    /// What the revision before asked for.
    Previous,
}

/// The programs of an earlier revision, digests and config and all, which a node may run instead of these. Nothing else
/// lower is ever allowed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Fallback {
    /// The revision they were part of.
    pub revision: u64,
    pub programs: Vec<PinnedProgram>,
}

/// Whose agreement a wave needs before a node takes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ApprovalRule {
    /// The waves.
    pub before: Vec<String>,
    /// How many different operators.
    pub by: u32,
}

/// Why a revision's own limits mean nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BoundsError {
    #[error("its fallback names {found} programs; 1 to {PROGRAMS_MAX} are allowed")]
    FallbackPrograms { found: usize },
    #[error("its fallback is of revision {found}, which is not before revision {revision}")]
    FallbackNotEarlier { found: u64, revision: u64 },
    #[error("its fallback uses a member name twice")]
    FallbackTwice,
    #[error("it is a tombstone and yet names a fallback or waves, or asks for approval")]
    Tombstone,
    #[error(
        "it asks for the approval of {by} operators before {waves} waves; 1 to {APPROVERS_MAX} operators and 1 to {APPROVED_WAVES_MAX} waves with names of at most {WAVE_BYTES_MAX} bytes are allowed"
    )]
    Approval { by: u32, waves: usize },
    #[error("it wants to fall back to the revision before, which is on another hook")]
    OtherHook,
    #[error("its waves cannot be used: {source}")]
    Rollout { source: StrategyError },
    #[error("it asks for approval before the wave {wave}, which its rollout does not have")]
    NoSuchWave { wave: String },
}

impl PolicyRevision {
    /// The revision with the programs of its fallback in the place of its own; everything else as signed.
    #[must_use]
    pub fn fallen_back(&self) -> Option<Self> {
        let Fallback { programs, .. } = self.fallback.clone()?;
        Some(Self { programs, fallback: None, ..self.clone() })
    }

    /// Whether two revisions ask for the same; their numbers, their waves and what they fall back to aside.
    #[must_use]
    pub fn asks_the_same(&self, other: &Self) -> bool {
        let bare = |it: &Self| Self { revision: 0, fallback: None, rollout: None, ..it.clone() };
        bare(self) == bare(other) && self.fallback.is_some() == other.fallback.is_some()
    }

    pub(super) fn check_bounds(&self) -> Result<(), PolicyError> {
        let source = match self.bounds_fault() {
            Some(source) => source,
            None => return Ok(()),
        };
        Err(PolicyError::Bounds { policy: self.name.clone(), source })
    }

    fn bounds_fault(&self) -> Option<BoundsError> {
        let more = self.fallback.is_some() || self.approval.is_some() || self.rollout.is_some();
        if self.removed && more {
            return Some(BoundsError::Tombstone);
        }
        if let Some(plan) = &self.rollout {
            if let Err(source) = plan.check() {
                return Some(BoundsError::Rollout { source });
            }
            let mut asked = self.approval.iter().flat_map(|rule| &rule.before);
            if let Some(wave) = asked.find(|asked| !plan.waves.iter().any(|w| w.name == **asked)) {
                return Some(BoundsError::NoSuchWave { wave: wave.clone() });
            }
        }
        let approval = self.approval.as_ref().and_then(|rule| {
            let (by, waves) = (rule.by, rule.before.len());
            let bad = |wave: &String| {
                wave.is_empty() || wave.len() > WAVE_BYTES_MAX || wave.chars().any(char::is_control)
            };
            let fits = (1..=APPROVERS_MAX).contains(&by)
                && (1..=APPROVED_WAVES_MAX).contains(&waves)
                && !rule.before.iter().any(bad);
            (!fits).then_some(BoundsError::Approval { by, waves })
        });
        approval.or_else(|| self.fallback_fault())
    }

    fn fallback_fault(&self) -> Option<BoundsError> {
        let Fallback { revision: found, programs } = self.fallback.as_ref()?;
        if *found >= self.revision {
            let (found, revision) = (*found, self.revision);
            return Some(BoundsError::FallbackNotEarlier { found, revision });
        }
        if programs.is_empty() || programs.len() > PROGRAMS_MAX {
            return Some(BoundsError::FallbackPrograms { found: programs.len() });
        }
        let mut seen = BTreeSet::new();
        let twice = programs.iter().any(|program| !seen.insert(&program.name));
        twice.then_some(BoundsError::FallbackTwice)
    }
}

impl PolicyDocument {
    /// Gives a resolved revision the fallback its document asks for, out of the revision before.
    ///
    /// # Errors
    /// [`PolicyError::Bounds`] when the revision before was on another hook: its programs could not run there.
    pub fn with_fallback(
        &self,
        mut resolved: PolicyRevision,
        before: Option<&PolicyRevision>,
    ) -> Result<PolicyRevision, PolicyError> {
        let (Some(FallbackWish::Previous), Some(before)) = (self.fallback, before) else {
            return Ok(resolved);
        };
        if before.removed {
            return Ok(resolved);
        }
        if before.attach.hook != resolved.attach.hook {
            let (policy, source) = (self.name.clone(), BoundsError::OtherHook);
            return Err(PolicyError::Bounds { policy, source });
        }
        let (revision, programs) = (before.revision, before.programs.clone());
        resolved.fallback = Some(Fallback { revision, programs });
        resolved.check()?;
        Ok(resolved)
    }
}
