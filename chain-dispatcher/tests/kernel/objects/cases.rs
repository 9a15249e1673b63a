//! The table: objects in the manner of many authors, in C.

mod code;
mod maps;
mod sections;
mod tc;

use std::collections::BTreeMap;

use skep_artifact::config::EncodedConfig;
use skep_artifact::hook::Hook;

use super::{Case, Meeting, meets};
use crate::place::packet;

const PASS: i32 = 2;
const DROP: i32 = 1;

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
    let mut cases = sections::sections();
    cases.extend(maps::maps());
    cases.extend(code::code());
    cases
}

/// tc objects.
pub(super) fn tc() -> Vec<Case> {
    tc::tc()
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
