//! Why the control plane did not do what it was asked. Refuses to know HTTP.

use super::LABEL_BYTES_MAX;
use super::documents::DocumentError;
use super::rollouts::RolloutError;
use crate::secret::NoRandomness;
use crate::store::StoreError;
use skep_api::v1::sync::{DESIRED_BYTES_MAX, POLICIES_MAX};
use skep_artifact::digest::Digest;
use skep_artifact::dsse::DsseError;
use skep_artifact::name::{PackageName, Version};
use skep_fleet::ids::{NodeName, PolicyName};
use skep_fleet::policy::PolicyError;
use skep_fleet::selector::LABELS_MAX;

/// Why the control plane did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    #[error("the envelope is not base64")]
    EnvelopeText,
    #[error("the envelope is refused")]
    Envelope { source: DsseError },
    #[error("the envelope holds '{found}', not a policy revision")]
    PayloadType { found: String },
    #[error("the policy revision is refused")]
    Revision { source: Box<PolicyError> },
    #[error("the policy names {package} {version}, which is not published here")]
    NoSuchPackage { package: PackageName, version: Version },
    #[error(transparent)]
    OtherIndex(Box<IndexMismatch>),
    #[error(transparent)]
    Rollout(#[from] RolloutError),
    #[error("policy {policy} is at revision {stored}; revision {found} is not newer")]
    Stale { policy: PolicyName, stored: u64, found: u64 },
    #[error(
        "node {node} would have {policies} policies of {bytes} bytes; at most {POLICIES_MAX} of {DESIRED_BYTES_MAX} bytes are allowed"
    )]
    TooMuch { node: NodeName, policies: usize, bytes: usize },
    #[error(transparent)]
    Document(#[from] DocumentError),
    #[error("the assignment cannot be written")]
    Assignment { source: DsseError },
    #[error("the node token is refused")]
    TokenRefused,
    #[error("the name {name} is taken")]
    NameTaken { name: NodeName },
    #[error(
        "{found} labels, or one of more than {LABEL_BYTES_MAX} bytes; at most {LABELS_MAX} are allowed"
    )]
    Labels { found: usize },
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Randomness(#[from] NoRandomness),
}

/// A policy that names other bytes under a published version's name.
#[derive(Debug, thiserror::Error)]
#[error("{package} {version} has index {published}, the policy names {named}")]
pub struct IndexMismatch {
    pub package: PackageName,
    pub version: Version,
    pub published: Digest,
    pub named: Digest,
}
