//! Where a webhook may point: public addresses, by https, unless the operator allows others. What
//! matters is what a name resolves to when it is called, not what it was when it was written down.

use crate::config::people::PrivateTargets;
use reqwest::Url;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

/// Longest address of a webhook in characters.
const URL_CHARS_MAX: usize = 2000;
/// How long a name may take to resolve.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(5);

/// Why a webhook is not called, or not taken.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    #[error("the address is not a URL of at most {URL_CHARS_MAX} characters")]
    Url,
    #[error("the address must begin with https")]
    Scheme,
    #[error("the address must not hold a user name or a password")]
    Credentials,
    #[error("the name cannot be resolved")]
    Resolve,
    #[error("{address} is no public address")]
    Private { address: IpAddr },
}

/// Reads the address of a webhook as far as it can be judged without asking anybody.
///
/// # Errors
/// [`TargetError`].
pub fn parse(text: &str, private: PrivateTargets) -> Result<Url, TargetError> {
    if text.len() > URL_CHARS_MAX {
        return Err(TargetError::Url);
    }
    let url = Url::parse(text).map_err(|_| TargetError::Url)?;
    match (url.scheme(), private) {
        ("https", _) | ("http", PrivateTargets::Allowed) => {}
        _ => return Err(TargetError::Scheme),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(TargetError::Credentials);
    }
    if let Some(address) = literal(&url) {
        judge(address, private)?;
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err(TargetError::Url);
    }
    Ok(url)
}

fn literal(url: &Url) -> Option<IpAddr> {
    let host = url.host_str()?;
    host.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

fn judge(address: IpAddr, private: PrivateTargets) -> Result<(), TargetError> {
    if private == PrivateTargets::Refused && !is_public(address) {
        return Err(TargetError::Private { address });
    }
    Ok(())
}

/// Every address a webhook's name has now; refused when one of them is not public, so that no
/// choice among them leads inside.
///
/// # Errors
/// [`TargetError`].
pub async fn resolve(url: &Url, private: PrivateTargets) -> Result<Vec<SocketAddr>, TargetError> {
    let port = url.port_or_known_default().ok_or(TargetError::Url)?;
    if let Some(address) = literal(url) {
        judge(address, private)?;
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let host = url.host_str().ok_or(TargetError::Url)?;
    let lookup = tokio::net::lookup_host((host, port));
    let found = tokio::time::timeout(RESOLVE_TIMEOUT, lookup).await;
    let found: Vec<SocketAddr> = match found {
        Ok(Ok(found)) => found.collect(),
        Ok(Err(_)) | Err(_) => return Err(TargetError::Resolve),
    };
    if found.is_empty() {
        return Err(TargetError::Resolve);
    }
    for address in &found {
        judge(address.ip(), private)?;
    }
    Ok(found)
}

/// Whether everybody can reach an address, by the registries of special-purpose addresses of IANA.
#[must_use]
pub fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = matches!(
        (a, b, c),
        // This network; carrier-grade NAT; IETF protocols; 6to4 relays; benchmarks.
        (0, ..) | (100, 64..=127, _) | (192, 0, 0) | (192, 88, 99) | (198, 18..=19, _)
            // Multicast, reserved, broadcast.
            | (224.., ..)
    );
    !(special
        || address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation())
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let [a, b, ..] = address.segments();
    let embedded = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        is_public_v4(Ipv4Addr::new(a, b, c, d))
    };
    let segments = address.segments();
    match (a, b) {
        // NAT64 and 6to4 lead to the IPv4 address inside.
        (0x64, 0xff9b) => segments[2..6] == [0; 4] && embedded(segments[6], segments[7]),
        (0x2002, _) => embedded(segments[1], segments[2]),
        // Teredo, ORCHID, benchmarks and the like; documentation.
        (0x2001, 0..=0x1ff) | (0x2001, 0xdb8) | (0x3fff, 0..=0xfff) => false,
        // Only what IANA gives out as global unicast.
        (0x2000..=0x3fff, _) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_lead_inside_are_known_in_every_dress() {
        for text in [
            "127.0.0.1",
            "127.8.9.1",
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "255.255.255.255",
            "224.0.0.1",
            "192.0.0.8",
            "198.18.0.1",
            "192.0.2.1",
            "203.0.113.1",
            "240.0.0.1",
            "::",
            "::1",
            "fe80::1",
            "fc00::1",
            "fd12::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b:1::1",
            "2002:7f00:1::",
            "2001:db8::1",
            "2001::1",
            "::127.0.0.1",
            "fec0::1",
        ] {
            assert!(!is_public(text.parse().unwrap()), "{text}");
        }
        for text in ["1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "64:ff9b::101:101"]
        {
            assert!(is_public(text.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn an_address_is_judged_as_the_client_would_read_it() {
        let refused = |text: &str| parse(text, PrivateTargets::Refused).is_err();
        for text in [
            "http://hooks.example/",
            "https://127.0.0.1/",
            "https://0x7f.1/",
            "https://2130706433/",
            "https://0177.0.0.1/",
            "https://[::1]/",
            "https://[::ffff:10.0.0.1]/",
            "ftp://a.example",
            "https://user:word@hooks.example/",
            "https://",
            "nonsense",
            "file:///etc/passwd",
            "https://169.254.169.254/latest/meta-data",
        ] {
            assert!(refused(text), "{text}");
        }
        assert!(!refused("https://hooks.example:8443/skep?x=1"));
        assert!(parse("http://127.0.0.1:8080/", PrivateTargets::Allowed).is_ok());
    }

    #[tokio::test]
    async fn a_name_that_leads_inside_is_refused_when_it_is_called() {
        let url = parse("https://localhost/", PrivateTargets::Refused).unwrap();
        let refused = resolve(&url, PrivateTargets::Refused).await.unwrap_err();
        assert!(matches!(refused, TargetError::Private { .. }), "{refused}");
        assert!(resolve(&url, PrivateTargets::Allowed).await.is_ok());
    }
}
