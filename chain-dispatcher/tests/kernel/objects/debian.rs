//! Objects out of Debian's package xdp-tools, read where they are installed: xdp-filter's programs
//! filter beside ours, xdpdump's tell what they see, and what is no XDP program is named.

use std::collections::BTreeMap;

use aya::maps::perf::PerfEvent;
use aya::maps::{Map, MapData, PerCpuHashMap, PerfEventArray};
use skep_artifact::config::EncodedConfig;
use skep_artifact::hook::Hook;
use skep_chain_dispatcher::{BackendChoice, Engine, Loadable, Member};
use skep_trust::LocallyTrusted;

use super::{between, chain_of, told};
use crate::packets::{self, address6, ipv4, ipv6};
use crate::place::{Place, answering, at, chain, global};

const PASS: i32 = 2;
const DROP: i32 = 1;

/// `MAP_FLAG_*` of xdp-filter.
const SOURCE: u8 = 1;
const DESTINATION: u8 = 2;
const TCP: u8 = 4;
const UDP: u8 = 8;

/// An object of xdp-tools.
fn object(name: &str) -> Loadable {
    let found = std::fs::read_dir("/usr/lib")
        .unwrap()
        .find_map(|folder| std::fs::read(folder.unwrap().path().join("bpf").join(name)).ok());
    let bytes = found.unwrap_or_else(|| panic!("{name} comes with Debian's package xdp-tools"));
    Loadable::Local(LocallyTrusted::by_explicit_consent(bytes).unwrap())
}

fn theirs(file: &str, program: &str, config: EncodedConfig) -> Member {
    let mut member = answering(Hook::Xdp, "theirs", 20, PASS);
    member.object = object(file);
    member.program = program.to_owned();
    member.config = config;
    member
}

/// One entry of a filter's map.
fn listed(map: &str, key: &[u8], flags: u8) -> EncodedConfig {
    let value = u64::from(flags).to_ne_bytes().to_vec();
    EncodedConfig {
        globals: BTreeMap::new(),
        maps: BTreeMap::from([(map.to_owned(), vec![(key.to_vec(), value)])]),
    }
}

/// How xdp-filter keys a port: as it stands in the packet.
fn port_key(port: u16) -> [u8; 4] {
    u32::from(port.to_be()).to_ne_bytes()
}

fn answers(engine: &Engine, packet: &[u8]) -> i32 {
    engine.test_run(&at(Hook::Xdp), packet, 1).unwrap().unwrap().code
}

/// What an entry of a filter is about: the objects that have such entries, the map, key and flags of
/// the entry, and a packet that it is about.
struct Listed {
    objects: &'static [&'static str],
    map: &'static str,
    key: Vec<u8>,
    flags: u8,
    meets: Vec<u8>,
}

fn with(mut packet: Vec<u8>, at: usize, byte: u8) -> Vec<u8> {
    packet[at] = byte;
    packet
}

/// Entries of which a packet meets one at most.
fn lists() -> [Listed; 6] {
    let port = |objects, port: u16, flags, meets| {
        let key = port_key(port).to_vec();
        Listed { objects, map: "filter_ports", key, flags, meets }
    };
    let other = |objects, map, key: &[u8], meets| Listed {
        objects,
        map,
        key: key.to_vec(),
        flags: SOURCE,
        meets,
    };
    [
        port(&["udp", "all"], 53, DESTINATION | UDP, ipv4(17, 4000, 53)),
        port(&["udp", "all"], 54, SOURCE | UDP, ipv6(17, 54, 4000)),
        port(&["tcp", "all"], 80, DESTINATION | TCP, ipv4(6, 4000, 80)),
        other(&["ip", "all"], "filter_ipv4", &[10, 77, 0, 3], with(ipv4(17, 1, 2), 29, 3)),
        other(&["ip", "all"], "filter_ipv6", &address6(3), with(ipv6(6, 1, 2), 37, 3)),
        other(&["eth", "all"], "filter_ethernet", &[2, 0, 0, 0, 0, 3], with(ipv4(17, 1, 2), 11, 3)),
    ]
}

/// Packets that no entry is about.
fn others() -> [Vec<u8>; 4] {
    // As from and as to the listed ports, but the other way around, and to neighbours of them.
    [ipv4(17, 53, 4000), ipv6(17, 4000, 54), ipv4(6, 80, 4000), ipv4(6, 4000, 53)]
}

