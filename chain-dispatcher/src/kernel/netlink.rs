//! Interfaces of the calling thread's network namespace, with what XDP program each runs, over
//! rtnetlink: the kernel says it nowhere else for programs attached without a link. And taking
//! such a program off. Knows no chains and no pins.

pub(crate) mod traffic;

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use serde::{Deserialize, Serialize};

const HEADER_BYTES: usize = 16;
const LINK_INFO_BYTES: usize = 16;
const RECEIVE_BYTES: usize = 64 << 10;
/// Datagrams of one dump; a host with a million interfaces would stay below it.
const DATAGRAMS_MAX: usize = 100_000;

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const RTM_NEWLINK: u16 = 16;
const RTM_GETLINK: u16 = 18;
const RTM_SETLINK: u16 = 19;
const F_REQUEST: u16 = 1;
const F_ACK: u16 = 4;
const F_DUMP: u16 = 0x300;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_XDP: u16 = 43;
const IFLA_XDP_FD: u16 = 1;
const IFLA_XDP_ATTACHED: u16 = 2;
const IFLA_XDP_FLAGS: u16 = 3;
const IFLA_XDP_DRV_PROG_ID: u16 = 5;
const IFLA_XDP_SKB_PROG_ID: u16 = 6;
const IFLA_XDP_HW_PROG_ID: u16 = 7;
const IFLA_XDP_EXPECTED_FD: u16 = 8;
const XDP_FLAGS_UPDATE_IF_NOEXIST: u32 = 1;
const XDP_FLAGS_SKB_MODE: u32 = 1 << 1;
const XDP_FLAGS_DRV_MODE: u32 = 1 << 2;
const XDP_FLAGS_HW_MODE: u32 = 1 << 3;
const XDP_FLAGS_REPLACE: u32 = 1 << 4;
/// The kind of an attribute, without the "nested" and "network byte order" bits.
const KIND_MASK: u16 = 0x3fff;

/// Where in the packet's path an XDP program runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum XdpMode {
    /// In the driver, before a socket buffer exists.
    Native,
    /// In the kernel's generic path: works everywhere, is slower.
    Generic,
    /// In the card.
    Offloaded,
}

impl XdpMode {
    /// Its stable name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Generic => "generic",
            Self::Offloaded => "offloaded",
        }
    }
}

/// An interface of this network namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Interface {
    pub(crate) index: u32,
    pub(crate) name: String,
    /// Bytes of the largest packet, without the link header.
    pub(crate) mtu: u32,
    /// The XDP programs it runs: at most one per mode.
    pub(crate) xdp: Vec<(XdpMode, u32)>,
}

/// All interfaces of the calling thread's network namespace.
pub(crate) fn interfaces() -> io::Result<Vec<Interface>> {
    let mut message = header(RTM_GETLINK, F_REQUEST | F_DUMP);
    message.extend_from_slice(&[0; LINK_INFO_BYTES]);
    let mut found = Vec::new();
    replies(&mut message, |kind, body| {
        if kind == RTM_NEWLINK {
            found.extend(interface(body));
        }
    })?;
    Ok(found)
}

/// The interface of that name, if there is one.
pub(crate) fn interface_named(name: &str) -> io::Result<Option<Interface>> {
    Ok(interfaces()?.into_iter().find(|interface| interface.name == name))
}

/// What an interface must run for an XDP change to be made.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Expected<'a> {
    /// Whatever it runs.
    Anything,
    /// No program in that mode: else EBUSY.
    Nothing,
    /// This program: else EEXIST.
    Program(BorrowedFd<'a>),
}

/// Takes off an XDP program that was attached without a link.
pub(crate) fn xdp_remove(index: u32, mode: XdpMode) -> io::Result<()> {
    xdp_set(index, Some(mode), None, Expected::Anything)
}

/// Makes an interface run an XDP program, or none, without a link and in one operation. Without a
/// mode the kernel takes native where the driver can, generic elsewhere. The kernel answers EBUSY
/// where a link holds the interface.
pub(crate) fn xdp_set(
    index: u32,
    mode: Option<XdpMode>,
    program: Option<BorrowedFd<'_>>,
    expected: Expected<'_>,
) -> io::Result<()> {
    let mut flags = match mode {
        None => 0,
        Some(XdpMode::Generic) => XDP_FLAGS_SKB_MODE,
        Some(XdpMode::Native) => XDP_FLAGS_DRV_MODE,
        Some(XdpMode::Offloaded) => XDP_FLAGS_HW_MODE,
    };
    let mut nested = Vec::new();
    let fd = program.map_or(-1, |program| program.as_raw_fd());
    attribute(&mut nested, IFLA_XDP_FD, &fd.to_ne_bytes());
    match expected {
        Expected::Anything => {}
        Expected::Nothing => flags |= XDP_FLAGS_UPDATE_IF_NOEXIST,
        Expected::Program(old) => {
            flags |= XDP_FLAGS_REPLACE;
            attribute(&mut nested, IFLA_XDP_EXPECTED_FD, &old.as_raw_fd().to_ne_bytes());
        }
    }
    attribute(&mut nested, IFLA_XDP_FLAGS, &flags.to_ne_bytes());
    let mut message = header(RTM_SETLINK, F_REQUEST | F_ACK);
    let mut link = [0u8; LINK_INFO_BYTES];
    link[4..8].copy_from_slice(&index.to_ne_bytes());
    message.extend_from_slice(&link);
    attribute(&mut message, IFLA_XDP, &nested);
    request(&mut message)
}

