//! Numbered packets through a veth pair, paced so that nothing but the hook can lose one, and two
//! witnesses in the chain that write down which version of it each packet met.

use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use skep_artifact::hook::Hook;
use skep_chain_dispatcher::{Loadable, Member};

use crate::place::{Place, compile, global, member_of};

pub(super) const PORT: u16 = 7007;
/// Packets that may be on their way at once: far below every queue on it, so that a lost one was
/// lost by the hook.
const WINDOW: u32 = 64;
/// Room for the window in the receiving socket. Before Linux 6.8 a packet on a veth pair with XDP
/// takes a whole page there, and 64 of them are more than the usual room.
const RECEIVE_BYTES: usize = 1 << 20;
/// Packets between two pauses, and the pause: at most 16,000 a second, which leaves the processors
/// to the swaps and to the other tests.
const BURST: u32 = 16;
const PAUSE: Duration = Duration::from_millis(1);
/// A packet that has not come after this is lost: nothing on its way waits as long.
const LOST_AFTER: Duration = Duration::from_secs(10);
/// Room for the packets of one swap: at the pace above those of 0.5 s, and a swap takes a few
/// hundredths.
const PACKETS_PER_SWAP: u32 = 1 << 13;
const PACKETS_PER_SECOND: u32 = 1 << 14;
/// The witnesses' maps take four bytes a packet.
const PACKETS_MAX: u32 = 1 << 24;

/// Writes down, by a packet's number, the version that met it and how often; and counts packets met
/// before the config was written.
const WITNESS: &str = r#"
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#define BYTES 46
const volatile __u32 configured = 0;
const volatile __u32 version = 0;
struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, PACKETS);
         __type(key, __u32); __type(value, __u32); } met SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 1);
         __type(key, __u32); __type(value, __u32); } unconfigured SEC(".maps");
