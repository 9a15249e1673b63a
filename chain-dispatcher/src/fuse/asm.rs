//! A small assembler for the code that Skep generates: instructions by name, jumps to labels, calls
//! to the parts, and parts that stand in the code itself. Knows the instruction set, no chain.

mod place;

use aya_obj::generated::{BPF_PSEUDO_CALL, BPF_PSEUDO_MAP_FD, BPF_PSEUDO_MAP_VALUE, bpf_insn};

use super::code::LOAD_IMMEDIATE;
pub(crate) use place::Kept;
pub(super) use place::{Assembled, Bodies, Body};

/// `BPF_JMP | BPF_JA`.
const JUMP: u8 = 0x05;
/// `BPF_JMP | BPF_EXIT`.
const EXIT: u8 = 0x95;

/// A register.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct R(pub(crate) u8);

/// Result, and scratch after calls.
pub(crate) const R0: R = R(0);
pub(crate) const R1: R = R(1);
pub(crate) const R2: R = R(2);
pub(crate) const R3: R = R(3);
/// Kept across calls.
pub(crate) const R6: R = R(6);
pub(crate) const R7: R = R(7);
pub(crate) const R8: R = R(8);
pub(crate) const R9: R = R(9);
/// The frame pointer.
const R10: R = R(10);

/// When a jump is taken; all compare 32 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum If {
    Equal,
    NotEqual,
    /// Unsigned.
    Above,
    /// Any of these bits is set.
    AnyBit,
}

/// A place in the one value of a map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Address {
    /// The map's descriptor.
    pub(crate) map: i32,
    pub(crate) offset: i32,
}

/// A place in the code, named before it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Label(usize);

/// Generated code, not yet placed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Assembly {
    lines: Vec<(bpf_insn, To)>,
    labels: Vec<Option<usize>>,
}

#[derive(Debug, Clone, Copy)]
enum To {
    Next,
    Label(Label),
    Part(usize),
    /// A part that may stand here itself; the registers must be afterwards what they were.
    Member(usize, Kept),
    /// No instruction: the line's first register stays as it is from here on.
    Fixed,
}

impl Assembly {
    pub(crate) fn label(&mut self) -> Label {
        self.labels.push(None);
        Label(self.labels.len() - 1)
    }

    /// The label means the next instruction.
    pub(crate) fn place(&mut self, label: Label) {
        if let Some(place) = self.labels.get_mut(label.0) {
            *place = Some(self.lines.len());
        }
    }

    /// `to = from`, 64 bits.
    pub(crate) fn copy(&mut self, to: R, from: R) {
        self.line(0xbf, to, from, 0, 0);
    }

    /// `to = from`, 32 bits; the upper half becomes 0.
    pub(crate) fn copy32(&mut self, to: R, from: R) {
        self.line(0xbc, to, from, 0, 0);
    }

    /// `to = number`, 32 bits; the upper half becomes 0.
    pub(crate) fn set(&mut self, to: R, number: i32) {
        self.line(0xb4, to, R0, 0, number);
    }

    /// `to += number`, 32 bits.
    pub(crate) fn add32(&mut self, to: R, number: i32) {
        self.line(0x04, to, R0, 0, number);
    }

    /// `to += number`, 64 bits.
    pub(crate) fn add(&mut self, to: R, number: i32) {
        self.line(0x07, to, R0, 0, number);
    }

    /// `to += from`, 64 bits.
    pub(crate) fn add_register(&mut self, to: R, from: R) {
        self.line(0x0f, to, from, 0, 0);
    }

    /// `to -= from`, 64 bits.
    pub(crate) fn subtract_register(&mut self, to: R, from: R) {
        self.line(0x1f, to, from, 0, 0);
    }

    /// `to <<= by`, 64 bits.
    pub(crate) fn shift(&mut self, to: R, by: i32) {
        self.line(0x67, to, R0, 0, by);
    }

    /// `to = *(u32 *)(base + offset)`.
    pub(crate) fn load32(&mut self, to: R, base: R, offset: i16) {
        self.line(0x61, to, base, offset, 0);
    }

