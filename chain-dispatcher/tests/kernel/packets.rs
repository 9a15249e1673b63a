//! Packets as bytes, and real ones through the veth pair of a place. Knows sockets, no chains.

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use crate::place::{Place, ip};

/// A packet on a veth pair of one host takes microseconds; this is patience with a busy machine.
const ARRIVES_WITHIN: Duration = Duration::from_secs(5);

/// MAC addresses of `peer0` and `skep0`.
const FROM_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];
const TO_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];

/// An Ethernet frame.
pub(crate) fn ethernet(kind: u16, payload: &[u8]) -> Vec<u8> {
    [&TO_MAC, &FROM_MAC, kind.to_be_bytes().as_slice(), payload].concat()
}

/// IPv4 from 10.77.0.2 to 10.77.0.1 with the ports of UDP (17) or TCP (6).
pub(crate) fn ipv4(protocol: u8, from: u16, to: u16) -> Vec<u8> {
    let transport = transport(protocol, from, to);
    let length = u16::try_from(20 + transport.len()).unwrap().to_be_bytes();
    let mut header = vec![0x45, 0, length[0], length[1], 0, 0, 0, 0, 64, protocol, 0, 0];
    header.extend([10, 77, 0, 2, 10, 77, 0, 1]);
    ethernet(0x0800, &[header, transport].concat())
}

/// IPv6 from fd77::2 to fd77::1.
pub(crate) fn ipv6(protocol: u8, from: u16, to: u16) -> Vec<u8> {
    let transport = transport(protocol, from, to);
    let length = u16::try_from(transport.len()).unwrap().to_be_bytes();
    let mut header = vec![0x60, 0, 0, 0, length[0], length[1], protocol, 64];
    header.extend(address6(2));
    header.extend(address6(1));
    ethernet(0x86dd, &[header, transport].concat())
}

/// fd77::`last`
pub(crate) fn address6(last: u8) -> [u8; 16] {
    let mut address = [0; 16];
    (address[0], address[1], address[15]) = (0xfd, 0x77, last);
    address
}

fn transport(protocol: u8, from: u16, to: u16) -> Vec<u8> {
    let mut header = [from.to_be_bytes(), to.to_be_bytes()].concat();
    if protocol == 17 {
        header.extend([0, 20, 0, 0]);
        header.extend([3; 12]);
    } else {
        header.extend([0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 1, 0, 0, 0, 0, 0]);
    }
    header
}

/// Gives both ends IPv6 addresses that work at once.
pub(crate) fn with_ipv6(place: &Place) {
    for (namespace, interface, address) in
        [(place.inner(), "skep0", "fd77::1/64"), (place.outer(), "peer0", "fd77::2/64")]
    {
        ip(&["-n", namespace, "addr", "add", address, "dev", interface, "nodad"]);
    }
}

/// A socket in the namespace of the calling thread that waits for datagrams. A program that another
/// test starts at the wrong moment holds a copy of the last socket on that port until it runs.
pub(crate) fn listen(address: &str) -> UdpSocket {
    let started = Instant::now();
    let socket = loop {
        match UdpSocket::bind(address) {
            Ok(socket) => break socket,
            Err(error) => assert!(started.elapsed() < ARRIVES_WITHIN, "{address}: {error}"),
        }
        std::thread::yield_now();
    };
    socket.set_read_timeout(Some(ARRIVES_WITHIN)).unwrap();
    socket
}

/// Sends one datagram from the outer namespace.
pub(crate) fn send(place: &Place, to: SocketAddr, payload: &[u8]) {
    std::thread::scope(|scope| {
        scope.spawn(|| {
            place.enter_outer();
            let any = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
            UdpSocket::bind(any).unwrap().send_to(payload, to).unwrap();
        });
    });
}

/// Whether a datagram from the outer namespace arrives at `port`, told by another one sent behind it
/// to a port that nobody stops: the pair keeps their order.
pub(crate) fn arrives(place: &Place, host: &str, port: u16, free: u16) -> bool {
    let (wanted, other) = (listen(&format!("{host}:{port}")), listen(&format!("{host}:{free}")));
    for socket in [&wanted, &other] {
        send(place, socket.local_addr().unwrap(), &[7; 32]);
    }
    other.recv(&mut [0; 64]).expect("what nobody stops arrives");
    wanted.set_nonblocking(true).unwrap();
    wanted.recv(&mut [0; 64]).is_ok()
}
