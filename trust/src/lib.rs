//! Whether a package may be loaded and a policy revision acted on: signatures, the node's own policy, floors.
//! It refuses to know sockets, files, clocks, the kernel and databases; bytes and `now` are arguments.
//!
//! [`VerifiedPackage`], [`VerifiedObject`] and [`VerifiedRevision`] are made here only, after every check.

pub mod delegated;
pub mod floors;
pub mod policy;
pub mod refusal;
pub mod tuf;
pub mod verified;
pub mod verify;

pub use delegated::RepositoryRefusal;
pub use floors::Floors;
pub use policy::{NodePolicy, PolicyError};
pub use refusal::Refusal;
pub use verified::{LocallyTrusted, VerifiedObject, VerifiedPackage, VerifiedRevision};
pub use verify::{UnixSeconds, Wanted, verify_package, verify_revision};
