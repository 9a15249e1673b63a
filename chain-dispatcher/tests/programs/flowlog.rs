//! What `skep/flowlog` keeps and tells: flow records and events, read as a collector reads them, by aya's readers of maps
//! and rings and the layout of its README.

use std::collections::BTreeMap;
use std::net::Ipv6Addr;

use aya::maps::{HashMap, Map, MapData, RingBuf};
use serde_json::json;
use skep_artifact::Verdict;
use skep_artifact::config::ConfigValues;
use skep_chain_dispatcher::testrun::TestProgram;

use super::package::Package;
use super::packet::build;

const START: u8 = 1;
const END: u8 = 2;
const FIN: u64 = 1;
const SYN: u64 = 2;
const ACK: u64 = 16;

struct Collector {
    package: Package,
    program: TestProgram,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    source: Ipv6Addr,
    target: Ipv6Addr,
    source_port: u16,
    target_port: u16,
    vlan: u16,
    protocol: u8,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Flow {
    packets: u64,
    bytes: u64,
    first_ns: u64,
    last_ns: u64,
    ended_ns: u64,
    tcp_flags: u64,
}

#[derive(Debug)]
struct Event {
    kind: u8,
    key: Key,
    flow: Flow,
}

impl Collector {
    fn load(values: serde_json::Value) -> Self {
        let package = Package::compile("flowlog");
        let values: ConfigValues = serde_json::from_value(values).unwrap();
        let program = package.load(&values);
        Self { package, program }
    }

    fn send(&self, text: &str) {
        let outcome = self.program.run(&build(text).unwrap()).unwrap();
        assert_eq!(outcome.verdict, Some(Verdict::Unspec), "{text}");
    }

    fn map(&self, name: &str) -> MapData {
        let fd = self.program.map_fd(name).unwrap().try_clone_to_owned().unwrap();
        MapData::from_fd(fd).unwrap()
    }

    fn flows(&self) -> BTreeMap<Key, Flow> {
        let map = Map::LruHashMap(self.map("flows"));
        let map: HashMap<_, [u8; 40], [u8; 48]> = map.try_into().unwrap();
        map.iter()
            .map(|entry| entry.map(|(key, flow)| (Key::read(&key), Flow::read(&flow))).unwrap())
            .collect()
    }

    /// Everything in the ring. Test runs are over when they return, so nothing is still to come.
    fn events(&self) -> Vec<Event> {
        let mut ring = RingBuf::try_from(Map::RingBuf(self.map("events"))).unwrap();
        let mut events = Vec::new();
        while let Some(bytes) = ring.next() {
            assert_eq!(bytes.len(), 96);
            assert_eq!(bytes[0], 1, "the version of the layout");
            assert_eq!(bytes[2..8], [0; 6]);
            events.push(Event {
                kind: bytes[1],
                key: Key::read(&bytes[8..48]),
                flow: Flow::read(&bytes[48..96]),
            });
        }
        events
    }

    fn metric(&self, name: &str) -> u64 {
        self.package.metric(&self.program, name)
    }
}

impl Key {
    fn read(bytes: &[u8]) -> Self {
        let address =
            |at: usize| Ipv6Addr::from(<[u8; 16]>::try_from(&bytes[at..at + 16]).unwrap());
        let port = |at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
        assert_eq!(bytes[39], 0);
        Self {
            source: address(0),
            target: address(16),
            source_port: port(32),
            target_port: port(34),
            vlan: u16::from_ne_bytes([bytes[36], bytes[37]]),
            protocol: bytes[38],
        }
    }

