//! Our chains against libxdp's own: the same members, loaded by Debian's `xdp-loader` into its
//! dispatcher and by us in every way. Both are correct first; what each costs goes to whoever named a
//! file for it, as one line of JSON. Needs a kernel that allows extension programs.

use std::process::Command;
use std::time::{Duration, Instant};

use skep_artifact::hook::Hook;
use skep_chain_dispatcher::{
    Backend, BackendChoice, Chain, Counting, Engine, EngineConfig, HookPoint, Loadable, Member,
};

use crate::libxdp::{file, xdp_loader};
use crate::place::{Place, at, chain, compile, config_at, ip, member_of};

/// A realistic body: parse Ethernet and IPv4, look up a per-CPU counter, add.
const BODY: &str = r#"
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>
struct { __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY); __uint(max_entries, 256);
         __type(key, __u32); __type(value, __u64); } protocols SEC(".maps");
SEC("xdp") int member(struct xdp_md *ctx) {
    void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
    struct ethhdr *eth = data; struct iphdr *ip = data + sizeof(*eth);
    __u32 key; __u64 *count;
    if ((void *)(ip + 1) > end) return XDP_DROP;
    if (eth->h_proto != bpf_htons(ETH_P_IP)) return XDP_PASS;
    key = ip->protocol; count = bpf_map_lookup_elem(&protocols, &key);
    if (count) *count += 1;
    return XDP_PASS; }
char _license[] SEC("license") = "GPL";
"#;

const WAYS: [(&str, BackendChoice); 3] = [
    ("slots", BackendChoice::Slots),
    ("fused", BackendChoice::Fused),
    ("libxdp", BackendChoice::Libxdp),
];
const LENGTHS: [usize; 3] = [2, 5, 10];
const XDP_PASS: u32 = 2;

/// How much is measured: little in the suite, more where somebody asked for the figures.
struct Effort {
    rounds: usize,
    repeat: u32,
    report: Option<std::ffi::OsString>,
}

impl Effort {
    fn asked() -> Self {
        let report = std::env::var_os("SKEP_BENCH_REPORT");
        let (rounds, repeat) = if report.is_some() { (15, 20_000) } else { (1, 100) };
        Self { rounds, repeat, report }
    }
}

fn packet() -> Vec<u8> {
    let mut packet =
        vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0, 0, 46, 0, 0, 0, 0, 64, 17];
    packet.resize(60, 7);
    packet
}

fn members(object: &Loadable, count: usize) -> Vec<Member> {
    let name = |number| format!("m{number:02}");
    (0..count).map(|n| member_of(&name(n), 50, object.clone(), "member", Hook::Xdp)).collect()
}

/// The program that the interface runs, whoever attached it.
fn running(interface: &str) -> u32 {
    let shown = Command::new("ip").args(["-j", "link", "show", interface]).output().unwrap();
    let shown: serde_json::Value = serde_json::from_slice(&shown.stdout).unwrap();
    u32::try_from(shown[0]["xdp"]["prog"]["id"].as_u64().expect("an XDP program")).unwrap()
}

/// Nanoseconds a packet of a program by its number: `bpftool` runs theirs and ours alike.
fn run(id: u32, packet: &std::path::Path, repeat: u32) -> f64 {
    let output = Command::new("bpftool")
        .args(["--json", "prog", "run", "id", &id.to_string(), "data_in"])
        .arg(packet)
        .args(["repeat", &repeat.to_string()])
        .output()
        .unwrap();
    let told: serde_json::Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    assert_eq!(told["retval"], XDP_PASS, "{told}");
    told["duration"].as_f64().unwrap()
}

fn median(mut samples: Vec<f64>) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples[samples.len() / 2]
}

/// One more interface in the place.
fn interface(name: &str) -> HookPoint {
    ip(&["link", "add", name, "type", "veth", "peer", "name", &format!("{name}p")]);
    ip(&["link", "set", name, "up"]);
    HookPoint { interface: name.to_owned(), hook: Hook::Xdp }
}

