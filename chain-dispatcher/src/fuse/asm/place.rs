//! Generated code becomes instructions: jumps are resolved, and members that may stand in the code
//! itself are put there, with what they would lose on the stack. Knows lines and bodies, no chain.

use std::collections::{BTreeMap, BTreeSet};

use aya_obj::generated::bpf_insn;

use super::{Assembly, EXIT, JUMP, Label, R, R0, R6, R7, R8, R9, R10, To, instruction};
use crate::fuse::FuseError;
use crate::fuse::code::width;

/// Bytes of a register on the stack.
const REGISTER_BYTES: usize = 8;

/// Some of the registers that calls keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Kept(u8);

impl Kept {
    const ALL: [R; 4] = [R6, R7, R8, R9];

    /// With one more, if calls keep it.
    pub(crate) fn with(self, register: R) -> Self {
        let place = Self::ALL.iter().position(|kept| *kept == register);
        Self(self.0 | place.map_or(0, |place| 1 << place))
    }

    /// Without it.
    pub(crate) fn but(self, register: R) -> Self {
        self.without(Self::default().with(register))
    }

    fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub(in crate::fuse) fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// In order.
    fn iter(self) -> impl Iterator<Item = R> {
        Self::ALL
            .into_iter()
            .enumerate()
            .filter(move |(at, _)| self.0 & 1 << at != 0)
            .map(|(_, r)| r)
    }
}

/// The parts that the code leads to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(in crate::fuse) struct Parts {
    /// Those that may stand in the code itself, and the registers that must survive them.
    pub(in crate::fuse) members: BTreeMap<usize, Kept>,
    /// Those that are called.
    pub(in crate::fuse) called: BTreeSet<usize>,
}

/// The function of a part, to stand where it would be called.
#[derive(Debug, Clone, Copy)]
pub(in crate::fuse) struct Body<'a> {
    pub(in crate::fuse) instructions: &'a [bpf_insn],
    /// Bytes of stack that it uses.
    pub(in crate::fuse) stack: usize,
    /// Registers that it writes.
    pub(in crate::fuse) writes: Kept,
}

/// Bodies by the number of their part.
pub(in crate::fuse) type Bodies<'a> = BTreeMap<usize, Body<'a>>;

/// Code with its jumps resolved, and what waits for the places of the parts.
pub(in crate::fuse) struct Assembled {
    pub(in crate::fuse) instructions: Vec<bpf_insn>,
    /// Calls, and the parts that they call.
    pub(in crate::fuse) calls: Vec<(usize, usize)>,
    /// Where bodies begin, and of which parts they are.
    pub(in crate::fuse) bodies: Vec<(usize, usize)>,
}

/// Registers that lie on the stack while a body runs, below everything that bodies use there: only
/// one of them runs at a time, so they share that.
struct Saves {
    registers: Kept,
    /// Those that are stored once, because they never change.
    fixed: Kept,
    /// Bytes of stack above them.
    below: usize,
}

impl Assembly {
    /// The parts that some path leads to.
    pub(in crate::fuse) fn parts(&self) -> Result<Parts, FuseError> {
        let mut parts = Parts::default();
        for (_, to) in self.kept()? {
            match to {
                To::Part(part) => drop(parts.called.insert(*part)),
                To::Member(part, live) => {
                    let all = parts.members.entry(*part).or_default();
                    *all = all.or(*live);
                }
                To::Next | To::Label(_) | To::Fixed => {}
            }
        }
        Ok(parts)
    }

    /// Bytes of stack that the code uses with these bodies in it.
    pub(in crate::fuse) fn stack(&self, bodies: &Bodies<'_>) -> Result<usize, FuseError> {
        let saves = self.saves(bodies)?;
        Ok(saves.below + saves.registers.len() * REGISTER_BYTES)
    }

    /// Resolves the jumps and puts the bodies where their parts would be called. Lines that nothing
    /// leads to are left out: the verifier refuses them.
    pub(in crate::fuse) fn assemble(&self, bodies: &Bodies<'_>) -> Result<Assembled, FuseError> {
        let saves = self.saves(bodies)?;
        let kept = self.reachable()?;
        // Where each line, kept or not, would stand.
        let places: Vec<usize> = self
            .lines
            .iter()
            .zip(&kept)
            .scan(0, |next, ((line, to), kept)| {
                let place = *next;
                *next += if *kept { saves.width(*line, *to, bodies) } else { 0 };
                Some(place)
            })
            .collect();
        let mut assembled =
            Assembled { instructions: Vec::new(), calls: Vec::new(), bodies: Vec::new() };
        for (line, to) in self.kept()? {
            let here = assembled.instructions.len();
            match to {
                To::Next => assembled.instructions.push(*line),
                To::Fixed => assembled.instructions.extend(saves.fix(*line)),
                To::Member(part, live) => match bodies.get(part) {
                    Some(body) => assembled.put(*part, body, live.and(body.writes), &saves)?,
                    None => assembled.call(*line, *part),
                },
                To::Part(part) => assembled.call(*line, *part),
                To::Label(label) => {
                    let there = places.get(self.line_of(*label)?).copied();
                    let off = distance(here, there.ok_or(FuseError::JumpTooFar)?)?;
                    assembled.instructions.push(bpf_insn { off, ..*line });
                }
            }
        }
        Ok(assembled)
    }

