//! A program whose maps are made and whose code is relocated: all that the last system call needs.
//! Knows how each kind of program is loaded; refuses to know object files and chains.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use aya_obj::generated::{bpf_func_info, bpf_insn, bpf_line_info, bpf_prog_type};
use skep_artifact::hook::Hook;

use super::{Frags, LoadError, relocate};
use crate::kernel::objects::{Extends, LoadRefused, ProgramSpec};
use crate::kernel::sys;

/// `BPF_F_XDP_HAS_FRAGS`: the program copes with packets in several buffers.
const XDP_HAS_FRAGS: u32 = 1 << 5;
/// Attach type of XDP programs on an interface: all entries of a program array must agree on it.
const ATTACH_XDP: u32 = 37;
/// Lines of the verifier's log worth showing: it states the fault in its last few.
const VERIFIER_LINES_SHOWN: usize = 12;

/// A program, ready to be loaded. Its instructions name the maps by their descriptors, so it owns
/// them.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// The function in the object, and the name that the kernel will show.
    pub(crate) name: String,
    pub(crate) hook: Hook,
    pub(crate) frags: Frags,
    pub(crate) license: CString,
    /// The program and behind it every function that it needs.
    pub(crate) instructions: Vec<bpf_insn>,
    /// Where each function begins and which type it has; in the order of the instructions or not.
    pub(crate) func_info: Vec<bpf_func_info>,
    pub(crate) line_info: Vec<bpf_line_info>,
    pub(crate) types: Option<Types>,
    pub(crate) maps: BTreeMap<String, OwnedFd>,
    /// Content of those maps that hold constants.
    pub(crate) constants: BTreeMap<String, Vec<u8>>,
    /// Programs of the same object that its program arrays begin with.
    pub(crate) tails: Vec<Tail>,
}

/// A program that a program array of its object holds from the beginning: a tail call reaches it.
#[derive(Debug)]
pub(crate) struct Tail {
    pub(crate) map: String,
    pub(crate) index: u32,
    pub(crate) name: String,
    pub(crate) instructions: Vec<bpf_insn>,
    pub(crate) func_info: Vec<bpf_func_info>,
    pub(crate) line_info: Vec<bpf_line_info>,
}

/// Several programs of one object, and what they share.
#[derive(Debug)]
pub(crate) struct Several {
    /// In the order in which they were asked for.
    pub(crate) functions: Vec<Relocated>,
    pub(crate) tails: Vec<Tail>,
    pub(crate) license: CString,
    pub(crate) types: Option<Types>,
    pub(crate) maps: BTreeMap<String, OwnedFd>,
    pub(crate) constants: BTreeMap<String, Vec<u8>>,
}

/// One of them, with every function that it needs.
#[derive(Debug)]
pub(crate) struct Relocated {
    pub(crate) instructions: Vec<bpf_insn>,
    pub(crate) func_info: Vec<bpf_func_info>,
    pub(crate) line_info: Vec<bpf_line_info>,
}

/// BTF, as bytes and in the kernel.
#[derive(Debug)]
pub(crate) struct Types {
    pub(crate) bytes: Vec<u8>,
    pub(crate) loaded: OwnedFd,
}

impl Types {
    pub(crate) fn load(bytes: Vec<u8>) -> Result<Self, LoadError> {
        match sys::btf_load(&bytes) {
            Ok(loaded) => Ok(Self { bytes, loaded }),
            Err(error) => Err(relocate("types", &error)),
        }
    }
}

/// As what a prepared program is loaded.
#[derive(Debug, Clone, Copy)]
pub(crate) enum As<'a> {
    /// A program of its hook, alone, in a program array or fused.
    OnHook,
    /// A replacement for a global function of a loaded program, which decides about frags.
    Extension {
        /// The program that holds the function.
        of: BorrowedFd<'a>,
        /// The function's id in that program's BTF.
        function: u32,
    },
}

/// What the verifier accepted.
#[derive(Debug)]
pub(crate) struct Verified {
    pub(crate) program: OwnedFd,
    /// Bytes of stack that each function uses, in order; empty where the kernel did not say.
    pub(crate) stacks: Vec<usize>,
}

/// The last step: asks the verifier, and gives the program.
pub(crate) fn finish(prepared: &Prepared, how: As<'_>) -> Result<OwnedFd, LoadError> {
    verify(prepared, how).map(|verified| verified.program)
}