    fn v4(source: [u8; 4], target: [u8; 4], ports: (u16, u16), protocol: u8) -> Self {
        let mapped = |octets: [u8; 4]| std::net::Ipv4Addr::from(octets).to_ipv6_mapped();
        Self {
            source: mapped(source),
            target: mapped(target),
            source_port: ports.0,
            target_port: ports.1,
            vlan: 0,
            protocol,
        }
    }
}

impl Flow {
    fn read(bytes: &[u8]) -> Self {
        let number = |at: usize| u64::from_ne_bytes(bytes[at..at + 8].try_into().unwrap());
        Self {
            packets: number(0),
            bytes: number(8),
            first_ns: number(16),
            last_ns: number(24),
            ended_ns: number(32),
            tcp_flags: number(40),
        }
    }
}

#[test]
fn both_directions_of_a_connection_are_added_up_apart() {
    let collector = Collector::load(json!({}));
    let there = "eth/ipv4(src=10.0.0.1,dst=10.0.0.2)";
    let back = "eth/ipv4(src=10.0.0.2,dst=10.0.0.1)";
    collector.send(&format!("{there}/tcp(sport=4000,dport=80,flags=S)"));
    collector.send(&format!("{back}/tcp(sport=80,dport=4000,flags=SA)"));
    collector.send(&format!("{there}/tcp(sport=4000,dport=80,flags=A)/payload(100)"));
    collector.send(&format!("{there}/tcp(sport=4000,dport=80,flags=PA)/payload(46)"));

    let flows = collector.flows();
    assert_eq!(flows.len(), 2);
    let forth = &flows[&Key::v4([10, 0, 0, 1], [10, 0, 0, 2], (4000, 80), 6)];
    assert_eq!((forth.packets, forth.bytes), (3, 54 + 154 + 100));
    assert_eq!(forth.tcp_flags, SYN | ACK | 8);
    assert!(forth.first_ns > 0 && forth.last_ns > forth.first_ns && forth.ended_ns == 0);
    let reply = &flows[&Key::v4([10, 0, 0, 2], [10, 0, 0, 1], (80, 4000), 6)];
    assert_eq!((reply.packets, reply.bytes, reply.tcp_flags), (1, 54, SYN | ACK));

    let events = collector.events();
    assert_eq!(events.iter().map(|event| event.kind).collect::<Vec<_>>(), [START, START]);
    assert_eq!(events[0].key.source_port, 4000);
    assert_eq!(events[0].flow.tcp_flags, SYN);
}

#[test]
fn a_flow_ends_once_however_often_its_fin_is_repeated() {
    let collector = Collector::load(json!({}));
    let tcp = |flags: &str| format!("eth/ipv6/tcp(sport=4000,dport=443,flags={flags})");
    for flags in ["S", "A", "FA", "FA", "RA", "A"] {
        collector.send(&tcp(flags));
    }
    let events = collector.events();
    assert_eq!(events.iter().map(|event| event.kind).collect::<Vec<_>>(), [START, END]);
    assert_eq!(events[1].flow.packets, 3, "the end event holds the flow as it stood at its FIN");
    assert_eq!(events[1].flow.tcp_flags, FIN | SYN | ACK);
    assert_eq!(events[1].flow.ended_ns, events[1].flow.last_ns);
    let flows = collector.flows();
    assert_eq!(flows.values().map(|flow| flow.packets).collect::<Vec<_>>(), [6]);

    // A SYN over the same ports is another connection.
    collector.send(&tcp("S"));
    let events = collector.events();
    assert_eq!(events.iter().map(|event| event.kind).collect::<Vec<_>>(), [START]);
    let flows = collector.flows();
    assert_eq!(flows.values().map(|flow| flow.packets).collect::<Vec<_>>(), [1]);
    assert_eq!((collector.metric("flows_started"), collector.metric("flows_ended")), (2, 1));
}

#[test]
fn a_reset_in_the_first_packet_starts_and_ends_a_flow() {
    let collector = Collector::load(json!({}));
    collector.send("eth/ipv4/tcp(flags=RA)");
    let kinds: Vec<_> = collector.events().iter().map(|event| event.kind).collect();
    assert_eq!(kinds, [START, END]);
}

/// Whatever the clock does between two packets, no second on it sees more events than the cap, and each event that
/// was not written is counted.
#[test]
fn no_second_sees_more_events_than_the_cap() {
    const FLOWS: u16 = 200;
    let collector = Collector::load(json!({ "events-per-second": 5 }));
    for port in 1..=FLOWS {
        collector.send(&format!("eth/ipv4/udp(sport={port},dport=53)"));
    }
    let events = collector.events();
    let mut seconds: BTreeMap<u64, u64> = BTreeMap::new();
    for event in &events {
        *seconds.entry(event.flow.first_ns / 1_000_000_000).or_default() += 1;
    }
    assert!(seconds.values().all(|count| *count <= 5), "{seconds:?}");
    assert!(events.len() >= 5);
    let written = u64::try_from(events.len()).unwrap();
    assert_eq!(collector.metric("events"), written);
    assert_eq!(collector.metric("events_suppressed"), u64::from(FLOWS) - written);
    assert_eq!(collector.flows().len(), usize::from(FLOWS), "records are kept all the same");
}

#[test]
fn a_cap_of_zero_writes_no_event() {
    let collector = Collector::load(json!({ "events-per-second": 0 }));
    collector.send("eth/ipv4/udp");
    assert!(collector.events().is_empty());
    assert_eq!(collector.flows().len(), 1);
}

/// 4,000 events of 104 bytes do not fit into 256 KiB; those that do not are counted, and none of the written is torn.
#[test]
fn events_that_find_the_ring_full_are_counted_as_lost() {
    let collector = Collector::load(json!({ "events-per-second": 1_000_000 }));
    for port in 1..=4000 {
        collector.send(&format!("eth/ipv4/udp(sport={port},dport=53)"));
    }
    let written = u64::try_from(collector.events().len()).unwrap();
    assert_eq!(collector.metric("events"), written);
    assert_eq!(collector.metric("events_lost"), 4000 - written);
    assert!((2000..3000).contains(&written), "{written}");
}

#[test]
fn vlan_icmp_and_fragments_have_keys_a_reader_can_tell_apart() {
    let collector = Collector::load(json!({}));
    collector.send("eth/qinq(id=300)/vlan(id=7)/ipv4/udp(sport=5,dport=6)");
    collector.send("eth/ipv4/udp(sport=5,dport=6)");
    collector.send("eth/ipv4/icmp(type=8,code=0)");
    collector.send("eth/ipv4(offset=1480,proto=17)/payload(100)");
    let keys: Vec<_> = collector
        .flows()
        .into_keys()
        .map(|key| (key.protocol, key.vlan, key.source_port, key.target_port))
        .collect();
    assert_eq!(keys.len(), 4);
    for wanted in [(17, 300, 5, 6), (17, 0, 5, 6), (1, 0, 0, 0x0800), (17, 0, 0, 0)] {
        assert!(keys.contains(&wanted), "{wanted:?} is not among {keys:?}");
    }
}
