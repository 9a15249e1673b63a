//! `skep.toml`: what an author claims about a package, parsed strictly.
//! It refuses to know whether the claims are true; `layout` compares them with the object's facts.

mod check;
mod setting;
mod words;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::hook::Hook;
use crate::json::{self, JsonError};
use crate::limits::MANIFEST_JSON_BYTES_MAX;
use crate::name::{PackageName, Version};
use crate::object::IntType;

pub use words::{Arch, Direction, Family, KeyType, MetricKind};

/// A whole `skep.toml`. Made only by [`Manifest::parse`] and [`Manifest::from_canonical_json`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Manifest {
    /// Who and what.
    pub package: PackageInfo,
    /// How `skep build` makes the objects; without it they exist already.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub build: Option<Build>,
    /// The object files, each for the architectures it serves.
    #[serde(rename = "object", default)]
    pub objects: Vec<ObjectClaim>,
    /// The programs meant to be attached.
    #[serde(rename = "program", default)]
    pub programs: Vec<ProgramClaim>,
    /// Typed settings by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub config: BTreeMap<String, Setting>,
    /// Numbers the programs count.
    #[serde(rename = "metric", default, skip_serializing_if = "Vec::is_empty")]
    pub metrics: Vec<Metric>,
    /// Where the test vectors are.
    #[serde(rename = "test", skip_serializing_if = "Option::is_none")]
    pub tests: Option<Tests>,
    /// How the state of an older version's maps becomes this one's, by the map's name here.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub migrate: BTreeMap<String, Migration>,
}

/// `[package]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PackageInfo {
    /// `namespace/name`.
    pub name: PackageName,
    /// Semantic version.
    pub version: Version,
    /// SPDX licence expression.
    pub license: String,
    /// One line about what it does.
    pub description: String,
    /// The README file, relative to `skep.toml`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub readme: Option<String>,
    /// An https address of the source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// At most 10 words for the search.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keywords: Vec<String>,
    /// At most 5 categories such as `network/ddos`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub categories: Vec<String>,
}

/// `[build]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Build {
    /// A C file compiled with clang, or the main input of `command`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Folders clang looks for headers in, relative to `skep.toml`; they may lie outside the package's folder.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub include: Vec<String>,
    /// A command and its arguments that writes the object files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
}

/// `[[object]]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ObjectClaim {
    /// The object file, relative to `skep.toml`.
    pub path: String,
    /// Architectures it serves. Default: the three little-endian ones, which share bytecode.
    #[serde(default = "Arch::little_endian")]
    pub arch: Vec<Arch>,
}

/// `[[program]]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ProgramClaim {
    /// The function's name in the object.
    pub name: String,
    /// `xdp` or `tc`.
    #[serde(rename = "type")]
    pub family: Family,
    /// Directions it may be attached in. Default: ingress.
    #[serde(default = "Direction::ingress_only")]
    pub attach: Vec<Direction>,
    /// Verdicts after which the next program runs. Default: xdp `pass`; tc `unspec`, `pipe`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proceed_on: Option<Vec<String>>,
    /// Place in the chain, 0 (first) to 1000. Default: 50. An operator may override it.
    #[serde(default = "words::default_priority")]
    pub priority: u32,
}

/// `[config.NAME]`: one typed setting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "setting::SettingText", into = "setting::SettingText")]
pub struct Setting {
    /// What it sets.
    pub target: SettingTarget,
    /// One line about it.
    pub about: Option<String>,
}

/// What a setting sets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SettingTarget {
    /// A constant global variable of the object.
    Global {
        /// The variable's name.
        global: String,
        /// Its type.
        ty: IntType,
        /// The value when an operator says nothing; without it the compiled value stays.
        default: Option<Scalar>,
        /// The smallest value allowed.
        min: Option<u64>,
        /// The largest value allowed.
        max: Option<u64>,
        /// The unit people read, for instance `packets/s`.
        unit: Option<String>,
    },
    /// The entries of a map.
    Map {
        /// The map's name.
        map: String,
        /// How a key is written.
        key: KeyType,
        /// How a value is written.
        value: IntType,
    },
}

/// A value of a scalar setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Scalar {
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Number(u64),
}

/// `[[metric]]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Metric {
    /// Its name, `[a-z0-9_]`.
    pub name: String,
    /// The map that holds it.
    pub map: String,
    /// The key inside the map.
    pub key: u64,
    /// Counter or gauge.
    pub kind: MetricKind,
    /// The unit people read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// One line about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
}

/// `[test]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Tests {
    /// A pattern of files relative to `skep.toml`.
    pub vectors: String,
}

/// `[migrate.MAP]`: how a map takes over what an older version kept, when their layouts differ. Entries
/// are copied field by field, by name; fields that are new begin as zero, numbers may grow. What the
/// old program writes between the copy and the switch is not in it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Migration {
    /// The map's name in the older version. Default: the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Fields of the older version that are given up, with dots into structs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drop: Vec<String>,
}

