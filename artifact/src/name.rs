//! Names of namespaces and packages: `acme/ratelimit`.
//! It refuses to know who owns a name; it holds only which texts can be names at all.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::limits::NAME_CHARS_MAX;

pub use semver::Version;

/// Namespaces nobody may have: words a web address or an API path gives a meaning to.
const RESERVED_NAMESPACES: &[&str] = &[
    "admin",
    "api",
    "assets",
    "docs",
    "healthz",
    "login",
    "logout",
    "metrics",
    "namespaces",
    "new",
    "nodes",
    "packages",
    "policies",
    "rollouts",
    "root",
    "search",
    "settings",
    "static",
    "system",
    "tokens",
    "v1",
    "v2",
    "www",
];

/// Short names no package may have, for the same reason.
const RESERVED_PACKAGES: &[&str] = &["new", "settings"];

/// A publisher's namespace: 1 to 39 characters of `[a-z0-9-]`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Namespace(String);

/// A package's full name, `namespace/name`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PackageName {
    namespace: Namespace,
    short: String,
}

/// Why a text is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// There is not exactly one `/`.
    #[error("`{text}` is not a package name; write namespace/name, for instance acme/ratelimit")]
    Shape {
        /// What was written.
        text: String,
    },
    /// Empty or longer than the limit.
    #[error("`{part}` has {chars} characters; a name has 1 to {NAME_CHARS_MAX}")]
    Length {
        /// The offending part.
        part: String,
        /// Its length in characters.
        chars: usize,
    },
    /// A character outside `[a-z0-9-]`.
    #[error("`{part}` holds {found:?}; a name is made of a-z, 0-9 and -")]
    Character {
        /// The offending part.
        part: String,
        /// The first character that is not allowed.
        found: char,
    },
    /// A hyphen at either end, or two in a row.
    #[error(
        "`{part}` begins or ends with a hyphen, or has two in a row; hyphens stand between letters or digits"
    )]
    Hyphen {
        /// The offending part.
        part: String,
    },
    /// A word with a meaning of its own.
    #[error("`{part}` is reserved; choose another name")]
    Reserved {
        /// The reserved word.
        part: String,
    },
}

impl Namespace {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl PackageName {
    /// The part before the slash.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// The part after the slash.
    pub fn short(&self) -> &str {
        &self.short
    }
}

impl FromStr for Namespace {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        check_part(text, RESERVED_NAMESPACES)?;
        Ok(Self(text.to_owned()))
    }
}

impl FromStr for PackageName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let shape =
            || NameError::Shape { text: text.chars().take(NAME_CHARS_MAX * 2 + 1).collect() };
        let (namespace, short) = text.split_once('/').ok_or_else(shape)?;
        if short.contains('/') {
            return Err(shape());
        }
        let namespace = namespace.parse()?;
        check_part(short, RESERVED_PACKAGES)?;
        Ok(Self { namespace, short: short.to_owned() })
    }
}

fn check_part(part: &str, reserved: &[&str]) -> Result<(), NameError> {
    let owned = || part.chars().take(NAME_CHARS_MAX + 1).collect::<String>();
    if let Some(found) = part.chars().find(|c| !matches!(c, 'a'..='z' | '0'..='9' | '-')) {
        return Err(NameError::Character { part: owned(), found });
    }
    if part.is_empty() || part.len() > NAME_CHARS_MAX {
        return Err(NameError::Length { part: owned(), chars: part.len() });
    }
    if part.starts_with('-') || part.ends_with('-') || part.contains("--") {
        return Err(NameError::Hyphen { part: owned() });
    }
    if reserved.contains(&part) {
        return Err(NameError::Reserved { part: owned() });
    }
    Ok(())
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for PackageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.short)
    }
}

macro_rules! serde_as_text {
    ($type:ty) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}
serde_as_text!(Namespace);
serde_as_text!(PackageName);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_plain_names() {
        for text in ["acme/ratelimit", "a/b", "skep/tc-shaper-2", "0x/1"] {
            assert_eq!(
                text.parse::<PackageName>().map(|name| name.to_string()),
                Ok(text.to_owned())
            );
        }
    }

    #[test]
    fn names_what_is_wrong_with_each_bad_name() {
        let long = "a".repeat(NAME_CHARS_MAX + 1);
        let code = |text: &str| match text.parse::<PackageName>() {
            Ok(_) => "accepted",
            Err(NameError::Shape { .. }) => "shape",
            Err(NameError::Length { .. }) => "length",
            Err(NameError::Character { .. }) => "character",
            Err(NameError::Hyphen { .. }) => "hyphen",
            Err(NameError::Reserved { .. }) => "reserved",
        };
        for (text, wanted) in [
            ("ratelimit", "shape"),
            ("a/b/c", "shape"),
            ("/b", "length"),
            ("a/", "length"),
            (&format!("{long}/b"), "length"),
            ("Acme/b", "character"),
            ("аcme/b", "character"),
            ("a/b.c", "character"),
            ("a/..", "character"),
            ("-a/b", "hyphen"),
            ("a-/b", "hyphen"),
            ("a/b--c", "hyphen"),
            ("admin/b", "reserved"),
            ("a/new", "reserved"),
        ] {
            assert_eq!(code(text), wanted, "{text}");
        }
    }
}
