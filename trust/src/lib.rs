//! Whether a package may be loaded and a policy revision acted on: signatures, the node's own policy, floors.
//! It refuses to know sockets, files, clocks, the kernel and databases; bytes and `now` are arguments.
//!
//! [`verified::VerifiedPackage`] and [`verified::VerifiedObject`] are made here only, after every check.

pub mod verified;

pub use verified::{LocallyTrusted, VerifiedObject, VerifiedPackage};