fn each_filter_filters(backend: BackendChoice) {
    Place::run_choosing(&[backend], Hook::Xdp, |place| {
        let engine = place.engine();
        let objects = ["udp", "tcp", "ip", "eth", "all"].map(|kind| [("alw", kind), ("dny", kind)]);
        for (generation, (policy, kind)) in (1..).zip(objects.into_iter().flatten()) {
            let (on_met, on_missed) = if policy == "alw" { (DROP, PASS) } else { (PASS, DROP) };
            let mut config = EncodedConfig::default();
            let lists: Vec<Listed> =
                lists().into_iter().filter(|list| list.objects.contains(&kind)).collect();
            for Listed { map, key, flags, .. } in &lists {
                let value = u64::from(*flags).to_ne_bytes().to_vec();
                config.maps.entry((*map).to_owned()).or_default().push((key.clone(), value));
            }
            let program = format!("xdpfilt_{policy}_{kind}");
            let member = theirs(&format!("{program}.o"), &program, config);
            engine
                .apply(&chain_of(backend, generation, member, Hook::Xdp))
                .unwrap_or_else(|error| panic!("{program}: {}", told(&error)));
            for (number, list) in lists.iter().enumerate() {
                assert_eq!(answers(&engine, &list.meets), on_met, "{program}: entry {number}");
            }
            for (number, packet) in others().iter().enumerate() {
                assert_eq!(answers(&engine, packet), on_missed, "{program}: packet {number}");
            }
            let counters = engine.counters(&at(Hook::Xdp)).unwrap();
            let packets: Vec<u64> = counters.iter().map(|m| m.packets).collect();
            let (met, missed) = (lists.len() as u64, others().len() as u64);
            let passed = if on_met == PASS { met } else { missed };
            assert_eq!(packets, [met + missed, met + missed, passed], "{program}");
        }
    });
}

#[test]
fn each_of_xdp_filters_programs_filters_in_a_slot_what_its_maps_list() {
    each_filter_filters(BackendChoice::Slots);
}

#[test]
fn each_of_xdp_filters_programs_filters_fused_what_its_maps_list() {
    each_filter_filters(BackendChoice::Fused);
}

#[test]
fn each_of_xdp_filters_programs_filters_as_an_extension_what_its_maps_list() {
    each_filter_filters(BackendChoice::Libxdp);
}

fn stops_real_traffic(backend: BackendChoice) {
    Place::run_choosing(&[backend], Hook::Xdp, |place| {
        packets::with_ipv6(place);
        let engine = place.engine();
        let config = listed("filter_ports", &port_key(7001), DESTINATION | UDP);
        let member = theirs("xdpfilt_alw_all.o", "xdpfilt_alw_all", config);
        engine.apply(&chain_of(backend, 1, member, Hook::Xdp)).unwrap();
        assert!(!packets::arrives(place, "10.77.0.1", 7001, 7002));
        assert!(!packets::arrives(place, "[fd77::1]", 7001, 7002));
        let pin = place.pin(Hook::Xdp, "members/test+theirs/maps/filter_ports");
        let mut ports: aya::maps::PerCpuArray<_, u64> =
            Map::PerCpuArray(MapData::from_pin(pin).unwrap()).try_into().unwrap();
        let cpus = aya::util::nr_cpus().unwrap();
        let nothing = aya::maps::PerCpuValues::try_from(vec![0; cpus]).unwrap();
        ports.set(u32::from(7001u16.to_be()), nothing, 0).unwrap();
        assert!(packets::arrives(place, "10.77.0.1", 7001, 7002));
        assert!(packets::arrives(place, "[fd77::1]", 7001, 7002));
        let counters = engine.counters(&at(Hook::Xdp)).unwrap();
        assert!(counters[1].packets > counters[2].packets, "{counters:?}");
    });
}

#[test]
fn xdp_filter_in_a_slot_stops_real_traffic_until_its_pinned_map_is_cleared() {
    stops_real_traffic(BackendChoice::Slots);
}

#[test]
fn fused_xdp_filter_stops_real_traffic_until_its_pinned_map_is_cleared() {
    stops_real_traffic(BackendChoice::Fused);
}

#[test]
fn xdp_filter_as_an_extension_stops_real_traffic_until_its_pinned_map_is_cleared() {
    stops_real_traffic(BackendChoice::Libxdp);
}

