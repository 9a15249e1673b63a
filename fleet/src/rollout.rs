//! Rollouts: how a revision reaches its nodes in waves, and what makes it stop or go back.
//! `step(state, event, now) → (state, effects)` is the whole engine. Refuses to know how states are kept, how nodes are
//! reached, and whose signature counts.

mod advance;
mod blocked;
pub mod claims;
pub mod event;
pub mod gate;
pub mod phase;
pub mod plan;
mod room;
pub mod state;
mod step;
pub mod strategy;
pub mod units;
pub mod window;

pub use event::{Effect, Event, Measured, Seen, StepError, Surroundings};
pub use gate::{Gate, NoData, Sample, Verdict};
pub use plan::{Member, PlannedWave, RolloutPlan, kernel_class};
pub use state::{BlockedOn, Evidence, Held, Phase, Rollout, Stage, Target, TargetState};
pub use step::{replay, step};
pub use strategy::{Freeze, RolloutStrategy, StrategyError};
