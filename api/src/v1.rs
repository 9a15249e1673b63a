//! Version 1 of the wire, one file per resource.

pub mod accounts;
pub mod adopt;
pub mod attestations;
pub mod audit;
pub mod chains;
pub mod drops;
pub mod facets;
pub mod life;
pub mod log;
pub mod maintenance;
pub mod namespaces;
pub mod nodes;
pub mod operators;
pub mod packages;
pub mod policies;
pub mod publishers;
pub mod rollouts;
pub mod stats;
pub mod sync;
pub mod tokens;
pub mod trust;
pub mod uploads;
pub mod webhooks;
