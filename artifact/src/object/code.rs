//! Functions and what their instructions call. It refuses to know kernel releases and program types.
//!
//! Instructions are those of `Documentation/bpf/standardization/instruction-set.rst`.

use std::collections::{BTreeMap, BTreeSet};

use super::btf::Btf;
use super::elf::{Elf, Section, SymbolKind};
use super::{Endian, ObjectError};
use crate::limits::{FUNCTIONS_MAX, INSTRUCTIONS_MAX};

const INSN_BYTES: usize = 8;
const OP_LDDW: u8 = 0x18;
const OP_CALL: u8 = 0x85;
const CLASS_JMP32: u8 = 0x06;
const OP_ATOMIC_32: u8 = 0xc3;
const OP_ATOMIC_64: u8 = 0xdb;
const MODE_MEMSX: u8 = 0x80;
const CLASS_LDX: u8 = 0x01;
const OP_GOTOL: u8 = 0x06;
const SRC_PSEUDO_CALL: u8 = 1;
const SRC_PSEUDO_KFUNC: u8 = 2;
const SRC_PSEUDO_FUNC: u8 = 4;

/// One function of the object.
pub(super) struct Function {
    pub(super) name: String,
    pub(super) section: usize,
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) global: bool,
    pub(super) uses: Uses,
}

/// What a function, or a program with all it calls, does.
#[derive(Default, Clone)]
pub(super) struct Uses {
    pub(super) insns: u32,
    pub(super) helpers: BTreeSet<i32>,
    pub(super) kfuncs: BTreeSet<String>,
    /// Names of symbols in other sections its instructions refer to: maps and globals.
    pub(super) symbols: BTreeSet<String>,
    /// Indices of functions it calls or hands to the kernel as callbacks.
    pub(super) calls: BTreeSet<usize>,
    pub(super) core_relocations: u32,
    pub(super) features: BTreeSet<Feature>,
}

/// Language features that came with a kernel release of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Feature {
    Subprograms,
    GlobalFunctions,
    Callbacks,
    GlobalData,
    Jmp32,
    Atomics,
    Cpu4,
    Kfuncs,
}

#[derive(Clone, Copy)]
struct Insn {
    opcode: u8,
    src: u8,
    imm: i32,
}

impl Insn {
    fn read(bytes: &[u8], endian: Endian) -> Option<Self> {
        let eight: [u8; INSN_BYTES] = bytes.try_into().ok()?;
        let imm = [eight[4], eight[5], eight[6], eight[7]];
        Some(match endian {
            Endian::Little => {
                Self { opcode: eight[0], src: eight[1] >> 4, imm: i32::from_le_bytes(imm) }
            }
            Endian::Big => {
                Self { opcode: eight[0], src: eight[1] & 0xf, imm: i32::from_be_bytes(imm) }
            }
        })
    }
}

/// Reads every function of every executable section.
pub(super) fn read_functions(
    elf: &Elf<'_>,
    btf: Option<&Btf<'_>>,
) -> Result<Vec<Function>, ObjectError> {
    let mut functions = find_functions(elf)?;
    let starts: BTreeMap<(usize, u64), usize> =
        functions.iter().enumerate().map(|(index, f)| ((f.section, f.start), index)).collect();
    let globals: Vec<bool> = functions.iter().map(|function| function.global).collect();
    for function in &mut functions {
        read_instructions(elf, function, &starts)?;
        if function.uses.calls.iter().any(|callee| globals[*callee]) {
            function.uses.features.insert(Feature::GlobalFunctions);
        }
    }
    if let (Some(btf), Some((_, ext))) = (btf, elf.section(".BTF.ext")) {
        count_core_relocations(elf, btf, ext.data, &mut functions)?;
    }
    Ok(functions)
}

/// What a function and everything it reaches does, each function counted once.
pub(super) fn closure(functions: &[Function], root: usize) -> Uses {
    let mut total = Uses::default();
    let (mut seen, mut todo) = (BTreeSet::from([root]), vec![root]);
    while let Some(index) = todo.pop() {
        let uses = &functions[index].uses;
        total.insns = total.insns.saturating_add(uses.insns);
        total.core_relocations = total.core_relocations.saturating_add(uses.core_relocations);
        total.helpers.extend(&uses.helpers);
        total.kfuncs.extend(uses.kfuncs.iter().cloned());
        total.symbols.extend(uses.symbols.iter().cloned());
        total.features.extend(&uses.features);
        todo.extend(uses.calls.iter().copied().filter(|callee| seen.insert(*callee)));
    }
    total
}

