//! Many relocated programs become one: each stands in a generated main or is called by it, functions
//! move behind it, types are merged. Pure: instructions and bytes in, instructions and bytes out. Knows no
//! kernel, no object file, no pins; what a chain means lies in `walk`.

pub(crate) mod asm;
mod btf;
mod code;
pub(crate) mod constants;
mod error;
mod inline;
#[cfg(test)]
mod tests;
pub(crate) mod walk;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{CStr, CString};

use aya_obj::generated::{bpf_func_info, bpf_insn};
use skep_artifact::hook::Hook;

use asm::{Assembled, Assembly};
pub(crate) use btf::Linkage;
use btf::{Merged, Source};
use code::Code;
pub use error::FuseError;
use inline::Choice;
pub(crate) use inline::Stays;
use walk::Answers;

/// `MAX_USED_MAPS`.
const MAPS_MAX: usize = 64;
/// `BPF_MAX_SUBPROGS`.
const FUNCTIONS_MAX: usize = 256;
/// `MAX_CALL_FRAMES`.
const FRAMES_MAX: usize = 8;
/// `MAX_BPF_STACK`, along a path.
pub(crate) const STACK_BYTES_MAX: usize = 512;
/// What kernels with a JIT round a frame up to. Older ones (6.1 does, 6.12 does not) round every
/// frame to 32 bytes and count 32 for one of none: they say no where this says maybe.
const STACK_ROUNDING: usize = 16;
/// The function of a part that the main calls: its first.
const PROGRAM: usize = 0;
/// `BPF_COMPLEXITY_LIMIT_INSNS`.
const INSTRUCTIONS_MAX: usize = 1_000_000;

/// One program to put in, relocated; its instructions name maps by descriptors. Its first function
/// stands in the main or becomes static: the verifier then takes any kind of context pointer and of
/// return type.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Part<'a> {
    /// What errors call it.
    pub(crate) label: &'a str,
    pub(crate) license: License<'a>,
    pub(crate) instructions: &'a [bpf_insn],
    pub(crate) func_info: &'a [bpf_func_info],
    /// None for an object without type information: its functions get types that say the least.
    pub(crate) btf: Option<&'a [u8]>,
    /// Bytes of stack that each function uses, in order, as the verifier counted them; empty where it
    /// was not asked.
    pub(crate) stacks: &'a [usize],
}

/// How members get into the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// Their own functions stand in the main, where they can.
    Inlined,
    /// The main calls them.
    Called,
}

/// Under which terms a part may be joined with others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum License<'a> {
    /// A member's own words.
    Says(&'a CStr),
    /// Ours, which goes with any.
    Any,
}

/// The generated function that the kernel calls.
#[derive(Debug, Clone)]
pub(crate) struct Main {
    /// As in C: letters, digits, underscores.
    pub(crate) name: String,
    pub(crate) hook: Hook,
    pub(crate) linkage: Linkage,
    pub(crate) code: Assembly,
}

/// The one program.
#[derive(Debug, Clone)]
pub(crate) struct Fused {
    pub(crate) instructions: Vec<bpf_insn>,
    /// One for each function, in order.
    pub(crate) func_info: Vec<bpf_func_info>,
    pub(crate) btf: Vec<u8>,
    pub(crate) license: CString,
    /// Whether any member stands in the main.
    pub(crate) inlined: bool,
    /// Members that could not, by the number of their part.
    pub(crate) stays: BTreeMap<usize, Stays>,
}

/// A part, read and found good.
struct Read<'a> {
    part: &'a Part<'a>,
    code: Code<'a>,
    /// Whether the stack of its functions is what the verifier counted.
    counted: bool,
    types: Option<Source<'a>>,
    /// Ids in `types` by first instruction.
    ids: BTreeMap<usize, u32>,
    /// Functions that go into the result, by number.
    needed: BTreeSet<usize>,
}

