//! What each helper, map type, section and language feature needs: the release that brought it.
//! It refuses to know any particular object.
//!
//! Names and numbers are those of `include/uapi/linux/bpf.h`; the releases are those that ebpf-docs (docs.ebpf.io)
//! derives from the kernel commit that brought each, except the language features, which follow the kernel's
//! instruction set documentation (`Documentation/bpf/standardization/instruction-set.rst`).

mod helpers;

use super::code::Feature;
use super::{KernelVersion, ProgramKind};

/// Map types by number from 1, in bpfman's spelling (`include/uapi/linux/bpf.h`, `enum bpf_map_type`).
#[rustfmt::skip]
const MAP_KINDS: [(&str, KernelVersion); 34] = [
    ("hash", KernelVersion::new(3, 19)),
    ("array", KernelVersion::new(3, 19)),
    ("prog_array", KernelVersion::new(4, 2)),
    ("perf_event_array", KernelVersion::new(4, 3)),
    ("per_cpu_hash", KernelVersion::new(4, 6)),
    ("per_cpu_array", KernelVersion::new(4, 6)),
    ("stack_trace", KernelVersion::new(4, 6)),
    ("cgroup_array", KernelVersion::new(4, 8)),
    ("lru_hash", KernelVersion::new(4, 10)),
    ("lru_per_cpu_hash", KernelVersion::new(4, 10)),
    ("lpm_trie", KernelVersion::new(4, 11)),
    ("array_of_maps", KernelVersion::new(4, 12)),
    ("hash_of_maps", KernelVersion::new(4, 12)),
    ("devmap", KernelVersion::new(4, 14)),
    ("sockmap", KernelVersion::new(4, 14)),
    ("cpumap", KernelVersion::new(4, 15)),
    ("xskmap", KernelVersion::new(4, 18)),
    ("sockhash", KernelVersion::new(4, 18)),
    ("cgroup_storage", KernelVersion::new(4, 19)),
    ("reuseport_sockarray", KernelVersion::new(4, 19)),
    ("per_cpu_cgroup_storage", KernelVersion::new(4, 20)),
    ("queue", KernelVersion::new(4, 20)),
    ("stack", KernelVersion::new(4, 20)),
    ("sk_storage", KernelVersion::new(5, 2)),
    ("devmap_hash", KernelVersion::new(5, 4)),
    ("struct_ops", KernelVersion::new(5, 6)),
    ("ringbuf", KernelVersion::new(5, 8)),
    ("inode_storage", KernelVersion::new(5, 10)),
    ("task_storage", KernelVersion::new(5, 11)),
    ("bloom_filter", KernelVersion::new(5, 16)),
    ("user_ringbuf", KernelVersion::new(6, 1)),
    ("cgrp_storage", KernelVersion::new(6, 2)),
    ("arena", KernelVersion::new(6, 9)),
    ("insn_array", KernelVersion::new(6, 19)),
];

/// Helpers that change packet bytes, or how many there are.
const PACKET_WRITERS: &[i32] =
    &[9, 10, 11, 18, 19, 31, 38, 43, 44, 50, 65, 73, 74, 75, 76, 90, 91, 97, 190];

/// Helpers that send a packet somewhere else.
const REDIRECTORS: &[i32] = &[13, 23, 51, 52, 60, 71, 72, 152, 155];

/// A helper's name without `bpf_` and its release.
pub(super) fn helper(number: i32) -> Option<(&'static str, KernelVersion)> {
    let index = usize::try_from(number).ok().filter(|index| *index > 0)?;
    helpers::HELPERS.get(index).copied()
}

/// A helper's full name, or `helper#N`.
pub(super) fn helper_name(number: i32) -> String {
    helper(number).map_or_else(|| format!("helper#{number}"), |(name, _)| format!("bpf_{name}"))
}

pub(super) fn writes_packets(helper: i32) -> bool {
    PACKET_WRITERS.contains(&helper)
}

pub(super) fn redirects(helper: i32) -> bool {
    REDIRECTORS.contains(&helper)
}

/// A map type's name, or `type_N`.
pub(super) fn map_kind(number: u32) -> String {
    let index = usize::try_from(number).ok().and_then(|number| number.checked_sub(1));
    let known = index.and_then(|index| MAP_KINDS.get(index));
    known.map_or_else(|| format!("type_{number}"), |(name, _)| (*name).to_owned())
}

/// The release that brought a map type; `None` for one we do not know.
pub(super) fn map_release(kind: &str) -> Option<KernelVersion> {
    MAP_KINDS.iter().find(|(name, _)| *name == kind).map(|(_, release)| *release)
}

