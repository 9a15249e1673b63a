//! The registry as its clients meet it: a real server, a real database of its own: a file, or with
//! SKEP_TEST_DATABASE=postgres a PostgreSQL.

#![expect(clippy::unwrap_used, reason = "a test says by a panic where it stopped")]

mod abuse;
mod adopt;
mod archives;
mod attestations;
mod auth;
mod backup;
mod browse;
mod cluster;
mod cosign;
mod downloads;
mod durability;
mod facets;
mod fleet;
mod issuer;
mod life;
mod log;
mod log_events;
mod maintenance;
mod oci;
mod oci_access;
mod oci_durability;
mod oci_manifests;
mod oci_uploads;
mod oidc;
mod openapi;
mod outage;
mod pages;
mod people;
mod prometheus;
mod publish;
mod registry_client;
mod replicas;
mod rollout_scene;
mod rollouts;
mod s3;
mod transport;
mod trust;
mod uploads;
mod webhooks;
mod world;

/// Says that a test, or a part of one, could not run, where the run counts that.
fn skip(test: &str, why: &str) {
    use std::io::Write as _;
    if let Some(path) = std::env::var_os("SKEP_SKIPPED_FILE") {
        let mut file = std::fs::OpenOptions::new().append(true).create(true).open(path).unwrap();
        writeln!(file, "skep-registry-server::{test}\t{why}").unwrap();
    }
}
