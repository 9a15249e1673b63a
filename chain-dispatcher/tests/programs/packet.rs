//! From one readable line to the bytes of a frame: `eth/ipv4(src=10.0.0.1)/tcp(dport=80)/payload(64)`.
//! Lengths, next-protocol numbers and checksums are filled in as a real sender would; a layer's arguments
//! override them, so that a malformed packet can be written as easily as a good one.
//! It refuses to know programs and verdicts. The notation is described in `programs/README.md`.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// Why a line is not a packet. Texts name the layer, for the author of a vector.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PacketError {
    #[error("`{0}` is not a layer this notation knows")]
    UnknownLayer(String),
    #[error("layer `{0}` is not written as name or name(key=value,...)")]
    Shape(String),
    #[error("layer `{layer}` has no argument `{argument}`")]
    UnknownArgument { layer: String, argument: String },
    #[error("`{value}` does not fit argument `{argument}` of layer `{layer}`")]
    Value { layer: String, argument: String, value: String },
    #[error("layer `{0}` stands under no IP header, so its checksum cannot be made")]
    NoIpHeader(String),
}

/// The bytes of the frame a line describes.
pub(crate) fn build(text: &str) -> Result<Vec<u8>, PacketError> {
    let mut layers = text.split('/').map(Layer::parse).collect::<Result<Vec<_>, _>>()?;
    let mut shape = FrameShape::default();
    layers.retain(|layer| !shape.takes(layer));
    // Inside out: a layer needs the bytes it carries, and its checksum the addresses around it.
    let mut bytes = Vec::new();
    for index in (0..layers.len()).rev() {
        let next = layers.get(index + 1).and_then(|layer| layer.number());
        let around = layers[..index].iter().rev().find_map(Layer::addresses);
        bytes = layers[index].wrap(&bytes, next, around)?;
    }
    for layer in &layers {
        layer.refuse_unread()?;
    }
    shape.apply(&mut bytes);
    Ok(bytes)
}

/// What is said about the frame as a whole, after its layers: `pad(64)` and `cut(20)`.
#[derive(Default)]
struct FrameShape {
    pad: Option<usize>,
    cut: Option<usize>,
}

impl FrameShape {
    fn takes(&mut self, layer: &Layer) -> bool {
        let length = layer.bare.as_deref().and_then(|bare| bare.parse().ok());
        match layer.name.as_str() {
            "pad" => self.pad = length,
            "cut" => self.cut = length,
            _ => return false,
        }
        true
    }

    fn apply(&self, bytes: &mut Vec<u8>) {
        bytes.resize(bytes.len().max(self.pad.unwrap_or(0)), 0);
        bytes.truncate(self.cut.unwrap_or(bytes.len()));
    }
}

/// The addresses a transport checksum covers.
#[derive(Clone)]
enum Addresses {
    V4(Ipv4Addr, Ipv4Addr),
    V6(Ipv6Addr, Ipv6Addr),
}

struct Layer {
    name: String,
    /// The argument without a key: `payload(64)`.
    bare: Option<String>,
    arguments: BTreeMap<String, String>,
    read: std::cell::RefCell<Vec<String>>,
}

impl Layer {
    fn parse(text: &str) -> Result<Self, PacketError> {
        let shape = || PacketError::Shape(text.to_owned());
        let (name, inside) = match text.split_once('(') {
            None => (text, ""),
            Some((name, rest)) => (name, rest.strip_suffix(')').ok_or_else(shape)?),
        };
        let (mut bare, mut arguments) = (None, BTreeMap::new());
        for part in inside.split(',').filter(|part| !part.is_empty()) {
            match part.split_once('=') {
                None => bare = Some(part.trim().to_owned()),
                Some((key, value)) => {
                    arguments.insert(key.trim().to_owned(), value.trim().to_owned());
                }
            }
        }
        Ok(Self { name: name.trim().to_owned(), bare, arguments, read: Vec::new().into() })
    }

    /// An argument, or `default` when it is not written.
    fn get<T: FromStr>(&self, argument: &str, default: T) -> Result<T, PacketError> {
        self.read.borrow_mut().push(argument.to_owned());
        let Some(value) = self.arguments.get(argument) else { return Ok(default) };
        value.parse().map_err(|_| PacketError::Value {
            layer: self.name.clone(),
            argument: argument.to_owned(),
            value: value.clone(),
        })
    }

    /// A number, decimal or with `0x`.
    fn number_argument(&self, argument: &str, default: u16) -> Result<u16, PacketError> {
        let text: String = self.get(argument, default.to_string())?;
        let number = match text.strip_prefix("0x") {
            Some(digits) => u16::from_str_radix(digits, 16).ok(),
            None => text.parse().ok(),
        };
        number.ok_or_else(|| PacketError::Value {
            layer: self.name.clone(),
            argument: argument.to_owned(),
            value: text,
        })
    }

    fn byte_argument(&self, argument: &str, default: u8) -> Result<u8, PacketError> {
        self.get(argument, default)
    }

