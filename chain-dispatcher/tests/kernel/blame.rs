//! Who dropped a packet: the right member of the right chain is named, on real traffic, on every
//! backend of the host.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use etherparse::PacketBuilder;
use skep_artifact::hook::{Hook, Mode, Verdict};
use skep_chain_dispatcher::{Backend, Chain, DropCause};

use crate::place::{Place, answering, at, chain, ip};
use crate::seeing::{PATIENCE, PORT, counters, every, guarded, read, read_rest, run};

/// Sends `packets` datagrams from the outer namespace.
fn send(place: &Place, to: &str, from: &str, packets: usize) {
    std::thread::scope(|scope| {
        scope.spawn(|| {
            place.enter_outer();
            let socket = UdpSocket::bind(from).unwrap();
            for _ in 0..packets {
                socket.send_to(b"who drops this", to).unwrap();
            }
        });
    });
}

/// Real datagrams are dropped by the member in the middle: it is counted, timed and named.
fn names_who_dropped_real_traffic(backend: Backend, hook: Hook) {
    Place::run_with(backend, &[hook], |place| {
        let engine = place.engine();
        let applied = engine
            .apply(&Chain {
                backend: backend.as_str().parse().unwrap(),
                ..chain(hook, 1, guarded(hook))
            })
            .unwrap();
        assert_eq!(applied.chain.backend, Some(backend));
        engine.set_timing(&at(hook), every(1)).unwrap();
        // The first datagram asks for the address by ARP, which the chain drops: tell it before.
        ip(&[
            "netns",
            "exec",
            place.outer(),
            "ip",
            "neigh",
            "replace",
            "10.77.0.1",
            "lladdr",
            "02:00:00:00:00:01",
            "dev",
            "peer0",
            "nud",
            "permanent",
        ]);
        let mut drops = engine.drops(&at(hook), 1).unwrap();
        let before = counters(&engine, hook);
        send(place, "10.77.0.1:7007", "10.77.0.2:4000", 20);
        let (events, lost) = read(&mut drops, 20);
        assert_eq!((events.len(), lost), (20, 0));
        for event in &events {
            let by = event.member.as_ref().unwrap();
            assert_eq!((by.policy.as_str(), by.name.as_str(), event.place), ("test", "guard", 1));
            assert_eq!(event.cause, DropCause::Verdict);
            let stop = if hook == Hook::Xdp { Verdict::Drop } else { Verdict::Shot };
            assert_eq!((event.verdict, event.one_in), (Some(stop), 1));
            // 14 Ethernet, 20 IPv4, 8 UDP, 14 of ours.
            assert_eq!((event.length, event.head.len()), (56, 56));
            assert!(event.head.ends_with(b"who drops this"));
            let flow = event.headers.flow.as_ref().unwrap();
            assert_eq!(flow.source, "10.77.0.2".parse::<std::net::IpAddr>().unwrap());
            assert_eq!(flow.destination, "10.77.0.1".parse::<std::net::IpAddr>().unwrap());
            assert_eq!(
                (flow.protocol, flow.source_port, flow.destination_port),
                (17, Some(4000), Some(PORT))
            );
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
            let age = now.as_nanos().abs_diff(u128::from(event.time_ns));
            assert!(age < 20_000_000_000, "told {age} ns from now");
        }
        let after = counters(&engine, hook);
        for (member, met) in [(0, 20), (1, 20), (2, 0)] {
            assert_eq!(after[member].packets - before[member].packets, met, "{after:?}");
            assert_eq!(after[member].bytes - before[member].bytes, met * 56);
            assert_eq!(after[member].timed - before[member].timed, met);
            assert_eq!(after[member].ns_per_packet().is_some(), met > 0);
        }
        assert!(after[0].ns > 0, "{after:?}");
        let ns = after[0].ns_per_packet().unwrap();
        assert!((1.0..1_000_000.0).contains(&ns), "{ns} ns for a member that does little");
    });
}