/// Why a `skep.toml` is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// Not TOML, a missing or unknown key, or a value of the wrong type.
    #[error("skep.toml, line {line}: {reason}")]
    Toml {
        /// Line, counted from 1.
        line: usize,
        /// What the parser said; it names the key.
        reason: String,
    },
    /// A key whose value cannot be accepted.
    #[error("skep.toml, {key}: {reason}")]
    Value {
        /// The key, for instance `program[0].priority`.
        key: String,
        /// What is wrong and what to write instead.
        reason: String,
    },
    /// The text is longer than any manifest may be.
    #[error("skep.toml has {bytes} bytes; at most {MANIFEST_JSON_BYTES_MAX} are read")]
    TooLong {
        /// Its length in bytes.
        bytes: usize,
    },
    /// The JSON form is not strict JSON of the right shape.
    #[error("the manifest's JSON is refused: {0}")]
    Json(JsonError),
    /// The JSON form is not the canonical one, so two documents would have one meaning and two digests.
    #[error("the manifest's JSON is not in canonical form; build the package again with skep")]
    NotCanonical,
}

impl Manifest {
    /// Reads a `skep.toml`. Unknown keys are refused; the error names the key and the line.
    pub fn parse(text: &str) -> Result<Self, ManifestError> {
        if text.len() > MANIFEST_JSON_BYTES_MAX {
            return Err(ManifestError::TooLong { bytes: text.len() });
        }
        let manifest: Self = toml::from_str(text).map_err(|error| {
            let start = error.span().map_or(0, |span| span.start);
            let line = text.bytes().take(start).filter(|byte| *byte == b'\n').count() + 1;
            ManifestError::Toml { line, reason: error.message().to_owned() }
        })?;
        check::check(&manifest)?;
        // Canonical JSON normalises text (NFC); read it back so that both forms are one value.
        Self::from_value_bytes(&manifest.to_canonical()?)
    }

    /// The canonical JSON whose digest the index annotation binds.
    pub fn canonical_json(&self) -> Vec<u8> {
        // A manifest exists only after `to_canonical` succeeded once on the same value.
        self.to_canonical().unwrap_or_default()
    }

    /// Reads what [`Manifest::canonical_json`] wrote, and nothing else: another spelling of the same value is refused.
    pub fn from_canonical_json(bytes: &[u8]) -> Result<Self, ManifestError> {
        let manifest = Self::from_value_bytes(bytes)?;
        if manifest.to_canonical()? != bytes {
            return Err(ManifestError::NotCanonical);
        }
        Ok(manifest)
    }

    /// The claim about a program.
    pub fn program(&self, name: &str) -> Option<&ProgramClaim> {
        self.programs.iter().find(|program| program.name == name)
    }

    /// Every hook one of the programs may be attached to, sorted.
    pub fn hooks(&self) -> Vec<Hook> {
        let mut hooks: Vec<_> = self.programs.iter().flat_map(ProgramClaim::hooks).collect();
        hooks.sort_unstable();
        hooks.dedup();
        hooks
    }

    /// Every architecture one of the objects serves, sorted.
    pub fn archs(&self) -> Vec<Arch> {
        let mut archs: Vec<_> =
            self.objects.iter().flat_map(|object| object.arch.iter().copied()).collect();
        archs.sort_unstable();
        archs
    }

    fn from_value_bytes(bytes: &[u8]) -> Result<Self, ManifestError> {
        let manifest: Self =
            json::parse_into(bytes, MANIFEST_JSON_BYTES_MAX).map_err(ManifestError::Json)?;
        check::check(&manifest)?;
        Ok(manifest)
    }

    fn to_canonical(&self) -> Result<Vec<u8>, ManifestError> {
        json::canonical(self).map_err(ManifestError::Json)
    }
}

impl ProgramClaim {
    /// The hooks this program may be attached to.
    pub fn hooks(&self) -> Vec<Hook> {
        let hook = |direction: &Direction| match (self.family, direction) {
            (Family::Xdp, _) => Hook::Xdp,
            (Family::Tc, Direction::Ingress) => Hook::TcIngress,
            (Family::Tc, Direction::Egress) => Hook::TcEgress,
        };
        self.attach.iter().map(hook).collect()
    }

    /// The verdicts after which the next program runs: what the author wrote, else the family's default.
    pub fn proceed_on(&self) -> crate::hook::VerdictSet {
        let hook = self.family.any_hook();
        let written = self.proceed_on.as_deref();
        written
            .and_then(|names| crate::hook::VerdictSet::from_names(hook, names).ok())
            .unwrap_or_else(|| crate::hook::VerdictSet::default_for(hook))
    }
}

#[cfg(test)]
mod tests;
