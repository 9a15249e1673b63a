//! Names and numbers that identify things in a fleet. Refuses to know what they are used for.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Longest node, policy, member or label name, in bytes: the limit of one DNS label, so that a
/// host name always fits and a name always fits into a bpffs file name (255) together with others.
pub const NAME_BYTES_MAX: usize = 63;

/// Why a name was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    #[error("A {what} name cannot be empty. Give it 1 to {NAME_BYTES_MAX} characters.")]
    Empty { what: &'static str },
    #[error("The {what} name '{name}' has {len} bytes; at most {NAME_BYTES_MAX} are allowed.")]
    TooLong { what: &'static str, name: String, len: usize },
    #[error(
        "The {what} name '{name}' holds '{found}'. Use lower-case letters, digits, '-', '_' and '.', starting and ending with a letter or a digit."
    )]
    Character { what: &'static str, name: String, found: char },
}

/// Checks the alphabet that node, policy and member names share: `[a-z0-9._-]`, starting and
/// ending with a letter or a digit, 1 to [`NAME_BYTES_MAX`] bytes.
///
/// # Errors
/// [`NameError`] names the first thing that is wrong.
pub fn check_name(what: &'static str, name: &str) -> Result<(), NameError> {
    if name.is_empty() {
        return Err(NameError::Empty { what });
    }
    if name.len() > NAME_BYTES_MAX {
        let shown: String = name.chars().take(NAME_BYTES_MAX).collect();
        return Err(NameError::TooLong { what, name: shown, len: name.len() });
    }
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let inner = |c: char| plain(c) || matches!(c, '-' | '_' | '.');
    let bad = name
        .chars()
        .find(|c| !inner(*c))
        .or_else(|| name.chars().next().filter(|c| !plain(*c)))
        .or_else(|| name.chars().next_back().filter(|c| !plain(*c)));
    match bad {
        Some(found) => Err(NameError::Character { what, name: name.to_owned(), found }),
        None => Ok(()),
    }
}

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                check_name($what, text)?;
                Ok(Self(text.to_owned()))
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;
            fn try_from(text: String) -> Result<Self, NameError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    };
}

name_type!(
    /// One host of the fleet, unique within a registry.
    NodeName,
    "node"
);
name_type!(
    /// One policy, unique within a registry.
    PolicyName,
    "policy"
);
name_type!(
    /// One program's place in a policy, unique within that policy.
    MemberName,
    "member"
);

/// The number of a node's desired state. Starts at 1, only grows; 0 means "none yet".
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Generation(pub u64);

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, accepted: bool) {
        assert_eq!(name.parse::<NodeName>().is_ok(), accepted, "{name}");
    }

    #[test]
    fn names_are_short_lower_case_and_start_and_end_plainly() {
        check("edge-07", true);
        check("edge_07.rack-2", true);
        check("7", true);
        check("", false);
        check("-edge", false);
        check("edge-", false);
        check("Edge", false);
        check("edge/07", false);
        check("../edge", false);
        check(&"a".repeat(63), true);
        check(&"a".repeat(64), false);
    }
}
