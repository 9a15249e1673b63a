//! Addresses of our own pages and of the API calls behind them. It refuses to fetch.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What stays as it is in a path segment or a query value.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// One path segment or query value, safe to put into an address.
#[must_use]
pub fn escaped(text: &str) -> String {
    utf8_percent_encode(text, PLAIN).to_string()
}

/// `?a=1&b=2` of the pairs that hold something; empty when none does.
#[must_use]
pub fn query(pairs: &[(&str, &str)]) -> String {
    let set: Vec<String> = pairs
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(key, value)| format!("{key}={}", escaped(value)))
        .collect();
    if set.is_empty() { String::new() } else { format!("?{}", set.join("&")) }
}

/// The page of a package, by its full name.
#[must_use]
pub fn package(name: &str) -> String {
    format!("/p/{name}")
}

/// The page of one version of a package.
#[must_use]
pub fn version(name: &str, version: &str) -> String {
    format!("/p/{name}/{}", escaped(version))
}

/// The page of a node.
#[must_use]
pub fn node(name: &str) -> String {
    format!("/nodes/{}", escaped(name))
}

/// The page of a namespace.
#[must_use]
pub fn namespace(name: &str) -> String {
    format!("/namespaces/{}", escaped(name))
}

/// The page of a policy.
#[must_use]
pub fn policy(name: &str) -> String {
    format!("/policies/{}", escaped(name))
}

/// The search for a text.
#[must_use]
pub fn search(text: &str) -> String {
    format!("/search{}", query(&[("q", text)]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_cannot_break_out_of_an_address() {
        assert_eq!(escaped("a b&c=d/é?#"), "a%20b%26c%3Dd%2F%C3%A9%3F%23");
        assert_eq!(query(&[("q", "x y"), ("hook", ""), ("after", "1/2")]), "?q=x%20y&after=1%2F2");
        assert_eq!(query(&[("q", "")]), "");
        assert_eq!(version("acme/ratelimit", "1.0.0+b1"), "/p/acme/ratelimit/1.0.0%2Bb1");
        assert_eq!(node("edge-07.example"), "/nodes/edge-07.example");
    }
}
