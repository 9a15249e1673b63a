//! The attack matrix: named changes to a world in which everything is right, each refused with exactly one code.
//! A case that the unchanged world would already fail proves nothing, so every table first checks that it passes.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod accepted;
mod approval;
mod archive;
mod assignment;
mod attestation;
#[path = "../../../artifact/tests/it/clang.rs"]
mod clang;
mod content;
mod documents;
mod log;
mod log_history;
mod log_world;
mod revision;
mod revocation;
mod role;
mod set;
mod signature;
mod tuf;
mod tuf_keys;
mod tuf_node;
mod tuf_world;
mod world;