    /// `to = *(u64 *)(base + offset)`.
    pub(crate) fn load(&mut self, to: R, base: R, offset: i16) {
        self.line(0x79, to, base, offset, 0);
    }

    /// `*(u64 *)(base + offset) = from`.
    pub(crate) fn store(&mut self, base: R, offset: i16, from: R) {
        self.line(0x7b, base, from, offset, 0);
    }

    /// Jumps if the whole register is 0, or a null pointer.
    pub(crate) fn jump_if_zero(&mut self, register: R, to: Label) {
        self.line_to(0x15, register, R0, 0, 0, To::Label(to));
    }

    /// Jumps if the whole register is not 0.
    pub(crate) fn jump_unless_zero(&mut self, register: R, to: Label) {
        self.line_to(0x55, register, R0, 0, 0, To::Label(to));
    }

    /// `to <<= by`, 32 bits.
    pub(crate) fn shift32(&mut self, to: R, by: R) {
        self.line(0x6c, to, by, 0, 0);
    }

    /// Jumps if the register's lower half compares so with the number.
    pub(crate) fn jump_if(&mut self, left: R, condition: If, right: i32, to: Label) {
        let code = match condition {
            If::Equal => 0x16,
            If::NotEqual => 0x56,
            If::Above => 0x26,
            If::AnyBit => 0x46,
        };
        self.line_to(code, left, R0, 0, right, To::Label(to));
    }

    pub(crate) fn jump(&mut self, to: Label) {
        self.line_to(JUMP, R0, R0, 0, 0, To::Label(to));
    }

    /// Calls the program of the part of that number.
    pub(crate) fn call(&mut self, part: usize) {
        let pseudo = R(u8::try_from(BPF_PSEUDO_CALL).unwrap_or_default());
        self.line_to(0x85, R0, pseudo, 0, -1, To::Part(part));
    }

    /// Runs the program of the part of that number: the answer is in R0, and of the other registers
    /// only `live` are what they were. R1 holds the context.
    pub(crate) fn member(&mut self, part: usize, live: Kept) {
        let pseudo = R(u8::try_from(BPF_PSEUDO_CALL).unwrap_or_default());
        self.line_to(0x85, R0, pseudo, 0, -1, To::Member(part, live));
    }

    /// The register stays what it is from here on.
    pub(crate) fn fixed(&mut self, register: R) {
        self.line_to(0, register, R0, 0, 0, To::Fixed);
    }

    /// `to` = the map, for a helper.
    pub(crate) fn map(&mut self, to: R, fd: i32) {
        self.wide(to, BPF_PSEUDO_MAP_FD, fd, 0);
    }

    /// `to` = an address in the value of a map that has one.
    pub(crate) fn address(&mut self, to: R, at: Address) {
        self.wide(to, BPF_PSEUDO_MAP_VALUE, at.map, at.offset);
    }

    /// Calls a function of the kernel.
    pub(crate) fn help(&mut self, helper: i32) {
        self.line(0x85, R0, R0, 0, helper);
    }

    pub(crate) fn exit(&mut self) {
        self.line(EXIT, R0, R0, 0, 0);
    }

    fn wide(&mut self, to: R, kind: u32, first: i32, second: i32) {
        let kind = R(u8::try_from(kind).unwrap_or_default());
        self.line(LOAD_IMMEDIATE, to, kind, 0, first);
        self.line(0, R0, R0, 0, second);
    }

    fn line(&mut self, code: u8, dst: R, src: R, off: i16, imm: i32) {
        self.line_to(code, dst, src, off, imm, To::Next);
    }

    fn line_to(&mut self, code: u8, dst: R, src: R, off: i16, imm: i32, to: To) {
        self.lines.push((instruction(code, dst, src, off, imm), to));
    }
}

pub(super) fn instruction(code: u8, dst: R, src: R, off: i16, imm: i32) -> bpf_insn {
    bpf_insn {
        code,
        _bitfield_align_1: [],
        _bitfield_1: bpf_insn::new_bitfield_1(dst.0, src.0),
        off,
        imm,
    }
}