/// Puts the parts into the main and behind it. Deterministic.
pub(crate) fn fuse(parts: &[Part<'_>], main: &Main, form: Form) -> Result<Fused, FuseError> {
    let license = license(parts)?;
    let read: Vec<Read<'_>> = parts.iter().map(read).collect::<Result<_, _>>()?;
    let Choice { bodies, stays } = match form {
        Form::Inlined => inline::choose(&read, &main.code)?,
        Form::Called => Choice::default(),
    };
    let assembled = main.code.assemble(&bodies)?;
    drop(bodies);
    let (mut read, Assembled { mut instructions, calls, bodies }) = (read, assembled);
    // What is used but once stands in the main alone.
    let mut places: BTreeMap<(usize, usize), usize> =
        bodies.iter().map(|(at, part)| ((*part, PROGRAM), *at)).collect();
    for (number, part) in read.iter_mut().enumerate() {
        // What nobody calls stays out: the verifier refuses code that cannot be reached.
        let called = calls.iter().any(|(_, part)| *part == number);
        if called || places.contains_key(&(number, PROGRAM)) {
            part.needed = part.code.needed(PROGRAM);
        }
        if called {
            check_reach(part)?;
        }
    }
    check_limits(&read, &instructions, bodies.len())?;
    for (number, part) in read.iter().enumerate() {
        append(&mut instructions, number, part, &mut places);
    }
    if instructions.len() > INSTRUCTIONS_MAX {
        return Err(FuseError::TooLong { instructions: instructions.len() });
    }
    for (at, part) in calls {
        let there = places.get(&(part, PROGRAM)).copied().ok_or(FuseError::NoSuchPart { part })?;
        point(&mut instructions, at, there)?;
    }
    for (_, part) in &bodies {
        read.get_mut(*part).map(|part| part.needed.remove(&PROGRAM));
    }
    let (func_info, btf) = types(&read, main, &places)?;
    let inlined = !bodies.is_empty();
    Ok(Fused { instructions, func_info, btf, license, inlined, stays })
}

/// Whether a program tail-calls others.
pub(crate) fn answers(instructions: &[bpf_insn]) -> Answers {
    if code::tail_calls(instructions) { Answers::ByTailCall } else { Answers::Itself }
}

/// Whether these instructions cannot change the length of a packet, nor give it to code that might.
pub(crate) fn keeps_length(instructions: &[bpf_insn]) -> bool {
    code::keeps_length(instructions)
}

/// Bytes of stack that the functions of a program use, as far as its loads and stores tell; none for
/// damaged code.
pub(crate) fn touched(instructions: &[bpf_insn], func_info: &[bpf_func_info]) -> Vec<usize> {
    let starts = func_info.iter().map(|info| info.insn_off as usize);
    let code = Code::read(instructions, starts);
    code.map(|code| code.functions.iter().map(|function| function.stack).collect())
        .unwrap_or_default()
}

/// The part that needs the most stack, and how much: for an error that the kernel cannot attribute.
pub(crate) fn deepest<'a>(parts: &[Part<'a>]) -> Option<(&'a str, usize)> {
    parts
        .iter()
        .filter_map(|part| {
            let read = read(part).ok()?;
            Some((part.label, read.code.reach(PROGRAM, frame).ok()?.stack))
        })
        .max_by_key(|(_, stack)| *stack)
}

fn read<'a>(part: &'a Part<'a>) -> Result<Read<'a>, FuseError> {
    let member = || part.label.to_owned();
    let in_code = |fault| match fault {
        code::Fault::Damaged(what) => FuseError::DamagedCode { member: member(), what },
        code::Fault::KernelFunctions => FuseError::KernelFunctions { member: member() },
        code::Fault::CallsItself => {
            FuseError::DamagedCode { member: member(), what: "a function calls itself" }
        }
    };
    let starts = part.func_info.iter().map(|info| info.insn_off as usize);
    let mut code = Code::read(part.instructions, starts).map_err(in_code)?;
    let counted = part.stacks.len() == code.functions.len();
    if counted {
        for (function, stack) in code.functions.iter_mut().zip(part.stacks) {
            function.stack = *stack;
        }
    }
    let types = part.btf.map(Source::read).transpose().map_err(|f| in_types(part.label, f))?;
    let ids = part.func_info.iter().map(|i| (i.insn_off as usize, i.type_id)).collect();
    code.reach(PROGRAM, frame).map_err(in_code)?;
    Ok(Read { part, code, counted, types, ids, needed: BTreeSet::new() })
}

