//! The registry: packages, search, the OCI pull API, fleet control plane, web front.
//!
//! SHELL: decides little. What a package is comes from `artifact`, what a node should run from
//! `fleet`; this crate stores, serves and wakes.

pub mod admit;
pub mod adopt;
pub mod app;
pub mod attest;
pub mod audit;
pub mod auth;
pub mod backup;
pub mod blob;
pub mod clock;
pub mod config;
pub mod control;
pub mod cosign;
pub mod downloads;
pub mod error;
pub mod facets;
pub mod faults;
pub mod jobs;
pub mod life;
pub mod live;
pub mod log;
pub mod maintenance;
pub mod memory;
pub mod metrics;
pub mod node_state;
pub mod oci;
pub mod oidc;
pub mod pages;
pub mod partial;
pub mod people;
pub mod publish;
pub mod push;
pub mod readme;
pub mod rollouts;
pub mod router;
pub mod routes;
pub mod secret;
pub mod server_key;
mod shared_keys;
pub mod storage;
pub mod store;
pub mod tls;
pub mod tuf;
pub mod webhooks;
