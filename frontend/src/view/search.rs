//! The search page's state in its address, and packages as cards.
//! It refuses to know how packages are found.

use crate::view::{format, link};
use crate::words;
use skep_api::v1::packages::{PackagePage, PackageQuery, PackageSummary};
use skep_artifact::hook::Hook;

/// Cards on one page of results: three columns of eight on a wide screen.
pub const CARDS_PER_PAGE: u32 = 24;
/// Cards on the home page: two rows of three.
const CARDS_AT_HOME: usize = 6;
/// Longest search text that is sent, in characters: longer than any name or description.
const QUERY_CHARS_MAX: usize = 200;

/// What is being looked for; lives in the address so that it can be shared and gone back to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SearchState {
    pub text: String,
    pub hook: Option<Hook>,
    /// Where the page starts; empty for the first.
    pub after: String,
}

/// One package as a card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Card {
    pub href: String,
    pub name: String,
    pub version: String,
    pub description: String,
    pub hooks: Vec<&'static str>,
    pub kernel: String,
    pub license: String,
    pub signed_by: String,
    pub installs: String,
    pub published_at: i64,
}

impl SearchState {
    /// Reads the state from the parts of an address; a hook that does not exist is none.
    #[must_use]
    pub fn from_address(text: Option<&str>, hook: Option<&str>, after: Option<&str>) -> Self {
        Self {
            text: text.unwrap_or_default().trim().chars().take(QUERY_CHARS_MAX).collect(),
            hook: hook.and_then(|name| name.parse().ok()),
            after: after.unwrap_or_default().to_owned(),
        }
    }

    /// The address of this state.
    #[must_use]
    pub fn address(&self) -> String {
        let hook = self.hook.map(Hook::as_str).unwrap_or_default();
        let pairs = [("q", self.text.as_str()), ("hook", hook), ("after", self.after.as_str())];
        format!("/search{}", link::query(&pairs))
    }

    /// The same search, from its beginning.
    #[must_use]
    pub fn first_page(&self) -> Self {
        Self { after: String::new(), ..self.clone() }
    }

    /// The same search, from where another page ended.
    #[must_use]
    pub fn page_after(&self, next: &str) -> Self {
        Self { after: next.to_owned(), ..self.clone() }
    }

    /// The API's question for this state.
    #[must_use]
    pub fn query(&self) -> PackageQuery {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        PackageQuery {
            q: some(&self.text),
            hook: self.hook,
            after: some(&self.after),
            limit: Some(CARDS_PER_PAGE),
            ..PackageQuery::default()
        }
    }

    /// Whether anything narrows the list.
    #[must_use]
    pub fn is_narrowed(&self) -> bool {
        !self.text.is_empty() || self.hook.is_some()
    }
}

/// The API path of a query.
#[must_use]
pub fn api_path(query: &PackageQuery) -> String {
    let limit = query.limit.map(|n| n.to_string()).unwrap_or_default();
    let pairs = [
        ("q", query.q.as_deref().unwrap_or_default()),
        ("hook", query.hook.map(Hook::as_str).unwrap_or_default()),
        ("after", query.after.as_deref().unwrap_or_default()),
        ("limit", limit.as_str()),
    ];
    format!("/v1/packages{}", link::query(&pairs))
}

/// The sentence above the results.
#[must_use]
pub fn summary(state: &SearchState, page: &PackagePage) -> String {
    let packages = format::counted(page.total, "package", "packages");
    match (state.text.as_str(), state.hook) {
        ("", None) => words::found_all(&packages),
        ("", Some(hook)) => words::found_for_hook(&packages, hook.as_str()),
        (text, None) => words::found_for_text(&packages, text),
        (text, Some(hook)) => words::found_for_both(&packages, text, hook.as_str()),
    }
}

/// One package as a card.
#[must_use]
pub fn card(package: &PackageSummary) -> Card {
    let name = package.name.to_string();
    Card {
        href: link::package(&name),
        name,
        version: package.version.to_string(),
        description: package.description.clone(),
        hooks: package.hooks.iter().map(|hook| hook.as_str()).collect(),
        kernel: words::lowest_kernel(package.lowest_kernel.as_deref()),
        license: package.license.clone(),
        signed_by: words::signed_by(&short_keys(&package.signed_by)),
        installs: words::installs(package.installs),
        published_at: package.published_at,
    }
}

/// The newest packages of a page as cards, for the home page.
#[must_use]
pub fn newest(page: &PackagePage) -> Vec<Card> {
    let mut packages: Vec<&PackageSummary> = page.packages.iter().collect();
    packages.sort_by_key(|package| std::cmp::Reverse(package.published_at));
    packages.into_iter().take(CARDS_AT_HOME).map(card).collect()
}

/// Key ids as people compare them: `7c1f09aa…, 01ab99ff…`.
#[must_use]
pub fn short_keys(keys: &[String]) -> String {
    keys.iter().map(|key| format::short_key(key)).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::samples;

    #[test]
    fn the_address_holds_the_whole_state() {
        let state = SearchState::from_address(Some(" rate limit "), Some("tc-egress"), Some("a/b"));
        assert_eq!(state.address(), "/search?q=rate%20limit&hook=tc-egress&after=a%2Fb");
        assert_eq!(state.first_page().address(), "/search?q=rate%20limit&hook=tc-egress");
        assert_eq!(SearchState::default().address(), "/search");
        assert_eq!(state.first_page().page_after("x").after, "x");
    }

    #[test]
    fn nonsense_in_the_address_is_ignored() {
        let state = SearchState::from_address(Some(&"x".repeat(999)), Some("nvme"), None);
        assert_eq!(state.hook, None);
        assert_eq!(state.text.len(), QUERY_CHARS_MAX);
        assert!(!SearchState::from_address(Some("  "), Some(""), None).is_narrowed());
    }

    #[test]
    fn the_question_to_the_api_carries_what_is_set() {
        let state = SearchState { text: "a&b".into(), hook: Some(Hook::Xdp), after: String::new() };
        assert_eq!(api_path(&state.query()), "/v1/packages?q=a%26b&hook=xdp&limit=24");
    }

    #[test]
    fn a_card_says_hook_kernel_signer_and_installs() {
        let card = card(&samples::summary());
        assert_eq!(card.href, "/p/acme/ratelimit");
        assert_eq!(card.hooks, ["xdp"]);
        assert_eq!(card.kernel, "Linux 5.9 or newer");
        assert_eq!(card.signed_by, "signed by 7c1f09aa…, 01ab99ff…");
        assert_eq!(card.installs, "runs on 3 nodes");
    }

    #[test]
    fn the_home_page_shows_the_six_newest_first() {
        let at = |published_at| PackageSummary { published_at, ..samples::summary() };
        let page = PackagePage { packages: (1..=9).map(at).collect(), next: None, total: 9 };
        let shown: Vec<_> = newest(&page).into_iter().map(|card| card.published_at).collect();
        assert_eq!(shown, [9, 8, 7, 6, 5, 4]);
    }

    #[test]
    fn the_summary_is_a_sentence() {
        let page = PackagePage { packages: vec![], next: None, total: 1 };
        let state =
            SearchState { text: "rate".into(), hook: Some(Hook::Xdp), after: String::new() };
        assert_eq!(summary(&state, &page), "1 package for xdp matches “rate”.");
        assert_eq!(summary(&SearchState::default(), &page), "1 package in this registry.");
    }
}