static __always_inline void witness(const unsigned char *p) {
    __u32 zero = 0, number, *count;
    /* IPv4, UDP, to port 7007 */
    if (p[12] != 8 || p[13] != 0 || p[23] != 17 || p[36] != 0x1b || p[37] != 0x5f) return;
    __builtin_memcpy(&number, p + 42, 4);
    count = bpf_map_lookup_elem(&met, &number);
    if (count) __sync_fetch_and_add(count, version << 8 | 1);
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

/// The first and the last member of the chain's version.
pub(super) fn witnesses(hook: Hook, object: &Loadable, version: u32) -> Vec<Member> {
    let program = if hook == Hook::Xdp { "on_xdp" } else { "on_tc" };
    let witness = |name, priority| {
        let mut member = member_of(name, priority, object.clone(), program, hook);
        member.config = global("configured", &1u32.to_le_bytes());
        member.config.globals.insert("version".to_owned(), version.to_le_bytes().to_vec());
        member
    };
    vec![witness("first", 1), witness("last", 2)]
}

/// A flood to come.
pub(super) struct Traffic {
    /// The witnesses' object, with room for so many packets.
    pub(super) object: Loadable,
    packets_max: u32,
}

/// A flood that is over.
#[derive(Debug, Clone, Copy)]
pub(super) struct Flood {
    pub(super) sent: u32,
    pub(super) received: u32,
}

/// What the witnesses say.
#[derive(Debug, Clone, Copy)]
pub(super) struct Met {
    /// Packets that met no chain.
    pub(super) neither: usize,
    /// Packets whose first and last member were of different versions.
    pub(super) halves: usize,
    /// Packets that met a chain twice.
    pub(super) twice: usize,
    /// Packets that met a member before its config was written.
    pub(super) unconfigured: u32,
}

impl Traffic {
    pub(super) fn for_swaps(swaps: u32) -> Self {
        Self::of(swaps.saturating_mul(PACKETS_PER_SWAP))
    }

    pub(super) fn for_seconds(seconds: u32) -> Self {
        Self::of(seconds.saturating_mul(PACKETS_PER_SECOND))
    }

    fn of(packets: u32) -> Self {
        let packets_max = packets.clamp(1 << 18, PACKETS_MAX);
        let object = compile(&format!("#define PACKETS {packets_max}\n{WITNESS}"));
        Self { object, packets_max }
    }

    /// Sends from the outer namespace to the inner one while `work` is done.
    pub(super) fn around(&self, place: &Place, work: impl FnOnce()) -> Flood {
        let socket = UdpSocket::bind(("10.77.0.1", PORT)).unwrap();
        rustix::net::sockopt::set_socket_recv_buffer_size_force(&socket, RECEIVE_BYTES).unwrap();
        let (stop_sending, stop_receiving) = (AtomicBool::new(false), AtomicBool::new(false));
        let received = AtomicU32::new(0);
        std::thread::scope(|scope| {
            let sender = scope.spawn(|| self.send(place, &stop_sending, &received));
            let receiver = scope.spawn(|| receive(&socket, &stop_receiving, &received));
            let worked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
            stop_sending.store(true, Ordering::Release);
            let sent = sender.join().unwrap();
            stop_receiving.store(true, Ordering::Release);
            receiver.join().unwrap();
            if let Err(panic) = worked {
                std::panic::resume_unwind(panic);
            }
            Flood { sent, received: received.load(Ordering::Acquire) }
        })
    }

    /// Sends until told to stop; gives how many it sent.
    fn send(&self, place: &Place, stop: &AtomicBool, received: &AtomicU32) -> u32 {
        place.enter_outer();
        let socket = UdpSocket::bind("10.77.0.2:0").unwrap();
        socket.connect(("10.77.0.1", PORT)).unwrap();
        let (mut sent, mut lost) = (0u32, 0);
        while !stop.load(Ordering::Acquire) {
            assert!(sent < self.packets_max, "the witnesses have no room for more packets");
            let waiting = Instant::now();
            while sent - lost - received.load(Ordering::Acquire) >= WINDOW {
                if waiting.elapsed() > LOST_AFTER {
                    lost = sent - received.load(Ordering::Acquire);
                }
                std::thread::yield_now();
            }
            let mut payload = [0u8; 18];
            payload[..4].copy_from_slice(&sent.to_le_bytes());
            socket.send(&payload).unwrap();
            sent += 1;
            if sent.is_multiple_of(BURST) {
                std::thread::sleep(PAUSE);
            }
        }
        sent
    }

    /// Reads what the witnesses wrote down about the packets of the flood.
    pub(super) fn met(&self, place: &Place, hook: Hook, flood: &Flood) -> Met {
        let numbers = |member: &str, map: &str| {
            let path = place.pin(hook, &format!("members/test+{member}/maps/{map}"));
            let map = aya::maps::Map::Array(aya::maps::MapData::from_pin(path).unwrap());
            let array: aya::maps::Array<_, u32> = map.try_into().unwrap();
            let sent = if array.len() == 1 { 1 } else { flood.sent };
            (0..sent).map(|number| array.get(&number, 0).unwrap()).collect::<Vec<u32>>()
        };
        let (first, last) = (numbers("first", "met"), numbers("last", "met"));
        let pairs = || first.iter().zip(&last);
        Met {
            neither: pairs().filter(|(first, last)| **first == 0 && **last == 0).count(),
            halves: pairs().filter(|(first, last)| first != last).count(),
            twice: pairs().filter(|(first, last)| **first & 0xff > 1 || **last & 0xff > 1).count(),
            unconfigured: ["first", "last"].iter().map(|m| numbers(m, "unconfigured")[0]).sum(),
        }
    }
}

fn receive(socket: &UdpSocket, stop: &AtomicBool, received: &AtomicU32) {
    let mut buffer = [0u8; 64];
    socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    loop {
        match socket.recv(&mut buffer) {
            Ok(_) => {
                received.fetch_add(1, Ordering::AcqRel);
            }
            Err(_) if stop.load(Ordering::Acquire) => return,
            Err(_) => {}
        }
    }
}
