//! Why a repository's metadata is refused, each with a stable code. It refuses to know what is done about it.

use super::{DELEGATIONS_MAX, VERSION_MAX};

/// Why metadata is refused. Each variant names an attack, or the slip that looks like one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TufError {
    /// Not JSON, or JSON that is no metadata.
    #[error("{file} is not metadata that can be read: {reason}")]
    Malformed {
        /// The file.
        file: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Not enough of the role's keys signed.
    #[error("{role} is signed by {found} of its keys, and {threshold} must sign")]
    Threshold {
        /// Whose signatures.
        role: String,
        /// Keys that signed.
        found: usize,
        /// Keys that must.
        threshold: usize,
    },
    /// One key signs twice.
    #[error("{role} carries two signatures by the key {key_id}")]
    DuplicateSignature {
        /// The role.
        role: String,
        /// The key's id, as written.
        key_id: String,
    },
    /// A lower version than one accepted before.
    #[error("{role} has version {found}, and version {floor} was accepted before")]
    Rollback {
        /// The role.
        role: String,
        /// Its version.
        found: u64,
        /// The version accepted before.
        floor: u64,
    },
    /// A timestamp that was signed before one accepted earlier, under a higher number.
    #[error(
        "the timestamp says it was signed at {found}, and one signed at {floor} was accepted before"
    )]
    TimeBackwards {
        /// Seconds since 1970.
        found: i64,
        /// Seconds since 1970.
        floor: i64,
    },
    /// A root that does not follow the trusted one.
    #[error("root version {found} does not follow version {trusted}")]
    RootVersion {
        /// The version trusted.
        trusted: u64,
        /// The version found.
        found: u64,
    },
    /// A version number beyond what JSON carries exactly.
    #[error("{file} has a version outside 1 to {VERSION_MAX}")]
    VersionRange {
        /// The file.
        file: String,
    },
    /// It has expired: somebody withholds newer ones, or nobody signs any more.
    #[error("{role} expired at {expires}")]
    Expired {
        /// The role.
        role: String,
        /// When.
        expires: String,
    },
    /// A file other than the one that was named with it.
    #[error("{reason}")]
    MixAndMatch {
        /// Which file, and how it differs.
        reason: String,
    },
    /// A key that cannot be used.
    #[error("a key cannot be used: {reason}")]
    Key {
        /// Which and why.
        reason: String,
    },
    /// More delegations than are read.
    #[error("{role} delegates to {count} roles; at most {DELEGATIONS_MAX} are read")]
    TooManyDelegations {
        /// The role.
        role: String,
        /// How many.
        count: usize,
    },
    /// A file longer than its kind may be.
    #[error("{file} is longer than {limit} bytes")]
    TooLarge {
        /// The file.
        file: String,
        /// The limit in bytes.
        limit: u64,
    },
    /// More new roots than are walked at once.
    #[error("there are more than {limit} new roots")]
    TooManyRoots {
        /// The limit.
        limit: u32,
    },
    /// A file that is named and not there.
    #[error("{file} is not there")]
    Missing {
        /// The file.
        file: String,
    },
    /// No role lists the target.
    #[error("no role lists {path}")]
    NotListed {
        /// The target.
        path: String,
    },
}

impl TufError {
    /// A stable code for programs. It never changes its meaning.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Malformed { .. } => "tuf.malformed",
            Self::Threshold { .. } => "tuf.threshold_not_met",
            Self::DuplicateSignature { .. } => "tuf.signature_duplicated",
            Self::Rollback { .. } => "tuf.rollback",
            Self::TimeBackwards { .. } => "tuf.time_backwards",
            Self::RootVersion { .. } => "tuf.root_version",
            Self::VersionRange { .. } => "tuf.version_out_of_range",
            Self::Expired { .. } => "tuf.expired",
            Self::MixAndMatch { .. } => "tuf.mix_and_match",
            Self::Key { .. } => "tuf.key_unusable",
            Self::TooManyDelegations { .. } => "tuf.too_many_delegations",
            Self::TooLarge { .. } => "tuf.too_large",
            Self::TooManyRoots { .. } => "tuf.too_many_roots",
            Self::Missing { .. } => "tuf.missing",
            Self::NotListed { .. } => "tuf.not_listed",
        }
    }

    /// What a check of the library means here. `file` is what was being read.
    pub(super) fn of_library(error: &sigstore_tuf::Error, file: &str) -> Self {
        use sigstore_tuf::Error as E;
        match error {
            E::DuplicateSignature { role, key_id } => {
                Self::DuplicateSignature { role: role.clone(), key_id: short(key_id) }
            }
            E::ThresholdNotMet { role, found, threshold } => {
                Self::Threshold { role: role.clone(), found: *found, threshold: *threshold }
            }
            E::Rollback { role, trusted, new } => {
                Self::Rollback { role: role.clone(), found: *new, floor: *trusted }
            }
            E::BadRootVersion { trusted, new } => {
                Self::RootVersion { trusted: *trusted, found: *new }
            }
            E::Expired { role, expires } => {
                Self::Expired { role: role.clone(), expires: expires.to_string() }
            }
            E::IntegrityMismatch(reason) => Self::MixAndMatch { reason: short(reason) },
            E::UnusableKey { .. } | E::UnsupportedScheme { .. } => {
                Self::Key { reason: error.to_string() }
            }
            E::TargetNotFound(path) => Self::NotListed { path: short(path) },
            other => {
                let cause = std::error::Error::source(other).map(|cause| format!(": {cause}"));
                let reason = format!("{other}{}", cause.unwrap_or_default());
                Self::Malformed { file: file.to_owned(), reason: short(&reason) }
            }
        }
    }
}

/// What others wrote, cut to what a person reads.
fn short(text: &str) -> String {
    text.chars().take(200).collect()
}
