//! Swaps under traffic: numbered packets run through the interface while chains are replaced, and
//! every one of them met the old chain or the new one, none neither, none twice.

use std::net::UdpSocket;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use skep_artifact::hook::Hook;
use skep_chain_dispatcher::{BackendChoice, Chain, Engine, Member, Step};

use crate::place::{Place, at, chain, global, member, packet};

/// Packets that may be on their way at once: far below every queue on it, so that a lost one was
/// lost by the hook.
const WINDOW: u32 = 64;
const PORT: u16 = 7007;
const PACKETS_MAX: u32 = 1 << 20;

/// Counts every numbered packet by its number in a state map, and packets met before the config was
/// written in another. `%ATTACH%` is the hook's part.
const WITNESS: &str = r#"
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#define BYTES 46
const volatile __u32 configured = 0;
const volatile __u32 version = 0;
struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 1 << 20);
         __type(key, __u32); __type(value, __u32); } met SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 1);
         __type(key, __u32); __type(value, __u32); } unconfigured SEC(".maps");
static __always_inline void witness(const unsigned char *p) {
    __u32 zero = 0, number, *count;
    /* IPv4, UDP, to port 7007 */
    if (p[12] != 8 || p[13] != 0 || p[23] != 17 || p[36] != 0x1b || p[37] != 0x5f) return;
    __builtin_memcpy(&number, p + 42, 4);
    count = bpf_map_lookup_elem(&met, &number);
    if (count) __sync_fetch_and_add(count, 1);
    if (!configured && (count = bpf_map_lookup_elem(&unconfigured, &zero)))
        __sync_fetch_and_add(count, 1);
}
SEC("xdp") int on_xdp(struct xdp_md *ctx) {
    void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
    if (data + BYTES <= end) witness(data);
    return XDP_PASS;
}
SEC("tc") int on_tc(struct __sk_buff *ctx) {
    unsigned char bytes[BYTES];
    if (!bpf_skb_load_bytes(ctx, 0, bytes, BYTES)) witness(bytes);
    return -1;
}
char _license[] SEC("license") = "GPL";
"#;

fn witness(hook: Hook, version: u32) -> Member {
    let program = if hook == Hook::Xdp { "on_xdp" } else { "on_tc" };
    let mut member = member("witness", 1, WITNESS, program, hook);
    member.config = global("configured", &1u32.to_le_bytes());
    member.config.globals.insert("version".to_owned(), version.to_le_bytes().to_vec());
    member
}

fn u32s(path: &Path) -> Vec<u32> {
    let map = aya::maps::Map::Array(aya::maps::MapData::from_pin(path).unwrap());
    let array: aya::maps::Array<_, u32> = map.try_into().unwrap();
    array.iter().map(|value| value.unwrap()).collect()
}

/// Sends numbered packets from the outer namespace to the inner one until told to stop; gives how
/// many it sent. Waits for each window, so it fails on a loss instead of running past it.
fn flood(place: &Place, stop: &AtomicBool, received: &AtomicU32) -> u32 {
    place.enter_outer();
    let socket = UdpSocket::bind("10.77.0.2:0").unwrap();
    socket.connect(("10.77.0.1", PORT)).unwrap();
    let mut sent = 0u32;
    while !stop.load(Ordering::Acquire) && sent < PACKETS_MAX {
        let waiting = Instant::now();
        while sent - received.load(Ordering::Acquire) >= WINDOW {
            assert!(waiting.elapsed() < Duration::from_secs(10), "a packet was lost before {sent}");
            std::thread::yield_now();
        }
        let mut payload = [0u8; 18];
        payload[..4].copy_from_slice(&sent.to_le_bytes());
        socket.send(&payload).unwrap();
        sent += 1;
        // The other tests want the processor too.
        if sent.is_multiple_of(32) {
            std::thread::sleep(Duration::from_micros(500));
        }
    }
    sent
}

fn receive(socket: &UdpSocket, stop: &AtomicBool, received: &AtomicU32) -> Vec<u32> {
    let mut numbers = Vec::new();
    let mut buffer = [0u8; 64];
    socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    loop {
        match socket.recv(&mut buffer) {
            Ok(_) => {
                numbers.push(u32::from_le_bytes(buffer[..4].try_into().unwrap()));
                received.fetch_add(1, Ordering::AcqRel);
            }
            Err(_) if stop.load(Ordering::Acquire) => return numbers,
            Err(_) => {}
        }
    }
}

