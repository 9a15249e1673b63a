//! Packages on the wire: publish, browse, look up.

use super::life::Deprecation;
use crate::v1::log::LogProof;
use serde::{Deserialize, Serialize};
use skep_artifact::digest::Digest;
use skep_artifact::hook::Hook;
use skep_artifact::name::PackageName;
use skep_artifact::object::{KernelVersion, ObjectFacts};

/// Most packages in one page of a listing: a page of 100 stays under 64 KiB.
pub const PAGE_MAX: u32 = 100;
/// Packages in a page when the caller names no limit.
pub const PAGE_DEFAULT: u32 = 25;

/// One row of a listing or a search.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PackageSummary {
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub name: PackageName,
    /// The highest version that is not yanked.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub version: semver::Version,
    pub description: String,
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub hooks: Vec<Hook>,
    pub license: String,
    /// Lowest kernel release that has everything the package uses, like `5.9`; from the ELF.
    pub lowest_kernel: Option<String>,
    /// Key ids that signed the namespace's role file.
    pub signed_by: Vec<String>,
    /// Nodes that run any version of it now.
    pub installs: u64,
    /// How often any version of it was downloaded.
    #[serde(default)]
    pub downloads: u64,
    /// Seconds since 1970 when that version was published.
    pub published_at: i64,
    /// Set when the whole package should no longer be chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deprecated: Option<Deprecation>,
}

/// One page of a listing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PackagePage {
    pub packages: Vec<PackageSummary>,
    /// Pass as `after` to get the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// How many packages match in all. A search looks at 5,000 matches of its words, the newest, and at 1,000 names.
    pub total: u64,
}

/// What a listing may be narrowed by.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams))]
#[cfg_attr(feature = "openapi", into_params(parameter_in = Query))]
pub struct PackageQuery {
    /// Words to look for in name, description and keywords.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub q: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", param(value_type = Option<String>))]
    pub hook: Option<Hook>,
    /// Only packages with a program of this type, like `xdp` or `kprobe`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program_type: Option<String>,
    /// Only packages that run on this kernel release, like `5.15`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", param(value_type = Option<String>))]
    pub kernel: Option<KernelVersion>,
    /// Only packages with objects for this machine, like `amd64`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arch: Option<String>,
    /// Only packages under this licence, as SPDX writes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub license: Option<String>,
    /// Only packages of this namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Only packages that somebody attested to load on this kernel series, like `6.1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified_on: Option<String>,
    /// Only packages that the key with this id signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed_by: Option<String>,
    /// Only packages of this category.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// 1 to [`PAGE_MAX`]; [`PAGE_DEFAULT`] when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// A package with all its versions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PackageDetail {
    pub summary: PackageSummary,
    pub repository: Option<String>,
    pub keywords: Vec<String>,
    pub categories: Vec<String>,
    /// The README of the newest version as sanitised HTML; empty when it has none.
    pub readme_html: String,
    /// Newest first.
    pub versions: Vec<VersionSummary>,
}

/// One row of a package's version list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct VersionSummary {
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub version: semver::Version,
    /// The publisher's release counter; grows with every publish of the package.
    pub release: u64,
    /// Digest of the OCI index, which the publisher signed.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub index: Digest,
    pub published_at: i64,
    /// Nothing new picks a yanked version; where it runs it runs on.
    pub yanked: bool,
    /// Why it was yanked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub yank_message: Option<String>,
    /// Set when this version should no longer be chosen; the package's own deprecation stands beside it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deprecated: Option<Deprecation>,
    pub size_bytes: u64,
    /// Its number in the transparency log; `GET …/{version}/log` proves it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_index: Option<u64>,
}

/// Everything about one version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct VersionDetail {
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub name: PackageName,
    #[serde(flatten)]
    pub summary: VersionSummary,
    /// The canonical `skep.toml` as JSON.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub manifest: serde_json::Value,
    /// What the ELF objects really do, one per object.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<Object>))]
    pub facts: Vec<ObjectFacts>,
    pub readme_html: String,
    /// Key ids that signed, and how many the namespace asks for.
    pub signed_by: Vec<String>,
    pub threshold: u32,
    /// Version of the role file that first named this package version.
    pub role_version: u64,
    /// Name of the account or token that uploaded it.
    pub published_by: String,
    /// Why its package was deleted, when it was. Nodes that run the version go on getting it by digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tombstoned: Option<String>,
}

/// Makes uploaded blobs a version. Atomic: either all of it is visible, or nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PublishRequest {
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub version: semver::Version,
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub index: Digest,
    /// Digests of every other blob that belongs to the version (image manifests, configs, layers,
    /// referrers). All must have been uploaded.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub blobs: Vec<Digest>,
    /// The namespace's new role file, base64, whose version is one more than the server's.
    pub role: String,
}

/// The server's answer to a publish: it is stored and will be there after a crash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PublishReceipt {
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub name: PackageName,
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub version: semver::Version,
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub index: Digest,
    pub role_version: u64,
    pub published_at: i64,
    /// That it is in the transparency log, for the publisher to verify before believing it.
    pub log: LogProof,
}
