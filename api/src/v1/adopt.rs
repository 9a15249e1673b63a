//! Taking over signed packages from another registry: what a mirror and an air-gap bundle bring.
//! Refuses to know where the bytes came from; signatures say whose they are.

use serde::{Deserialize, Serialize};
use skep_artifact::digest::Digest;
use skep_artifact::name::{Namespace, PackageName};

/// Versions in one call: they become visible together, and a call stays below a second or two.
pub const ADOPT_VERSIONS_MAX: usize = 64;

/// One version to take over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct AdoptedVersion {
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub name: PackageName,
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub version: semver::Version,
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub index: Digest,
    /// Digests of every other blob of the version. All must have been uploaded.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub blobs: Vec<Digest>,
}

/// Takes over versions of one namespace with the role file that lists them. Atomic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct AdoptRequest {
    /// The namespace's role file as its publisher signed it, base64. It must not be older than the one that is here,
    /// unless that one lists the same versions.
    pub role: String,
    pub versions: Vec<AdoptedVersion>,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AdoptReceipt {
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub namespace: Namespace,
    /// The role version that is served now.
    pub role_version: u64,
    /// `name version` of each that became visible.
    pub added: Vec<String>,
    /// `name version` of each that was here already.
    pub present: Vec<String>,
}
