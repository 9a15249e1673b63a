//! The code of one program as functions: where each begins and ends, whom it calls, what it needs.
//! Checks what it reads; knows instructions, no kernel and no type information.

use std::collections::{BTreeSet, HashMap};

use aya_obj::generated::{
    BPF_PSEUDO_BTF_ID, BPF_PSEUDO_CALL, BPF_PSEUDO_FUNC, BPF_PSEUDO_KFUNC_CALL, BPF_PSEUDO_MAP_FD,
    BPF_PSEUDO_MAP_VALUE, bpf_insn,
};

use super::asm::{Kept, R};

/// Classes of instructions, `BPF_CLASS`.
const CLASS: u8 = 0x07;
const LD: u8 = 0x00;
const LDX: u8 = 0x01;
const ST: u8 = 0x02;
const STX: u8 = 0x03;
const ALU: u8 = 0x04;
const ALU64: u8 = 0x07;
const JMP: u8 = 0x05;
const JMP32: u8 = 0x06;
/// `BPF_OP`.
const OPERATION: u8 = 0xf0;
const CALL: u8 = 0x80;
const EXIT: u8 = 0x90;
/// `BPF_JMP32 | BPF_JA`: its distance stands in `imm`.
const LONG_JUMP: u8 = 0x06;
/// `BPF_LD | BPF_DW | BPF_IMM`: two slots.
pub(super) const LOAD_IMMEDIATE: u8 = 0x18;
/// `BPF_MODE`, and loads of the packet in the way of the first BPF: `BPF_ABS`, `BPF_IND`.
const MODE: u8 = 0xe0;
const ABSOLUTE: u8 = 0x20;
const INDIRECT: u8 = 0x40;
/// `BPF_ATOMIC`: what was there may come into either register.
const ATOMIC: u8 = 0xc0;
/// `bpf_tail_call`.
const HELPER_TAIL_CALL: i32 = 12;
/// Those of `bpf_helper_changes_pkt_data` in the kernel's net/core/filter.c that change how many bytes a packet
/// has: `skb_vlan_push`, `skb_vlan_pop`, `skb_change_proto`, `skb_change_tail`, `skb_change_head`,
/// `xdp_adjust_head`, `skb_adjust_room`, `xdp_adjust_tail`. The list of helpers is closed: what is new in
/// the kernel is a function and no helper. (`xdp_adjust_meta` moves what stands before the packet.)
const HELPERS_THAT_RESIZE: [i32; 8] = [18, 19, 31, 38, 43, 44, 50, 65];
/// The frame pointer.
const R10: u8 = 10;

/// What is wrong with code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    Damaged(&'static str),
    KernelFunctions,
    CallsItself,
}

/// A program cut into its functions.
pub(super) struct Code<'a> {
    pub(super) instructions: &'a [bpf_insn],
    /// In the order of their instructions.
    pub(super) functions: Vec<Function>,
}

pub(super) struct Function {
    pub(super) start: usize,
    pub(super) end: usize,
    /// Instructions that name another function, and which.
    pub(super) callees: Vec<(usize, usize)>,
    /// The descriptors of the maps it uses.
    pub(super) maps: BTreeSet<i32>,
    /// Bytes of stack that it touches, as far as its loads and stores tell.
    pub(super) stack: usize,
    /// Registers that it writes and that calls keep.
    pub(super) writes: Kept,
    /// Whether it may jump to another program.
    pub(super) tail_calls: bool,
    /// Whether it loads from the packet in the old way, which ends the function where the packet does.
    pub(super) old_loads: bool,
    /// Whether nothing falls out of its end.
    pub(super) closed: bool,
}

/// How many bytes of stack a frame counts that uses so many.
pub(super) type Frame = fn(usize) -> usize;

/// The longest path from one function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Reach {
    pub(super) frames: usize,
    pub(super) stack: usize,
}