/// Sends a message that asks for an acknowledgement, and waits for it.
fn request(message: &mut [u8]) -> io::Result<()> {
    let socket = open()?;
    send(&socket, message)?;
    let datagram = receive(&socket)?;
    match messages(&datagram).next() {
        Some((NLMSG_ERROR, body)) if body.starts_with(&[0; 4]) => Ok(()),
        Some((NLMSG_ERROR, body)) => Err(error_of(body)),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// Sends a message that asks for a dump, and hands over each answer: kind and body.
fn replies(message: &mut [u8], mut each: impl FnMut(u16, &[u8])) -> io::Result<()> {
    let socket = open()?;
    send(&socket, message)?;
    for _ in 0..DATAGRAMS_MAX {
        let datagram = receive(&socket)?;
        for (kind, body) in messages(&datagram) {
            match kind {
                NLMSG_DONE => return Ok(()),
                NLMSG_ERROR => return Err(error_of(body)),
                _ => each(kind, body),
            }
        }
    }
    Err(io::ErrorKind::InvalidData.into())
}

fn open() -> io::Result<OwnedFd> {
    // Protocol 0 is NETLINK_ROUTE.
    Ok(rustix::net::socket_with(
        AddressFamily::NETLINK,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        None,
    )?)
}

fn header(kind: u16, flags: u16) -> Vec<u8> {
    let mut header = vec![0; 4];
    header.extend_from_slice(&kind.to_ne_bytes());
    header.extend_from_slice(&flags.to_ne_bytes());
    header.extend_from_slice(&[0; 8]);
    header
}

fn attribute(to: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let length = u16::try_from(value.len() + 4).unwrap_or(u16::MAX);
    to.extend_from_slice(&length.to_ne_bytes());
    to.extend_from_slice(&kind.to_ne_bytes());
    to.extend_from_slice(value);
    to.resize(to.len().next_multiple_of(4), 0);
}

fn send(socket: &OwnedFd, request: &mut [u8]) -> io::Result<()> {
    let length = u32::try_from(request.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    request[..4].copy_from_slice(&length.to_ne_bytes());
    rustix::net::send(socket, request, SendFlags::empty())?;
    Ok(())
}

fn receive(socket: &OwnedFd) -> io::Result<Vec<u8>> {
    let mut buffer = vec![0u8; RECEIVE_BYTES];
    let (got, _) = rustix::net::recv(socket, &mut buffer[..], RecvFlags::empty())?;
    buffer.truncate(got);
    Ok(buffer)
}

/// The messages of a datagram: kind and body. Stops at the first damaged one.
fn messages(datagram: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    let mut rest = datagram;
    std::iter::from_fn(move || {
        let length = u32::from_ne_bytes(rest.get(..4)?.try_into().ok()?) as usize;
        let kind = u16::from_ne_bytes(rest.get(4..6)?.try_into().ok()?);
        let body = rest.get(HEADER_BYTES..length)?;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, body))
    })
}

/// The attributes of a message: kind and value. Stops at the first damaged one.
fn attributes(bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let length = usize::from(u16::from_ne_bytes(rest.get(..2)?.try_into().ok()?));
        let kind = u16::from_ne_bytes(rest.get(2..4)?.try_into().ok()?);
        let value = rest.get(4..length)?;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind & KIND_MASK, value))
    })
}

fn interface(body: &[u8]) -> Option<Interface> {
    let index = u32::from_ne_bytes(body.get(4..8)?.try_into().ok()?);
    let mut name = None;
    let (mut mtu, mut xdp) = (0, Vec::new());
    for (kind, value) in attributes(body.get(LINK_INFO_BYTES..)?) {
        match kind {
            IFLA_IFNAME => {
                name = Some(String::from_utf8_lossy(value).trim_end_matches('\0').to_owned());
            }
            IFLA_MTU => mtu = u32::from_ne_bytes(value.try_into().ok()?),
            IFLA_XDP => xdp = xdp_programs(value),
            _ => {}
        }
    }
    Some(Interface { index, name: name?, mtu, xdp })
}

fn xdp_programs(nested: &[u8]) -> Vec<(XdpMode, u32)> {
    let attached =
        attributes(nested).any(|(kind, value)| kind == IFLA_XDP_ATTACHED && value != [0]);
    if !attached {
        return Vec::new();
    }
    attributes(nested)
        .filter_map(|(kind, value)| {
            let mode = match kind {
                IFLA_XDP_DRV_PROG_ID => XdpMode::Native,
                IFLA_XDP_SKB_PROG_ID => XdpMode::Generic,
                IFLA_XDP_HW_PROG_ID => XdpMode::Offloaded,
                _ => return None,
            };
            Some((mode, u32::from_ne_bytes(value.try_into().ok()?)))
        })
        .collect()
}

fn error_of(body: &[u8]) -> io::Error {
    match body.first_chunk::<4>() {
        Some(code) => io::Error::from_raw_os_error(-i32::from_ne_bytes(*code)),
        None => io::ErrorKind::InvalidData.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::{attributes, interface, messages};

    #[test]
    fn damaged_answers_end_the_reading_and_nothing_else() {
        assert_eq!(messages(&[1, 0]).count(), 0);
        assert_eq!(messages(&[0; 16]).count(), 0);
        assert_eq!(attributes(&[2, 0, 1, 0]).count(), 0);
        assert_eq!(attributes(&[200, 0, 1, 0, 9]).count(), 0);
        assert_eq!(interface(&[0; 10]), None);
    }

    #[test]
    fn loopback_is_found_by_name() {
        let found = super::interface_named("lo").unwrap().unwrap();
        assert_eq!(found.index, 1);
        assert_eq!(super::interface_named("no such one").unwrap(), None);
    }
}
