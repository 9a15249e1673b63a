//! The constants of many programs in one map: every object brings a map for its `.rodata`, and one
//! program may use 64 maps only. Bytes and instructions in, bytes and instructions out.

use aya_obj::generated::{BPF_PSEUDO_MAP_VALUE, bpf_insn};

use super::code::{LOAD_IMMEDIATE, width};

/// What the values of BPF programs are aligned to at most.
const ALIGNMENT: usize = 8;

/// Constants laid out one after the other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Pool {
    pub(crate) bytes: Vec<u8>,
}

/// Where constants were and where they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moved {
    /// The descriptor of the map they had for themselves.
    pub(crate) from: i32,
    /// The pool's.
    pub(crate) to: i32,
    /// Where they begin in the pool.
    pub(crate) by: i32,
}

impl Pool {
    /// Appends constants; gives where they begin. None once the pool is too large for an
    /// instruction to point into.
    pub(crate) fn add(&mut self, constants: &[u8]) -> Option<i32> {
        let at = self.bytes.len().next_multiple_of(ALIGNMENT);
        i32::try_from(at + constants.len()).ok()?;
        self.bytes.resize(at, 0);
        self.bytes.extend_from_slice(constants);
        i32::try_from(at).ok()
    }
}

/// Lets every address in the old map be the one in the pool.
pub(crate) fn redirect(instructions: &mut [bpf_insn], moved: Moved) {
    let mut at = 0;
    while let Some(first) = instructions.get(at).copied() {
        let points = first.code == LOAD_IMMEDIATE
            && u32::from(first.src_reg()) == BPF_PSEUDO_MAP_VALUE
            && first.imm == moved.from;
        if let (true, Some([first, second])) = (points, instructions.get_mut(at..at + 2)) {
            first.imm = moved.to;
            second.imm = second.imm.wrapping_add(moved.by);
        }
        at += width(first);
    }
}
