//! The arguments and answers of bpf(2), laid out as `linux/bpf.h` lays them out: integers only, every
//! padding written out, sizes checked when compiled. Knows layouts, no meaning.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

pub(super) const CMD_MAP_CREATE: u32 = 0;
pub(super) const CMD_MAP_LOOKUP_ELEM: u32 = 1;
pub(super) const CMD_MAP_UPDATE_ELEM: u32 = 2;
pub(super) const CMD_MAP_GET_NEXT_KEY: u32 = 4;
pub(super) const CMD_PROG_LOAD: u32 = 5;
pub(super) const CMD_OBJ_PIN: u32 = 6;
pub(super) const CMD_OBJ_GET: u32 = 7;
pub(super) const CMD_PROG_TEST_RUN: u32 = 10;
pub(super) const CMD_PROG_GET_FD_BY_ID: u32 = 13;
pub(super) const CMD_MAP_GET_FD_BY_ID: u32 = 14;
pub(super) const CMD_OBJ_GET_INFO_BY_FD: u32 = 15;
pub(super) const CMD_PROG_QUERY: u32 = 16;
pub(super) const CMD_BTF_LOAD: u32 = 18;
pub(super) const CMD_BTF_GET_FD_BY_ID: u32 = 19;
pub(super) const CMD_MAP_FREEZE: u32 = 22;
pub(super) const CMD_LINK_CREATE: u32 = 28;
pub(super) const CMD_LINK_UPDATE: u32 = 29;
pub(super) const CMD_LINK_GET_FD_BY_ID: u32 = 30;
pub(super) const CMD_LINK_GET_NEXT_ID: u32 = 31;
pub(super) const CMD_LINK_DETACH: u32 = 34;

/// What the verifier writes: every instruction, or a few figures at the end.
pub(super) const LOG_INSTRUCTIONS: u32 = 1;
pub(super) const LOG_STATISTICS: u32 = 4;

/// `BPF_MAP_CREATE`.
#[repr(C)]
#[derive(Default)]
pub(super) struct MapCreate {
    pub(super) map_type: u32,
    pub(super) key_size: u32,
    pub(super) value_size: u32,
    pub(super) max_entries: u32,
    pub(super) map_flags: u32,
    pub(super) inner_map_fd: u32,
    pub(super) numa_node: u32,
    pub(super) map_name: [u8; 16],
    pub(super) map_ifindex: u32,
    pub(super) btf_fd: u32,
    pub(super) btf_key_type_id: u32,
    pub(super) btf_value_type_id: u32,
    pub(super) btf_vmlinux_value_type_id: u32,
    pub(super) map_extra: u64,
}

/// `BPF_MAP_LOOKUP_ELEM`, `BPF_MAP_UPDATE_ELEM`.
#[repr(C)]
#[derive(Default)]
pub(super) struct MapElement {
    pub(super) map_fd: u32,
    pub(super) pad: u32,
    pub(super) key: u64,
    pub(super) value: u64,
    pub(super) flags: u64,
}

/// `BPF_BTF_LOAD`.
#[repr(C)]
#[derive(Default)]
pub(super) struct BtfLoad {
    pub(super) btf: u64,
    pub(super) log_buf: u64,
    pub(super) btf_size: u32,
    pub(super) log_size: u32,
    pub(super) log_level: u32,
    pub(super) pad: u32,
}

/// `BPF_PROG_LOAD`.
#[repr(C)]
#[derive(Default)]
pub(super) struct ProgramLoad {
    pub(super) prog_type: u32,
    pub(super) insn_cnt: u32,
    pub(super) insns: u64,
    pub(super) license: u64,
    pub(super) log_level: u32,
    pub(super) log_size: u32,
    pub(super) log_buf: u64,
    pub(super) kern_version: u32,
    pub(super) prog_flags: u32,
    pub(super) prog_name: [u8; 16],
    pub(super) prog_ifindex: u32,
    pub(super) expected_attach_type: u32,
    pub(super) prog_btf_fd: u32,
    pub(super) func_info_rec_size: u32,
    pub(super) func_info: u64,
    pub(super) func_info_cnt: u32,
    pub(super) line_info_rec_size: u32,
    pub(super) line_info: u64,
    pub(super) line_info_cnt: u32,
    pub(super) attach_btf_id: u32,
    pub(super) attach_prog_fd: u32,
    pub(super) core_relo_cnt: u32,
}

/// `BPF_OBJ_PIN`, `BPF_OBJ_GET`.
#[repr(C)]
#[derive(Default)]
pub(super) struct Pinning {
    pub(super) pathname: u64,
    pub(super) bpf_fd: u32,
    pub(super) file_flags: u32,
}

/// `BPF_LINK_CREATE`, with the part for tcx.
#[repr(C)]
#[derive(Default)]
pub(super) struct LinkCreate {
    pub(super) prog_fd: u32,
    pub(super) target_ifindex: u32,
    pub(super) attach_type: u32,
    pub(super) flags: u32,
    pub(super) relative_fd: u32,
    pub(super) pad: u32,
    pub(super) expected_revision: u64,
}

/// `BPF_LINK_CREATE` of an extension.
#[repr(C)]
#[derive(Default)]
pub(super) struct ExtensionLink {
    pub(super) prog_fd: u32,
    pub(super) target_fd: u32,
    pub(super) attach_type: u32,
    pub(super) flags: u32,
    pub(super) target_btf_id: u32,
    pub(super) pad: u32,
}

