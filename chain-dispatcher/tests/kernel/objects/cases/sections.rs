//! Sections of any name, licences and old map definitions.

use skep_chain_dispatcher::BackendChoice;

use super::{DROP, passes_one, xdp_case};
use crate::objects::{Case, Refused, meets};
use crate::place::packet;

pub(super) fn sections() -> Vec<Case> {
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
