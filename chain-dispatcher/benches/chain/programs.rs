//! The programs that are measured, as C: one realistic body, in every arrangement. Pure text, and clang.

use std::process::Command;

use skep_artifact::hook::Hook;
use skep_chain_dispatcher::Loadable;
use skep_trust::LocallyTrusted;

/// A realistic body: parse Ethernet and IPv4, look up a per-CPU counter, add.
const BODY: &str = r#"
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>
struct { __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY); __uint(max_entries, 256);
         __type(key, __u32); __type(value, __u64); } protocols SEC(".maps");
#define BODY(n, how) static __attribute__((how)) int body##n(struct CONTEXT *ctx) { \
    void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end; \
    struct ethhdr *eth = data; struct iphdr *ip = data + sizeof(*eth); \
    __u32 key; __u64 *count; \
    if ((void *)(ip + 1) > end) return STOP; \
    if (eth->h_proto != bpf_htons(ETH_P_IP)) return GO_ON; \
    key = ip->protocol; count = bpf_map_lookup_elem(&protocols, &key); \
    if (count) *count += n + 1; \
    return GO_ON; }
char _license[] SEC("license") = "GPL";
"#;

/// What a hook calls the section, the context, and the two verdicts.
fn head(hook: Hook) -> String {
    let (section, context, go_on, stop) =
        if hook.is_tc() { ("tc", "__sk_buff", -1, 2) } else { ("xdp", "xdp_md", 2, 1) };
    format!(
        "#define SECTION \"{section}\"\n#define CONTEXT {context}\n#define GO_ON {go_on}\n#define STOP {stop}\n{BODY}"
    )
}

/// One body as a program of its own, named `member`.
pub(crate) fn member(hook: Hook) -> Loadable {
    compile(&format!(
        "{}BODY(0, always_inline)\nSEC(SECTION) int member(struct CONTEXT *ctx) {{ return body0(ctx); }}\n",
        head(hook)
    ))
}

/// One program, `by_hand`, with `length` bodies. `how` is clang's attribute of each: `noinline` keeps a
/// function a member, as one writes them and as members are; `always_inline` lets clang merge what the
/// equal bodies share, which separate programs never can.
pub(crate) fn by_hand(hook: Hook, length: usize, how: &str) -> Loadable {
    let bodies: String = (0..length).map(|n| format!("BODY({n}, {how})\n")).collect();
    compile(&format!("{}{bodies}{}", head(hook), calls(length)))
}

/// One program, `by_hand`, with `length` functions that do nothing but return: what it costs at least
/// to come back from each member.
pub(crate) fn returns(length: usize) -> Loadable {
    let bodies: String = (0..length)
        .map(|n| {
            format!(
                "static __attribute__((noinline)) int body{n}(struct CONTEXT *ctx)\n\
                 {{ int verdict = GO_ON; asm volatile(\"\" : \"+r\"(verdict) : \"r\"(ctx)); return verdict; }}\n"
            )
        })
        .collect();
    compile(&format!("{}{bodies}{}", head(Hook::Xdp), calls(length)))
}

/// The function that calls `length` bodies, one after the other.
fn calls(length: usize) -> String {
    let calls: String = (0..length)
        .map(|n| format!("verdict = body{n}(ctx); if (verdict != GO_ON) return verdict;\n"))
        .collect();
    format!(
        "SEC(SECTION) int by_hand(struct CONTEXT *ctx) {{ int verdict;\n{calls} return GO_ON; }}\n"
    )
}

/// What the verifier knows of the next program's index.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Index {
    /// Its value: the JIT writes a direct jump.
    Constant,
    /// Nothing, as where each program looks the next one up: an indirect jump behind a retpoline.
    Variable,
}

/// `length` programs, `p0` first, each of which jumps to the next one by itself.
pub(crate) fn tail_calls(hook: Hook, length: usize, index: Index) -> Loadable {
    let bodies: String = (0..length).map(|n| format!("BODY({n}, always_inline)\n")).collect();
    let declared: String =
        (0..length).map(|n| format!("int p{n}(struct CONTEXT *ctx);\n")).collect();
    let entries: String = (1..length).map(|n| format!("[{n}] = (void *)&p{n}, ")).collect();
    let programs: String = (0..length)
        .map(|n| {
            let next = match index {
                Index::Constant => format!("{}", n + 1),
                Index::Variable => format!("{n} + step"),
            };
            let jump = if n + 1 == length {
                String::new()
            } else {
                format!("bpf_tail_call(ctx, &programs, {next});")
            };
            format!(
                "SEC(SECTION) int p{n}(struct CONTEXT *ctx) {{ int verdict = body{n}(ctx);\n\
                 if (verdict != GO_ON) return verdict;\n{jump}\nreturn GO_ON; }}\n"
            )
        })
        .collect();
    compile(&format!(
        "{}{bodies}{declared}volatile __u32 step = 1;\n\
         struct {{ __uint(type, BPF_MAP_TYPE_PROG_ARRAY); __uint(max_entries, {});\n\
         __uint(key_size, 4); __array(values, int (void *)); }} programs SEC(\".maps\") =\n\
         {{ .values = {{ {entries} }} }};\n{programs}",
        head(hook),
        length + 1
    ))
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

/// 60 bytes of UDP over IPv4, which every body lets go on.
pub(crate) fn packet() -> Vec<u8> {
    let mut packet =
        vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0, 0, 46, 0, 0, 0, 0, 64, 17];
    packet.resize(60, 7);
    packet
}
