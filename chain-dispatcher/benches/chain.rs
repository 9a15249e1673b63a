//! What a chain costs per packet: N members in slots against one program written by hand with the
//! same N bodies (a function each, and merged by the compiler), in one run. `BPF_PROG_TEST_RUN` repeats each over one packet and the kernel takes
//! the time; the ways are measured in turn, round by round, so that what disturbs one disturbs all.
//! Needs root and clang. `--json` prints one object instead of the table; `--rounds N` sets how many.

#![expect(clippy::print_stdout, reason = "a measurement is printed")]
#![expect(clippy::unwrap_used, reason = "a measurement that cannot go on says where it stopped")]

use std::process::Command;

use skep_artifact::config::EncodedConfig;
use skep_artifact::hook::{Failure, Hook, Mode, VerdictSet};
use skep_chain_dispatcher::testrun::TestProgram;
use skep_chain_dispatcher::{
    BackendChoice, Chain, Counting, Engine, EngineConfig, HookPoint, Loadable, Member,
};
use skep_trust::LocallyTrusted;

const LENGTHS: [usize; 5] = [1, 2, 5, 10, 32];
/// Runs per sample; the kernel's mean is in whole nanoseconds, so rounds give the finer picture.
const REPEAT: u32 = 200_000;
const ROUNDS: usize = 31;

/// A realistic body: parse Ethernet and IPv4, look up a per-CPU counter, add.
const HEAD: &str = r#"
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>
struct { __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY); __uint(max_entries, 256);
         __type(key, __u32); __type(value, __u64); } protocols SEC(".maps");
#define BODY(n, how) static __attribute__((how)) int body##n(struct xdp_md *ctx) { \
    void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end; \
    struct ethhdr *eth = data; struct iphdr *ip = data + sizeof(*eth); \
    __u32 key; __u64 *count; \
    if ((void *)(ip + 1) > end) return XDP_DROP; \
    if (eth->h_proto != bpf_htons(ETH_P_IP)) return XDP_PASS; \
    key = ip->protocol; count = bpf_map_lookup_elem(&protocols, &key); \
    if (count) *count += n + 1; \
    return XDP_PASS; }
"#;

struct Way {
    name: &'static str,
    length: usize,
    samples: Vec<u32>,
    sample: Box<dyn Fn() -> u32>,
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let json = arguments.iter().any(|argument| argument == "--json");
    let rounds = arguments
        .iter()
        .position(|argument| argument == "--rounds")
        .and_then(|at| arguments.get(at + 1)?.parse().ok())
        .unwrap_or(ROUNDS);
    let place = Place::new();
    let mut ways: Vec<Way> = LENGTHS.iter().flat_map(|length| ways(&place, *length)).collect();
    for _ in 0..rounds {
        for way in &mut ways {
            way.samples.push((way.sample)());
        }
    }
    if json { print_json(&mut ways, rounds) } else { print_table(&mut ways, rounds) }
}

/// The ways to run `length` members.
fn ways(place: &Place, length: usize) -> Vec<Way> {
    let by_hand = |how| {
        let object = compile(&by_hand(length, how));
        let config = EncodedConfig::default();
        let program = TestProgram::load(&object, "by_hand", Hook::Xdp, &config).unwrap();
        Box::new(move || program.repeat(&packet(), REPEAT).unwrap().duration_ns)
            as Box<dyn Fn() -> u32>
    };
    let way = |name, sample| Way { name, length, samples: Vec::new(), sample };
    vec![
        way("by-hand", by_hand("noinline")),
        way("by-hand-merged", by_hand("always_inline")),
        way("fused", chain(place, length, BackendChoice::Fused, Counting::Off)),
        way("fused-counting", chain(place, length, BackendChoice::Fused, Counting::On)),
        way("slots", chain(place, length, BackendChoice::Slots, Counting::Off)),
        way("slots-counting", chain(place, length, BackendChoice::Slots, Counting::On)),
    ]
}

/// One interface per chain: each stays attached while all are measured.
fn chain(
    place: &Place,
    length: usize,
    backend: BackendChoice,
    counting: Counting,
) -> Box<dyn Fn() -> u32> {
    let interface = place.interface();
    let at = HookPoint { interface, hook: Hook::Xdp };
    let engine = Engine::open(EngineConfig { counting, ..EngineConfig::new(&place.root) }).unwrap();
    let object = compile(&format!(
        "{HEAD} BODY(0, always_inline) SEC(\"xdp\") int member(struct xdp_md *ctx) {{ return body0(ctx); }} char _license[] SEC(\"license\") = \"GPL\";"
    ));
    let members = (0..length)
        .map(|number| Member {
            policy: "bench".to_owned(),
            name: format!("m{number:02}"),
            program: "member".to_owned(),
            object: object.clone(),
            priority: 1,
            proceed_on: VerdictSet::default_for(Hook::Xdp),
            mode: Mode::Enforce,
            failure: Failure::Closed,
            config: EncodedConfig::default(),
        })
        .collect();
    let chain = Chain { backend, ..Chain::new(at.clone(), 1, members) };
    engine.apply(&chain).unwrap();
    Box::new(move || engine.test_run(&at, &packet(), REPEAT).unwrap().unwrap().duration_ns)
}

