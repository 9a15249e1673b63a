//! Why a role file is refused.

use crate::json::JsonError;
use crate::key::KeyId;
use crate::limits::{SIGNATURES_MAX, TARGETS_MAX};
use crate::name::{Namespace, PackageName, Version};

/// Why a role file is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RoleError {
    /// Not strict JSON of the right shape.
    #[error("the role file is not a TUF targets role: {0}")]
    Json(JsonError),
    /// `_type` is not `targets`: a role of another kind is passed off as one.
    #[error("the file is a `{found}` role, not a targets role")]
    Type {
        /// What it says it is.
        found: String,
    },
    /// A major version of the TUF specification we do not read.
    #[error("the role follows TUF {found}; 1.x is read")]
    SpecVersion {
        /// What it says it follows.
        found: String,
    },
    /// Role versions begin at 1.
    #[error("the role has version 0; versions begin at 1")]
    VersionZero,
    /// `expires` is not `YYYY-MM-DDTHH:MM:SSZ`.
    #[error("the role expires at `{found}`, which is not written YYYY-MM-DDTHH:MM:SSZ")]
    Expires {
        /// What is written.
        found: String,
    },
    /// A target outside the namespace, or one whose path is not `namespace/name/version`.
    #[error("the role of {namespace} lists `{path}`, which is not one of its packages")]
    Path {
        /// Whose role it is.
        namespace: Namespace,
        /// The offending path.
        path: String,
    },
    /// A target's `custom.version` is not the version in its path.
    #[error("`{path}` says it is version {custom}")]
    VersionMismatch {
        /// The path.
        path: String,
        /// The other version.
        custom: Version,
    },
    /// A target whose `hashes.sha256` is not 64 lower-case hexadecimal digits.
    #[error("`{path}` has no sha256 of 64 lower-case hexadecimal digits")]
    Hash {
        /// The path.
        path: String,
    },
    /// A role that passes trust on: a namespace's role is the end of the line.
    #[error("the role delegates to other roles; a namespace's role may not")]
    Delegates,
    /// More versions than are read.
    #[error("the role lists {count} versions; at most {TARGETS_MAX} are read")]
    TooManyTargets {
        /// How many there are.
        count: usize,
    },
    /// Two versions of a package with one release counter.
    #[error("two versions of {package} have release {release}; the counter must grow")]
    ReleaseTwice {
        /// The package.
        package: PackageName,
        /// The counter used twice.
        release: u64,
    },
    /// More signatures than are read.
    #[error("the role carries {count} signatures; at most {SIGNATURES_MAX} are read")]
    TooManySignatures {
        /// How many there are.
        count: usize,
    },
    /// Two signatures by one key.
    #[error("the role carries two signatures by key {key_id}")]
    DuplicateKey {
        /// The key named twice.
        key_id: KeyId,
    },
    /// Too few accepted keys signed.
    #[error("{valid} of the accepted keys signed the role; {threshold} must")]
    Threshold {
        /// How many accepted keys signed it validly.
        valid: usize,
        /// How many must.
        threshold: usize,
        /// The keys the role names that are not accepted.
        untrusted: Vec<KeyId>,
    },
    /// A signature that names an accepted key does not verify.
    #[error("the signature by key {key_id} does not verify")]
    BadSignature {
        /// The accepted key.
        key_id: KeyId,
    },
    /// The caller accepts nobody, or asks for no signature at all.
    #[error("no key is accepted, or the threshold {threshold} cannot be met by {keys} keys")]
    Unverifiable {
        /// Keys accepted.
        keys: usize,
        /// Signatures asked for.
        threshold: usize,
    },
}

impl From<crate::threshold::ThresholdError> for RoleError {
    fn from(error: crate::threshold::ThresholdError) -> Self {
        use crate::threshold::ThresholdError as E;
        match error {
            E::Unverifiable { keys, threshold } => Self::Unverifiable { keys, threshold },
            E::BadSignature { key_id } => Self::BadSignature { key_id },
            E::TooFew { valid, threshold, untrusted } => {
                Self::Threshold { valid, threshold, untrusted }
            }
        }
    }
}