#[test]
fn names_who_dropped_real_traffic_on_slots() {
    names_who_dropped_real_traffic(Backend::Slots, Hook::Xdp);
}

#[test]
fn names_who_dropped_real_traffic_on_fused() {
    names_who_dropped_real_traffic(Backend::Fused, Hook::Xdp);
}

#[test]
fn names_who_dropped_real_traffic_on_tcx() {
    names_who_dropped_real_traffic(Backend::Tcx, Hook::TcIngress);
}

#[test]
fn names_who_dropped_real_traffic_on_tcx_fused() {
    names_who_dropped_real_traffic(Backend::TcxFused, Hook::TcIngress);
}

#[test]
fn names_who_dropped_real_traffic_on_clsact() {
    names_who_dropped_real_traffic(Backend::Tc, Hook::TcIngress);
}

#[test]
fn names_who_dropped_real_traffic_on_clsact_fused() {
    names_who_dropped_real_traffic(Backend::TcFused, Hook::TcIngress);
}

/// Puts a VLAN tag on what leaves, twice: the kernel keeps the outer one beside the bytes.
const TAGGER: &str = r#"
    #include <linux/bpf.h>
    #include <bpf/bpf_helpers.h>
    #include <bpf/bpf_endian.h>
    SEC("tc") int tag(struct __sk_buff *ctx) {
        bpf_skb_vlan_push(ctx, bpf_htons(0x8100), 42);
        bpf_skb_vlan_push(ctx, bpf_htons(0x88a8), 100);
        return -1;
    }
    char _license[] SEC("license") = "GPL";"#;

/// A chain on the outer end whose one member tags what leaves. It ends with the engine's pins.
fn tag_what_the_outer_end_sends(place: &Place) {
    std::thread::scope(|scope| {
        let tagging = scope.spawn(|| {
            place.enter_outer();
            let members = vec![crate::place::member("tagger", 1, TAGGER, "tag", Hook::TcEgress)];
            let mut tagging = chain(Hook::TcEgress, 1, members);
            tagging.at.interface = "peer0".to_owned();
            place.engine().apply(&tagging).unwrap();
        });
        tagging.join().unwrap();
    });
}

#[test]
fn names_who_dropped_ipv6_and_tagged_traffic() {
    Place::run_on(&[Hook::TcIngress, Hook::TcEgress, Hook::Xdp], |place| {
        let engine = place.engine();
        let outer = place.outer();
        ip(&["-n", outer, "addr", "add", "fd77::2/64", "dev", "peer0", "nodad"]);
        ip(&[
            "-n",
            outer,
            "neigh",
            "add",
            "fd77::1",
            "lladdr",
            "02:00:00:00:00:01",
            "dev",
            "peer0",
        ]);
        tag_what_the_outer_end_sends(place);
        for hook in [Hook::TcIngress, Hook::Xdp] {
            engine.apply(&chain(hook, 1, guarded(hook))).unwrap();
            let mut drops = engine.drops(&at(hook), 1).unwrap();
            send(place, "[fd77::1]:7007", "[fd77::2]:4000", 3);
            let (mut seen, started) = (0, Instant::now());
            while seen < 3 {
                assert!(started.elapsed() < PATIENCE, "{seen} of 3 came");
                for event in drops.read(Duration::from_millis(100)).unwrap().events {
                    // The kernel's own neighbour discovery passes here, too.
                    let Some(flow) =
                        event.headers.flow.filter(|f| f.destination_port == Some(PORT))
                    else {
                        continue;
                    };
                    assert_eq!(event.member.as_ref().unwrap().name, "guard");
                    // XDP sees bytes only, and this driver keeps the outer tag beside them.
                    let tags: &[u16] = if hook.is_tc() { &[100, 42] } else { &[42] };
                    assert_eq!(event.headers.vlans, tags);
                    assert_eq!(event.headers.ether_type, Some(0x86dd));
                    assert_eq!(flow.source, "fd77::2".parse::<std::net::IpAddr>().unwrap());
                    assert_eq!((flow.protocol, flow.source_port), (17, Some(4000)));
                    seen += 1;
                }
            }
            drop(drops);
            engine.detach(&at(hook)).unwrap();
        }
    });
}

