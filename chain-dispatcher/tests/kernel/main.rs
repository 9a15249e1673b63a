//! The dispatcher against the real kernel: every test makes its own network namespaces and its own
//! pin root, and removes them. Needs root.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where it stopped")]
#![expect(clippy::print_stderr, reason = "a skipped test is shown")]

mod against;
mod blame;
mod chains;
mod clsact;
mod conformance;
mod flood;
mod fused;
mod interfaces;
mod killed;
mod libxdp;
mod migrated;
mod neighbours;
mod objects;
mod others;
mod packets;
mod place;
mod seeing;
mod switching;
