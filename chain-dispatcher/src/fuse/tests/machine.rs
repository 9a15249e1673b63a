//! A machine for generated mains: runs the instructions that the assembler knows, answers for the
//! members and the support functions that are called, and keeps what was counted. Members may also
//! stand in the main, as code that leaves nothing as it was. Panics on anything else.

use aya_obj::generated::bpf_insn;
use skep_artifact::hook::Hook;

use crate::fuse::Main;
use crate::fuse::asm::{Address, Bodies, Body, Kept, R, R0, R6, R7, R8, R9, instruction};
use crate::fuse::walk::Counting;
use crate::layout::{ALL_COUNTERS_BYTES, COUNTERS_BYTES, COUNTERS_MEMBERS_AT};

const CONTEXT: u64 = 0x1000;
const COUNTERS: u64 = 0x10_0000;
/// Where the frame pointer points: the end of the stack.
const FRAME: u64 = 0x800_0000;
const STACK_BYTES: usize = 512;
/// What calls leave in the registers that they do not keep.
const RUBBISH: u64 = 0xdead_beef_dead_beef;
/// Length of the packet that passes.
pub(super) const LENGTH: u64 = 60;

/// Maps by descriptor.
pub(super) const COUNTING: Counting = Counting {
    counts: 1000,
    zero: Address { map: 1001, offset: 8 },
    timing: Address { map: 1002, offset: 0 },
    telling: Address { map: 1003, offset: 0 },
};

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Ran {
    pub(super) verdict: i32,
    /// Numbers of the members, in the order in which they ran.
    pub(super) members: Vec<usize>,
    /// Numbers of the members whose time was taken.
    pub(super) timed: Vec<usize>,
    /// Who was told to have dropped the packet, with what, and whether it had not run.
    pub(super) told: Vec<(u64, i32, bool)>,
    pub(super) counters: Vec<u8>,
}

/// How a member is part of the main.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stands {
    /// It is called, and keeps what functions keep.
    Apart,
    /// It stands in the main, and destroys some registers that functions keep and its stack.
    Inside { destroys: [bool; 4], stack: usize },
}

/// A member's code: rubbish into the registers and onto the stack, then the answer, from the middle
/// or the end.
fn body(answer: i32, destroys: [bool; 4], stack: usize) -> (Vec<bpf_insn>, Kept) {
    let mut code = Vec::new();
    let mut writes = Kept::default();
    for (register, _) in [R6, R7, R8, R9].into_iter().zip(destroys).filter(|(_, it)| *it) {
        code.push(instruction(0xb7, register, R0, 0, 0x5eed));
        writes = writes.with(register);
    }
    code.push(instruction(0xb7, R(1), R0, 0, 0x5eed));
    for at in 1..=stack / 8 {
        let off = -i16::try_from(at * 8).unwrap();
        code.push(instruction(0x7b, R(10), R(1), off, 0));
    }
    // A member may leave anything in the upper half.
    code.push(instruction(0x18, R0, R0, 0, answer));
    code.push(instruction(0, R0, R0, 0, 0xabcd));
    code.push(instruction(0x15, R(1), R0, 1, 0x5eed));
    code.push(instruction(0x95, R0, R0, 0, 0));
    code.push(instruction(0x95, R0, R0, 0, 0));
    (code, writes)
}

/// Runs a main whose members are all called.
pub(super) fn run(main: &Main, answers: &[i32], since: u64, telling: u32) -> Ran {
    run_as(main, answers, &vec![Stands::Apart; answers.len()], since, telling)
}

/// Runs a main whose members give these answers and stand like this. `since`: what the clock says, 0 for a packet that
/// is not timed. `telling`: one in how many drops somebody wants to hear of.
pub(super) fn run_as(
    main: &Main,
    answers: &[i32],
    stands: &[Stands],
    since: u64,
    telling: u32,
) -> Ran {
    let inside = |(number, (answer, stands)): (usize, (&i32, &Stands))| match *stands {
        Stands::Apart => None,
        Stands::Inside { destroys, stack } => {
            let (code, writes) = body(*answer, destroys, stack);
            Some((number, code, writes, stack))
        }
    };
    let inside: Vec<_> = answers.iter().zip(stands).enumerate().filter_map(inside).collect();
    let bodies: Bodies<'_> = inside
        .iter()
        .map(|(number, instructions, writes, stack)| {
            (*number, Body { instructions, writes: *writes, stack: *stack })
        })
        .collect();
    let assembled = main.code.assemble(&bodies).unwrap();
    let mut machine = Machine {
        registers: [RUBBISH; 11],
        stack: [0xee; STACK_BYTES],
        ran: Ran { counters: vec![0; ALL_COUNTERS_BYTES], ..Ran::default() },
        hook: main.hook,
        answers,
        since,
        telling,
    };
    machine.registers[1] = CONTEXT;
    machine.registers[10] = FRAME;
    let mut at = 0;
    for _ in 0..100_000 {
        let instruction = assembled.instructions[at];
        if let Some((_, part)) = assembled.bodies.iter().find(|(place, _)| *place == at) {
            machine.enter(*part);
        }
        if instruction.code == 0x95 {
            machine.ran.verdict = low(machine.registers[0]).cast_signed();
            return machine.ran;
        }
        if instruction.code == 0x85 {
            match assembled.calls.iter().find(|(place, _)| *place == at) {
                Some((_, part)) => machine.call(*part),
                None => machine.look_up(instruction.imm),
            }
        }
        if instruction.code == 0x18 {
            let (first, second) = (instruction.imm, assembled.instructions[at + 1].imm);
            let number = |imm: i32| u64::from(imm.cast_unsigned());
            let map = instruction.src_reg() != 0;
            machine.registers[usize::from(instruction.dst_reg())] = if map {
                number(first) << 32 | number(second)
            } else {
                number(second) << 32 | number(first)
            };
            at += 2;
            continue;
        }
        let jumps = machine.step(instruction);
        let next = isize::try_from(at).unwrap() + 1;
        let next = if jumps { next + isize::from(instruction.off) } else { next };
        at = usize::try_from(next).unwrap();
    }
    panic!("the walk does not end");
}

