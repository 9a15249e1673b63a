//! Looking after the stored bytes while the registry runs. Refuses to know how it is done.

use serde::{Deserialize, Serialize};
use skep_artifact::digest::Digest;

/// Digests of one kind that are named in an answer; the counts go on.
pub const FINDINGS_MAX: usize = 1000;

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum TaskKind {
    /// Removes blobs that no version names and that are older than a day.
    Gc,
    /// Reads every blob and compares it with its digest and with the database.
    Scrub,
}

/// Starts a task; only one runs at a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct StartTask {
    pub kind: TaskKind,
    /// Address of a registry that has the same packages, from which a scrub fetches what is broken here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repair_from: Option<String>,
}

/// How far a task is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum TaskState {
    Running,
    Done,
    Failed,
}

/// What a scrub found. A blob is in one of the lists at most.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Findings {
    /// Blobs whose bytes are those of their digest.
    pub intact: u64,
    /// Blobs that were broken and are intact now.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub repaired: Vec<Digest>,
    /// Blobs whose bytes are others.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub changed: Vec<Digest>,
    /// Blobs of a version whose bytes are gone.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub missing: Vec<Digest>,
    /// Uploads that no version names and whose bytes are gone; the next collection forgets them.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub lost_uploads: Vec<Digest>,
    /// Stored bytes that the database does not know; the next collection removes them after a day.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub unknown: Vec<Digest>,
}

/// A task that runs, or ran since the registry was started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TaskInfo {
    pub id: u64,
    pub kind: TaskKind,
    pub state: TaskState,
    /// Blobs looked at, and how many there are.
    pub done: u64,
    pub total: u64,
    /// Seconds since 1970.
    pub started_at: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<i64>,
    /// Blobs that a collection removed.
    pub removed: u64,
    /// What a scrub found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub findings: Option<Findings>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Every task since the registry was started, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TaskList {
    pub tasks: Vec<TaskInfo>,
}

impl Findings {
    /// Whether database and bytes agree, and every byte is as it was published.
    #[must_use]
    pub fn all_is_well(&self) -> bool {
        self.changed.is_empty() && self.missing.is_empty()
    }
}
