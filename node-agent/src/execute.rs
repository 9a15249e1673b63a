//! Does one step. Has no choices left to make. Refuses to know why a step was planned.

use crate::explain::explain;
use skep_api::v1::nodes::Refused;
use skep_chain_dispatcher::{ApplyError, Chain, DetachError, Engine, HookPoint};
use skep_fleet::plan::Step;

/// Why a step could not be done. What ran before still runs.
#[derive(Debug, thiserror::Error)]
pub enum ExecuteError {
    #[error("{at}: {}", explain(.source))]
    Apply { at: HookPoint, source: Box<ApplyError> },
    #[error("{at}: the chain could not be taken off. {}", explain(.source))]
    Detach { at: HookPoint, source: DetachError },
    #[error("{interface}: the chain to load is not the one that was planned.")]
    NotReady { interface: String },
}

impl ExecuteError {
    /// Whether trying the same again later may help.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Apply { source, .. } => matches!(
                **source,
                ApplyError::InterfaceGone { .. }
                    | ApplyError::Foreign { .. }
                    | ApplyError::BackendUnavailable { .. }
                    | ApplyError::MtuTooLarge { .. }
                    | ApplyError::Observe(_)
                    | ApplyError::Pin { .. }
                    | ApplyError::Switch { .. }
            ),
            Self::Detach { .. } | Self::NotReady { .. } => true,
        }
    }

    /// The refusal as a report carries it.
    #[must_use]
    pub fn refused(&self) -> Refused {
        let code = match self {
            Self::Apply { source, .. } => source.code(),
            Self::Detach { .. } => "chain.detach_failed",
            Self::NotReady { .. } => "chain.not_ready",
        };
        Refused { code: code.to_owned(), message: self.to_string() }
    }
}

/// Does one step; `ready` is the chain a swap puts in place.
///
/// # Errors
/// [`ExecuteError`]; the place then runs what it ran before.
pub fn execute(engine: &Engine, step: &Step, ready: Option<&Chain>) -> Result<(), ExecuteError> {
    match step {
        Step::SwapChain { interface, .. } => {
            let chain =
                ready.ok_or_else(|| ExecuteError::NotReady { interface: interface.clone() })?;
            let failed =
                |source| ExecuteError::Apply { at: chain.at.clone(), source: Box::new(source) };
            engine.apply(chain).map(drop).map_err(failed)
        }
        Step::DetachChain { interface, hook } => {
            let at = HookPoint { interface: interface.clone(), hook: *hook };
            engine.detach(&at).map(drop).map_err(|source| ExecuteError::Detach { at, source })
        }
    }
}
