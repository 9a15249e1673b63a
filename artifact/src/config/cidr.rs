//! IP prefixes as keys of an LPM trie: `struct { u32 prefixlen; u8 addr[]; }`, addresses in network byte order.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::object::Endian;

/// Bytes of a key that holds IPv6, and IPv4 as `::ffff:a.b.c.d`.
pub(super) const KEY_BYTES_V6: u32 = 20;

/// Bytes of a key that holds IPv4 only.
pub(super) const KEY_BYTES_V4: u32 = 8;

/// A key of 20 bytes. IPv4 `a.b.c.d/n` becomes `::ffff:a.b.c.d/(96+n)`.
pub(super) fn encode_v6(text: &str, endian: Endian) -> Option<Vec<u8>> {
    let (address, length) = parse(text)?;
    let (address, length) = match address {
        IpAddr::V4(v4) => (v4.to_ipv6_mapped(), length + 96),
        IpAddr::V6(v6) => (v6, length),
    };
    Some(key(length, &address.octets(), endian))
}

/// A key of 8 bytes; `None` for IPv6.
pub(super) fn encode_v4(text: &str, endian: Endian) -> Option<Vec<u8>> {
    match parse(text)? {
        (IpAddr::V4(v4), length) => Some(key(length, &v4.octets(), endian)),
        (IpAddr::V6(_), _) => None,
    }
}

fn key(length: u32, address: &[u8], endian: Endian) -> Vec<u8> {
    let length = match endian {
        Endian::Little => length.to_le_bytes(),
        Endian::Big => length.to_be_bytes(),
    };
    [&length, address].concat()
}

/// An address and its prefix length; a bare address is a whole one. Bits set beyond the length are refused:
/// 10.0.0.1/8 is more often a slip than a wish.
fn parse(text: &str) -> Option<(IpAddr, u32)> {
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => (address, Some(length)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().ok()?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let length = match length {
        None => most,
        Some(digits) if digits.len() <= 3 && digits.bytes().all(|b| b.is_ascii_digit()) => {
            digits.parse().ok()?
        }
        Some(_) => return None,
    };
    if length > most || address != masked(address, length) {
        return None;
    }
    Some((address, length))
}

fn masked(address: IpAddr, length: u32) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32 - length).unwrap_or(0);
            IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits() & mask))
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128 - length).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & mask))
        }
    }
}