struct Machine<'a> {
    registers: [u64; 11],
    stack: [u8; STACK_BYTES],
    ran: Ran,
    hook: Hook,
    answers: &'a [i32],
    since: u64,
    telling: u32,
}

fn low(value: u64) -> u32 {
    u32::try_from(value & 0xffff_ffff).unwrap()
}

/// Where an address lies on the stack, if it does.
fn on_stack(address: u64) -> Option<usize> {
    let at = address.checked_sub(FRAME - STACK_BYTES as u64)?;
    usize::try_from(at).ok().filter(|at| *at < STACK_BYTES)
}

impl Machine<'_> {
    /// Gives whether it jumps.
    fn step(&mut self, instruction: bpf_insn) -> bool {
        let (dst, src) = (usize::from(instruction.dst_reg()), usize::from(instruction.src_reg()));
        let (left, right) = (self.registers[dst], self.registers[src.min(10)]);
        let imm = instruction.imm.cast_unsigned();
        let wide = i64::from(instruction.imm).cast_unsigned();
        let there = |base: u64| base.wrapping_add_signed(i64::from(instruction.off));
        self.registers[dst] = match instruction.code {
            0xbf => right,
            0xbc => u64::from(low(right)),
            0xb4 => u64::from(imm),
            0xb7 => wide,
            0x04 => u64::from(low(left).wrapping_add(imm)),
            0x07 => left.wrapping_add(wide),
            0x0f => left.wrapping_add(right),
            0x1f => left.wrapping_sub(right),
            0x67 => left << instruction.imm,
            0x6c => u64::from(low(left) << (right & 31)),
            0x61 => u64::from(low(self.load(there(right)))),
            0x79 => self.load(there(right)),
            0x7b => {
                self.store(there(left), right);
                left
            }
            0x16 => return low(left) == imm,
            0x56 => return low(left) != imm,
            0x26 => return low(left) > imm,
            0x46 => return low(left) & imm != 0,
            0x15 => return left == wide,
            0x55 => return left != wide,
            0x05 => return true,
            0x85 => return false,
            code => panic!("no such instruction: {code:#x}"),
        };
        false
    }

    fn store(&mut self, address: u64, value: u64) {
        let bytes = match on_stack(address) {
            Some(at) => &mut self.stack[at..at + 8],
            None => {
                let at = usize::try_from(address - COUNTERS).unwrap();
                &mut self.ran.counters[at..at + 8]
            }
        };
        bytes.copy_from_slice(&value.to_ne_bytes());
    }

    /// A member that stands in the main begins.
    fn enter(&mut self, part: usize) {
        assert_eq!(self.registers[1], CONTEXT, "a member gets the context");
        self.ran.members.push(part);
        self.registers[2..6].fill(RUBBISH);
        self.registers[0] = RUBBISH;
    }

    fn load(&self, address: u64) -> u64 {
        if let Some(at) = on_stack(address) {
            return u64::from_ne_bytes(self.stack[at..at + 8].try_into().unwrap());
        }
        match address >> 32 {
            0 => {}
            map if map == u64::try_from(COUNTING.timing.map).unwrap() => return self.since,
            map if map == u64::try_from(COUNTING.telling.map).unwrap() => {
                return u64::from(self.telling);
            }
            map => panic!("a load from map {map}"),
        }
        if address < COUNTERS {
            let tc = self.hook.is_tc();
            return match address - CONTEXT {
                0 if tc => LENGTH,
                0 => 0x5000,
                16 if !tc => 3,
                4 => 0x5000 + LENGTH,
                other => panic!("a load at {other} of the context"),
            };
        }
        let at = usize::try_from(address - COUNTERS).unwrap();
        u64::from_ne_bytes(self.ran.counters[at..at + 8].try_into().unwrap())
    }

    fn look_up(&mut self, helper: i32) {
        assert_eq!(helper, 1);
        assert_eq!(self.registers[1], u64::try_from(COUNTING.counts).unwrap() << 32);
        let zero = u64::try_from(COUNTING.zero.map).unwrap() << 32 | 8;
        assert_eq!(self.registers[2], zero);
        self.registers[1..6].fill(RUBBISH);
        self.registers[0] = COUNTERS;
    }

    fn call(&mut self, part: usize) {
        let answer = match part.checked_sub(self.answers.len()) {
            None => {
                assert_eq!(self.registers[1], CONTEXT, "a member gets the context");
                self.ran.members.push(part);
                // A member may leave anything in the upper half.
                u64::from(self.answers[part].cast_unsigned()) | 0xabcd << 32
            }
            Some(0) => {
                assert_eq!(self.registers[1], COUNTERS);
                self.since
            }
            Some(1) => {
                let at = usize::try_from(self.registers[1] - COUNTERS).unwrap();
                assert_eq!((at - COUNTERS_MEMBERS_AT) % COUNTERS_BYTES, 0);
                self.ran.timed.push((at - COUNTERS_MEMBERS_AT) / COUNTERS_BYTES);
                assert_ne!(self.registers[2], 0);
                self.registers[2] + 1
            }
            Some(told) => {
                assert_eq!(self.registers[1], CONTEXT);
                let verdict = low(self.registers[3]).cast_signed();
                self.ran.told.push((self.registers[2], verdict, told == 3));
                0
            }
        };
        self.registers[1..6].fill(RUBBISH);
        self.registers[0] = answer;
    }
}
