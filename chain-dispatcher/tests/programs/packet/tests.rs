//! Frames of the notation against what RFC 791, 768 and 1071 demand of a sender. Knows nothing of programs.

use super::*;

fn hex(text: &str) -> String {
    build(text).unwrap().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The two sums were computed apart from this code.
#[test]
fn an_udp_packet_has_the_lengths_and_checksums_a_sender_would_write() {
    let frame = hex("eth/ipv4(src=10.0.0.1,dst=10.0.0.2)/udp(sport=1,dport=2)/payload(1)");
    assert_eq!(
        frame,
        concat!(
            "0200000000020200000000010800",
            "4500001d000700004011",
            "66c7",
            "0a0000010a000002",
            "000100020009",
            "91d6",
            "5a"
        )
    );
}

#[test]
fn a_receiver_sums_every_transport_checksum_to_zero() {
    for (text, ip_bytes) in [
        ("eth/ipv4/tcp/payload(7)", 20),
        ("eth/ipv4/icmp/payload(8)", 20),
        ("eth/ipv6/tcp(flags=SA)", 40),
        ("eth/ipv6/udp/payload(3)", 40),
        ("eth/ipv6/icmpv6(type=135)/payload(16)", 40),
    ] {
        let bytes = build(text).unwrap();
        let (ip, transport) = bytes[14..].split_at(ip_bytes);
        let (addresses, protocol) = match ip_bytes {
            20 => (&ip[12..], ip[9]),
            _ => (&ip[8..], ip[6]),
        };
        let mut pseudo = Vec::new();
        if protocol != 1 {
            pseudo.extend(addresses);
            pseudo.extend(u32::try_from(transport.len()).unwrap().to_be_bytes());
            pseudo.extend(u32::from(protocol).to_be_bytes());
        }
        assert_eq!(internet_checksum(&[&pseudo, transport]), 0, "{text}");
        if ip_bytes == 20 {
            assert_eq!(internet_checksum(&[ip]), 0, "{text}");
        }
    }
}

#[test]
fn a_misspelt_layer_or_argument_is_refused() {
    assert_eq!(build("eth/ipv5"), Err(PacketError::UnknownLayer("ipv5".into())));
    let misspelt = build("eth/ipv4/tcp(port=80)");
    assert!(matches!(misspelt, Err(PacketError::UnknownArgument { .. })), "{misspelt:?}");
    assert!(matches!(build("eth/ipv4(src=1.2.3)"), Err(PacketError::Value { .. })));
    assert_eq!(build("eth/tcp"), Err(PacketError::NoIpHeader("tcp".into())));
}

#[test]
fn a_cut_frame_ends_where_it_is_told_and_a_padded_one_is_filled() {
    assert_eq!(build("eth/ipv4/tcp/cut(20)").unwrap().len(), 20);
    assert_eq!(build("eth/ipv4/tcp/pad(64)").unwrap().len(), 64);
}