fn find_functions(elf: &Elf<'_>) -> Result<Vec<Function>, ObjectError> {
    let (mut functions, mut instructions) = (Vec::new(), 0);
    for symbol in elf.symbols.iter().filter(|symbol| symbol.kind == SymbolKind::Function) {
        let Some(section) = symbol.section.filter(|section| elf.sections[*section].executable)
        else {
            continue;
        };
        let bytes = elf.sections[section].data.len() as u64;
        let end = symbol.value.checked_add(symbol.size).filter(|end| *end <= bytes);
        let aligned = symbol.value % INSN_BYTES as u64 == 0 && symbol.size % INSN_BYTES as u64 == 0;
        let Some(end) = end.filter(|_| aligned && symbol.size > 0) else {
            return Err(ObjectError::Function { name: symbol.name.clone() });
        };
        instructions += usize::try_from(symbol.size).unwrap_or(usize::MAX) / INSN_BYTES;
        if instructions > INSTRUCTIONS_MAX {
            return Err(ObjectError::TooMany {
                what: "instructions",
                count: instructions,
                limit: INSTRUCTIONS_MAX,
            });
        }
        let (name, global, start) = (symbol.name.clone(), symbol.global, symbol.value);
        functions.push(Function { name, section, start, end, global, uses: Uses::default() });
        if functions.len() > FUNCTIONS_MAX {
            return Err(ObjectError::TooMany {
                what: "functions",
                count: functions.len(),
                limit: FUNCTIONS_MAX,
            });
        }
    }
    functions.sort_by(|a, b| (a.section, a.start, &a.name).cmp(&(b.section, b.start, &b.name)));
    Ok(functions)
}

fn read_instructions(
    elf: &Elf<'_>,
    function: &mut Function,
    starts: &BTreeMap<(usize, u64), usize>,
) -> Result<(), ObjectError> {
    let section = &elf.sections[function.section];
    let broken = || ObjectError::Function { name: function.name.clone() };
    let range = usize::try_from(function.start).ok().zip(usize::try_from(function.end).ok());
    let code = range.and_then(|(start, end)| section.data.get(start..end)).ok_or_else(broken)?;
    let mut uses = Uses {
        insns: u32::try_from(code.len() / INSN_BYTES).unwrap_or(u32::MAX),
        ..Uses::default()
    };
    let mut offset = function.start;
    let mut rest = code;
    while let Some((bytes, tail)) = rest.split_at_checked(INSN_BYTES) {
        let insn = Insn::read(bytes, elf.endian).ok_or_else(broken)?;
        rest = tail;
        let reference = Reference { elf, section, function, starts, offset };
        reference.note(insn, &mut uses)?;
        offset += INSN_BYTES as u64;
        if insn.opcode == OP_LDDW {
            // The second half of a 16-byte load is data, not an instruction.
            rest = rest.get(INSN_BYTES..).ok_or_else(broken)?;
            offset += INSN_BYTES as u64;
        }
    }
    function.uses = uses;
    Ok(())
}

/// One instruction in its place, to resolve what it refers to.
struct Reference<'a, 'data> {
    elf: &'a Elf<'data>,
    section: &'a Section<'data>,
    function: &'a Function,
    starts: &'a BTreeMap<(usize, u64), usize>,
    offset: u64,
}

impl Reference<'_, '_> {
    fn note(&self, insn: Insn, uses: &mut Uses) -> Result<(), ObjectError> {
        match insn.opcode {
            OP_CALL => self.note_call(insn, uses)?,
            OP_LDDW => self.note_load(insn, uses)?,
            // Plain atomic addition (imm 0) is as old as BPF; the fetching and exchanging forms are not.
            OP_ATOMIC_32 | OP_ATOMIC_64 if insn.imm != 0 => {
                uses.features.insert(Feature::Atomics);
            }
            OP_GOTOL => {
                uses.features.insert(Feature::Cpu4);
            }
            opcode if opcode & 0x07 == CLASS_JMP32 => {
                uses.features.insert(Feature::Jmp32);
            }
            opcode if opcode & 0x07 == CLASS_LDX && opcode & 0xe0 == MODE_MEMSX => {
                uses.features.insert(Feature::Cpu4);
            }
            _ => {}
        }
        Ok(())
    }

