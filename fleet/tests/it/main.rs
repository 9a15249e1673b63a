//! What the pure parts of the fleet promise, as cases and as properties.

mod composing;
mod conflicts;
mod diffing;
mod planning;
mod policies;
mod wish;