#[test]
fn our_chains_run_the_same_members_as_xdp_loader_s() {
    Place::run_with(Backend::Libxdp, &[Hook::Xdp], |place| {
        let effort = Effort::asked();
        let object = compile(BODY);
        let config = EngineConfig { counting: Counting::Off, ..config_at(&place.root) };
        let engine = Engine::open(config).unwrap();
        let data = place.root.with_file_name("packet");
        std::fs::write(&data, packet()).unwrap();
        let theirs = file(place, "member.o", BODY);
        let mut rows = Vec::new();
        for length in LENGTHS {
            let mut programs = vec![("xdp-loader", {
                let at = interface(&format!("them{length}"));
                let mut arguments = vec!["load", at.interface.as_str()];
                arguments.resize(2 + length, theirs.to_str().unwrap());
                xdp_loader(place, &arguments);
                running(&at.interface)
            })];
            for (name, backend) in WAYS {
                let at = interface(&format!("{name}{length}"));
                let wanted = Chain {
                    at: at.clone(),
                    backend,
                    ..chain(Hook::Xdp, 1, members(&object, length))
                };
                engine.apply(&wanted).unwrap();
                programs.push((name, running(&at.interface)));
            }
            let mut samples = vec![Vec::new(); programs.len()];
            for _ in 0..effort.rounds {
                for ((_, id), samples) in programs.iter().zip(&mut samples) {
                    samples.push(run(*id, &data, effort.repeat));
                }
            }
            for ((way, _), samples) in programs.iter().zip(samples) {
                rows.push(serde_json::json!({
                    "members": length, "way": way, "median_ns": median(samples),
                }));
            }
        }
        tell(&effort, "packets", rows);
    });
}

#[test]
fn a_chain_grows_by_one_as_xdp_loader_s_does() {
    const LENGTH: usize = 5;
    Place::run_with(Backend::Libxdp, &[Hook::Xdp], |place| {
        let effort = Effort::asked();
        let object = compile(BODY);
        let engine = Engine::open(config_at(&place.root)).unwrap();
        let theirs = file(place, "member.o", BODY);
        let theirs = theirs.to_str().unwrap();
        let mut rows = Vec::new();
        let timed = |work: &mut dyn FnMut()| {
            let begun = Instant::now();
            work();
            begun.elapsed()
        };
        for (name, backend) in WAYS {
            let (mut load, mut grow) = (Vec::new(), Vec::new());
            for _ in 0..effort.rounds {
                let wanted = |count: usize| Chain {
                    backend,
                    ..chain(Hook::Xdp, count as u64, members(&object, count))
                };
                engine.detach(&at(Hook::Xdp)).unwrap();
                load.push(timed(&mut || drop(engine.apply(&wanted(LENGTH)).unwrap())));
                grow.push(timed(&mut || drop(engine.apply(&wanted(LENGTH + 1)).unwrap())));
            }
            rows.push(row(name, load, grow));
        }
        engine.detach(&at(Hook::Xdp)).unwrap();
        let (mut load, mut grow, mut nothing) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..effort.rounds {
            let mut several = vec!["load", "skep0"];
            several.resize(2 + LENGTH, theirs);
            load.push(timed(&mut || drop(xdp_loader(place, &several))));
            let one = ["load", "skep0", theirs];
            grow.push(timed(&mut || drop(xdp_loader(place, &one))));
            xdp_loader(place, &["unload", "skep0", "--all"]);
            // What a process costs that changes nothing.
            let help = &mut || drop(Command::new("xdp-loader").arg("help").output().unwrap());
            nothing.push(timed(help));
        }
        let mut row = row("xdp-loader", load, grow);
        row["nothing_ms"] = median(nothing.into_iter().map(ms).collect()).into();
        rows.push(row);
        tell(&effort, "changes", rows);
    });
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

fn row(way: &str, load: Vec<Duration>, grow: Vec<Duration>) -> serde_json::Value {
    let of = |durations: Vec<Duration>| median(durations.into_iter().map(ms).collect());
    serde_json::json!({"way": way, "load_ms": of(load), "grow_ms": of(grow)})
}

/// One line for whoever asked: to a file, or `-` for the terminal past libtest.
fn tell(effort: &Effort, what: &str, rows: Vec<serde_json::Value>) {
    use std::io::Write as _;
    let Some(report) = &effort.report else { return };
    let line = format!("@figures {}\n", serde_json::json!({"measure": what, "rows": rows}));
    if report == "-" {
        std::io::stdout().write_all(line.as_bytes()).unwrap();
    } else {
        let file = std::fs::OpenOptions::new().append(true).create(true).open(report);
        file.unwrap().write_all(line.as_bytes()).unwrap();
    }
}
