//! Trusted publishing on the wire: which jobs of which CI may publish without a stored token.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Lets jobs that an issuer vouches for publish.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AddPublisher {
    /// Name of an issuer the registry believes, like `github`.
    pub issuer: String,
    /// The one package it is for; without it every package of the namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package: Option<String>,
    /// What the issuer must say about the job, claim by claim, exactly: `repository`, `workflow`,
    /// `environment` and whatever else its tokens hold.
    pub claims: BTreeMap<String, String>,
}

/// A trusted publisher of a namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PublisherInfo {
    pub id: String,
    pub issuer: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package: Option<String>,
    pub claims: BTreeMap<String, String>,
    pub created_by: String,
    pub created_at: i64,
}

/// The trusted publishers of a namespace, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PublisherList {
    pub publishers: Vec<PublisherInfo>,
}

/// Exchanges what an issuer says about a job for a publish token.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ExchangeToken {
    /// The ID token of the job.
    pub token: String,
    /// What is to be published: `acme/ratelimit`, or `acme/*` where a publisher is for all of it.
    pub pattern: String,
}

/// A publish token for a few minutes.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ExchangedToken {
    pub token: String,
    pub pattern: String,
    pub expires_at: i64,
}

/// An issuer the registry believes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct IssuerInfo {
    pub name: String,
    pub url: String,
    /// Whether people log in by it.
    pub login: bool,
    /// What tokens for trusted publishing must be made for; absent where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audience: Option<String>,
}

/// The issuers the registry believes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct IssuerList {
    pub issuers: Vec<IssuerInfo>,
}

/// Where a browser has to go to link an identity to its account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LinkStarted {
    pub url: String,
}
