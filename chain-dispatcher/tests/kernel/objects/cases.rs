//! The table: objects in the manner of many authors, in C.

use std::collections::BTreeMap;

use skep_artifact::config::EncodedConfig;
use skep_artifact::hook::Hook;
use skep_chain_dispatcher::BackendChoice;

use super::{Case, Meeting, Refused, changes, meets};
use crate::place::{global, packet};

const PASS: i32 = 2;
const DROP: i32 = 1;
const SHOT: i32 = 2;
const NEXT: i32 = -1;

fn xdp_case(
    says: &'static str,
    program: &'static str,
    source: &'static str,
    meets: Vec<Meeting>,
) -> Case {
    let config = EncodedConfig::default();
    Case { says, hook: Hook::Xdp, source, program, config, meets, unfit: &[] }
}

fn tc_case(
    says: &'static str,
    program: &'static str,
    source: &'static str,
    meets: Vec<Meeting>,
) -> Case {
    Case { hook: Hook::TcIngress, ..xdp_case(says, program, source, meets) }
}

/// One packet passes, and the next is dropped.
fn passes_one() -> Vec<Meeting> {
    vec![meets(&packet(), PASS), meets(&packet(), DROP)]
}

fn map_config(map: &str, key: &[u8], value: &[u8]) -> EncodedConfig {
    let entries = vec![(key.to_vec(), value.to_vec())];
    EncodedConfig { globals: BTreeMap::new(), maps: BTreeMap::from([(map.to_owned(), entries)]) }
}

/// XDP objects.
pub(super) fn xdp() -> Vec<Case> {
    let mut cases = sections();
    cases.extend(maps());
    cases.extend(code());
    cases
}

fn sections() -> Vec<Case> {
    vec![
        Case {
            // An extension may only call programs that were loaded for it.
            unfit: &[(BackendChoice::Libxdp, Refused::Everywhere, "tail calls of its own")],
            ..xdp_case(
                "a section named as L3AF names them, with old maps",
                "xdp_limit",
                r#"
            #include <linux/bpf.h>
            #include <bpf/bpf_helpers.h>
            struct bpf_map_def { unsigned type, key_size, value_size, max_entries, map_flags; };
            struct bpf_map_def SEC("maps") limit_packets =
                { .type = BPF_MAP_TYPE_HASH, .key_size = 4, .value_size = 8, .max_entries = 16 };
            struct bpf_map_def SEC("maps") xdp_next =
                { .type = BPF_MAP_TYPE_PROG_ARRAY, .key_size = 4, .value_size = 4, .max_entries = 1 };
            SEC("xdp_ratelimiting") int xdp_limit(struct xdp_md *ctx) {
                __u32 key = 7; __u64 one = 1, *seen = bpf_map_lookup_elem(&limit_packets, &key);
                if (seen) return XDP_DROP;
                bpf_map_update_elem(&limit_packets, &key, &one, BPF_ANY);
                bpf_tail_call(ctx, &xdp_next, 0);
                return XDP_PASS;
            }
            char _license[] SEC("license") = "Dual BSD/GPL";"#,
                passes_one(),
            )
        },
        xdp_case(
            "iproute2's larger map definitions, without BTF",
            "entry",
            r#"// clang: -g0
            #include <linux/bpf.h>
            #include <bpf/bpf_helpers.h>
            struct bpf_elf_map { __u32 type, size_key, size_value, max_elem, flags, id, pinning,
                                       inner_id, inner_idx; };
            struct bpf_elf_map SEC("maps") seen = { .type = BPF_MAP_TYPE_ARRAY, .size_key = 4,
                .size_value = 8, .pinning = 2, .max_elem = 1, .id = 42, .inner_idx = 3 };
            SEC("prog") int entry(struct xdp_md *ctx) {
                __u32 key = 0; __u64 *count = bpf_map_lookup_elem(&seen, &key);
                return count && (*count)++ ? XDP_DROP : XDP_PASS;
            }
            char _license[] SEC("license") = "GPL";
            __u32 _version SEC("version") = 0x60100;"#,
            passes_one(),
        ),
        xdp_case(
            "a name behind the section's type, optional loading, a licence in a long array",
            "second",
            r#"
            #include <linux/bpf.h>
            #include <bpf/bpf_helpers.h>
            SEC("xdp/first") int first(struct xdp_md *ctx) { return XDP_PASS; }
            SEC("?xdp/second") int second(struct xdp_md *ctx) { return XDP_DROP; }
            char _license[16] SEC("license") = "GPL";"#,
            vec![meets(&packet(), DROP)],
        ),
        xdp_case(
            "programs of many kinds in one object, of which one is wanted",
            "filter",
            r#"
            #include <linux/bpf.h>
            #include <bpf/bpf_helpers.h>
            SEC("xdp") int filter(struct xdp_md *ctx) { return XDP_DROP; }
            SEC("xdp/devmap") int after(struct xdp_md *ctx) { return XDP_PASS; }
            SEC("tc") int on_tc(struct __sk_buff *ctx) { return 0; }
            SEC("kprobe.multi/tcp_*") int probe(void *ctx) { return 0; }
            SEC("syscall") int call(void *ctx) { return 0; }
            SEC("fentry/tcp_connect") int watch(void *ctx) { return 0; }
            char _license[] SEC("license") = "GPL";"#,
            vec![meets(&packet(), DROP)],
        ),
        xdp_case(
            "packets in several buffers allowed",
            "filter",
            r#"
            #include <linux/bpf.h>
            #include <bpf/bpf_helpers.h>
            SEC("xdp.frags") int filter(struct xdp_md *ctx) { return XDP_DROP; }
            char _license[] SEC("license") = "GPL";"#,
            vec![meets(&packet(), DROP)],
        ),
        Case {
            unfit: &[(
                BackendChoice::Fused,
                Refused::Everywhere,
                "has a licence compatible with the GPL",
            )],
            ..xdp_case(
                "no licence at all",
                "filter",
                r#"
            #include <linux/bpf.h>
            #include <bpf/bpf_helpers.h>
            SEC("xdp") int filter(struct xdp_md *ctx) { return XDP_DROP; }"#,
                vec![meets(&packet(), DROP)],
            )
        },
    ]
}