/// The beginning of `struct bpf_prog_info`.
#[repr(C)]
#[derive(Default)]
pub(super) struct ProgramAnswer {
    pub(super) kind: u32,
    pub(super) id: u32,
    pub(super) tag: [u8; 8],
    pub(super) jited_len: u32,
    pub(super) xlated_len: u32,
    pub(super) jited: u64,
    pub(super) xlated: u64,
    pub(super) load_time: u64,
    pub(super) created_by: u32,
    pub(super) maps: u32,
    pub(super) map_ids: u64,
    pub(super) name: [u8; 16],
}

/// More of `struct bpf_prog_info`.
#[repr(C)]
#[derive(Default)]
pub(super) struct ProgramDetails {
    pub(super) beginning: [u64; 6],
    pub(super) created_by: u32,
    pub(super) maps: u32,
    pub(super) map_ids: u64,
    pub(super) between: [u64; 8],
    pub(super) btf_id: u32,
    pub(super) func_info_rec_size: u32,
}

/// `struct bpf_btf_info`.
#[repr(C)]
#[derive(Default)]
pub(super) struct BtfAnswer {
    pub(super) btf: u64,
    pub(super) btf_size: u32,
    pub(super) id: u32,
    pub(super) name: u64,
    pub(super) name_len: u32,
    pub(super) kernel_btf: u32,
}

/// The beginning of `struct bpf_map_info`.
#[repr(C)]
#[derive(Default)]
pub(super) struct MapAnswer {
    pub(super) kind: u32,
    pub(super) id: u32,
    pub(super) key_size: u32,
    pub(super) value_size: u32,
    pub(super) max_entries: u32,
    pub(super) flags: u32,
    pub(super) name: [u8; 16],
    pub(super) ifindex: u32,
    pub(super) btf_vmlinux_value_type_id: u32,
    pub(super) netns_dev: u64,
    pub(super) netns_ino: u64,
    pub(super) btf_id: u32,
    pub(super) btf_key_type_id: u32,
    pub(super) btf_value_type_id: u32,
    pub(super) btf_vmlinux_id: u32,
}

/// `struct bpf_link_info` of XDP and tcx links.
#[repr(C)]
#[derive(Default)]
pub(super) struct LinkAnswer {
    pub(super) kind: u32,
    pub(super) id: u32,
    pub(super) program_id: u32,
    pub(super) pad: u32,
    pub(super) ifindex: u32,
    pub(super) attach_type: u32,
}

/// `BPF_PROG_QUERY`.
#[repr(C)]
#[derive(Default)]
pub(super) struct HookQuery {
    pub(super) target_ifindex: u32,
    pub(super) attach_type: u32,
    pub(super) query_flags: u32,
    pub(super) attach_flags: u32,
    pub(super) prog_ids: u64,
    pub(super) count: u32,
    pub(super) pad: u32,
    pub(super) prog_attach_flags: u64,
    pub(super) link_ids: u64,
    pub(super) link_attach_flags: u64,
    pub(super) revision: u64,
}

/// `BPF_PROG_TEST_RUN`.
#[repr(C)]
#[derive(Default)]
pub(super) struct ProgramRun {
    pub(super) prog_fd: u32,
    pub(super) retval: u32,
    pub(super) data_size_in: u32,
    pub(super) data_size_out: u32,
    pub(super) data_in: u64,
    pub(super) data_out: u64,
    pub(super) repeat: u32,
    pub(super) duration: u32,
    pub(super) ctx_size_in: u32,
    pub(super) ctx_size_out: u32,
    pub(super) ctx_in: u64,
    pub(super) ctx_out: u64,
    pub(super) flags: u32,
    pub(super) cpu: u32,
    pub(super) batch_size: u32,
    pub(super) pad: u32,
}

/// `BPF_OBJ_GET_INFO_BY_FD`.
#[repr(C)]
#[derive(Default)]
pub(super) struct ObjectQuery {
    pub(super) bpf_fd: u32,
    pub(super) info_len: u32,
    pub(super) info: u64,
}

const _: () = assert!(size_of::<MapCreate>() == 72);
const _: () = assert!(size_of::<MapElement>() == 32);
const _: () = assert!(size_of::<BtfLoad>() == 32);
const _: () = assert!(size_of::<ProgramLoad>() == 120);
const _: () = assert!(size_of::<Pinning>() == 16);
const _: () = assert!(size_of::<LinkCreate>() == 32);
const _: () = assert!(size_of::<ExtensionLink>() == 24);
const _: () = assert!(size_of::<ProgramAnswer>() == 80);
const _: () = assert!(size_of::<MapAnswer>() == 80);
const _: () = assert!(size_of::<BtfAnswer>() == 32);
const _: () = assert!(std::mem::offset_of!(ProgramAnswer, map_ids) == 56);
const _: () = assert!(std::mem::offset_of!(ProgramDetails, map_ids) == 56);
const _: () = assert!(std::mem::offset_of!(ProgramDetails, btf_id) == 128);
const _: () = assert!(size_of::<LinkAnswer>() == 24);
const _: () = assert!(size_of::<HookQuery>() == 64);
const _: () = assert!(size_of::<ProgramRun>() == 80);
const _: () = assert!(size_of::<ObjectQuery>() == 16);

pub(super) fn raw(fd: BorrowedFd<'_>) -> u32 {
    fd.as_fd().as_raw_fd().cast_unsigned()
}

pub(super) fn address(bytes: &[u8]) -> u64 {
    bytes.as_ptr() as u64
}

pub(super) fn length(bytes: usize) -> io::Result<u32> {
    u32::try_from(bytes).map_err(|_| io::ErrorKind::InvalidInput.into())
}
