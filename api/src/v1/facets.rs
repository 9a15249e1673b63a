//! What a listing can be narrowed by, and how many packages there are of each kind, on the wire.

use serde::{Deserialize, Serialize};

/// Values of one facet that are listed; the rest is counted.
pub const FACET_VALUES_MAX: u32 = 50;

/// A property by which packages are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum FacetName {
    /// Where its programs are attached.
    Hook,
    /// The type of its programs, from the ELF.
    ProgramType,
    /// The lowest kernel release that has everything it uses, from the ELF. Narrowing by a release gives what runs on it.
    Kernel,
    /// The machines it has objects for.
    Arch,
    License,
    Namespace,
    /// Kernel series on which somebody attested that every program loads. Whom to believe is for node policies to say.
    VerifiedOn,
    /// Key ids that signed it.
    SignedBy,
    Category,
}

/// How many of the packages that were found have a value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FacetValue {
    pub value: String,
    pub packages: u64,
}

/// One facet, its most frequent values first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Facet {
    pub name: FacetName,
    pub values: Vec<FacetValue>,
    /// Values that are not listed, because there are more than 50.
    pub more: u64,
}

/// What the packages that a listing finds can be narrowed by further.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Facets {
    /// Packages that were counted.
    pub packages: u64,
    /// Only those that some of the packages have.
    pub facets: Vec<Facet>,
    /// Seconds since 1970 when they were counted: an answer that took long to count is given again for a while.
    pub counted_at: i64,
}

impl FacetName {
    /// Every one, in the order they are shown.
    pub const ALL: [Self; 9] = [
        Self::Hook,
        Self::ProgramType,
        Self::Kernel,
        Self::Arch,
        Self::Category,
        Self::License,
        Self::VerifiedOn,
        Self::Namespace,
        Self::SignedBy,
    ];

    /// Its name on the wire, which is that of the query parameter, too.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hook => "hook",
            Self::ProgramType => "program_type",
            Self::Kernel => "kernel",
            Self::Arch => "arch",
            Self::License => "license",
            Self::Namespace => "namespace",
            Self::VerifiedOn => "verified_on",
            Self::SignedBy => "signed_by",
            Self::Category => "category",
        }
    }

    /// Reads what [`FacetName::as_str`] wrote.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|name| name.as_str() == text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_facet_is_called_the_same_in_json_and_in_queries() {
        for name in FacetName::ALL {
            assert_eq!(serde_json::to_value(name).unwrap(), name.as_str());
            assert_eq!(FacetName::parse(name.as_str()), Some(name));
        }
        assert_eq!(FacetName::parse("colour"), None);
    }
}
