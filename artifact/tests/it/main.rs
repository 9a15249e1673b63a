//! Tests that need a compiler: facts of real objects, hostile variants of them, packages built from them.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod claims;
mod clang;
mod fuzz;
mod layout;
mod object;