    fn refuse_unread(&self) -> Result<(), PacketError> {
        let read = self.read.borrow();
        match self.arguments.keys().find(|argument| !read.contains(argument)) {
            None => Ok(()),
            Some(argument) => Err(PacketError::UnknownArgument {
                layer: self.name.clone(),
                argument: argument.clone(),
            }),
        }
    }

    /// The number by which the layer before names this one: an ethertype or an IP protocol.
    fn number(&self) -> Option<u16> {
        Some(match self.name.as_str() {
            "ipv4" => 0x0800,
            "arp" => 0x0806,
            "vlan" => 0x8100,
            "ipv6" => 0x86dd,
            "qinq" => 0x88a8,
            "hopopts" => 0,
            "icmp" => 1,
            "tcp" => 6,
            "udp" => 17,
            "routing" => 43,
            "fragment" => 44,
            "gre" => 47,
            "ah" => 51,
            "icmpv6" => 58,
            "dstopts" => 60,
            "mobility" => 135,
            _ => return None,
        })
    }

    fn addresses(&self) -> Option<Addresses> {
        match self.name.as_str() {
            "ipv4" => self.v4().ok().map(|(source, target)| Addresses::V4(source, target)),
            "ipv6" => self.v6().ok().map(|(source, target)| Addresses::V6(source, target)),
            _ => None,
        }
    }

    fn v4(&self) -> Result<(Ipv4Addr, Ipv4Addr), PacketError> {
        Ok((
            self.get("src", Ipv4Addr::new(192, 0, 2, 1))?,
            self.get("dst", Ipv4Addr::new(192, 0, 2, 2))?,
        ))
    }

