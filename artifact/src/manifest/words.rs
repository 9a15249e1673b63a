//! The fixed words of a `skep.toml`: families, directions, architectures, key types, metric kinds.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::hook::Hook;
use crate::object::Endian;

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

/// How a metric moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MetricKind {
    /// Only up.
    Counter,
    /// Up and down.
    Gauge,
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
    pub(super) fn ingress_only() -> Vec<Self> {
        vec![Self::Ingress]
    }
}

pub(super) const fn default_priority() -> u32 {
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

    pub(super) fn little_endian() -> Vec<Self> {
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