/// One C program with `length` bodies. `how` is clang's attribute of each: `noinline` keeps a function
/// a member, as one writes them and as members are; `always_inline` lets clang merge what the equal
/// bodies share, which separate programs never can.
fn by_hand(length: usize, how: &str) -> String {
    let bodies: String = (0..length).map(|n| format!("BODY({n}, {how})\n")).collect();
    let calls: String = (0..length)
        .map(|n| format!("verdict = body{n}(ctx); if (verdict != XDP_PASS) return verdict;\n"))
        .collect();
    format!(
        "{HEAD}\n{bodies}SEC(\"xdp\") int by_hand(struct xdp_md *ctx) {{ int verdict;\n{calls} return XDP_PASS; }}\n\
         char _license[] SEC(\"license\") = \"GPL\";"
    )
}

fn median(samples: &mut [u32]) -> f64 {
    samples.sort_unstable();
    let half = samples.len() / 2;
    f64::from(samples[half])
}

/// Mean of the fastest quarter: finer than the median, whose unit is a whole nanosecond.
fn fastest_quarter(samples: &[u32]) -> f64 {
    let quarter = &samples[..(samples.len() / 4).max(1)];
    quarter.iter().map(|ns| f64::from(*ns)).sum::<f64>()
        / f64::from(u32::try_from(quarter.len()).unwrap())
}

/// (length, way, median ns, mean of the fastest quarter in ns, ratio of the medians to by-hand)
fn rows(ways: &mut [Way]) -> Vec<(usize, &'static str, f64, f64, f64)> {
    let mut base = 0.0;
    ways.iter_mut()
        .map(|way| {
            let middle = median(&mut way.samples);
            let fast = fastest_quarter(&way.samples);
            if way.name == "by-hand" {
                base = middle;
            }
            (way.length, way.name, middle, fast, middle / base)
        })
        .collect()
}

fn print_table(ways: &mut [Way], rounds: usize) {
    println!("ns per packet, {rounds} rounds of {REPEAT} runs each, interleaved");
    println!(
        "{:>7}  {:<15} {:>8} {:>16} {:>9}",
        "members", "way", "median", "fastest quarter", "ratio"
    );
    for (length, name, middle, fast, ratio) in rows(ways) {
        println!("{length:>7}  {name:<15} {middle:>8.1} {fast:>16.1} {ratio:>9.2}");
    }
}

fn print_json(ways: &mut [Way], rounds: usize) {
    let rows: Vec<_> = rows(ways)
        .into_iter()
        .map(|(members, way, median, fast, ratio)| {
            serde_json::json!({
                "members": members, "way": way, "median_ns": median,
                "fastest_quarter_ns": fast, "ratio_to_by_hand": ratio,
            })
        })
        .collect();
    let report = serde_json::json!({
        "measure": "chain", "unit": "ns per packet", "rounds": rounds, "repeat": REPEAT, "rows": rows,
    });
    println!("{report}");
}

fn packet() -> Vec<u8> {
    let mut packet =
        vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0, 0, 46, 0, 0, 0, 0, 64, 17];
    packet.resize(60, 7);
    packet
}

fn compile(source: &str) -> Loadable {
    let folder = tempfile::tempdir().unwrap();
    let (input, output) = (folder.path().join("b.bpf.c"), folder.path().join("b.bpf.o"));
    std::fs::write(&input, source).unwrap();
    let clang = Command::new("clang")
        .args(["-O2", "-g", "-target", "bpf", "-idirafter", "/usr/include/x86_64-linux-gnu"])
        .args(["-idirafter", "/usr/include/aarch64-linux-gnu", "-c"])
        .arg(&input)
        .arg("-o")
        .arg(&output)
        .output()
        .expect("clang is installed");
    assert!(clang.status.success(), "{}", String::from_utf8_lossy(&clang.stderr));
    Loadable::Local(LocallyTrusted::by_explicit_consent(std::fs::read(output).unwrap()).unwrap())
}

/// A namespace of its own with a pin root; both go when it is dropped.
struct Place {
    namespace: String,
    root: std::path::PathBuf,
    next: std::cell::Cell<u32>,
    _folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let namespace = format!("skepb{}", std::process::id());
        ip(&["netns", "add", &namespace]);
        let file = std::fs::File::open(format!("/run/netns/{namespace}")).unwrap();
        rustix::thread::move_into_link_name_space(
            std::os::fd::AsFd::as_fd(&file),
            Some(rustix::thread::LinkNameSpaceType::Network),
        )
        .unwrap();
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("pins");
        Self { namespace, root, next: std::cell::Cell::new(0), _folder: folder }
    }

    fn interface(&self) -> String {
        let name = format!("skepb{}", self.next.replace(self.next.get() + 1));
        ip(&["link", "add", &name, "type", "veth", "peer", "name", &format!("{name}p")]);
        name
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.root).output();
        let _ = Command::new("ip").args(["netns", "del", &self.namespace]).output();
    }
}

fn ip(arguments: &[&str]) {
    let output = Command::new("ip").args(arguments).output().expect("iproute2 is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
