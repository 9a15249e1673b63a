//! Members that send packets elsewhere, with real traffic: to another interface, to another processor.

use std::time::{Duration, Instant};

use skep_artifact::config::EncodedConfig;
use skep_artifact::hook::{Hook, Verdict};
use skep_chain_dispatcher::{Chain, Engine, HookPoint, Member};

use super::{backends, between};
use crate::packets;
use crate::place::{Place, answering, at, chain, ip, member};

/// Sends UDP to port 7001 on through whatever the first entry of its map is.
const SENDS_ON: &str = r#"
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
struct { __uint(type, BPF_MAP_TYPE_DEVMAP); __uint(max_entries, 1);
         __type(key, __u32); __type(value, struct bpf_devmap_val); } devices SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_CPUMAP); __uint(max_entries, 1);
         __type(key, __u32); __type(value, struct bpf_cpumap_val); } cpus SEC(".maps");
static __always_inline int wanted(struct xdp_md *ctx) {
    unsigned char *p = (void *)(long)ctx->data;
    return (void *)(p + 38) <= (void *)(long)ctx->data_end && p[12] == 8 && p[13] == 0
        && p[23] == 17 && p[36] == 7001 >> 8 && p[37] == (7001 & 255);
}
SEC("xdp") int to_device(struct xdp_md *ctx)
{ return wanted(ctx) ? bpf_redirect_map(&devices, 0, XDP_ABORTED) : XDP_PASS; }
SEC("xdp") int to_cpu(struct xdp_md *ctx)
{ return wanted(ctx) ? bpf_redirect_map(&cpus, 0, XDP_ABORTED) : XDP_PASS; }
char _license[] SEC("license") = "GPL";
"#;

fn sends_on(program: &str, map: &str, first: u32) -> Member {
    let value = [first, 0].map(u32::to_ne_bytes).concat();
    let mut member = member("theirs", 20, SENDS_ON, program, Hook::Xdp);
    member.config = EncodedConfig::default();
    member.config.maps.insert(map.to_owned(), vec![(vec![0; 4], value)]);
    member
}

fn redirected(engine: &Engine) -> u64 {
    let counters = engine.counters(&at(Hook::Xdp)).unwrap();
    let verdicts = counters[1].verdicts.iter();
    verdicts.filter(|(v, _)| *v == Verdict::Redirect).map(|(_, count)| count).sum()
}

/// Packets that went on behind the member.
fn passed(engine: &Engine) -> u64 {
    engine.counters(&at(Hook::Xdp)).unwrap()[2].packets
}

/// Waits until the first member of a chain met so many packets.
fn wait_for_packets(engine: &Engine, at: &HookPoint, packets: u64) {
    let started = Instant::now();
    while engine.counters(at).unwrap()[0].packets < packets {
        assert!(started.elapsed() < Duration::from_secs(5), "{at}");
        std::thread::yield_now();
    }
}

#[test]
fn a_member_sends_real_packets_to_another_processor() {
    Place::run_on(&[Hook::Xdp, Hook::TcIngress], |place| {
        let engine = place.engine();
        for backend in backends(Hook::Xdp) {
            // Told by what comes after XDP: its checksum, which nobody filled in, stops the packet
            // before a socket.
            let after = vec![answering(Hook::TcIngress, "after", 1, -1)];
            engine.apply(&chain(Hook::TcIngress, 1, after)).unwrap();
            // A queue of 64 packets on processor 0.
            let members = between(sends_on("to_cpu", "cpus", 64), Hook::Xdp);
            engine.apply(&Chain { backend, ..chain(Hook::Xdp, 1, members) }).unwrap();
            packets::send(place, "10.77.0.1:7001".parse().unwrap(), &[7; 32]);
            wait_for_packets(&engine, &at(Hook::TcIngress), 1 + passed(&engine));
            assert_eq!(redirected(&engine), 1, "{backend}");
            engine.detach_all().unwrap();
        }
    });
}

#[test]
fn a_member_sends_real_packets_to_another_interface() {
    Place::run(|place| {
        let (outer, engine) = (place.outer(), place.engine());
        ip(&["link", "add", "side0", "type", "veth", "peer", "name", "side1", "netns", outer]);
        ip(&["link", "set", "side0", "up"]);
        ip(&["-n", outer, "link", "set", "side1", "up"]);
        let side = HookPoint { interface: "side1".to_owned(), hook: Hook::Xdp };
        for backend in backends(Hook::Xdp) {
            std::thread::scope(|scope| {
                let arrived = scope.spawn(|| {
                    place.enter_outer();
                    let engine = place.engine();
                    let takes = vec![answering(Hook::Xdp, "takes", 1, 1)];
                    let wanted = Chain { at: side.clone(), ..chain(Hook::Xdp, 1, takes) };
                    engine.apply(&wanted).unwrap();
                    engine
                });
                let there = arrived.join().unwrap();
                let number = place.ifindex("side0");
                let members = between(sends_on("to_device", "devices", number), Hook::Xdp);
                engine.apply(&Chain { backend, ..chain(Hook::Xdp, 1, members) }).unwrap();
                packets::send(place, "10.77.0.1:7001".parse().unwrap(), &[7; 32]);
                let waiting = scope.spawn(move || {
                    place.enter_outer();
                    let side = HookPoint { interface: "side1".to_owned(), hook: Hook::Xdp };
                    wait_for_packets(&there, &side, 1);
                    there.detach(&side).unwrap();
                });
                waiting.join().unwrap();
            });
            assert_eq!(redirected(&engine), 1, "{backend}");
            engine.detach(&at(Hook::Xdp)).unwrap();
        }
    });
}
