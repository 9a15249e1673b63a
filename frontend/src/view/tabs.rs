//! The tabs of the package page and how the address names them. It refuses to know what they show.

use crate::view::link;
use crate::words;

/// One tab.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tab {
    #[default]
    Readme,
    Versions,
    Permissions,
    Compatibility,
    Config,
    Code,
    Diff,
    Security,
}

impl Tab {
    /// Every tab, in the order in which they stand.
    pub const ALL: [Self; 8] = [
        Self::Readme,
        Self::Versions,
        Self::Permissions,
        Self::Compatibility,
        Self::Config,
        Self::Code,
        Self::Diff,
        Self::Security,
    ];

    /// The tab that an address names; the first when it names none.
    #[must_use]
    pub fn from_address(name: Option<&str>) -> Self {
        let named = |tab: &Self| Some(tab.name()) == name;
        Self::ALL.into_iter().find(named).unwrap_or_default()
    }

    /// Its name in the address, and in ids of elements.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Readme => "readme",
            Self::Versions => "versions",
            Self::Permissions => "permissions",
            Self::Compatibility => "compatibility",
            Self::Config => "config",
            Self::Code => "code",
            Self::Diff => "diff",
            Self::Security => "security",
        }
    }

    /// What stands on it.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Readme => words::README,
            Self::Versions => words::VERSIONS,
            Self::Permissions => words::PERMISSIONS,
            Self::Compatibility => words::COMPATIBILITY,
            Self::Config => words::CONFIGURATION,
            Self::Code => words::CODE,
            Self::Diff => words::DIFF,
            Self::Security => words::SECURITY,
        }
    }

    /// The tab that a key leads to from this one: arrows around the end, Home, End; `None` for other keys.
    #[must_use]
    pub fn reached_by(self, key: &str) -> Option<Self> {
        let count = Self::ALL.len();
        let at = Self::ALL.iter().position(|tab| *tab == self)?;
        let to = match key {
            "ArrowRight" => (at + 1) % count,
            "ArrowLeft" => (at + count - 1) % count,
            "Home" => 0,
            "End" => count - 1,
            _ => return None,
        };
        Self::ALL.get(to).copied()
    }
}

/// The address of a tab of a page. `from` is the version the diff starts from; empty for the usual one.
#[must_use]
pub fn address(page: &str, tab: Tab, from: &str) -> String {
    let name = if tab == Tab::default() { "" } else { tab.name() };
    let from = if tab == Tab::Diff { from } else { "" };
    format!("{page}{}", link::query(&[("tab", name), ("from", from)]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tab_is_found_again_by_its_address() {
        for tab in Tab::ALL {
            assert_eq!(Tab::from_address(Some(tab.name())), tab);
        }
        assert_eq!(Tab::from_address(Some("<script>")), Tab::Readme);
        assert_eq!(address("/p/a/b", Tab::Readme, "1.0.0"), "/p/a/b");
        assert_eq!(address("/p/a/b", Tab::Diff, "1.0.0+x"), "/p/a/b?tab=diff&from=1.0.0%2Bx");
        assert_eq!(address("/p/a/b", Tab::Code, "1.0.0"), "/p/a/b?tab=code");
    }

    #[test]
    fn arrows_go_round() {
        assert_eq!(Tab::Readme.reached_by("ArrowLeft"), Some(Tab::Security));
        assert_eq!(Tab::Security.reached_by("ArrowRight"), Some(Tab::Readme));
        assert_eq!(Tab::Code.reached_by("Home"), Some(Tab::Readme));
        assert_eq!(Tab::Code.reached_by("End"), Some(Tab::Security));
        assert_eq!(Tab::Code.reached_by("x"), None);
    }
}
