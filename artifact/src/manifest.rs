//! `skep.toml`: what an author claims about a package, parsed strictly.
//! It refuses to know whether the claims are true; `layout` compares them with the object's facts.

mod check;

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::hook::Hook;
use crate::json::{self, JsonError};
use crate::limits::MANIFEST_JSON_BYTES_MAX;
use crate::name::{PackageName, Version};
use crate::object::{Endian, IntType};

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
    #[serde(default = "default_priority")]
    pub priority: u32,
}

/// The two families of program a chain can be made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// XDP.
    Xdp,
    /// Traffic control.
    Tc,
}

/// The direction of the traffic a program sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Received.
    Ingress,
    /// Sent.
    Egress,
}

/// A processor architecture, by Go's names as OCI uses them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Arch {
    /// x86-64.
    Amd64,
    /// AArch64.
    Arm64,
    /// LoongArch, 64 bit.
    Loong64,
    /// POWER, little-endian.
    Ppc64le,
    /// RISC-V, 64 bit.
    Riscv64,
    /// IBM Z, big-endian.
    S390x,
}

/// `[config.NAME]`: one typed setting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "check::SettingText", into = "check::SettingText")]
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

/// How the keys of a map setting are written and laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyType {
    /// An IPv4 or IPv6 prefix for an LPM trie.
    Cidr,
    /// One byte.
    U8,
    /// Two bytes in the object's byte order.
    U16,
    /// Four bytes.
    U32,
    /// Eight bytes.
    U64,
    /// Two bytes in network byte order, as ports stand in packets.
    Be16,
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

/// How a metric moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MetricKind {
    /// Only up.
    Counter,
    /// Up and down.
    Gauge,
}

/// `[test]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Tests {
    /// A pattern of files relative to `skep.toml`.
    pub vectors: String,
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
        // Canonical JSON normalizes text (NFC); read it back so that both forms are one value.
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

impl Family {
    /// A hook of the family, to look verdicts up with.
    pub const fn any_hook(self) -> Hook {
        match self {
            Self::Xdp => Hook::Xdp,
            Self::Tc => Hook::TcIngress,
        }
    }
}

impl Direction {
    fn ingress_only() -> Vec<Self> {
        vec![Self::Ingress]
    }
}

const fn default_priority() -> u32 {
    50
}

impl Arch {
    /// Every architecture, in order.
    pub const ALL: [Self; 6] =
        [Self::Amd64, Self::Arm64, Self::Loong64, Self::Ppc64le, Self::Riscv64, Self::S390x];

    /// The name in OCI platforms.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
            Self::Loong64 => "loong64",
            Self::Ppc64le => "ppc64le",
            Self::Riscv64 => "riscv64",
            Self::S390x => "s390x",
        }
    }

    /// The architecture with this OCI name, or with the name the kernel's `uname -m` reports.
    pub fn from_name(name: &str) -> Option<Self> {
        let alias = match name {
            "x86_64" => Some(Self::Amd64),
            "aarch64" => Some(Self::Arm64),
            "loongarch64" => Some(Self::Loong64),
            _ => None,
        };
        alias.or_else(|| Self::from_oci_name(name))
    }

    /// The architecture with exactly this OCI name.
    pub fn from_oci_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|arch| arch.as_str() == name)
    }

    /// Its byte order.
    pub const fn endian(self) -> Endian {
        match self {
            Self::Amd64 | Self::Arm64 | Self::Loong64 | Self::Ppc64le | Self::Riscv64 => {
                Endian::Little
            }
            Self::S390x => Endian::Big,
        }
    }

    fn little_endian() -> Vec<Self> {
        vec![Self::Amd64, Self::Arm64, Self::Riscv64]
    }
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Xdp => "xdp",
            Self::Tc => "tc",
        })
    }
}

impl fmt::Display for KeyType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Cidr => "cidr",
            Self::U8 => "u8",
            Self::U16 => "u16",
            Self::U32 => "u32",
            Self::U64 => "u64",
            Self::Be16 => "be16",
        })
    }
}

#[cfg(test)]
mod tests;
