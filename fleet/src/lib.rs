//! What should run where, and how it gets there: selectors, policies, chains, plans, rollouts.
//!
//! PURE: this crate knows no HTTP, SQL, clock, randomness or kernel. Time and identity are arguments.

pub mod conflict;
pub mod desired;
pub mod diff;
pub mod how;
pub mod ids;
pub mod observed;
pub mod plan;
pub mod policy;
pub mod rollout;
pub mod selector;

pub use desired::{DesiredChain, DesiredMember, compose};
pub use how::{AttachMode, Backend, How};
pub use ids::{Generation, NodeName, PolicyName};
pub use observed::{ObservedChain, ObservedMember};
pub use policy::{PolicyDocument, PolicyRevision};
pub use selector::{Labels, Selector};