/// Whether the main may call a part.
fn check_reach(read: &Read<'_>) -> Result<(), FuseError> {
    let member = || read.part.label.to_owned();
    let reach = read.code.reach(PROGRAM, frame).unwrap_or_default();
    if reach.frames + 1 > FRAMES_MAX {
        return Err(FuseError::TooDeep { member: member(), frames: reach.frames + 1 });
    }
    if reach.stack > STACK_BYTES_MAX {
        return Err(FuseError::Stack { member: member(), bytes: reach.stack });
    }
    Ok(())
}

/// What kernels with a JIT count for a frame.
fn frame(bytes: usize) -> usize {
    bytes.next_multiple_of(STACK_ROUNDING)
}

fn in_types(label: &str, fault: btf::Fault) -> FuseError {
    match fault {
        btf::Fault::Damaged(what) => FuseError::DamagedTypes { member: label.to_owned(), what },
        btf::Fault::TooLarge => FuseError::TooManyTypes,
    }
}

/// `inlined`: how many functions stand in the main.
fn check_limits(parts: &[Read<'_>], main: &[bpf_insn], inlined: usize) -> Result<(), FuseError> {
    let functions = 1 + parts.iter().map(|part| part.needed.len()).sum::<usize>() - inlined;
    if functions > FUNCTIONS_MAX {
        return Err(FuseError::TooManyFunctions { functions });
    }
    let maps: BTreeSet<i32> = parts
        .iter()
        .flat_map(|part| part.needed.iter().filter_map(|number| part.code.functions.get(*number)))
        .flat_map(|function| function.maps.iter().copied())
        .chain(main.iter().filter_map(|instruction| code::map(*instruction)))
        .collect();
    if maps.len() > MAPS_MAX {
        return Err(FuseError::TooManyMaps { maps: maps.len() });
    }
    Ok(())
}

/// Appends the functions that are needed and lets their calls lead to each other.
fn append(
    instructions: &mut Vec<bpf_insn>,
    number: usize,
    read: &Read<'_>,
    places: &mut BTreeMap<(usize, usize), usize>,
) {
    for needed in &read.needed {
        let Some(function) = read.code.functions.get(*needed) else { continue };
        if places.contains_key(&(number, *needed)) {
            continue;
        }
        places.insert((number, *needed), instructions.len());
        let body = read.code.instructions.get(function.start..function.end);
        instructions.extend_from_slice(body.unwrap_or_default());
    }
    for needed in &read.needed {
        let Some(function) = read.code.functions.get(*needed) else { continue };
        let Some(place) = places.get(&(number, *needed)) else { continue };
        for (at, callee) in &function.callees {
            if let Some(there) = places.get(&(number, *callee)) {
                // Both lie within a million instructions.
                let _ = point(instructions, place + at - function.start, *there);
            }
        }
    }
}

/// Lets the call or function address at `at` lead to `there`.
fn point(instructions: &mut [bpf_insn], at: usize, there: usize) -> Result<(), FuseError> {
    let distance = i64::try_from(there).ok().zip(i64::try_from(at).ok());
    let distance = distance.and_then(|(there, at)| i32::try_from(there - at - 1).ok());
    match (instructions.get_mut(at), distance) {
        (Some(instruction), Some(distance)) => {
            instruction.imm = distance;
            Ok(())
        }
        _ => Err(FuseError::JumpTooFar),
    }
}

/// One merged type information and the types of all functions.
fn types(
    parts: &[Read<'_>],
    main: &Main,
    places: &BTreeMap<(usize, usize), usize>,
) -> Result<(Vec<bpf_func_info>, Vec<u8>), FuseError> {
    let mut merged = Merged::new();
    let ours = |fault| in_types(&main.name, fault);
    // Sizes of `struct xdp_md` and `struct __sk_buff`; the kernel goes by the names.
    let context = if main.hook.is_tc() { ("__sk_buff", 192) } else { ("xdp_md", 24) };
    let prototype = merged.prototype(Some(context)).map_err(ours)?;
    let type_id = merged.function(main.name.as_bytes(), prototype, main.linkage).map_err(ours)?;
    let mut func_info = vec![bpf_func_info { insn_off: 0, type_id }];
    let unknown = merged.prototype(None).map_err(ours)?;
    for (number, read) in parts.iter().enumerate() {
        let found = part_types(&mut merged, read, unknown)
            .map_err(|fault| in_types(read.part.label, fault))?;
        for (function, type_id) in found {
            let place = places.get(&(number, function)).copied().unwrap_or_default();
            let insn_off = u32::try_from(place).map_err(|_| FuseError::JumpTooFar)?;
            func_info.push(bpf_func_info { insn_off, type_id });
        }
    }
    func_info.sort_by_key(|info| info.insn_off);
    let btf = merged.to_bytes().map_err(ours)?;
    Ok((func_info, btf))
}

/// The types of the needed functions of one part, taken over into the merged ones.
fn part_types(
    merged: &mut Merged,
    read: &Read<'_>,
    unknown: u32,
) -> Result<Vec<(usize, u32)>, btf::Fault> {
    // Function, its id, its name and prototype.
    let mut own = Vec::new();
    let mut found = Vec::new();
    for number in read.needed.iter().copied() {
        let start = read.code.functions.get(number).map_or(0, |function| function.start);
        match (&read.types, read.ids.get(&start)) {
            (Some(types), Some(id)) => own.push((number, *id, types.function(*id)?)),
            _ => {
                let name = format!("function_{number}");
                let id = merged.function(name.as_bytes(), unknown, Linkage::Static)?;
                found.push((number, id));
            }
        }
    }
    let Some(types) = &read.types else { return Ok(found) };
    let root = |(number, id, (_, prototype)): &(usize, u32, (&[u8], u32))| {
        if *number == PROGRAM { *prototype } else { *id }
    };
    let roots: Vec<u32> = own.iter().map(root).collect();
    let ids = merged.import(types, &roots)?;
    for (function, root) in own.iter().zip(roots) {
        let (number, _, (name, _)) = function;
        let moved = ids.get(&root).copied().ok_or(btf::Fault::Damaged("a type is not there"))?;
        let id =
            if *number == PROGRAM { merged.function(name, moved, Linkage::Static)? } else { moved };
        found.push((*number, id));
    }
    Ok(found)
}

/// The one licence, if there can be one.
fn license(parts: &[Part<'_>]) -> Result<CString, FuseError> {
    let said: Vec<(&str, &CStr)> = parts
        .iter()
        .filter_map(|part| match part.license {
            License::Says(text) => Some((part.label, text)),
            License::Any => None,
        })
        .collect();
    let Some((first, text)) = said.first().copied() else { return Ok(c"Dual BSD/GPL".to_owned()) };
    let other = said.iter().find(|(_, license)| is_gpl(license) != is_gpl(text));
    match other {
        None => Ok(text.to_owned()),
        Some((member, license)) => {
            let (gpl, other, license) =
                if is_gpl(text) { (first, *member, *license) } else { (*member, first, text) };
            Err(FuseError::MixedLicenses {
                gpl: gpl.to_owned(),
                other: other.to_owned(),
                license: license.to_string_lossy().into_owned(),
            })
        }
    }
}

/// `license_is_gpl_compatible` of the kernel.
fn is_gpl(license: &CStr) -> bool {
    let compatible = [
        c"GPL",
        c"GPL v2",
        c"GPL and additional rights",
        c"Dual BSD/GPL",
        c"Dual MIT/GPL",
        c"Dual MPL/GPL",
    ];
    compatible.contains(&license)
}
