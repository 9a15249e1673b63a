//! Wire types by version, stable reason codes, and (feature `client`) the typed HTTP client.
//!
//! PURE but for the client: refuses to know axum, leptos and sqlx. Only this crate derives serde
//! for the network.

#[cfg(feature = "client")]
pub mod client;
pub mod reason;
pub mod v1;
