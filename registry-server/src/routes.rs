//! Routes, one file per resource: decode, authorise, call, encode. Nothing here decides.

pub mod accounts;
pub mod agent;
pub mod audit;
pub mod blobs;
pub mod extract;
pub mod feeds;
pub mod health;
pub mod life;
pub mod invites;
pub mod members;
pub mod namespaces;
pub mod nodes;
pub mod oci;
pub mod oidc;
pub mod packages;
pub mod policies;
pub mod tasks;
pub mod publishers;
pub mod quotas;
pub mod sessions;
pub mod tokens;
pub mod uploads;
pub mod web;
pub mod webhooks;
