//! The registry as its clients meet it: a real server, a real database in a folder of its own.

#![expect(clippy::unwrap_used, reason = "a test says by a panic where it stopped")]

mod abuse;
mod archives;
mod attestations;
mod auth;
mod browse;
mod durability;
mod fleet;
mod issuer;
mod life;
mod log;
mod maintenance;
mod oci;
mod oci_access;
mod oci_durability;
mod oci_manifests;
mod oci_uploads;
mod oidc;
mod openapi;
mod people;
mod publish;
mod registry_client;
mod transport;
mod trust;
mod uploads;
mod webhooks;
mod world;
