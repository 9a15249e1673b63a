//! The named limits of what this program reads, each with its reason.

use std::time::Duration;

/// Bytes of a configuration, key or token file; ours have a few hundred.
pub(crate) const SMALL_FILE_BYTES_MAX: u64 = 64 * 1024;

/// Bytes of a policy file: what the largest signed revision takes, and room for comments.
pub(crate) const POLICY_FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Bytes of a list named by `from:`: 65,536 lines of the longest IPv6 prefix and a number.
pub(crate) const LIST_FILE_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// Policy files in one folder; more belong into several folders, applied one by one.
pub(crate) const POLICY_FILES_MAX: usize = 1024;

/// How often a publish signs again because somebody else published in between. Each time someone
/// else has succeeded, so more than a few in a row mean that something is wrong.
pub(crate) const PUBLISH_ATTEMPTS_MAX: u32 = 5;

/// Bytes of a chunk of an upload; small enough for a bar that moves, large enough to cost nothing.
pub(crate) const UPLOAD_CHUNK_BYTES: usize = 64 * 1024;

/// Bytes of a blob that is sent in one request: a second of a slow line, which is soon sent again.
pub(crate) const UPLOAD_WHOLE_BYTES_MAX: usize = 1024 * 1024;

/// Bytes of a piece of a larger blob: at 70 KB/s it takes the minute that a call may.
pub(crate) const UPLOAD_PIECE_BYTES: usize = 4 * 1024 * 1024;

/// Tries of an upload that do not get on; a registry that restarts is back within the pauses between them.
pub(crate) const RESUMES_MAX: u32 = 6;

/// The first pause before an upload is gone on with; each further one is twice as long.
pub(crate) const RESUME_PAUSE_MIN: Duration = Duration::from_millis(250);

/// The longest of those pauses.
pub(crate) const RESUME_PAUSE_MAX: Duration = Duration::from_secs(5);

/// Time between two looks at a task of the registry, which has no way to call back.
pub(crate) const TASK_PAUSE: Duration = Duration::from_millis(500);

/// Bytes of one answer of the local agent: 64 chains of 64 members with their counters.
pub(crate) const AGENT_ANSWER_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// Files that a provenance statement names: a package with its tests and examples has some dozens.
pub(crate) const MATERIALS_MAX: usize = 256;

/// Bytes of one such file.
pub(crate) const MATERIAL_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Bytes of what is remembered of a log: its newest checkpoint with a hundred cosignatures, as JSON.
pub(crate) const LOG_STATE_BYTES_MAX: u64 = 256 * 1024;

/// How long the local agent may take to answer. Taking off every chain of a large host takes seconds.
pub(crate) const AGENT_ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// How long a namespace role file stays valid after it was signed: 180 days.
pub(crate) const ROLE_VALID_SECS: i64 = 180 * 86_400;

/// How long a signature made by `skep sign` stays valid: 30 days. It is for trying a package on hosts at hand,
/// and should not outlive that as a publication does.
pub(crate) const LOCAL_ROLE_VALID_SECS: i64 = 30 * 86_400;

/// Time between two samples of counters: long enough for the agent's next report.
pub(crate) const SAMPLE_PAUSE: Duration = Duration::from_secs(1);

/// How often a newer sample is asked for before sums are shown instead of rates. Agents report counters every five
/// seconds while packets move, and not at all while none do: two more for the way.
pub(crate) const SAMPLES_MAX: u32 = 7;

/// How long `--wait` waits for nodes unless told otherwise.
pub(crate) const WAIT_DEFAULT: &str = "5m";

/// Time between two looks at the nodes while waiting: the registry tells changes to nodes, not to people.
pub(crate) const WAIT_PAUSE: Duration = Duration::from_millis(500);

/// Bytes of the compiler's output that are shown; a missing header can cause thousands of lines.
pub(crate) const COMPILER_OUTPUT_BYTES_MAX: usize = 16 * 1024;

/// How long packets are timed after each sample: one that comes late still finds it on.
pub(crate) const TIMING_SECS: u32 = 10;
