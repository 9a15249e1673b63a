//! The functions of `bpf/support.bpf.c` as bytes: counting, timing and telling for programs whose
//! main is generated. Holds nothing else.

use skep_artifact::hook::Hook;

/// Bytes at an address that 8-byte loads may use, as ELF readers want.
#[repr(C, align(8))]
struct Aligned<T: ?Sized>(T);

static XDP: &Aligned<[u8]> = &Aligned(*include_bytes!(concat!(env!("OUT_DIR"), "/xdp_support.o")));
static TC: &Aligned<[u8]> = &Aligned(*include_bytes!(concat!(env!("OUT_DIR"), "/tc_support.o")));

/// The object with the functions for a hook.
pub(crate) fn object(hook: Hook) -> &'static [u8] {
    match hook {
        Hook::Xdp => &XDP.0,
        Hook::TcIngress | Hook::TcEgress => &TC.0,
    }
}
