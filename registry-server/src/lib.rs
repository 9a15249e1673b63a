//! The registry: packages, search, the OCI pull API, fleet control plane, web front.
//!
//! SHELL: decides little. What a package is comes from `artifact`, what a node should run from
//! `fleet`; this crate stores, serves and wakes.

pub mod app;
pub mod auth;
pub mod blob;
pub mod clock;
pub mod config;
pub mod control;
pub mod error;
pub mod faults;
pub mod jobs;
pub mod live;
pub mod metrics;
pub mod node_state;
pub mod publish;
pub mod readme;
pub mod router;
pub mod routes;
pub mod secret;
pub mod store;
pub mod tls;
pub mod tuf;
