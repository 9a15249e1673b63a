//! API tokens on the wire.

use serde::{Deserialize, Serialize};
use skep_artifact::name::{NameError, Namespace, PackageName};
use std::fmt;
use std::str::FromStr;

/// What a token allows. A token has one scope; whoever needs two makes two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// Everything, including making tokens and claiming namespaces.
    Admin,
    /// What its account may do with namespaces, members, invites and tokens, and publish.
    Account,
    /// Upload blobs and publish what the token's pattern names.
    Publish,
    /// Apply signed policies, make node tokens, read the fleet.
    Operate,
    /// Read the fleet.
    ReadFleet,
}

impl Scope {
    /// Whether a token of this scope may do what one of the other may, namespaces aside.
    #[must_use]
    pub fn covers(self, other: Self) -> bool {
        match self {
            Self::Admin => true,
            Self::Account => matches!(other, Self::Account | Self::Publish),
            Self::Operate => matches!(other, Self::Operate | Self::ReadFleet),
            Self::Publish | Self::ReadFleet => self == other,
        }
    }
}

/// What a token is for: every package of a namespace (`acme` or `acme/*`), or one (`acme/ratelimit`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pattern {
    Namespace(Namespace),
    Package(PackageName),
}

impl Pattern {
    /// The namespace it lies in.
    #[must_use]
    pub fn namespace(&self) -> &Namespace {
        match self {
            Self::Namespace(namespace) => namespace,
            Self::Package(package) => package.namespace(),
        }
    }

    /// Whether everything the other names is named by this one.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        match self {
            Self::Namespace(namespace) => namespace == other.namespace(),
            Self::Package(_) => self == other,
        }
    }
}

impl FromStr for Pattern {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.strip_suffix("/*") {
            Some(namespace) => namespace.parse().map(Self::Namespace),
            None if text.contains('/') => text.parse().map(Self::Package),
            None => text.parse().map(Self::Namespace),
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Namespace(namespace) => write!(f, "{}/*", namespace.as_str()),
            Self::Package(package) => package.fmt(f),
        }
    }
}

/// Asks for a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CreateToken {
    /// Who or what will use it, for the audit trail; 1 to 63 characters.
    pub name: String,
    pub scope: Scope,
    /// Needed for [`Scope::Publish`]: what it may publish, as a [`Pattern`].
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
    /// Whose it is; absent for tokens that no account made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// When it was used last, to the hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<i64>,
}

/// Every token the caller may see, without secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TokenList {
    pub tokens: Vec<TokenInfo>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_covers_what_it_names_and_nothing_beside_it() {
        let pattern = |text: &str| text.parse::<Pattern>().unwrap();
        let covers = |a, b| pattern(a).covers(&pattern(b));
        assert!(covers("acme", "acme/*") && covers("acme/*", "acme") && covers("acme", "acme/one"));
        assert!(covers("acme/one", "acme/one"));
        for (a, b) in
            [("acme/one", "acme"), ("acme/one", "acme/two"), ("acme", "acme2"), ("acme", "acm")]
        {
            assert!(!covers(a, b), "{a} {b}");
        }
        for text in ["", "*", "*/*", "acme/**", "acme/*/x", "a/b/*", "acme/", "../acme"] {
            assert!(text.parse::<Pattern>().is_err(), "{text}");
        }
        assert_eq!(pattern("acme").to_string(), "acme/*");
    }

    #[test]
    fn no_scope_covers_a_greater_one() {
        use Scope::{Account, Admin, Operate, Publish, ReadFleet};
        let all = [Admin, Account, Publish, Operate, ReadFleet];
        for (a, b) in all.iter().flat_map(|a| all.iter().map(move |b| (*a, *b))) {
            assert!(a == b || !(a.covers(b) && b.covers(a)), "{a:?} {b:?}");
            assert!(a == Admin || !a.covers(Admin));
        }
        assert!(!Publish.covers(Account) && !Operate.covers(Publish) && !Account.covers(Operate));
    }
}
