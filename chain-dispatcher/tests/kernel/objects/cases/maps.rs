//! Maps of every kind, globals, and what maps begin with.

use super::{DROP, map_config, passes_one, xdp_case};
use crate::objects::{Case, meets};
use crate::place::packet;

pub(super) fn maps() -> Vec<Case> {
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