    fn note_call(&self, insn: Insn, uses: &mut Uses) -> Result<(), ObjectError> {
        let symbol = self
            .section
            .relocation_at(self.offset)
            .map(|relocation| &self.elf.symbols[relocation.symbol]);
        match (insn.src, symbol) {
            (_, Some(symbol)) if symbol.section.is_none() => {
                uses.kfuncs.insert(symbol.name.clone());
                uses.features.insert(Feature::Kfuncs);
            }
            (SRC_PSEUDO_CALL, Some(symbol)) => {
                let target = self.relative(symbol.value, insn.imm)?;
                uses.calls.insert(self.function_at(symbol.section, target)?);
                uses.features.insert(Feature::Subprograms);
            }
            (SRC_PSEUDO_CALL, None) => {
                let target = self.relative(self.offset, insn.imm)?;
                uses.calls.insert(self.function_at(Some(self.function.section), target)?);
                uses.features.insert(Feature::Subprograms);
            }
            (SRC_PSEUDO_KFUNC, _) => {
                uses.kfuncs.insert(format!("kfunc#{}", insn.imm));
                uses.features.insert(Feature::Kfuncs);
            }
            _ => {
                uses.helpers.insert(insn.imm);
            }
        }
        Ok(())
    }

    fn note_load(&self, insn: Insn, uses: &mut Uses) -> Result<(), ObjectError> {
        let symbol = self
            .section
            .relocation_at(self.offset)
            .map(|relocation| &self.elf.symbols[relocation.symbol]);
        let executable = |section: Option<usize>| {
            section.is_some_and(|index| self.elf.sections[index].executable)
        };
        match symbol {
            Some(symbol) if executable(symbol.section) => {
                let addend = u64::try_from(insn.imm).map_err(|_| self.nowhere())?;
                let target = symbol.value.checked_add(addend).ok_or_else(|| self.nowhere())?;
                uses.calls.insert(self.function_at(symbol.section, target)?);
                uses.features.insert(Feature::Callbacks);
            }
            Some(symbol) => {
                let section = symbol.section.map(|index| self.elf.sections[index].name.as_str());
                if section.is_some_and(super::maps::is_data_section) {
                    uses.features.insert(Feature::GlobalData);
                }
                uses.symbols.insert(symbol.name.clone());
            }
            None if insn.src == SRC_PSEUDO_FUNC => {
                let target = self.relative(self.offset, insn.imm)?;
                uses.calls.insert(self.function_at(Some(self.function.section), target)?);
                uses.features.insert(Feature::Callbacks);
            }
            None => {}
        }
        Ok(())
    }

    /// `base + (imm + 1) * 8`: how calls count, in instructions after their own.
    fn relative(&self, base: u64, imm: i32) -> Result<u64, ObjectError> {
        let distance = (i64::from(imm) + 1) * INSN_BYTES as i64;
        base.checked_add_signed(distance).ok_or_else(|| self.nowhere())
    }

    fn function_at(&self, section: Option<usize>, target: u64) -> Result<usize, ObjectError> {
        let found = section.and_then(|section| self.starts.get(&(section, target)));
        found.copied().ok_or_else(|| self.nowhere())
    }

    fn nowhere(&self) -> ObjectError {
        ObjectError::CallNowhere {
            function: self.function.name.clone(),
            offset: self.offset - self.function.start,
        }
    }
}

fn count_core_relocations(
    elf: &Elf<'_>,
    btf: &Btf<'_>,
    ext: &[u8],
    functions: &mut [Function],
) -> Result<(), ObjectError> {
    btf.core_relocations(ext, |section, offset| {
        let offset = u64::from(offset);
        let holds = |f: &&mut Function| {
            (f.start..f.end).contains(&offset) && elf.sections[f.section].name == section
        };
        if let Some(function) = functions.iter_mut().find(holds) {
            function.uses.core_relocations = function.uses.core_relocations.saturating_add(1);
        }
    })
}
