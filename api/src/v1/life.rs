//! What becomes of a published package: yanked, deprecated, deleted. Refuses to know who may do that.

use serde::{Deserialize, Serialize};
use skep_artifact::name::PackageName;

/// Characters of the message that says why: a paragraph that still fits a terminal and a web page.
pub const LIFE_MESSAGE_CHARS_MAX: usize = 500;
/// Events of one package that are shown, newest first: 500 are more than a person reads.
pub const LIFE_EVENTS_MAX: u32 = 500;

/// Why something should not be used any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Reason {
    /// One paragraph for whoever uses it.
    pub message: String,
}

/// Why something should not be used any more, and what to use instead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Deprecation {
    pub message: String,
    /// The package that takes its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub replacement: Option<PackageName>,
}

/// What was done to a package or to one of its versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum LifeAction {
    /// Nothing new picks the version; where it runs it runs on.
    Yank,
    /// The version may be picked again.
    Unyank,
    /// It may be picked, with a warning.
    Deprecate,
    /// The warning was taken back.
    Undeprecate,
    /// The package was deleted for good; nobody can use its name again.
    Tombstone,
}

/// One entry of a package's history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LifeEvent {
    pub action: LifeAction,
    /// Absent when it was done to the whole package.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub version: Option<semver::Version>,
    /// Empty where none is needed.
    pub message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub replacement: Option<PackageName>,
    /// Seconds since 1970.
    pub at: i64,
    /// Name of the account or token that did it.
    pub by: String,
}

/// Everything that was done to a package, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LifeHistory {
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub name: PackageName,
    pub events: Vec<LifeEvent>,
}

/// The answer to a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LifeReceipt {
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub name: PackageName,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub version: Option<semver::Version>,
    pub action: LifeAction,
    /// `false` when it was so already.
    pub changed: bool,
}

impl LifeAction {
    /// The word on the wire and in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Yank => "yank",
            Self::Unyank => "unyank",
            Self::Deprecate => "deprecate",
            Self::Undeprecate => "undeprecate",
            Self::Tombstone => "tombstone",
        }
    }
}
