//! How often a package is downloaded and where it runs, on the wire.

use serde::{Deserialize, Serialize};
use skep_artifact::name::PackageName;

/// Days that are told one by one.
pub const STATS_DAYS: u32 = 90;

/// How much a package is used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PackageStats {
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub name: PackageName,
    /// How often the index of any version was fetched. Counted some seconds late.
    pub downloads: u64,
    /// Nodes that run any version of it now.
    pub installs: u64,
    /// Newest first.
    pub versions: Vec<VersionStats>,
    /// Oldest first, at most 90; days without a download are left out.
    pub days: Vec<DayStats>,
}

/// How much a version is used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct VersionStats {
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub version: semver::Version,
    pub downloads: u64,
    /// Nodes that run it now.
    pub installs: u64,
}

/// How often a package was downloaded on one day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DayStats {
    /// When the day began: seconds since 1970, in UTC.
    pub day: i64,
    pub downloads: u64,
}
