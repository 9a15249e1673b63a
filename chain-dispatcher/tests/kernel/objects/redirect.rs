//! Members that send packets elsewhere, with real traffic: to another interface, to another processor.

use std::time::{Duration, Instant};

use skep_artifact::config::EncodedConfig;
use skep_artifact::hook::{Hook, Verdict};
use skep_chain_dispatcher::{BackendChoice, Chain, Engine, HookPoint, Member};

use super::chain_of;
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

fn to_another_processor(backend: BackendChoice) {
    Place::run_choosing(&[backend], Hook::Xdp, |place| {
        let engine = place.engine();
        // Told by what stands behind the member: checksums, which nobody filled in, stop such a
        // packet before a socket. Processor 0 takes it with a queue of 64.
        let member = sends_on("to_cpu", "cpus", 64);
        engine.apply(&chain_of(backend, 1, member, Hook::Xdp)).unwrap();
        let before = received();
        packets::send(place, "10.77.0.1:7001".parse().unwrap(), &[7; 32]);
        wait_until(|| received() > before);
        assert_eq!(redirected(&engine), 1, "{backend}");
    });
}

fn to_another_interface(backend: BackendChoice) {
    Place::run_choosing(&[backend], Hook::Xdp, |place| {
        let (outer, engine) = (place.outer(), place.engine());
        ip(&["link", "add", "side0", "type", "veth", "peer", "name", "side1", "netns", outer]);
        ip(&["link", "set", "side0", "up"]);
        ip(&["-n", outer, "link", "set", "side1", "up"]);
        let side = HookPoint { interface: "side1".to_owned(), hook: Hook::Xdp };
        let takes = vec![answering(Hook::Xdp, "takes", 1, 1)];
        let wanted = Chain { at: side.clone(), ..chain(Hook::Xdp, 1, takes) };
        outside(place, |there| drop(there.apply(&wanted).unwrap()));
        let member = sends_on("to_device", "devices", place.ifindex("side0"));
        engine.apply(&chain_of(backend, 1, member, Hook::Xdp)).unwrap();
        packets::send(place, "10.77.0.1:7001".parse().unwrap(), &[7; 32]);
        outside(place, |there| wait_until(|| there.counters(&side).unwrap()[0].packets > 0));
        assert_eq!(redirected(&engine), 1, "{backend}");
    });
}

/// Does something with an engine in the outer namespace.
fn outside(place: &Place, work: impl FnOnce(&Engine) + Send) {
    std::thread::scope(|scope| {
        scope.spawn(|| {
            place.enter_outer();
            work(&place.engine());
        });
    });
}

/// UDP datagrams that this namespace received or threw away.
fn received() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/net/snmp").unwrap();
    let numbers = text.lines().filter(|line| line.starts_with("Udp: ")).nth(1).unwrap();
    numbers.split(' ').skip(1).take(3).map(|number| number.parse::<u64>().unwrap()).sum()
}

fn wait_until(happened: impl Fn() -> bool) {
    let started = Instant::now();
    while !happened() {
        assert!(started.elapsed() < Duration::from_secs(5));
        std::thread::yield_now();
    }
}

#[test]
fn a_member_in_a_slot_sends_real_packets_on() {
    to_another_processor(BackendChoice::Slots);
    to_another_interface(BackendChoice::Slots);
}

#[test]
fn a_fused_member_sends_real_packets_on() {
    to_another_processor(BackendChoice::Fused);
    to_another_interface(BackendChoice::Fused);
}

#[test]
fn a_member_that_is_an_extension_sends_real_packets_on() {
    to_another_processor(BackendChoice::Libxdp);
    to_another_interface(BackendChoice::Libxdp);
}
