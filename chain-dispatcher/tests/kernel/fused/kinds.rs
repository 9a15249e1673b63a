//! What a member of a fused chain may be made of, as C text: one program of each kind, and those that
//! go to a limit. Knows no chain and no place.

/// What most of these programs begin and end with.
macro_rules! source {
    ($body:literal) => {
        concat!(
            "#include <linux/bpf.h>\n#include <bpf/bpf_helpers.h>\n",
            $body,
            "\nchar _license[] SEC(\"license\") = \"GPL\";"
        )
    };
}
pub(super) use source;

pub(super) const BARE: &str =
    source!(r#"SEC("xdp") int it(struct xdp_md *ctx) { return XDP_PASS; }"#);

const FUNCTIONS: &str = source!(
    r#"
    static __attribute__((noinline)) int add(int a, int b) { return a + b; }
    __attribute__((noinline)) int twice(int a) { return add(a, a); }
    SEC("xdp") int it(struct xdp_md *ctx) { return twice(ctx->rx_queue_index + 1); }"#
);
const ENUM_AND_VOID: &str = source!(
    r#"SEC("xdp") enum xdp_action it(void *ctx)
    { return ((struct xdp_md *)ctx)->rx_queue_index ? XDP_DROP : XDP_PASS; }"#
);
/// .rodata, .data and .bss; PASS as long as each holds what it should.
const GLOBALS: &str = source!(
    r#"
    const volatile int one = 1, table[3] = {7, 8, 9};
    volatile int two = 2;
    volatile long runs;
    SEC("xdp") int it(struct xdp_md *ctx)
    {
        unsigned int i = ctx->rx_queue_index;
        runs++;
        return one == 1 && i < 3 && table[i] == 7 && two == 2 && runs > 0 ? XDP_PASS : XDP_DROP;
    }"#
);
const CALLBACK: &str = source!(
    r#"
    static long each(__u32 at, int *sum) { *sum += at; return 0; }
    SEC("xdp") int it(struct xdp_md *ctx)
    {
        int sum = 0;
        bpf_loop(5, each, &sum, 0);
        return sum == 10 ? XDP_PASS : XDP_DROP;
    }"#
);
const CORE: &str = source!(
    r#"
    #include <bpf/bpf_core_read.h>
    struct net_device { int ifindex; } __attribute__((preserve_access_index));
    struct no_such_thing { int field; } __attribute__((preserve_access_index));
    SEC("xdp") int it(struct xdp_md *ctx)
    {
        return bpf_core_field_exists(((struct net_device *)0)->ifindex) &&
               !bpf_core_field_exists(((struct no_such_thing *)0)->field) ? XDP_PASS : XDP_DROP;
    }"#
);
/// A map as objects declared them before BTF, and two of later kinds.
pub(super) const MAPS: &str = source!(
    r#"
    struct bpf_map_def { unsigned int type, key_size, value_size, max_entries, map_flags; };
    struct bpf_map_def SEC("maps") old = {
        .type = BPF_MAP_TYPE_HASH, .key_size = 4, .value_size = 8, .max_entries = 4 };
    struct { __uint(type, BPF_MAP_TYPE_LRU_HASH); __uint(max_entries, 4);
             __type(key, __u32); __type(value, __u64); } recent SEC(".maps");
    struct { __uint(type, BPF_MAP_TYPE_RINGBUF); __uint(max_entries, 4096); } events SEC(".maps");
    SEC("xdp") int it(struct xdp_md *ctx)
    {
        __u32 key = 3;
        __u64 value = 5, *found;
        if (bpf_map_update_elem(&old, &key, &value, BPF_ANY)) return XDP_DROP;
        if (bpf_map_update_elem(&recent, &key, &value, BPF_ANY)) return XDP_DROP;
        bpf_ringbuf_output(&events, &value, sizeof(value), 0);
        found = bpf_map_lookup_elem(&old, &key);
        return found && *found == 5 ? XDP_PASS : XDP_DROP;
    }"#
);
pub(super) const WHOLE_STACK: &str = source!(
    r#"SEC("xdp") int it(struct xdp_md *ctx)
    {
        volatile char room[504];
        room[0] = 1;
        room[503] = 1;
        return room[0] + room[503];
    }"#
);
const GROWS: &str = source!(
    r#"SEC("xdp") int it(struct xdp_md *ctx)
    {
        if (bpf_xdp_adjust_head(ctx, -8) || bpf_xdp_adjust_head(ctx, 8)) return XDP_ABORTED;
        return XDP_PASS;
    }"#
);
pub(super) const GREEDY: &str = source!(
    r#"
    struct { __uint(type, BPF_MAP_TYPE_PROG_ARRAY); __uint(max_entries, 1);
             __type(key, __u32); __type(value, __u32); } next SEC(".maps");
    SEC("xdp") int it(struct xdp_md *ctx)
    { bpf_tail_call(ctx, &next, 0); return XDP_PASS; }"#
);
/// Its program array holds its own second program from the beginning.
pub(super) const OWN_TAIL: &str = source!(
    r#"
    int second(struct xdp_md *ctx);
    struct { __uint(type, BPF_MAP_TYPE_PROG_ARRAY); __uint(max_entries, 1); __type(key, __u32);
             __array(values, int (struct xdp_md *)); } next SEC(".maps") = {
        .values = { [0] = (void *)&second } };
    SEC("xdp") int second(struct xdp_md *ctx) { return XDP_PASS; }
    SEC("xdp") int it(struct xdp_md *ctx)
    { bpf_tail_call(ctx, &next, 0); return XDP_DROP; }"#
);
/// No type information at all.
const UNTYPED: &str = concat!(
    "// clang: -g0\n#include <linux/bpf.h>\n",
    "static __attribute__((noinline)) int two(int n) { return n * 2; }\n",
    "__attribute__((section(\"xdp\"), used)) int it(struct xdp_md *ctx)\n",
    "{ return two(ctx->rx_queue_index + 1); }\n",
    "__attribute__((section(\"license\"), used)) char _license[] = \"GPL\";"
);

/// Keeps its context and three numbers across calls, which takes all registers that calls keep, and
/// leaves rubbish on the stack.
const KEEPS: &str = source!(
    r#"
    struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 4);
             __type(key, __u64[4]); __type(value, __u64); } seen SEC(".maps");
    SEC("xdp") int it(struct xdp_md *ctx)
    {
        __u64 a = bpf_ktime_get_ns(), b = bpf_get_prandom_u32(), c = bpf_get_smp_processor_id();
        __u64 key[4] = {a, b, c, a ^ b}, one = 1;
        bpf_map_update_elem(&seen, &key, &one, BPF_ANY);
        bpf_map_delete_elem(&seen, &key);
        if (key[0] + key[1] + key[2] != a + b + c || ctx->data_end - ctx->data != 60) return XDP_DROP;
        return XDP_PASS;
    }"#
);
/// Parses the packet and counts in a per-CPU map, as most members do something like it.
pub(super) const PARSES: &str = source!(
    r#"
    struct { __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY); __uint(max_entries, 256);
             __type(key, __u32); __type(value, __u64); } protocols SEC(".maps");
    SEC("xdp") int it(struct xdp_md *ctx)
    {
        unsigned char *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
        __u32 key;
        __u64 *count;
        if (data + 34 > end) return XDP_DROP;
        if (data[12] != 8 || data[13] != 0) return XDP_PASS;
        key = data[23];
        count = bpf_map_lookup_elem(&protocols, &key);
        if (count) *count += 1;
        return XDP_PASS;
    }"#
);

/// Each of them lets a packet pass.
pub(super) const KINDS: [(&str, &str); 12] = [
    ("keeps", KEEPS),
    ("parses", PARSES),
    ("functions", FUNCTIONS),
    ("enum-and-void", ENUM_AND_VOID),
    ("globals", GLOBALS),
    ("callback", CALLBACK),
    ("core", CORE),
    ("maps", MAPS),
    ("grows", GROWS),
    ("greedy", GREEDY),
    ("own-tail", OWN_TAIL),
    ("untyped", UNTYPED),
];