fn maps() -> Vec<Case> {
    vec![
        xdp_case(
            "globals that are zero, set and constant, and strings",
            "counts",
            r#"
            #include <linux/bpf.h>
            #include <bpf/bpf_helpers.h>
            __u64 zero; __u32 set = 41; const volatile __u32 constant = 42; static __u64 hidden;
            SEC("xdp") int counts(struct xdp_md *ctx) {
                static const char text[] = "met %d";
                bpf_trace_printk(text, sizeof(text), set);
                bpf_printk("and %d", constant);
                hidden++;
                if (zero++) return XDP_DROP;
                return ++set == constant && hidden == 1 ? XDP_PASS : XDP_ABORTED;
            }
            char _license[] SEC("license") = "GPL";"#,
            passes_one(),
        ),
        xdp_case(
            "maps of maps that begin with maps",
            "looks_inside",
            r#"
            #include <linux/bpf.h>
            #include <bpf/bpf_helpers.h>
            struct inner { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 1);
                           __type(key, __u32); __type(value, __u64); };
            struct inner first SEC(".maps");
            struct inner second SEC(".maps");
            struct { __uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS); __uint(max_entries, 4);
                     __type(key, __u32); __array(values, struct inner); } outer SEC(".maps") =
                { .values = { [0] = &first, [2] = &second } };
            struct { __uint(type, BPF_MAP_TYPE_HASH_OF_MAPS); __uint(max_entries, 4);
                     __uint(key_size, 4); __array(values, struct inner); } by_key SEC(".maps");
            SEC("xdp") int looks_inside(struct xdp_md *ctx) {
                __u32 zero = 0, one = 1, two = 2;
                if (bpf_map_lookup_elem(&outer, &one) || bpf_map_lookup_elem(&by_key, &one))
                    return XDP_ABORTED;
                void *map = bpf_map_lookup_elem(&outer, &two);
                if (!map) return XDP_ABORTED;
                __u64 *count = bpf_map_lookup_elem(map, &zero);
                __u64 *same = bpf_map_lookup_elem(&second, &zero);
                __u64 *other = bpf_map_lookup_elem(&first, &zero);
                if (!count || !same || !other) return XDP_ABORTED;
                if ((*count)++) return XDP_DROP;
                return *same == 1 && *other == 0 ? XDP_PASS : XDP_ABORTED;
            }
            char _license[] SEC("license") = "GPL";"#,
            passes_one(),
        ),
        xdp_case(
            "a tail call to a program that only its own file names",
            "entry",
            r#"
            #include <linux/bpf.h>
            #include <bpf/bpf_helpers.h>
            static int tail(struct xdp_md *ctx);
            struct { __uint(type, BPF_MAP_TYPE_PROG_ARRAY); __uint(max_entries, 1);
                     __uint(key_size, 4); __array(values, int(void *)); } next SEC(".maps") =
                { .values = { [0] = (void *)&tail } };
            SEC("xdp") int entry(struct xdp_md *ctx)
            { bpf_tail_call(ctx, &next, 0); return XDP_ABORTED; }
            SEC("xdp/tail") static int tail(struct xdp_md *ctx) { return XDP_DROP; }
            char _license[] SEC("license") = "GPL";"#,
            vec![meets(&packet(), DROP)],
        ),
        xdp_case(
            "tail calls to programs that its array begins with",
            "entry",
            r#"
            #include <linux/bpf.h>
            #include <bpf/bpf_helpers.h>
            int drops(struct xdp_md *ctx);
            int chooses(struct xdp_md *ctx);
            struct { __uint(type, BPF_MAP_TYPE_PROG_ARRAY); __uint(max_entries, 3);
                     __uint(key_size, 4); __array(values, int(void *)); } next SEC(".maps") =
                { .values = { [0] = (void *)&chooses, [2] = (void *)&drops } };
            __u64 seen;
            SEC("xdp") int entry(struct xdp_md *ctx)
            { bpf_tail_call(ctx, &next, 0); return XDP_ABORTED; }
            static __attribute__((noinline)) __u64 counted(void) { return seen++; }
            SEC("xdp/chooses") int chooses(struct xdp_md *ctx) {
                if (counted()) bpf_tail_call(ctx, &next, 2);
                bpf_tail_call(ctx, &next, 1);
                return XDP_PASS;
            }
            SEC("xdp/drops") int drops(struct xdp_md *ctx) { return XDP_DROP; }
            char _license[] SEC("license") = "GPL";"#,
            passes_one(),
        ),
        Case {
            config: map_config("allowed", &[0; 4], &[1, 0, 0, 0, 0, 0, 0, 0]),
            ..xdp_case(
                "per-CPU maps, filled with the same for every CPU",
                "counts",
                r#"
                #include <linux/bpf.h>
                #include <bpf/bpf_helpers.h>
                struct { __uint(type, BPF_MAP_TYPE_PERCPU_HASH); __uint(max_entries, 4);
                         __type(key, __u32); __type(value, __u64); } allowed SEC(".maps");
                struct { __uint(type, BPF_MAP_TYPE_LRU_PERCPU_HASH); __uint(max_entries, 64);
                         __type(key, __u32); __type(value, __u64); } recent SEC(".maps");
                SEC("xdp") int counts(struct xdp_md *ctx) {
                    __u32 key = 0; __u64 one = 1, *left = bpf_map_lookup_elem(&allowed, &key);
                    bpf_map_update_elem(&recent, &key, &one, BPF_ANY);
                    for (int cpu = 0; cpu < 2; cpu++) {
                        __u64 *any = bpf_map_lookup_percpu_elem(&allowed, &key, cpu);
                        if (any && *any > 1) return XDP_ABORTED;
                    }
                    if (!left || !*left) return XDP_DROP;
                    for (int cpu = 0; cpu < 64; cpu++) {
                        __u64 *any = bpf_map_lookup_percpu_elem(&allowed, &key, cpu);
                        if (any) *any = 0;
                    }
                    return XDP_PASS;
                }
                char _license[] SEC("license") = "GPL";"#,
                passes_one(),
            )
        },
        Case {
            config: map_config("networks", &[16, 0, 0, 0, 2, 0, 0, 0], &[1, 0, 0, 0]),
            ..xdp_case(
                "longest prefixes and least recently used",
                "finds",
                r#"
                #include <linux/bpf.h>
                #include <bpf/bpf_helpers.h>
                struct key { __u32 bits; __u8 bytes[4]; };
                struct { __uint(type, BPF_MAP_TYPE_LPM_TRIE); __uint(max_entries, 16);
                         __uint(map_flags, BPF_F_NO_PREALLOC);
                         __type(key, struct key); __type(value, __u32); } networks SEC(".maps");
                struct { __uint(type, BPF_MAP_TYPE_LRU_HASH); __uint(max_entries, 64);
                         __type(key, __u32); __type(value, __u64); } recent SEC(".maps");
                SEC("xdp") int finds(struct xdp_md *ctx) {
                    unsigned char *data = (void *)(long)ctx->data;
                    struct key key = { .bits = 32 };
                    __u32 zero = 0; __u64 one = 1;
                    if ((void *)(data + 14) > (void *)(long)ctx->data_end) return XDP_ABORTED;
                    __builtin_memcpy(key.bytes, data, 4);
                    if (!bpf_map_lookup_elem(&networks, &key)) return XDP_ABORTED;
                    if (bpf_map_lookup_elem(&recent, &zero)) return XDP_DROP;
                    bpf_map_update_elem(&recent, &zero, &one, BPF_NOEXIST);
                    return XDP_PASS;
                }
                char _license[] SEC("license") = "GPL";"#,
                passes_one(),
            )
        },
        xdp_case(
            "rings, perf events, queues, stacks and bloom filters of sizes that need rounding",
            "tells",
            r#"
            #include <linux/bpf.h>
            #include <bpf/bpf_helpers.h>
            struct { __uint(type, BPF_MAP_TYPE_RINGBUF); __uint(max_entries, 5000); } ring SEC(".maps");
            struct { __uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
                     __type(key, int); __type(value, int); } perf SEC(".maps");
            struct { __uint(type, BPF_MAP_TYPE_QUEUE); __uint(max_entries, 4);
                     __type(value, __u32); } queue SEC(".maps");
            struct { __uint(type, BPF_MAP_TYPE_STACK); __uint(max_entries, 4);
                     __type(value, __u32); } stack SEC(".maps");
            struct { __uint(type, BPF_MAP_TYPE_BLOOM_FILTER); __uint(max_entries, 100);
                     __uint(map_extra, 3); __type(value, __u32); } bloom SEC(".maps");
            SEC("xdp") int tells(struct xdp_md *ctx) {
                __u32 number = 9, *event = bpf_ringbuf_reserve(&ring, 4, 0);
                if (!event) return XDP_ABORTED;
                *event = 1;
                bpf_ringbuf_submit(event, 0);
                bpf_perf_event_output(ctx, &perf, BPF_F_CURRENT_CPU, &number, 4);
                if (!bpf_map_pop_elem(&queue, &number)) return XDP_DROP;
                if (bpf_map_push_elem(&queue, &number, 0)) return XDP_ABORTED;
                if (bpf_map_push_elem(&stack, &number, 0)) return XDP_ABORTED;
                if (bpf_map_push_elem(&bloom, &number, 0)) return XDP_ABORTED;
                return bpf_map_peek_elem(&bloom, &number) ? XDP_ABORTED : XDP_PASS;
            }
            char _license[] SEC("license") = "GPL";"#,
            passes_one(),
        ),
        xdp_case(
            "maps of devices, processors and sockets without an entry",
            "sends_on",
            r#"
            #include <linux/bpf.h>
            #include <bpf/bpf_helpers.h>
            struct { __uint(type, BPF_MAP_TYPE_DEVMAP); __uint(max_entries, 4);
                     __type(key, __u32); __type(value, struct bpf_devmap_val); } devices SEC(".maps");
            struct { __uint(type, BPF_MAP_TYPE_DEVMAP_HASH); __uint(max_entries, 4);
                     __type(key, __u32); __type(value, __u32); } by_hash SEC(".maps");
            struct { __uint(type, BPF_MAP_TYPE_CPUMAP); __uint(max_entries, 2);
                     __type(key, __u32); __type(value, struct bpf_cpumap_val); } cpus SEC(".maps");
            struct { __uint(type, BPF_MAP_TYPE_XSKMAP); __uint(max_entries, 4);
                     __type(key, __u32); __type(value, __u32); } sockets SEC(".maps");
            SEC("xdp") int sends_on(struct xdp_md *ctx) {
                if (bpf_redirect_map(&devices, 1, XDP_PASS) != XDP_PASS) return XDP_ABORTED;
                if (bpf_redirect_map(&by_hash, 1, XDP_PASS) != XDP_PASS) return XDP_ABORTED;
                if (bpf_redirect_map(&cpus, 1, XDP_PASS) != XDP_PASS) return XDP_ABORTED;
                return bpf_redirect_map(&sockets, ctx->rx_queue_index, XDP_DROP);
            }
            char _license[] SEC("license") = "GPL";"#,
            vec![meets(&packet(), DROP)],
        ),
    ]
}