#[test]
fn names_who_dropped_a_packet_with_two_tags_and_shows_its_first_bytes_only() {
    Place::run(|place| {
        let engine = place.engine();
        let hook = Hook::Xdp;
        engine.apply(&chain(hook, 1, guarded(hook))).unwrap();
        let mut drops = engine.drops(&at(hook), 1).unwrap();
        let mut bytes = Vec::new();
        PacketBuilder::ethernet2([2, 0, 0, 0, 0, 2], [2, 0, 0, 0, 0, 1])
            .double_vlan(100.try_into().unwrap(), 42.try_into().unwrap())
            .ipv6([1; 16], [2; 16], 64)
            .tcp(40_000, 443, 1, 1000)
            .write(&mut bytes, &[7; 900])
            .unwrap();
        let outcome = engine.test_run(&at(hook), &bytes, 1).unwrap().unwrap();
        assert_eq!(outcome.verdict, Some(Verdict::Drop));
        let (events, _) = read(&mut drops, 1);
        let event = events.last().unwrap();
        assert_eq!(event.headers.vlans, [100, 42]);
        let flow = event.headers.flow.as_ref().unwrap();
        assert_eq!((flow.protocol, flow.destination_port), (6, Some(443)));
        assert_eq!((event.length as usize, event.head.as_slice()), (bytes.len(), &bytes[..128]));
    });
}

#[test]
fn names_a_closed_member_that_could_not_run() {
    Place::run(|place| {
        let engine = place.engine();
        let members =
            vec![answering(Hook::Xdp, "first", 1, 2), answering(Hook::Xdp, "starved", 2, 2)];
        engine.apply(&chain(Hook::Xdp, 1, members)).unwrap();
        // An empty slot is what a spent budget of tail calls looks like, on every kernel.
        let map = aya::maps::MapData::from_pin(place.pin(Hook::Xdp, "slots")).unwrap();
        let mut slots =
            aya::maps::ProgramArray::try_from(aya::maps::Map::ProgramArray(map)).unwrap();
        slots.clear_index(&1).unwrap();
        let mut drops = engine.drops(&at(Hook::Xdp), 1).unwrap();
        assert_eq!(run(&engine, Hook::Xdp, 1), 1);
        let (events, _) = read(&mut drops, 1);
        assert_eq!(events[0].member.as_ref().unwrap().name, "starved");
        assert_eq!((events[0].cause, events[0].verdict), (DropCause::Missed, Some(Verdict::Drop)));
    });
}

#[test]
fn blames_the_member_whose_drop_the_chain_ended_with() {
    Place::run(|place| {
        let engine = place.engine();
        // `soft` drops and lets the chain go on; `watcher` only observes, whatever it says.
        let mut soft = answering(Hook::Xdp, "soft", 1, 1);
        soft.proceed_on = [Verdict::Drop, Verdict::Pass].into_iter().collect();
        let mut watcher = answering(Hook::Xdp, "watcher", 2, 1);
        watcher.mode = Mode::Observe;
        engine.apply(&chain(Hook::Xdp, 1, vec![soft.clone(), watcher.clone()])).unwrap();
        let mut drops = engine.drops(&at(Hook::Xdp), 1).unwrap();
        assert_eq!(run(&engine, Hook::Xdp, 1), 1);
        let (events, _) = read(&mut drops, 1);
        assert_eq!(events[0].member.as_ref().unwrap().name, "soft");
        // A later member that passes it takes the drop back: nothing to tell.
        let saver = answering(Hook::Xdp, "saver", 3, 2);
        engine.apply(&chain(Hook::Xdp, 2, vec![soft, watcher, saver])).unwrap();
        assert_eq!(run(&engine, Hook::Xdp, 5), 2);
        assert_eq!(read_rest(&mut drops).0, []);
    });
}