    fn v6(&self) -> Result<(Ipv6Addr, Ipv6Addr), PacketError> {
        let documentation = |last| Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last);
        Ok((self.get("src", documentation(1))?, self.get("dst", documentation(2))?))
    }

    /// This layer's header and what it carries.
    fn wrap(
        &self,
        carried: &[u8],
        next: Option<u16>,
        around: Option<Addresses>,
    ) -> Result<Vec<u8>, PacketError> {
        let next_protocol = u8::try_from(next.unwrap_or(59)).unwrap_or(59);
        let mut bytes = match self.name.as_str() {
            "eth" => {
                let mut header = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];
                header.extend(self.number_argument("type", next.unwrap_or(0xffff))?.to_be_bytes());
                header
            }
            "vlan" | "qinq" => {
                let mut tag = self.number_argument("id", 1)?.to_be_bytes().to_vec();
                tag.extend(self.number_argument("type", next.unwrap_or(0xffff))?.to_be_bytes());
                tag
            }
            "arp" => self.arp()?,
            "ipv4" => self.ipv4(carried.len(), next_protocol)?,
            "ipv6" => self.ipv6(carried.len(), next_protocol)?,
            "hopopts" | "routing" | "dstopts" | "mobility" | "ah" => {
                self.extension(next_protocol)?
            }
            "fragment" => self.fragment(next_protocol)?,
            "tcp" | "udp" | "icmp" | "icmpv6" => return self.transport(carried, around),
            "gre" => vec![0, 0, 0x08, 0],
            "payload" => {
                let length = self.bare.as_deref().and_then(|bare| bare.parse().ok());
                vec![0x5a; length.ok_or_else(|| PacketError::Shape(self.name.clone()))?]
            }
            other => return Err(PacketError::UnknownLayer(other.to_owned())),
        };
        bytes.extend(carried);
        Ok(bytes)
    }

    fn arp(&self) -> Result<Vec<u8>, PacketError> {
        let (source, target) = self.v4()?;
        let mut bytes = vec![0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1];
        bytes.extend(source.octets());
        bytes.extend([0; 6]);
        bytes.extend(target.octets());
        Ok(bytes)
    }

    fn ipv4(&self, carried: usize, next: u8) -> Result<Vec<u8>, PacketError> {
        let (source, target) = self.v4()?;
        let option_words = self.byte_argument("options", 0)?;
        let header_words = self.byte_argument("ihl", 5 + option_words)?;
        let header_bytes = 20 + usize::from(option_words) * 4;
        let total = u16::try_from(header_bytes + carried).unwrap_or(0);
        let offset = self.number_argument("offset", 0)? / 8;
        let more = self.number_argument("more", 0)? << 13;
        let mut bytes = vec![self.byte_argument("version", 4)? << 4 | header_words & 15, 0];
        bytes.extend(self.number_argument("length", total)?.to_be_bytes());
        bytes.extend([0, 7]);
        bytes.extend((offset | more).to_be_bytes());
        bytes.extend([self.byte_argument("ttl", 64)?, self.byte_argument("proto", next)?, 0, 0]);
        bytes.extend(source.octets());
        bytes.extend(target.octets());
        // Option type 1 does nothing.
        bytes.resize(header_bytes, 1);
        let sum = internet_checksum(&[&bytes]);
        bytes[10..12].copy_from_slice(&sum.to_be_bytes());
        Ok(bytes)
    }

    fn ipv6(&self, carried: usize, next: u8) -> Result<Vec<u8>, PacketError> {
        let (source, target) = self.v6()?;
        let mut bytes = vec![self.byte_argument("version", 6)? << 4, 0, 0, 0];
        let length = u16::try_from(carried).unwrap_or(0);
        bytes.extend(self.number_argument("length", length)?.to_be_bytes());
        bytes.extend([self.byte_argument("next", next)?, self.byte_argument("hops", 64)?]);
        bytes.extend(source.octets());
        bytes.extend(target.octets());
        Ok(bytes)
    }

    /// An extension header of `bytes` octets: a multiple of 8, for `ah` of 4.
    fn extension(&self, next: u8) -> Result<Vec<u8>, PacketError> {
        let is_ah = self.name == "ah";
        let octets = self.number_argument("bytes", if is_ah { 24 } else { 8 })?;
        let units = if is_ah { octets / 4 - 2 } else { octets / 8 - 1 };
        let mut bytes = vec![
            self.byte_argument("next", next)?,
            self.byte_argument("length", u8::try_from(units).unwrap_or(u8::MAX))?,
        ];
        bytes.resize(octets.into(), 0);
        Ok(bytes)
    }

    fn fragment(&self, next: u8) -> Result<Vec<u8>, PacketError> {
        let field =
            self.number_argument("offset", 0)? & 0xfff8 | self.number_argument("more", 0)?;
        let mut bytes = vec![self.byte_argument("next", next)?, 0];
        bytes.extend(field.to_be_bytes());
        bytes.extend([0, 0, 0, 7]);
        Ok(bytes)
    }

    fn transport(&self, carried: &[u8], around: Option<Addresses>) -> Result<Vec<u8>, PacketError> {
        let around = around.ok_or_else(|| PacketError::NoIpHeader(self.name.clone()))?;
        let (mut bytes, checksum_at, covers_addresses) = match self.name.as_str() {
            "tcp" => (self.tcp()?, 16, true),
            "udp" => (self.udp(carried.len())?, 6, true),
            "icmp" => (self.icmp(8)?, 2, false),
            _ => (self.icmp(128)?, 2, true),
        };
        bytes.extend(carried);
        let pseudo = if covers_addresses {
            pseudo_header(&around, self.number().unwrap_or(0), bytes.len())
        } else {
            Vec::new()
        };
        let sum = internet_checksum(&[&pseudo, &bytes]);
        bytes[checksum_at..checksum_at + 2].copy_from_slice(&sum.to_be_bytes());
        Ok(bytes)
    }

    fn tcp(&self) -> Result<Vec<u8>, PacketError> {
        let mut bytes = self.ports()?;
        bytes.extend([0; 8]);
        let words = self.byte_argument("words", 5)?;
        let flags: String = self.get("flags", "A".to_owned())?;
        let mut bits = 0;
        for letter in flags.chars() {
            let place = "FSRPAU".find(letter).ok_or_else(|| PacketError::Value {
                layer: self.name.clone(),
                argument: "flags".to_owned(),
                value: flags.clone(),
            })?;
            bits |= 1 << place;
        }
        bytes.extend([words << 4, bits, 0xff, 0xff, 0, 0, 0, 0]);
        Ok(bytes)
    }

    fn udp(&self, carried: usize) -> Result<Vec<u8>, PacketError> {
        let mut bytes = self.ports()?;
        bytes.extend(u16::try_from(8 + carried).unwrap_or(0).to_be_bytes());
        bytes.extend([0, 0]);
        Ok(bytes)
    }

    fn ports(&self) -> Result<Vec<u8>, PacketError> {
        let mut bytes = self.number_argument("sport", 40000)?.to_be_bytes().to_vec();
        bytes.extend(self.number_argument("dport", 80)?.to_be_bytes());
        Ok(bytes)
    }

    fn icmp(&self, echo_request: u8) -> Result<Vec<u8>, PacketError> {
        let message = self.byte_argument("type", echo_request)?;
        Ok(vec![message, self.byte_argument("code", 0)?, 0, 0, 0, 1, 0, 1])
    }
}

fn pseudo_header(around: &Addresses, protocol: u16, length: usize) -> Vec<u8> {
    let length = u32::try_from(length).unwrap_or(0);
    let mut bytes = match around {
        Addresses::V4(source, target) => [source.octets(), target.octets()].concat(),
        Addresses::V6(source, target) => [source.octets(), target.octets()].concat(),
    };
    bytes.extend(length.to_be_bytes());
    bytes.extend(u32::from(protocol).to_be_bytes());
    bytes
}

/// RFC 1071. Each part must have an even length, but the last.
fn internet_checksum(parts: &[&[u8]]) -> u16 {
    let mut sum: u32 = 0;
    for part in parts {
        for pair in part.chunks(2) {
            sum += u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0));
        }
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or(0)
}