fn code() -> Vec<Case> {
    let grown = [[9; 8].as_slice(), &packet()].concat();
    let cut = packet()[..40].to_vec();
    // A test run shows the metadata, too.
    let noted = [[7, 0, 0, 0].as_slice(), &packet()].concat();
    vec![
        Case {
            unfit: &[
                (BackendChoice::Fused, Refused::OnSomeKernels, "combined stack size"),
                (BackendChoice::Libxdp, Refused::OnSomeKernels, "combined stack size"),
            ],
            ..xdp_case(
                "a stack of 504 bytes",
                "deep",
                r#"
            #include <linux/bpf.h>
            #include <bpf/bpf_helpers.h>
            SEC("xdp") int deep(struct xdp_md *ctx) {
                volatile char deep[504];
                for (int i = 0; i < 504; i++) deep[i] = i;
                return deep[500] == (char)500 ? XDP_DROP : XDP_ABORTED;
            }
            char _license[] SEC("license") = "GPL";"#,
                vec![meets(&packet(), DROP)],
            )
        },
        xdp_case(
            "an enum for an answer",
            "answers",
            r#"
            #include <linux/bpf.h>
            #include <bpf/bpf_helpers.h>
            SEC("xdp") enum xdp_action answers(struct xdp_md *ctx) { return XDP_DROP; }
            char _license[] SEC("license") = "GPL";"#,
            vec![meets(&packet(), DROP)],
        ),
        xdp_case(
            "a context without a type",
            "takes",
            r#"
            #include <linux/bpf.h>
            #include <bpf/bpf_helpers.h>
            SEC("xdp") int takes(void *ctx)
            { return ((struct xdp_md *)ctx)->data ? XDP_DROP : XDP_ABORTED; }
            char _license[] SEC("license") = "GPL";"#,
            vec![meets(&packet(), DROP)],
        ),
        xdp_case(
            "functions, static and global, and callbacks",
            "calls",
            r#"
            #include <linux/bpf.h>
            #include <bpf/bpf_helpers.h>
            static __attribute__((noinline)) int twice(int n) { return n + n; }
            __attribute__((noinline)) int thrice(int n) { return twice(n) + n; }
            __attribute__((noinline)) int length(struct xdp_md *ctx)
            { return ctx ? ctx->data_end - ctx->data : 0; }
            static int add(__u32 index, void *sum) { *(int *)sum += 1; return 0; }
            SEC("xdp") int calls(struct xdp_md *ctx) {
                int sum = 0;
                bpf_loop(thrice(20), add, &sum, 0);
                return sum == length(ctx) ? XDP_DROP : XDP_ABORTED;
            }
            char _license[] SEC("license") = "GPL";"#,
            vec![meets(&packet(), DROP)],
        ),
        xdp_case(
            "code that belongs to no function, as static linkers leave behind",
            "calls",
            r#"
            #include <linux/bpf.h>
            #include <bpf/bpf_helpers.h>
            asm(".text\nr0 = 0\nexit\n");
            __attribute__((noinline)) int one(struct xdp_md *ctx) { return ctx ? 1 : 0; }
            SEC("xdp") int calls(struct xdp_md *ctx) { return one(ctx); }
            char _license[] SEC("license") = "GPL";"#,
            vec![meets(&packet(), DROP)],
        ),
        xdp_case(
            "more room at the head, less at the tail",
            "resizes",
            r#"
            #include <linux/bpf.h>
            #include <bpf/bpf_helpers.h>
            SEC("xdp") int resizes(struct xdp_md *ctx) {
                if (ctx->data_end - ctx->data > 60) {
                    if (bpf_xdp_adjust_head(ctx, 8)) return XDP_ABORTED;
                    if (bpf_xdp_adjust_tail(ctx, -20)) return XDP_ABORTED;
                    return XDP_PASS;
                }
                if (bpf_xdp_adjust_head(ctx, -8)) return XDP_ABORTED;
                char *data = (char *)(long)ctx->data;
                if (data + 8 > (char *)(long)ctx->data_end) return XDP_ABORTED;
                __builtin_memset(data, 9, 8);
                return XDP_DROP;
            }
            char _license[] SEC("license") = "GPL";"#,
            vec![changes(&packet(), DROP, &grown), changes(&grown, PASS, &cut)],
        ),
        xdp_case(
            "metadata before the packet",
            "notes",
            r#"
            #include <linux/bpf.h>
            #include <bpf/bpf_helpers.h>
            SEC("xdp") int notes(struct xdp_md *ctx) {
                if (bpf_xdp_adjust_meta(ctx, -4)) return XDP_ABORTED;
                __u32 *meta = (void *)(long)ctx->data_meta;
                if ((void *)(meta + 1) > (void *)(long)ctx->data) return XDP_ABORTED;
                *meta = 7;
                return XDP_DROP;
            }
            char _license[] SEC("license") = "GPL";"#,
            vec![changes(&packet(), DROP, &noted)],
        ),
        xdp_case(
            "the kernel's version asked for",
            "asks",
            r#"
            #include <linux/bpf.h>
            #include <bpf/bpf_helpers.h>
            extern int LINUX_KERNEL_VERSION __kconfig;
            SEC("xdp") int asks(struct xdp_md *ctx)
            { return LINUX_KERNEL_VERSION >= ((5 << 16) + (10 << 8)) ? XDP_DROP : XDP_ABORTED; }
            char _license[] SEC("license") = "GPL";"#,
            vec![meets(&packet(), DROP)],
        ),
        Case {
            config: global("offset", &3u32.to_le_bytes()),
            ..xdp_case(
                "fields of the kernel's own structures, and a set constant",
                "relocates",
                r#"
                #include <linux/bpf.h>
                #include <bpf/bpf_helpers.h>
                #include <bpf/bpf_core_read.h>
                struct sk_buff { unsigned int len; } __attribute__((preserve_access_index));
                struct no_such { int field; } __attribute__((preserve_access_index));
                const volatile __u32 offset = 0;
                SEC("xdp") int relocates(struct xdp_md *ctx) {
                    if (!bpf_core_field_exists(((struct sk_buff *)0)->len)) return XDP_ABORTED;
                    if (bpf_core_type_exists(struct no_such)) return XDP_ABORTED;
                    return offset == 3 ? XDP_DROP : XDP_ABORTED;
                }
                char _license[] SEC("license") = "GPL";"#,
                vec![meets(&packet(), DROP)],
            )
        },
    ]
}

