//! tc objects, which rewrite packets and mark them.

use super::tc_case;
use crate::objects::{Case, changes, meets};
use crate::place::packet;

const SHOT: i32 = 2;
const NEXT: i32 = -1;

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
