//! Whose packet it was: addresses, ports and VLAN tags out of a packet's first bytes. Pure; knows
//! packets, refuses to know why they are looked at.

use std::net::IpAddr;

use etherparse::{LaxLinkExtSlice, LaxSlicedPacket, LinkSlice, TransportSlice};
use serde::{Deserialize, Serialize};

/// What a packet's first bytes say about it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Headers {
    /// EtherType of what the VLAN tags enclose; none where there is no Ethernet header.
    pub ether_type: Option<u16>,
    /// VLAN identifiers, outermost first.
    pub vlans: Vec<u16>,
    /// The flow of an IPv4 or IPv6 packet.
    pub flow: Option<Flow>,
}

/// The 5-tuple.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flow {
    /// From whom.
    pub source: IpAddr,
    /// To whom.
    pub destination: IpAddr,
    /// What follows the IP headers: 6 TCP, 17 UDP, 1 ICMP, 58 ICMPv6 (IANA's protocol numbers).
    pub protocol: u8,
    /// TCP and UDP only; none for a fragment that has no such header, or where the bytes end early.
    pub source_port: Option<u16>,
    /// As `source_port`.
    pub destination_port: Option<u16>,
}

/// Reads what can be read: bytes that end early or make no sense leave the rest empty.
pub(crate) fn headers(head: &[u8]) -> Headers {
    let Ok(packet) = LaxSlicedPacket::from_ethernet(head) else { return Headers::default() };
    let mut ether_type = match &packet.link {
        Some(LinkSlice::Ethernet2(ethernet)) => Some(ethernet.ether_type().0),
        _ => None,
    };
    let mut vlans = Vec::new();
    for ext in &packet.link_exts {
        if let LaxLinkExtSlice::Vlan(tag) = ext {
            vlans.push(tag.vlan_identifier().into());
            ether_type = Some(tag.ether_type().0);
        }
    }
    Headers { ether_type, vlans, flow: flow(&packet) }
}

fn flow(packet: &LaxSlicedPacket<'_>) -> Option<Flow> {
    let net = packet.net.as_ref()?;
    let (source, destination): (IpAddr, IpAddr) = match net {
        etherparse::LaxNetSlice::Ipv4(ip) => {
            (ip.header().source_addr().into(), ip.header().destination_addr().into())
        }
        etherparse::LaxNetSlice::Ipv6(ip) => {
            (ip.header().source_addr().into(), ip.header().destination_addr().into())
        }
        etherparse::LaxNetSlice::Arp(_) => return None,
    };
    let (source_port, destination_port) = match &packet.transport {
        Some(TransportSlice::Tcp(tcp)) => (Some(tcp.source_port()), Some(tcp.destination_port())),
        Some(TransportSlice::Udp(udp)) => (Some(udp.source_port()), Some(udp.destination_port())),
        _ => (None, None),
    };
    let protocol = net.ip_payload_ref()?.ip_number.0;
    Some(Flow { source, destination, protocol, source_port, destination_port })
}

#[cfg(test)]
mod tests {
    use etherparse::PacketBuilder;

    use super::{Flow, Headers, headers};

    const MACS: ([u8; 6], [u8; 6]) = ([2, 0, 0, 0, 0, 2], [2, 0, 0, 0, 0, 1]);

    fn udp4() -> Vec<u8> {
        let builder = PacketBuilder::ethernet2(MACS.0, MACS.1)
            .ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64)
            .udp(1000, 53);
        let mut bytes = Vec::new();
        builder.write(&mut bytes, &[7; 20]).unwrap();
        bytes
    }

    #[test]
    fn ipv4_and_its_ports_are_read() {
        let found = headers(&udp4());
        let flow = Flow {
            source: "10.0.0.1".parse().unwrap(),
            destination: "10.0.0.2".parse().unwrap(),
            protocol: 17,
            source_port: Some(1000),
            destination_port: Some(53),
        };
        assert_eq!(
            found,
            Headers { ether_type: Some(0x0800), vlans: Vec::new(), flow: Some(flow) }
        );
    }

    #[test]
    fn ipv6_inside_two_vlan_tags_is_read_also_when_its_payload_is_cut() {
        let builder = PacketBuilder::ethernet2(MACS.0, MACS.1)
            .double_vlan(100.try_into().unwrap(), 7.try_into().unwrap())
            .ipv6([1; 16], [2; 16], 64)
            .tcp(40_000, 443, 1, 1000);
        let mut bytes = Vec::new();
        builder.write(&mut bytes, &[7; 1200]).unwrap();
        let found = headers(&bytes[..128]);
        assert_eq!(found.vlans, [100, 7]);
        assert_eq!(found.ether_type, Some(0x86dd));
        let flow = found.flow.unwrap();
        assert_eq!(
            (flow.protocol, flow.source_port, flow.destination_port),
            (6, Some(40_000), Some(443))
        );
        assert_eq!(
            flow.source,
            "101:101:101:101:101:101:101:101".parse::<std::net::IpAddr>().unwrap()
        );
    }

    #[test]
    fn a_later_fragment_has_addresses_and_no_ports() {
        let mut bytes = udp4();
        bytes[14 + 6] = 0x00;
        bytes[14 + 7] = 0x10; // fragment offset 128 bytes
        let flow = headers(&bytes).flow.unwrap();
        assert_eq!((flow.protocol, flow.source_port), (17, None));
    }

    #[test]
    fn bytes_that_end_anywhere_and_noise_leave_the_rest_empty() {
        let whole = udp4();
        for end in 0..whole.len() {
            let found = headers(&whole[..end]);
            assert!(end >= 34 || found.flow.is_none(), "{end}: {found:?}");
        }
        let mut noise = 1u32;
        for _ in 0..2000 {
            let bytes: Vec<u8> = (0..128)
                .map(|_| {
                    noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    noise.to_be_bytes()[0]
                })
                .collect();
            headers(&bytes);
        }
        assert_eq!(headers(&[]), Headers::default());
    }
}