#[test]
fn xdp_filter_counts_in_its_own_maps_and_keeps_them_through_an_upgrade() {
    Place::run(|place| {
        let engine = place.engine();
        let member = || theirs("xdpfilt_alw_ip.o", "xdpfilt_alw_ip", EncodedConfig::default());
        engine.apply(&chain(Hook::Xdp, 1, vec![member()])).unwrap();
        let listed: PerCpuHashMap<_, [u8; 4], u64> = {
            let pin = place.pin(Hook::Xdp, "members/test+theirs/maps/filter_ipv4");
            Map::PerCpuHashMap(MapData::from_pin(pin).unwrap()).try_into().unwrap()
        };
        let mut listed = listed;
        let flags = vec![u64::from(SOURCE); aya::util::nr_cpus().unwrap()];
        listed
            .insert([10, 77, 0, 2], aya::maps::PerCpuValues::try_from(flags).unwrap(), 0)
            .unwrap();
        assert_eq!(answers(&engine, &ipv4(17, 1, 2)), DROP);
        engine.apply(&chain(Hook::Xdp, 2, between(member(), Hook::Xdp))).unwrap();
        assert_eq!(answers(&engine, &ipv4(17, 1, 2)), DROP, "the list went on");
        let values = listed.get(&[10, 77, 0, 2], 0).unwrap();
        // The lower six bits are flags, the others count.
        assert_eq!(values.iter().map(|value| value >> 6).sum::<u64>(), 2);
    });
}

fn tells_of_every_packet(backend: BackendChoice) {
    Place::run_choosing(&[backend], Hook::Xdp, |place| {
        let engine = place.engine();
        // struct trace_configuration: interface, bytes to capture, number of the program
        let settings = [place.ifindex("skep0"), 64, 3].map(u32::to_ne_bytes).concat();
        let member = theirs("xdpdump_xdp.o", "xdpdump", global("trace_cfg", &settings));
        engine.apply(&chain_of(backend, 1, member, Hook::Xdp)).unwrap();
        let pin = place.pin(Hook::Xdp, "members/test+theirs/maps/xdpdump_perf_map");
        let events = Map::PerfEventArray(MapData::from_pin(pin).unwrap());
        let mut events = PerfEventArray::try_from(events).unwrap();
        let cpus = aya::util::online_cpus().unwrap().into_iter();
        let mut buffers: Vec<_> = cpus.map(|cpu| events.open(cpu, None).unwrap()).collect();
        assert!(packets::arrives(place, "10.77.0.1", 7001, 7002));
        let mut told = Vec::new();
        for buffer in &mut buffers {
            buffer.for_each(|event| {
                if let PerfEvent::Sample { head, tail } = event {
                    told.push([head, tail].concat());
                }
            });
        }
        let both = told.iter().filter(|event| event.windows(8).any(|part| part == [7; 8]));
        assert_eq!(both.count(), 2, "{told:?}");
    });
}

#[test]
fn xdpdumps_program_in_a_slot_tells_of_every_packet() {
    tells_of_every_packet(BackendChoice::Slots);
}

#[test]
fn xdpdumps_program_fused_tells_of_every_packet() {
    tells_of_every_packet(BackendChoice::Fused);
}

#[test]
fn xdpdumps_program_as_an_extension_tells_of_every_packet() {
    tells_of_every_packet(BackendChoice::Libxdp);
}

#[test]
fn programs_for_af_xdp_sockets_let_on_what_no_socket_wants() {
    Place::run(|place| {
        let engine = place.engine();
        for (generation, file) in (1..).zip(["xsk_def_xdp_prog.o", "xsk_def_xdp_prog_5.3.o"]) {
            let member = theirs(file, "xsk_def_prog", EncodedConfig::default());
            engine.apply(&chain(Hook::Xdp, generation, between(member, Hook::Xdp))).unwrap();
            assert_eq!(answers(&engine, &ipv4(17, 4000, 53)), PASS, "{file}");
        }
    });
}

#[test]
fn xdpdumps_watchers_of_functions_are_named_as_what_they_are() {
    Place::run(|place| {
        let engine = place.engine();
        for program in ["trace_on_entry", "trace_on_exit"] {
            let member = theirs("xdpdump_bpf.o", program, EncodedConfig::default());
            let refused = engine.apply(&chain(Hook::Xdp, 1, vec![member])).unwrap_err();
            assert_eq!(refused.code(), "chain.load_refused");
            let words = told(&refused);
            assert!(words.contains("watches a function and meets no packets"), "{words}");
            assert!(words.contains("section f"), "{words}");
        }
        assert!(engine.observe().unwrap().is_empty());
    });
}
