//! Which page an address names. Refuses to know what is on it.

use axum::http::Uri;
use percent_encoding::percent_decode_str;
use skep_api::v1::packages::PackageQuery;

/// First segments of pages that only the web front draws; below them every address is one.
const APP_PAGES: [&str; 8] =
    ["nodes", "policies", "audit", "transparency", "log-in", "sign-up", "account", "namespaces"];
/// Longest search text that is looked for, in characters: longer than any name or description.
const QUERY_CHARS_MAX: usize = 200;

/// A page of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    Home,
    Search(PackageQuery),
    Package {
        namespace: String,
        name: String,
        version: Option<String>,
    },
    /// Drawn by the web front alone.
    App,
    /// No page.
    Nothing,
}

impl Address {
    /// Reads an address.
    #[must_use]
    pub fn read(uri: &Uri) -> Self {
        let decoded = |part: &str| percent_decode_str(part).decode_utf8_lossy().into_owned();
        let path = uri.path().trim_matches('/');
        let parts: Vec<String> = path.split('/').map(decoded).collect();
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let package = |namespace: &str, name: &str, version: Option<&str>| Self::Package {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            version: version.map(str::to_owned),
        };
        match parts.as_slice() {
            [""] => Self::Home,
            ["search"] => Self::Search(query(uri.query().unwrap_or_default())),
            ["p", namespace, name] => package(namespace, name, None),
            ["p", namespace, name, version] => package(namespace, name, Some(version)),
            [first, ..] if APP_PAGES.contains(first) => Self::App,
            _ => Self::Nothing,
        }
    }
}

/// What is searched for; what cannot be understood is left out, as the web front does.
fn query(text: &str) -> PackageQuery {
    let mut query = PackageQuery::default();
    for (key, value) in form_urlencoded::parse(text.as_bytes()) {
        match key.as_ref() {
            "q" => query.q = Some(value.trim().chars().take(QUERY_CHARS_MAX).collect()),
            "hook" => query.hook = value.parse().ok(),
            "after" => query.after = Some(value.into_owned()),
            _ => {}
        }
    }
    query
}

#[cfg(test)]
mod tests {
    use super::*;
    use skep_artifact::hook::Hook;

    fn read(uri: &str) -> Address {
        Address::read(&uri.parse().unwrap())
    }

    #[test]
    fn pages_are_told_from_what_is_none() {
        assert_eq!(read("/"), Address::Home);
        assert_eq!(read("/nodes/edge-07.example"), Address::App);
        assert_eq!(read("/no/such/page"), Address::Nothing);
        assert_eq!(read("/p/acme"), Address::Nothing);
        let package = |version: Option<&str>| Address::Package {
            namespace: "acme".to_owned(),
            name: "ratelimit".to_owned(),
            version: version.map(str::to_owned),
        };
        assert_eq!(read("/p/acme/ratelimit"), package(None));
        assert_eq!(read("/p/acme/ratelimit/"), package(None));
        assert_eq!(read("/p/acme/ratelimit/1.0.0%2Bb1"), package(Some("1.0.0+b1")));
    }

    #[test]
    fn a_search_keeps_what_can_be_understood() {
        let Address::Search(query) = read("/search?q=+rate%20limit+&hook=xdp&after=x&other=1")
        else {
            panic!("a search");
        };
        assert_eq!(query.q.as_deref(), Some("rate limit"));
        assert_eq!((query.hook, query.after.as_deref()), (Some(Hook::Xdp), Some("x")));
        let Address::Search(query) = read("/search?hook=nvme") else { panic!("a search") };
        assert_eq!(query.hook, None);
    }
}
