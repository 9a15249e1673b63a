//! What programs do: stacks, types, functions, packets of another size, questions to the kernel.

use skep_chain_dispatcher::BackendChoice;

use super::{DROP, PASS, xdp_case};
use crate::objects::{Case, Refused, changes, meets};
use crate::place::{global, packet};

pub(super) fn code() -> Vec<Case> {
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
