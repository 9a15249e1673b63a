//! The registry as its clients meet it: a real server, a real database in a folder of its own.

#![expect(clippy::unwrap_used, reason = "a test says by a panic where it stopped")]

mod abuse;
mod archives;
mod auth;
mod browse;
mod durability;
mod fleet;
mod life;
mod maintenance;
mod issuer;
mod oci;
mod oidc;
mod openapi;
mod people;
mod publish;
mod transport;
mod uploads;
mod webhooks;
mod world;
