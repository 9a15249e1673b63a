//! Members on their way into one program: relocated code and type information that contradict
//! themselves. An input is two lengths of four bytes, the instructions, the records about functions,
//! and the types.

use skep_artifact::hook::Hook;
use skep_chain_dispatcher::untrusted::{self, RawProgram};

use crate::material::Material;

/// Bytes of an instruction and of a record.
const RECORD_BYTES: usize = 8;

pub(crate) fn run(bytes: &[u8]) {
    let Some((lengths, rest)) = bytes.split_first_chunk::<8>() else { return };
    let [a, b, c, d, functions @ ..] = *lengths;
    let instructions = (u32::from_le_bytes([a, b, c, d]) as usize).min(rest.len());
    let (instructions, rest) = rest.split_at(instructions);
    let (functions, btf) = rest.split_at((u32::from_le_bytes(functions) as usize).min(rest.len()));
    let program = RawProgram {
        instructions: instructions.to_vec(),
        functions: functions.to_vec(),
        btf: btf.to_vec(),
    };
    for hook in [Hook::Xdp, Hook::TcIngress] {
        let Ok(fused) = untrusted::fuse_twice(&program, hook) else { continue };
        assert_eq!(untrusted::fuse_twice(&program, hook).as_ref(), Ok(&fused), "another answer");
        check(&fused);
        // What we make we can read: only a limit may stand against doing it again.
        let again = untrusted::fuse_twice(&fused, hook);
        let damaged = again.err().map(|error| error.to_string());
        assert!(!damaged.iter().any(|text| text.contains("damaged")), "{damaged:?}");
    }
}

/// Functions begin inside the code, one after the other, the first one first.
fn check(fused: &RawProgram) {
    let starts: Vec<u32> = fused
        .functions
        .chunks(RECORD_BYTES)
        .map(|record| u32::from_le_bytes([record[0], record[1], record[2], record[3]]))
        .collect();
    assert_eq!(starts.first(), Some(&0));
    assert!(starts.is_sorted_by(|a, b| a < b), "{starts:?}");
    assert!((starts[starts.len() - 1] as usize) < fused.instructions.len() / RECORD_BYTES);
}

pub(crate) fn seeds(material: &Material) -> Vec<Vec<u8>> {
    let programs = material.objects().into_iter().flat_map(|(object, program, hook)| {
        let whole = untrusted::raw_program(object, program).unwrap();
        let without_types = RawProgram { btf: Vec::new(), ..whole.clone() };
        let fused = untrusted::fuse_twice(&whole, hook).unwrap();
        [whole, without_types, fused]
    });
    programs.map(|program| bytes_of(&program)).collect()
}

fn bytes_of(program: &RawProgram) -> Vec<u8> {
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap().to_le_bytes();
    let RawProgram { instructions, functions, btf } = program;
    [&length(instructions), &length(functions), &instructions[..], functions, btf].concat()
}
