//! What the pure parts of the fleet promise, as cases and as properties.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where it stopped")]

mod composing;
mod conflicts;
mod diffing;
mod fleet_of;
mod planning;
mod policies;
mod promises;
mod rollouts;
mod strategies;
mod wish;