/// As [`finish`], with what the verifier found.
pub(crate) fn verify(prepared: &Prepared, how: As<'_>) -> Result<Verified, LoadError> {
    place_tails(prepared, how)?;
    let (kind, attach_type, flags) = match how {
        As::Extension { .. } => (bpf_prog_type::BPF_PROG_TYPE_EXT, 0, 0),
        As::OnHook => on_hook(prepared),
    };
    let extends = match how {
        As::OnHook => None,
        As::Extension { of, function } => Some(Extends { program: of, function }),
    };
    let spec = ProgramSpec {
        name: &prepared.name,
        kind: kind as u32,
        attach_type,
        flags,
        extends,
        instructions: &prepared.instructions,
        license: &prepared.license,
        btf: prepared.types.as_ref().map(|types| types.loaded.as_fd()),
        func_info: &prepared.func_info,
        line_info: &prepared.line_info,
    };
    let (program, log) =
        sys::prog_load(&spec).map_err(|refused| verifier(&prepared.name, refused))?;
    Ok(Verified { program, stacks: stacks(&log) })
}

/// `stack depth 16+0+8` in the verifier's statistics.
fn stacks(log: &str) -> Vec<usize> {
    let line = log.lines().find_map(|line| line.strip_prefix("stack depth "));
    let numbers = line.map(|line| line.trim().split('+').map(str::parse).collect());
    numbers.and_then(Result::ok).unwrap_or_default()
}

/// Loads the programs that program arrays begin with and puts them there. All that touch an array
/// must agree on the attach type, and an extension's is 0 once it is loaded. Doing it again does no
/// harm.
pub(crate) fn place_tails(prepared: &Prepared, how: As<'_>) -> Result<(), LoadError> {
    let (kind, attach_type, flags) = on_hook(prepared);
    let attach_type = match how {
        As::OnHook => attach_type,
        As::Extension { .. } => 0,
    };
    for tail in &prepared.tails {
        let array = prepared
            .maps
            .get(&tail.map)
            .ok_or_else(|| LoadError::NoSuchMap { map: tail.map.clone() })?;
        let spec = ProgramSpec {
            name: &tail.name,
            kind: kind as u32,
            attach_type,
            flags,
            extends: None,
            instructions: &tail.instructions,
            license: &prepared.license,
            btf: prepared.types.as_ref().map(|types| types.loaded.as_fd()),
            func_info: &tail.func_info,
            line_info: &tail.line_info,
        };
        let (program, _) =
            sys::prog_load(&spec).map_err(|refused| verifier(&tail.name, refused))?;
        let value = sys::raw_fd_bytes(program.as_fd());
        sys::map_update(array.as_fd(), &tail.index.to_ne_bytes(), &value)
            .map_err(|source| LoadError::FillMap { map: tail.map.clone(), source })?;
    }
    Ok(())
}

/// Type, attach type and flags of a program that is loaded for its hook.
fn on_hook(prepared: &Prepared) -> (bpf_prog_type, u32, u32) {
    match (prepared.hook, prepared.frags) {
        (Hook::Xdp, Frags::With) => (bpf_prog_type::BPF_PROG_TYPE_XDP, ATTACH_XDP, XDP_HAS_FRAGS),
        (Hook::Xdp, Frags::Without) => (bpf_prog_type::BPF_PROG_TYPE_XDP, ATTACH_XDP, 0),
        (Hook::TcIngress | Hook::TcEgress, _) => (bpf_prog_type::BPF_PROG_TYPE_SCHED_CLS, 0, 0),
    }
}

fn verifier(program: &str, refused: LoadRefused) -> LoadError {
    LoadError::Verifier {
        program: program.to_owned(),
        last_lines: last_lines(&refused.log),
        source: refused.source,
    }
}

/// The end of a verifier log, without its statistics.
fn last_lines(log: &str) -> Vec<String> {
    let lines: Vec<&str> = log
        .lines()
        .filter(|line| {
            let line = line.trim();
            !line.is_empty()
                && !line.starts_with("processed ")
                && !line.starts_with("verification time")
                && !line.starts_with("stack depth")
        })
        .collect();
    let from = lines.len().saturating_sub(VERIFIER_LINES_SHOWN);
    lines[from..].iter().map(|line| (*line).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::stacks;

    #[test]
    fn the_verifiers_statistics_say_what_stack_each_function_uses() {
        let log =
            "verification time 33 usec\nstack depth 16+0+504\nprocessed 12 insns (limit 1000000)\n";
        assert_eq!(stacks(log), [16, 0, 504]);
        assert_eq!(stacks("stack depth 8\n"), [8]);
        assert!(stacks("stack depth a\n").is_empty());
        assert!(stacks("").is_empty());
    }
}
