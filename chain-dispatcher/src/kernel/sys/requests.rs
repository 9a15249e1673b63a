//! What to create or load, laid out as bpf(2) takes it. Safe code: every address points into what was
//! handed in and goes with its true length, and the call that follows must not outlive it.

use std::io;
use std::os::fd::BorrowedFd;

use crate::kernel::attr::{MapCreate, ProgramLoad, length, raw};
use crate::kernel::objects::{MapSpec, ProgramSpec, object_name};

/// A map to create, with the type information it refers to.
pub(super) fn map_attr(spec: &MapSpec<'_>, btf: Option<BorrowedFd<'_>>) -> MapCreate {
    let with_btf = spec.btf_value != 0;
    let mut attr = MapCreate {
        map_type: spec.shape.kind,
        key_size: spec.shape.key_size,
        value_size: spec.shape.value_size,
        max_entries: spec.shape.max_entries,
        map_flags: spec.shape.flags,
        map_name: object_name(spec.name),
        map_extra: spec.map_extra,
        inner_map_fd: spec.inner.map_or(0, raw),
        ..MapCreate::default()
    };
    if let (Some(btf), true) = (btf, with_btf) {
        attr.btf_fd = raw(btf);
        attr.btf_key_type_id = spec.btf_key;
        attr.btf_value_type_id = spec.btf_value;
    }
    attr
}

/// A program to load, without a log.
pub(super) fn program_attr(spec: &ProgramSpec<'_>) -> io::Result<ProgramLoad> {
    let mut attr = ProgramLoad {
        prog_type: spec.kind,
        insn_cnt: length(spec.instructions.len())?,
        insns: spec.instructions.as_ptr() as u64,
        license: spec.license.as_ptr() as u64,
        prog_flags: spec.flags,
        prog_name: object_name(spec.name),
        expected_attach_type: spec.attach_type,
        ..ProgramLoad::default()
    };
    if let Some(btf) = spec.btf {
        attr.prog_btf_fd = raw(btf);
        if !spec.func_info.is_empty() {
            attr.func_info = spec.func_info.as_ptr() as u64;
            attr.func_info_cnt = length(spec.func_info.len())?;
            attr.func_info_rec_size = length(size_of_val(&spec.func_info[0]))?;
        }
        if !spec.line_info.is_empty() {
            attr.line_info = spec.line_info.as_ptr() as u64;
            attr.line_info_cnt = length(spec.line_info.len())?;
            attr.line_info_rec_size = length(size_of_val(&spec.line_info[0]))?;
        }
    }
    if let Some(extends) = spec.extends {
        attr.attach_prog_fd = raw(extends.program);
        attr.attach_btf_id = extends.function;
    }
    Ok(attr)
}
