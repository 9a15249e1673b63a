//! The registry's TUF repository (TUF 1.0): writing its documents, accepting new ones, and reading it as a node does.
//! It refuses to know sockets, files and clocks: bytes and `now` are arguments, what to fetch next is an answer.
//!
//! ```text
//! root (offline) ─┬─ targets (offline) ─┬─ acme   the namespace's own role file, as its publisher signed it
//!                 │                     └─ selfservice (online) ── names claimed by sign-up
//!                 ├─ snapshot (online, 7 days)
//!                 └─ timestamp (online, 1 day)
//! ```

mod accept;
mod client;
mod delegations;
mod document;
mod error;
mod read;
mod write;

pub use accept::{
    AcceptError, TargetsFacts, accept_root, accept_targets, namespaces_of, online_keys,
};
pub use client::{Answer, Answers, Outcome, Request, Session, Stored};
pub use delegations::{Delegation, DelegationFault, Delegations, Withheld};
pub use document::{Document, DocumentError};
pub use error::TufError;
pub use write::{
    DelegationDraft, OnlineKeys, Pin, Pins, RoleKeysDraft, RootDraft, TargetsDraft, snapshot,
    timestamp,
};

use skep_artifact::Namespace;

/// The role of names claimed by sign-up, held by the server. No namespace may be called so.
pub const SELF_SERVICE: &str = "selfservice";

/// Names that a namespace's role cannot have beside the roles of the repository itself.
pub const RESERVED: [&str; 5] = ["root", "targets", "snapshot", "timestamp", SELF_SERVICE];

/// Bytes of a root: 64 keys at 250 bytes, 32 signatures at 220, four roles; 20 times that for fields of others.
pub const ROOT_BYTES_MAX: usize = 512_000;
/// Bytes of a timestamp: it names one file; ours have 500 bytes with one signature.
pub const TIMESTAMP_BYTES_MAX: usize = 16_384;
/// Bytes of a snapshot: two times [`DELEGATIONS_MAX`] pins at 200 bytes.
pub const SNAPSHOT_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Bytes of the targets role, of the self-service role or of a namespace's: [`DELEGATIONS_MAX`] at 500 bytes.
pub const TARGETS_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Delegations of one role. A node reads all of them to find one, so ten thousand are refused.
pub const DELEGATIONS_MAX: usize = 8192;
/// Rotations of the root walked in one refresh: one a week for half a year of being offline.
pub const ROOT_ROTATIONS_MAX: u32 = 32;
/// Roles looked at while one target is searched: ours has two levels; others' may have a few more.
pub const ROLES_VISITED_MAX: u32 = 32;
/// The highest version number of any role: what every JSON parser reads exactly (2^53 - 1).
pub const VERSION_MAX: u64 = (1 << 53) - 1;

/// Seconds a snapshot is valid: 7 days. A server that lost its keys' holder goes on for a week.
pub const SNAPSHOT_VALID_SECS: i64 = 7 * 86_400;
/// Seconds a timestamp is valid: 1 day. For so long an owned mirror can hide what is new.
pub const TIMESTAMP_VALID_SECS: i64 = 86_400;
/// Seconds the self-service role is valid: as long as a snapshot; the same process signs both.
pub const SELF_SERVICE_VALID_SECS: i64 = SNAPSHOT_VALID_SECS;

/// The paths a namespace's role signs for. `*` does not cross a slash in TUF, and targets are `acme/limiter/1.4.2`.
pub fn paths_of(namespace: &Namespace) -> String {
    format!("{namespace}/*/*")
}

/// The paths the self-service role may delegate: every namespace's.
pub(crate) const SELF_SERVICE_PATHS: &str = "*/*/*";

/// Whether a namespace can have a role of its name in the repository.
pub fn is_reserved(namespace: &Namespace) -> bool {
    RESERVED.contains(&namespace.as_str())
}

/// Seconds as TUF writes a time.
pub(crate) fn time_text(seconds: i64) -> Option<String> {
    let time = jiff::Timestamp::from_second(seconds).ok()?;
    Some(time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
}
