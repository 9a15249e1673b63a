//! A machine for generated mains: runs the instructions that the assembler knows, answers for the
//! members and the support functions, and keeps what was counted. Panics on anything else.

use aya_obj::generated::bpf_insn;
use skep_artifact::hook::Hook;

use crate::fuse::Main;
use crate::fuse::asm::Address;
use crate::fuse::walk::Counting;
use crate::layout::{ALL_COUNTERS_BYTES, COUNTERS_BYTES, COUNTERS_MEMBERS_AT};

const CONTEXT: u64 = 0x1000;
const COUNTERS: u64 = 0x10_0000;
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

/// Runs a main whose members give these answers. `since`: what the clock says, 0 for a packet that
/// is not timed. `telling`: one in how many drops somebody wants to hear of.
pub(super) fn run(main: &Main, answers: &[i32], since: u64, telling: u32) -> Ran {
    let assembled = main.code.assemble().unwrap();
    let mut machine = Machine {
        registers: [RUBBISH; 10],
        ran: Ran { counters: vec![0; ALL_COUNTERS_BYTES], ..Ran::default() },
        hook: main.hook,
        answers,
        since,
        telling,
    };
    machine.registers[1] = CONTEXT;
    let mut at = 0;
    for _ in 0..100_000 {
        let instruction = assembled.instructions[at];
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
            let low = u64::try_from(assembled.instructions[at + 1].imm).unwrap();
            let map = u64::try_from(instruction.imm).unwrap();
            machine.registers[usize::from(instruction.dst_reg())] = map << 32 | low;
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
    registers: [u64; 10],
    ran: Ran,
    hook: Hook,
    answers: &'a [i32],
    since: u64,
    telling: u32,
}

fn low(value: u64) -> u32 {
    u32::try_from(value & 0xffff_ffff).unwrap()
}

impl Machine<'_> {
    /// Gives whether it jumps.
    fn step(&mut self, instruction: bpf_insn) -> bool {
        let (dst, src) = (usize::from(instruction.dst_reg()), usize::from(instruction.src_reg()));
        let (left, right) = (self.registers[dst], self.registers[src % 10]);
        let imm = instruction.imm.cast_unsigned();
        let wide = i64::from(instruction.imm).cast_unsigned();
        let there = |base: u64| base.wrapping_add_signed(i64::from(instruction.off));
        self.registers[dst] = match instruction.code {
            0xbf => right,
            0xbc => u64::from(low(right)),
            0xb4 => u64::from(imm),
            0x04 => u64::from(low(left).wrapping_add(imm)),
            0x07 => left.wrapping_add(wide),
            0x0f => left.wrapping_add(right),
            0x1f => left.wrapping_sub(right),
            0x67 => left << instruction.imm,
            0x6c => u64::from(low(left) << (right & 31)),
            0x61 => u64::from(low(self.load(there(right)))),
            0x79 => self.load(there(right)),
            0x7b => {
                let at = usize::try_from(there(left) - COUNTERS).unwrap();
                self.ran.counters[at..at + 8].copy_from_slice(&right.to_ne_bytes());
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

    fn load(&self, address: u64) -> u64 {
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