/// tc objects.
pub(super) fn tc() -> Vec<Case> {
    let written = [[5; 6].as_slice(), &packet()[6..]].concat();
    let mut tagged = packet()[..12].to_vec();
    tagged.extend([0x81, 0, 0, 7]);
    tagged.extend(&packet()[12..]);
    let longer = [packet().as_slice(), &[0; 20]].concat();
    vec![
        tc_case(
            "a section with a name of its own",
            "ingress",
            r#"
            #include <linux/bpf.h>
            #include <bpf/bpf_helpers.h>
            SEC("tc_root") int ingress(struct __sk_buff *ctx) { return 2; }
            char _license[] SEC("license") = "GPL";"#,
            vec![meets(&packet(), SHOT)],
        ),
        tc_case(
            "bytes written by a helper and directly",
            "writes",
            r#"
            #include <linux/bpf.h>
            #include <bpf/bpf_helpers.h>
            SEC("tc") int writes(struct __sk_buff *ctx) {
                unsigned char five = 5, *data;
                for (int i = 0; i < 3; i++) if (bpf_skb_store_bytes(ctx, i, &five, 1, 0)) return 2;
                if (bpf_skb_pull_data(ctx, 14)) return 2;
                data = (void *)(long)ctx->data;
                if ((void *)(data + 14) > (void *)(long)ctx->data_end) return 2;
                data[3] = data[4] = data[5] = 5;
                return -1;
            }
            char _license[] SEC("license") = "GPL";"#,
            vec![changes(&packet(), NEXT, &written)],
        ),
        tc_case(
            "a VLAN tag put on and taken off",
            "tags",
            r#"
            #include <linux/bpf.h>
            #include <linux/if_ether.h>
            #include <bpf/bpf_helpers.h>
            #include <bpf/bpf_endian.h>
            SEC("tc") int tags(struct __sk_buff *ctx) {
                if (ctx->vlan_present) return bpf_skb_vlan_pop(ctx) ? 2 : -1;
                if (bpf_skb_vlan_push(ctx, bpf_htons(ETH_P_8021Q), 6)) return 2;
                if (bpf_skb_vlan_push(ctx, bpf_htons(ETH_P_8021Q), 7)) return 2;
                return bpf_skb_vlan_pop(ctx) || bpf_skb_vlan_pop(ctx) ? 2 : -1;
            }
            char _license[] SEC("license") = "GPL";"#,
            vec![meets(&packet(), NEXT)],
        ),
        tc_case(
            "a longer tail",
            "grows",
            r#"
            #include <linux/bpf.h>
            #include <bpf/bpf_helpers.h>
            SEC("classifier/grows") int grows(struct __sk_buff *ctx)
            { return bpf_skb_change_tail(ctx, ctx->len + 20, 0) ? 2 : -1; }
            char _license[] SEC("license") = "GPL";"#,
            vec![changes(&packet(), NEXT, &longer)],
        ),
        tc_case(
            "marks and notes on the socket buffer",
            "marks",
            r#"
            #include <linux/bpf.h>
            #include <bpf/bpf_helpers.h>
            int second(struct __sk_buff *ctx);
            struct { __uint(type, BPF_MAP_TYPE_PROG_ARRAY); __uint(max_entries, 1);
                     __uint(key_size, 4); __array(values, int(void *)); } next SEC(".maps") =
                { .values = { [0] = (void *)&second } };
            SEC("tc") int marks(struct __sk_buff *ctx) {
                ctx->cb[0] = 77;
                ctx->mark = 5;
                bpf_tail_call(ctx, &next, 0);
                return 2;
            }
            SEC("tc") int second(struct __sk_buff *ctx)
            { return ctx->cb[0] == 77 && ctx->mark == 5 ? -1 : 2; }
            char _license[] SEC("license") = "GPL";"#,
            vec![meets(&packet(), NEXT)],
        ),
    ]
}

