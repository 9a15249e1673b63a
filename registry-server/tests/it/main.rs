//! The registry as its clients meet it: a real server, a real database in a folder of its own.

#![expect(clippy::unwrap_used, reason = "a test says by a panic where it stopped")]

mod archives;
mod auth;
mod browse;
mod durability;
mod fleet;
mod oci;
mod openapi;
mod publish;
mod transport;
mod trust;
mod world;