impl<'a> Code<'a> {
    /// Cuts a program at everything that is called, and at `starts`.
    pub(super) fn read(
        instructions: &'a [bpf_insn],
        starts: impl Iterator<Item = usize>,
    ) -> Result<Self, Fault> {
        let mut begins: BTreeSet<usize> = starts.chain([0]).collect();
        let mut named = Vec::new();
        let mut at = 0;
        while let Some(instruction) = instructions.get(at) {
            if let Some(callee) = callee(at, *instruction)? {
                begins.insert(callee);
                named.push((at, callee));
            }
            at += width(*instruction);
        }
        if at != instructions.len() || at == 0 {
            return Err(Fault::Damaged("its last instruction is half of one"));
        }
        let begins: Vec<usize> = begins.into_iter().collect();
        if begins.last().is_some_and(|last| *last >= instructions.len()) {
            return Err(Fault::Damaged("a function begins behind its end"));
        }
        let numbers: HashMap<usize, usize> =
            begins.iter().enumerate().map(|(number, start)| (*start, number)).collect();
        let ends = begins.iter().skip(1).copied().chain([instructions.len()]);
        let mut functions = Vec::new();
        for (start, end) in begins.iter().copied().zip(ends) {
            // In the order of the instructions that name them.
            let [from, to] = [start, end].map(|bound| named.partition_point(|(at, _)| *at < bound));
            let callees = named
                .get(from..to)
                .unwrap_or_default()
                .iter()
                .filter_map(|(at, callee)| Some((*at, *numbers.get(callee)?)))
                .collect();
            functions.push(function(instructions, start, end, callees)?);
        }
        Ok(Self { instructions, functions })
    }

    /// All functions that one needs, itself included, in order.
    pub(super) fn needed(&self, from: usize) -> BTreeSet<usize> {
        let mut found = BTreeSet::new();
        let mut waiting = vec![from];
        while let Some(number) = waiting.pop() {
            if let Some(function) = self.functions.get(number)
                && found.insert(number)
            {
                waiting.extend(function.callees.iter().map(|(_, callee)| *callee));
            }
        }
        found
    }

    /// Frames and stack on the longest paths from a function.
    pub(super) fn reach(&self, from: usize, frame: Frame) -> Result<Reach, Fault> {
        let mut known = vec![None; self.functions.len()];
        self.reach_of(from, &mut known, 0, frame)
    }

    fn reach_of(
        &self,
        number: usize,
        known: &mut Vec<Option<Reach>>,
        depth: usize,
        frame: Frame,
    ) -> Result<Reach, Fault> {
        // A path longer than there are functions goes round in a circle.
        if depth > self.functions.len().min(super::FUNCTIONS_MAX) {
            return Err(Fault::CallsItself);
        }
        if let Some(reach) = known.get(number).copied().flatten() {
            return Ok(reach);
        }
        let Some(function) = self.functions.get(number) else { return Ok(Reach::default()) };
        let mut below = Reach::default();
        for (_, callee) in &function.callees {
            let reach = self.reach_of(*callee, known, depth + 1, frame)?;
            below.frames = below.frames.max(reach.frames);
            below.stack = below.stack.max(reach.stack);
        }
        let stack = below.stack + frame(function.stack);
        let reach = Reach { frames: below.frames + 1, stack };
        if let Some(slot) = known.get_mut(number) {
            *slot = Some(reach);
        }
        Ok(reach)
    }
}

/// Whether any instruction is a tail call. The second half of a wide one has no code.
pub(super) fn tail_calls(instructions: &[bpf_insn]) -> bool {
    instructions.iter().any(|instruction| is_tail_call(*instruction))
}

fn is_tail_call(instruction: bpf_insn) -> bool {
    instruction.code == JMP | CALL
        && instruction.src_reg() == 0
        && instruction.imm == HELPER_TAIL_CALL
}

/// Whether no instruction is a call of what changes the length of a packet, of a function of the kernel,
/// which may do anything, or of another program.
pub(super) fn keeps_length(instructions: &[bpf_insn]) -> bool {
    !instructions.iter().any(|instruction| {
        instruction.code == JMP | CALL
            && match u32::from(instruction.src_reg()) {
                0 => is_tail_call(*instruction) || HELPERS_THAT_RESIZE.contains(&instruction.imm),
                BPF_PSEUDO_CALL => false,
                _ => true,
            }
    })
}

/// The descriptor of the map that an instruction names, if it does.
pub(super) fn map(instruction: bpf_insn) -> Option<i32> {
    let kind = u32::from(instruction.src_reg());
    let names = [BPF_PSEUDO_MAP_FD, BPF_PSEUDO_MAP_VALUE].contains(&kind);
    (instruction.code == LOAD_IMMEDIATE && names).then_some(instruction.imm)
}