/// Objects that are refused: what they are, the program, and words of the answer.
pub(super) fn refused() -> Vec<(&'static str, &'static str, &'static str, &'static str)> {
    vec![
        (
            "a kernel setting that nobody answers",
            r#"
            #include <linux/bpf.h>
            #include <bpf/bpf_helpers.h>
            extern int CONFIG_HZ __kconfig;
            SEC("xdp") int asks(struct xdp_md *ctx) { return CONFIG_HZ ? 1 : 2; }
            char _license[] SEC("license") = "GPL";"#,
            "asks",
            "CONFIG_HZ",
        ),
        (
            "a function of the kernel",
            r#"
            #include <linux/bpf.h>
            #include <bpf/bpf_helpers.h>
            extern int bpf_xdp_metadata_rx_hash(const struct xdp_md *, __u32 *, int *) __ksym;
            SEC("xdp") int asks(struct xdp_md *ctx)
            { __u32 hash; int kind; return bpf_xdp_metadata_rx_hash(ctx, &hash, &kind) ? 1 : 2; }
            char _license[] SEC("license") = "GPL";"#,
            "asks",
            "bpf_xdp_metadata_rx_hash",
        ),
        (
            "a program that runs after a redirect",
            r#"
            #include <linux/bpf.h>
            #include <bpf/bpf_helpers.h>
            SEC("xdp/devmap") int after(struct xdp_md *ctx) { return XDP_PASS; }
            char _license[] SEC("license") = "GPL";"#,
            "after",
            "an XDP program that runs after a redirect",
        ),
        (
            "helpers for GPL programs in one without a licence",
            r#"
            #include <linux/bpf.h>
            #include <bpf/bpf_helpers.h>
            SEC("xdp") int prints(struct xdp_md *ctx)
            { static const char text[] = "met"; bpf_trace_printk(text, sizeof(text)); return 2; }"#,
            "prints",
            "GPL",
        ),
    ]
}
