//! The dispatcher against the real kernel: every test makes its own network namespaces and its own
//! pin root, and removes them. Needs root.

mod chains;
mod conformance;
mod flood;
mod killed;
mod place;