/// Slots that an instruction takes.
pub(super) fn width(instruction: bpf_insn) -> usize {
    if instruction.code == LOAD_IMMEDIATE { 2 } else { 1 }
}

/// The instruction that begins the function named here, if one is.
fn callee(at: usize, instruction: bpf_insn) -> Result<Option<usize>, Fault> {
    let source = u32::from(instruction.src_reg());
    let calls = instruction.code == JMP | CALL;
    if calls && source == BPF_PSEUDO_KFUNC_CALL {
        return Err(Fault::KernelFunctions);
    }
    let names = calls && source == BPF_PSEUDO_CALL
        || instruction.code == LOAD_IMMEDIATE && source == BPF_PSEUDO_FUNC;
    if !names {
        return Ok(None);
    }
    let there = i64::try_from(at).ok().map(|at| at + 1 + i64::from(instruction.imm));
    let there = there.and_then(|there| usize::try_from(there).ok());
    there.map(Some).ok_or(Fault::Damaged("a call leads before its beginning"))
}

fn function(
    instructions: &[bpf_insn],
    start: usize,
    end: usize,
    callees: Vec<(usize, usize)>,
) -> Result<Function, Fault> {
    let mut function = Function {
        start,
        end,
        callees,
        maps: BTreeSet::new(),
        stack: 0,
        writes: Kept::default(),
        tail_calls: false,
        old_loads: false,
        closed: false,
    };
    let mut at = start;
    while at < end {
        let Some(instruction) = instructions.get(at) else { break };
        if let Some(distance) = jump(*instruction) {
            let there = i64::try_from(at).ok().map(|at| at + 1 + distance);
            let there = there.and_then(|there| usize::try_from(there).ok());
            if !there.is_some_and(|there| (start..end).contains(&there)) {
                return Err(Fault::Damaged("a jump leaves its function"));
            }
        }
        if instruction.code == LOAD_IMMEDIATE {
            match u32::from(instruction.src_reg()) {
                0 | BPF_PSEUDO_BTF_ID | BPF_PSEUDO_FUNC => {}
                _ => match map(*instruction) {
                    Some(map) => function.maps.extend([map]),
                    None => return Err(Fault::Damaged("it loads something that nobody knows")),
                },
            }
        }
        function.note(*instruction);
        at += width(*instruction);
    }
    if at != end {
        return Err(Fault::Damaged("a function begins inside an instruction"));
    }
    Ok(function)
}

impl Function {
    /// What one more instruction does; the last one says whether anything falls out.
    fn note(&mut self, instruction: bpf_insn) {
        self.stack = self.stack.max(touched(instruction));
        self.tail_calls |= is_tail_call(instruction);
        self.closed = [JMP | EXIT, JMP, LONG_JUMP].contains(&instruction.code);
        let mode = instruction.code & MODE;
        let (dst, src) = (R(instruction.dst_reg()), R(instruction.src_reg()));
        match instruction.code & CLASS {
            LD if mode == ABSOLUTE || mode == INDIRECT => self.old_loads = true,
            LD | LDX | ALU | ALU64 => self.writes = self.writes.with(dst),
            STX if mode == ATOMIC => self.writes = self.writes.with(dst).with(src),
            _ => {}
        }
    }
}

/// How far an instruction jumps, if it does.
fn jump(instruction: bpf_insn) -> Option<i64> {
    let (class, operation) = (instruction.code & CLASS, instruction.code & OPERATION);
    match (class, operation) {
        _ if instruction.code == LONG_JUMP => Some(i64::from(instruction.imm)),
        (JMP, CALL | EXIT) => None,
        (JMP | JMP32, _) => Some(i64::from(instruction.off)),
        _ => None,
    }
}

/// How far below the frame pointer an instruction reads or writes.
fn touched(instruction: bpf_insn) -> usize {
    let base = match instruction.code & CLASS {
        LDX => instruction.src_reg(),
        ST | STX => instruction.dst_reg(),
        _ => return 0,
    };
    if base != R10 || instruction.off >= 0 {
        return 0;
    }
    usize::from(instruction.off.unsigned_abs())
}