/// What a language feature is called, and its release.
pub(super) fn feature(feature: Feature) -> (&'static str, KernelVersion) {
    match feature {
        Feature::Subprograms => ("function calls", KernelVersion::new(4, 16)),
        Feature::Jmp32 => ("32-bit jumps", KernelVersion::new(5, 1)),
        Feature::GlobalData => ("global variables", KernelVersion::new(5, 2)),
        Feature::GlobalFunctions => ("global functions", KernelVersion::new(5, 6)),
        Feature::Atomics => ("atomic instructions", KernelVersion::new(5, 12)),
        Feature::Callbacks => ("callback functions", KernelVersion::new(5, 13)),
        Feature::Kfuncs => ("kernel functions", KernelVersion::new(5, 13)),
        Feature::Cpu4 => ("instructions of cpu v4", KernelVersion::new(6, 6)),
    }
}

/// The program kind a section name asks for, by libbpf's conventions, and its release.
pub(super) fn program_kind(section: &str) -> (ProgramKind, Option<KernelVersion>) {
    let section = section.strip_prefix('?').unwrap_or(section);
    let (head, rest) = section.split_once('/').unwrap_or((section, ""));
    // `.s` marks a sleepable program, `.multi` and `.session` other ways to attach.
    let base = head.split_once('.').map_or(head, |(base, _)| base);
    let (kind, major, minor) = match (base, rest) {
        ("xdp", _) if head == "xdp.frags" || head == "xdp.frags_devmap" => {
            (ProgramKind::Xdp, 5, 18)
        }
        ("xdp", _) => (ProgramKind::Xdp, 4, 8),
        ("tcx", _) => (ProgramKind::Tc, 6, 6),
        ("netkit", _) => (ProgramKind::Tc, 6, 7),
        ("tc" | "classifier", _) => (ProgramKind::Tc, 4, 1),
        ("action", _) => (ProgramKind::TcAction, 4, 1),
        ("tracepoint" | "tp", _) => (ProgramKind::Tracepoint, 4, 7),
        ("raw_tp" | "raw_tracepoint", _) => (ProgramKind::RawTracepoint, 4, 17),
        ("kprobe" | "ksyscall", _) => (ProgramKind::Kprobe, 4, 1),
        ("kretprobe" | "kretsyscall", _) => (ProgramKind::Kretprobe, 4, 1),
        ("uprobe" | "usdt", _) => (ProgramKind::Uprobe, 4, 3),
        ("uretprobe", _) => (ProgramKind::Uretprobe, 4, 3),
        ("fentry", _) => (ProgramKind::Fentry, 5, 5),
        ("fexit", _) => (ProgramKind::Fexit, 5, 5),
        ("tp_btf", _) => (ProgramKind::Tracing, 5, 5),
        ("fmod_ret", _) => (ProgramKind::Tracing, 5, 7),
        ("iter", _) => (ProgramKind::Tracing, 5, 8),
        ("freplace", _) => (ProgramKind::Extension, 5, 6),
        ("lsm" | "lsm_cgroup", _) => (ProgramKind::Lsm, 5, 7),
        ("perf_event", _) => (ProgramKind::PerfEvent, 4, 9),
        ("cgroup_skb", _) | ("cgroup", "skb") => (ProgramKind::CgroupSkb, 4, 10),
        ("cgroup", "dev") => (ProgramKind::CgroupDevice, 4, 15),
        ("cgroup", "sysctl") => (ProgramKind::CgroupSysctl, 5, 2),
        ("cgroup", "getsockopt" | "setsockopt") => (ProgramKind::CgroupSockopt, 5, 3),
        ("cgroup", "sock" | "sock_create" | "sock_release" | "post_bind4" | "post_bind6") => {
            (ProgramKind::CgroupSock, 4, 10)
        }
        ("cgroup", _) => (ProgramKind::CgroupSockAddr, 4, 17),
        ("sockops", _) => (ProgramKind::SockOps, 4, 13),
        ("sk_skb", _) => (ProgramKind::SkSkb, 4, 14),
        ("sk_msg", _) => (ProgramKind::SkMsg, 4, 17),
        ("sk_lookup", _) => (ProgramKind::SkLookup, 5, 9),
        ("sk_reuseport", _) => (ProgramKind::SkReuseport, 4, 19),
        ("socket", _) => (ProgramKind::SocketFilter, 3, 19),
        ("lwt_in" | "lwt_out" | "lwt_xmit", _) => (ProgramKind::Lwt, 4, 10),
        ("flow_dissector", _) => (ProgramKind::FlowDissector, 4, 20),
        ("struct_ops", _) => (ProgramKind::StructOps, 5, 6),
        ("syscall", _) => (ProgramKind::Syscall, 5, 14),
        ("netfilter", _) => (ProgramKind::Netfilter, 6, 4),
        _ => return (ProgramKind::Unknown, None),
    };
    (kind, Some(KernelVersion::new(major, minor)))
}

/// Whether a section asks for XDP with packets in several buffers.
pub(super) fn is_frags(section: &str) -> bool {
    let head = section.split_once('/').map_or(section, |(head, _)| head);
    head == "xdp.frags" || head.starts_with("xdp.frags_")
}
