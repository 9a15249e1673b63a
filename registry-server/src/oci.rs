//! What the OCI distribution API is about, as types: names and addresses, digests, manifests, tokens,
//! and the memory of what was looked up. Refuses to know HTTP and SQL.

pub mod access;
pub mod digest;
pub mod lookups;
pub mod manifest;
pub mod name;