fn swap_under_flood(backend: BackendChoice, hook: Hook, swaps: u32) {
    Place::run_on(&[hook], |place| {
        let engine = place.engine();
        engine.apply(&witnessed(backend, hook, 0)).unwrap();
        let socket = UdpSocket::bind(("10.77.0.1", PORT)).unwrap();
        let (stop_sending, stop_receiving) = (AtomicBool::new(false), AtomicBool::new(false));
        let received = Arc::new(AtomicU32::new(0));
        let (sent, numbers) = std::thread::scope(|scope| {
            let sender = scope.spawn(|| flood(place, &stop_sending, &received));
            let receiver = scope.spawn(|| receive(&socket, &stop_receiving, &received));
            for version in 1..=swaps {
                swap(&engine, &witnessed(backend, hook, version));
            }
            stop_sending.store(true, Ordering::Release);
            let sent = sender.join().unwrap();
            stop_receiving.store(true, Ordering::Release);
            (sent, receiver.join().unwrap())
        });
        let lost = sent as usize - numbers.len();
        assert_eq!(lost, 0, "{lost} of {sent} packets were lost");
        assert!(sent > swaps, "{sent} packets for {swaps} swaps prove nothing");
        let met = u32s(&place.pin(hook, "members/test+witness/maps/met"));
        let neither = met[..sent as usize].iter().filter(|count| **count == 0).count();
        let twice = met[..sent as usize].iter().filter(|count| **count > 1).count();
        assert_eq!((neither, twice), (0, 0), "of {sent} packets");
        let unconfigured = u32s(&place.pin(hook, "members/test+witness/maps/unconfigured"));
        assert_eq!(unconfigured, [0], "packets met the program before its config");
        assert_eq!(engine.observe_hook(&at(hook)).unwrap().generation, u64::from(swaps));
    });
}

fn witnessed(backend: BackendChoice, hook: Hook, version: u32) -> Chain {
    Chain { backend, ..chain(hook, version.into(), vec![witness(hook, version)]) }
}

fn swap(engine: &Engine, wanted: &Chain) {
    let applied = engine.apply(wanted).unwrap();
    let switches = applied.plan.steps.iter().filter(|step| matches!(step, Step::Switch { .. }));
    assert_eq!(switches.count(), 1);
}

#[test]
fn no_packet_escapes_two_hundred_swaps_on_xdp() {
    swap_under_flood(BackendChoice::Slots, Hook::Xdp, 200);
}

#[test]
fn no_packet_escapes_a_hundred_swaps_on_tc() {
    swap_under_flood(BackendChoice::Tcx, Hook::TcIngress, 100);
}

#[test]
fn no_packet_escapes_a_hundred_swaps_of_a_clsact_filter() {
    swap_under_flood(BackendChoice::Tc, Hook::TcIngress, 100);
}

#[test]
fn a_dropping_chain_stops_real_traffic_and_a_passing_one_lets_it_through() {
    Place::run_on(&[Hook::Xdp, Hook::TcIngress], |place| {
        let engine = place.engine();
        let reaches = || {
            let socket = UdpSocket::bind(("10.77.0.1", PORT)).unwrap();
            socket.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    place.enter_outer();
                    let sender = UdpSocket::bind("10.77.0.2:0").unwrap();
                    sender.send_to(&packet(), ("10.77.0.1", PORT)).unwrap();
                });
            });
            socket.recv(&mut [0; 64]).is_ok()
        };
        assert!(reaches());
        for (hook, go_on, stop) in [(Hook::Xdp, 2, 1), (Hook::TcIngress, -1, 2)] {
            let answering = |generation, answer| {
                let members = vec![
                    crate::place::answering(hook, "first", 1, go_on),
                    crate::place::answering(hook, "second", 2, answer),
                ];
                engine.apply(&chain(hook, generation, members)).unwrap();
            };
            answering(1, go_on);
            assert!(reaches(), "{hook}");
            answering(2, stop);
            assert!(!reaches(), "{hook}");
            let counters = engine.counters(&at(hook)).unwrap();
            assert_eq!(counters[0].packets, counters[1].packets);
            assert!(counters[1].packets > 0);
            engine.detach(&at(hook)).unwrap();
            assert!(reaches(), "{hook}");
        }
    });
}
