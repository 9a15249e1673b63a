//! The doors through which bytes that somebody else wrote come in before the kernel sees any: plain
//! functions of bytes, for those who throw hostile ones at them. Touches no kernel.

use aya_obj::generated::{bpf_func_info, bpf_insn};
use skep_artifact::config::EncodedConfig;
use skep_artifact::hook::{Failure, Hook, Mode, VerdictSet};

use crate::fuse::walk::{self, Ending, Place};
use crate::fuse::{self, Form, FuseError, License, Part};
use crate::load::{self, LoadError};
use crate::support;

/// Bytes of an instruction and of a record about a function.
const RECORD_BYTES: usize = 8;

/// Reads from an object what a plan needs: the names of its maps, sorted.
///
/// # Errors
/// [`LoadError`] for an object that cannot be read, holds no such program, or does not fit the hook
/// or the config.
pub fn outline(
    object: &[u8],
    program: &str,
    hook: Hook,
    config: &EncodedConfig,
) -> Result<Vec<String>, LoadError> {
    let outline = load::outline(object, program, hook, config)?;
    Ok(outline.maps.into_iter().map(|map| map.name).collect())
}

/// Objects of our own, each with a program and a hook for it.
pub fn dispatchers() -> [(&'static [u8], &'static str, Hook); 2] {
    let objects = [Hook::Xdp, Hook::TcIngress].map(|hook| (support::object(hook), hook));
    objects.map(|(object, hook)| (object, "skep_dropped", hook))
}

/// A relocated program as the bytes that the kernel would get.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RawProgram {
    /// Eight bytes each, little-endian.
    pub instructions: Vec<u8>,
    /// A function each: where it begins, in instructions, and its type; four bytes each,
    /// little-endian.
    pub functions: Vec<u8>,
    /// Type information; empty for none.
    pub btf: Vec<u8>,
}

/// A program of an object with its calls relocated. Its maps have numbers that no kernel gave.
///
/// # Errors
/// [`LoadError`] for an object that cannot be read or holds no such program.
pub fn raw_program(object: &[u8], program: &str) -> Result<RawProgram, LoadError> {
    let (read, btf) = load::relocated(object, program)?;
    Ok(RawProgram::of(&read.instructions, &read.func_info, btf))
}

/// A chain of twice the same program, fused, for a hook.
///
/// # Errors
/// [`FuseError`] for code or types that contradict themselves or do not fit the kernel's limits.
pub fn fuse_twice(program: &RawProgram, hook: Hook) -> Result<RawProgram, FuseError> {
    let (instructions, func_info) = (program.instructions(), program.func_info());
    let stacks = fuse::touched(&instructions, &func_info);
    let part = Part {
        label: "hostile",
        license: License::Any,
        instructions: &instructions,
        func_info: &func_info,
        btf: (!program.btf.is_empty()).then_some(&program.btf),
        stacks: &stacks,
    };
    let member = walk::Member {
        proceed_on: VerdictSet::default_for(hook),
        mode: Mode::Enforce,
        failure: Failure::Closed,
        keeps_length: fuse::keeps_length(&instructions),
        answers: fuse::answers(&instructions),
    };
    let main = walk::quiet(Place { hook, ending: Ending::AsItIs }, &[member; 2]);
    // What calls too deep, or needs too much stack, may still stand in the main.
    let called = fuse::fuse(&[part, part], &main, Form::Called);
    let fused = fuse::fuse(&[part, part], &main, Form::Inlined).or(called)?;
    Ok(RawProgram::of(&fused.instructions, &fused.func_info, fused.btf))
}

impl RawProgram {
    fn of(instructions: &[bpf_insn], functions: &[bpf_func_info], btf: Vec<u8>) -> Self {
        let instructions = instructions.iter().flat_map(|insn| {
            let registers = insn.dst_reg() | insn.src_reg() << 4;
            let [off, imm] = [&insn.off.to_le_bytes()[..], &insn.imm.to_le_bytes()];
            [&[insn.code, registers][..], off, imm].concat()
        });
        let functions = functions.iter().flat_map(|function| {
            [function.insn_off.to_le_bytes(), function.type_id.to_le_bytes()].concat()
        });
        Self { instructions: instructions.collect(), functions: functions.collect(), btf }
    }

    fn instructions(&self) -> Vec<bpf_insn> {
        let (whole, _) = self.instructions.as_chunks::<RECORD_BYTES>();
        let read = |[code, registers, off @ .., i0, i1, i2, i3]: &[u8; RECORD_BYTES]| bpf_insn {
            code: *code,
            _bitfield_align_1: [],
            _bitfield_1: bpf_insn::new_bitfield_1(registers & 0xf, registers >> 4),
            off: i16::from_le_bytes(*off),
            imm: i32::from_le_bytes([*i0, *i1, *i2, *i3]),
        };
        whole.iter().map(read).collect()
    }

    fn func_info(&self) -> Vec<bpf_func_info> {
        let (whole, _) = self.functions.as_chunks::<RECORD_BYTES>();
        let read = |[a, b, c, d, type_id @ ..]: &[u8; RECORD_BYTES]| bpf_func_info {
            insn_off: u32::from_le_bytes([*a, *b, *c, *d]),
            type_id: u32::from_le_bytes(*type_id),
        };
        whole.iter().map(read).collect()
    }
}
