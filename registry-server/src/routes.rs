//! Routes, one file per resource: decode, authorise, call, encode. Nothing here decides.

pub mod agent;
pub mod blobs;
pub mod extract;
pub mod health;
pub mod namespaces;
pub mod nodes;
pub mod oci;
pub mod packages;
pub mod policies;
pub mod tokens;
pub mod tuf;
pub mod web;
