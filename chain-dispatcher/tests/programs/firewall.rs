//! What no single vector of `skep/firewall` can say.

use serde_json::json;
use skep_artifact::Verdict;
use skep_artifact::config::ConfigValues;

use super::package::Package;
use super::packet::build;

/// A packet to a denied port stays denied however short it is cut: a port that cannot be read is not an open one.
#[test]
fn no_cut_of_a_packet_to_a_denied_port_passes() {
    let package = Package::compile("firewall");
    let values = json!({ "denied-tcp-ports": [23], "denied-udp-ports": [23] });
    let config: ConfigValues = serde_json::from_value(values).unwrap();
    let program = package.load(&config);
    for text in [
        "eth/ipv4/tcp(dport=23)",
        "eth/ipv4(options=10)/tcp(dport=23)",
        "eth/ipv4/udp(dport=23)",
        "eth/ipv4(more=1)/tcp(dport=23)",
        "eth/vlan/ipv4/tcp(dport=23)",
        "eth/qinq/vlan/ipv6/udp(dport=23)",
        "eth/ipv6/tcp(dport=23)",
        "eth/ipv6/hopopts/dstopts(bytes=64)/routing/tcp(dport=23)",
        "eth/ipv6/fragment/udp(dport=23)",
        "eth/ipv6/ah/tcp(dport=23)",
    ] {
        let whole = build(text).unwrap();
        for length in 14..=whole.len() {
            let outcome = program.run(&whole[..length]).unwrap();
            assert_eq!(outcome.verdict, Some(Verdict::Drop), "{text} cut to {length} bytes");
        }
    }
}

/// Seven counters share out the traffic: their sum is the number of frames.
#[test]
fn every_frame_is_counted_under_exactly_one_reason() {
    let package = Package::compile("firewall");
    let values = json!({
        "allowlist": ["10.1.0.0/16"], "blocklist": ["10.0.0.0/8"], "denied-tcp-ports": [23],
    });
    let config: ConfigValues = serde_json::from_value(values).unwrap();
    let program = package.load(&config);
    let frames = [
        "eth/arp",
        "eth(type=0x88cc)/payload(46)",
        "eth/ipv4(src=10.1.2.3)/tcp",
        "eth/ipv4(src=10.2.2.3)/tcp",
        "eth/ipv4/tcp(dport=23)",
        "eth/ipv4/tcp(dport=24)",
        "eth/ipv4(offset=1480,proto=6)/payload(64)",
        "eth/ipv4/tcp/cut(30)",
        "eth/ipv6(hops=255)/icmpv6(type=135)/payload(16)",
    ];
    for frame in frames {
        program.run(&build(frame).unwrap()).unwrap();
    }
    let reasons = [
        "passed",
        "allowed",
        "neighbours",
        "blocked",
        "port_denied",
        "default_denied",
        "malformed",
    ];
    let total: u64 = reasons.iter().map(|reason| package.metric(&program, reason)).sum();
    assert_eq!(total, u64::try_from(frames.len()).unwrap());
}