    fn saves(&self, bodies: &Bodies<'_>) -> Result<Saves, FuseError> {
        let (mut registers, mut fixed) = (Kept::default(), Kept::default());
        for (line, to) in self.kept()? {
            match to {
                To::Member(part, live) => {
                    let writes = bodies.get(part).map(|body| body.writes).unwrap_or_default();
                    registers = registers.or(live.and(writes));
                }
                To::Fixed => fixed = fixed.with(R(line.dst_reg())),
                To::Next | To::Label(_) | To::Part(_) => {}
            }
        }
        let below = bodies.values().map(|body| body.stack).max().unwrap_or_default();
        Ok(Saves { registers, fixed, below: below.next_multiple_of(REGISTER_BYTES) })
    }

    /// The lines that some path leads to.
    fn kept(&self) -> Result<impl Iterator<Item = &(bpf_insn, To)>, FuseError> {
        let kept = self.reachable()?;
        Ok(self.lines.iter().zip(kept).filter(|(_, kept)| *kept).map(|(line, _)| line))
    }

    /// For each line: whether some path from the first one leads to it.
    fn reachable(&self) -> Result<Vec<bool>, FuseError> {
        let mut kept = vec![false; self.lines.len()];
        let mut waiting = vec![0];
        while let Some(at) = waiting.pop() {
            let (Some((line, to)), Some(keep)) = (self.lines.get(at), kept.get_mut(at)) else {
                continue;
            };
            if std::mem::replace(keep, true) {
                continue;
            }
            if let To::Label(label) = to {
                waiting.push(self.line_of(*label)?);
            }
            if ![JUMP, EXIT].contains(&line.code) {
                waiting.push(at + 1);
            }
        }
        Ok(kept)
    }

    fn line_of(&self, label: Label) -> Result<usize, FuseError> {
        self.labels.get(label.0).copied().flatten().ok_or(FuseError::JumpTooFar)
    }
}

impl Assembled {
    fn call(&mut self, line: bpf_insn, part: usize) {
        self.calls.push((self.instructions.len(), part));
        self.instructions.push(line);
    }

    /// A body whose exits lead behind it, between the stores and loads of what it would lose.
    fn put(
        &mut self,
        part: usize,
        body: &Body<'_>,
        lost: Kept,
        saves: &Saves,
    ) -> Result<(), FuseError> {
        self.instructions.extend(lost.without(saves.fixed).iter().map(|r| saves.store(r)));
        self.bodies.push((self.instructions.len(), part));
        let length = body.instructions.len();
        let mut at = 0;
        while let Some(first) = body.instructions.get(at).copied() {
            if first.code == EXIT {
                let off = distance(at, length)?;
                self.instructions.push(instruction(JUMP, R0, R0, off, 0));
            } else {
                self.instructions.extend(body.instructions.iter().skip(at).take(width(first)));
            }
            at += width(first);
        }
        self.instructions.extend(lost.iter().map(|register| saves.load(register)));
        Ok(())
    }
}

impl Saves {
    /// How many instructions become of a line.
    fn width(&self, line: bpf_insn, to: To, bodies: &Bodies<'_>) -> usize {
        match to {
            To::Fixed => self.fix(line).iter().len(),
            To::Member(part, live) => bodies.get(&part).map_or(1, |body| {
                let lost = live.and(body.writes);
                lost.without(self.fixed).len() + body.instructions.len() + lost.len()
            }),
            To::Next | To::Label(_) | To::Part(_) => 1,
        }
    }

    fn fix(&self, line: bpf_insn) -> Option<bpf_insn> {
        let register = R(line.dst_reg());
        let saved = self.registers.iter().any(|saved| saved == register);
        saved.then(|| self.store(register))
    }

    fn store(&self, register: R) -> bpf_insn {
        instruction(0x7b, R10, register, self.at(register), 0)
    }

    fn load(&self, register: R) -> bpf_insn {
        instruction(0x79, register, R10, self.at(register), 0)
    }

    /// Its place on the stack, of which a program has 512 bytes.
    fn at(&self, register: R) -> i16 {
        let before = self.registers.iter().take_while(|saved| *saved != register).count();
        let bytes = self.below + (before + 1) * REGISTER_BYTES;
        i16::try_from(bytes).map_or(i16::MIN, |bytes| -bytes)
    }
}

/// What a jump at `here` to `there` says.
fn distance(here: usize, there: usize) -> Result<i16, FuseError> {
    let (here, there) = (i64::try_from(here).ok(), i64::try_from(there).ok());
    let distance = there.zip(here).and_then(|(there, here)| i16::try_from(there - here - 1).ok());
    distance.ok_or(FuseError::JumpTooFar)
}
