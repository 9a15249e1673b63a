//! Routes, one file per resource: decode, authorise, call, encode. Nothing here decides.

pub mod agent;
pub mod attestations;
pub mod blobs;
pub mod cosign;
pub mod documents;
pub mod extract;
pub mod health;
pub mod life;
pub mod log;
pub mod namespaces;
pub mod nodes;
pub mod oci;
pub mod packages;
pub mod policies;
pub mod tasks;
pub mod tokens;
pub mod uploads;
pub mod web;
