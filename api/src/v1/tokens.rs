//! API tokens on the wire.

use serde::{Deserialize, Serialize};

/// What a token allows. A token has one scope; whoever needs two makes two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// Everything, including making tokens and claiming namespaces.
    Admin,
    /// Upload blobs and publish into the token's namespace.
    Publish,
    /// Apply signed policies, make node tokens, read the fleet.
    Operate,
    /// Read the fleet.
    ReadFleet,
}

/// Asks for a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CreateToken {
    /// Who or what will use it, for the audit trail; 1 to 63 characters.
    pub name: String,
    pub scope: Scope,
    /// Needed for [`Scope::Publish`]: the namespace it may publish into.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Seconds it stays valid, 60 to 31,536,000 (a year).
    pub valid_secs: u64,
}

/// A fresh token. The secret is shown once; the server keeps only its hash.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CreatedToken {
    pub info: TokenInfo,
    pub secret: String,
}

/// A token as its owner may list it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TokenInfo {
    pub id: String,
    pub name: String,
    pub scope: Scope,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    pub created_at: i64,
    pub expires_at: i64,
}
