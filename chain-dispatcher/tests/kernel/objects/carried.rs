//! What becomes of the maps of an object when its next version takes over.

use skep_artifact::hook::Hook;
use skep_chain_dispatcher::{BackendChoice, Step};

use super::{chain_of, told};
use crate::place::{Place, at, member, packet};

/// A map of every kind that holds state, and some that are new with every version.
const EVERY_KIND: &str = r#"
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#define MAP(name, kind, entries, of) \
    struct { __uint(type, BPF_MAP_TYPE_##kind); __uint(max_entries, entries); \
             __type(key, __u32); __type(value, of); } name SEC(".maps")
MAP(an_array, ARRAY, 4, __u64);
MAP(a_hash, HASH, 4, __u64);
MAP(per_cpu, PERCPU_ARRAY, 4, __u64);
MAP(recent, LRU_HASH, 64, __u64);
MAP(devices, DEVMAP, 4, struct bpf_devmap_val);
MAP(more_devices, DEVMAP_HASH, 4, __u32);
MAP(cpus, CPUMAP, 2, struct bpf_cpumap_val);
MAP(sockets, XSKMAP, 4, __u32);
struct network { __u32 bits; __u8 bytes[4]; };
struct { __uint(type, BPF_MAP_TYPE_LPM_TRIE); __uint(max_entries, 4);
         __uint(map_flags, BPF_F_NO_PREALLOC); __type(key, struct network); __type(value, __u32); }
    networks SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_RINGBUF); __uint(max_entries, 5000); } ring SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY); __type(key, int); __type(value, int); }
    events SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_QUEUE); __uint(max_entries, 4); __type(value, __u32); }
    queue SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_BLOOM_FILTER); __uint(max_entries, 100);
         __type(value, __u32); } bloom SEC(".maps");
struct inner { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 1);
               __type(key, __u32); __type(value, __u64); };
struct { __uint(type, BPF_MAP_TYPE_HASH_OF_MAPS); __uint(max_entries, 4);
         __uint(key_size, 4); __array(values, struct inner); } filled_by_others SEC(".maps");
struct inner begins SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS); __uint(max_entries, 4);
         __uint(key_size, 4); __array(values, struct inner); } new_outer SEC(".maps") =
    { .values = { [0] = &begins } };
const volatile __u32 new_constant = 1;
__u64 version;
SEC("xdp") int on_xdp(struct xdp_md *ctx) {
    __u32 zero = 0;
    __u64 *count = bpf_map_lookup_elem(&a_hash, &zero), one = 1;
    if (count) return ++*count == 3 ? XDP_DROP : XDP_PASS;
    bpf_map_update_elem(&a_hash, &zero, &one, BPF_ANY);
    version++;
    return new_constant ? XDP_PASS : XDP_ABORTED;
}
char _license[] SEC("license") = "GPL";
"#;

fn check(backend: BackendChoice) {
    Place::run_choosing(&[backend], Hook::Xdp, |place| {
        let engine = place.engine();
        {
            let mut decided = Vec::new();
            for generation in 1..=3 {
                let source =
                    format!("{EVERY_KIND}\nint version_{generation}(void) {{ return 1; }}");
                let theirs = member("theirs", 20, &source, "on_xdp", Hook::Xdp);
                let wanted = chain_of(backend, generation, theirs, Hook::Xdp);
                let applied = engine.apply(&wanted).unwrap_or_else(|e| panic!("{}", told(&e)));
                let step = applied.plan.steps.iter().find_map(|step| match step {
                    Step::LoadMember { name, carried, restarted, .. } if name == "theirs" => {
                        Some((carried.len(), restarted.clone()))
                    }
                    _ => None,
                });
                let (carried, restarted) = step.unwrap();
                let restarted: Vec<&str> = restarted.iter().map(|r| r.map.as_str()).collect();
                // Plain globals belong to one version, and say so.
                let (state, globals) =
                    if generation == 1 { (0, vec![]) } else { (15, vec![".bss"]) };
                assert_eq!((carried, restarted), (state, globals), "{backend} {}", applied.plan);
                decided.push(engine.test_run(&at(Hook::Xdp), &packet(), 1).unwrap().unwrap().code);
            }
            assert_eq!(decided, [2, 2, 1], "{backend}: the third packet is known as the third");
            engine.detach_all().unwrap();
        }
    });
}

#[test]
fn state_of_every_kind_goes_on_in_the_next_version() {
    check(BackendChoice::Slots);
}

#[test]
fn state_of_every_kind_goes_on_in_the_next_fused_version() {
    check(BackendChoice::Fused);
}

#[test]
fn state_of_every_kind_goes_on_in_the_next_version_as_an_extension() {
    check(BackendChoice::Libxdp);
}
