//! Namespaces on the wire: who may sign for `acme/*`.

use serde::{Deserialize, Serialize};
use skep_artifact::key::PublicKey;
use skep_artifact::name::Namespace;

/// Claims a namespace for a set of publisher keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ClaimNamespace {
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub name: Namespace,
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub keys: Vec<PublicKey>,
    /// How many of the keys must sign, 1 to the number of keys.
    pub threshold: u32,
}

/// A namespace as everybody may see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NamespaceInfo {
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub name: Namespace,
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub keys: Vec<PublicKey>,
    pub threshold: u32,
    /// Version of the newest role file; 0 when nothing was published yet.
    pub role_version: u64,
    pub packages: u64,
}
