//! Parts become one: their calls, their types, their limits, and what damage does.

use std::ffi::CStr;

use aya::Endianness;
use aya_obj::Object;
use aya_obj::btf::Btf;
use aya_obj::generated::{bpf_func_info, bpf_insn};
use proptest::collection::vec;
use proptest::prelude::{ProptestConfig, any, prop_assert, prop_assert_eq, proptest};
use proptest::sample::Index;
use skep_artifact::hook::{Failure, Hook, Mode, VerdictSet};

use crate::fuse::asm::{R, R0, R1, instruction};
use crate::fuse::constants::{Moved, Pool, redirect};
use crate::fuse::walk::{self, Answers, Ending, Member, Place};
use crate::fuse::{self, Form, FuseError, Fused, License, Part};

const PLACE: Place = Place { hook: Hook::Xdp, ending: Ending::AsItIs };

/// Instructions by hand: code, destination, source, offset, number.
pub(super) fn line(code: u8, dst: u8, src: u8, off: i16, imm: i32) -> bpf_insn {
    instruction(code, R(dst), R(src), off, imm)
}

pub(super) fn exit() -> Vec<bpf_insn> {
    vec![instruction(0xb4, R0, R1, 0, 2), instruction(0x95, R0, R0, 0, 0)]
}

/// `main: call +…; exit`, then functions that end at once; one of them is reached as an address.
pub(super) fn with_functions() -> Vec<bpf_insn> {
    vec![
        line(0x85, 0, 1, 0, 4), // 0: call 5
        line(0x18, 2, 4, 0, 5), // 1: r2 = function 7
        line(0, 0, 0, 0, 0),
        line(0x85, 0, 0, 0, 181), // 3: bpf_loop
        line(0x95, 0, 0, 0, 0),
        line(0xb4, 0, 0, 0, 2), // 5
        line(0x95, 0, 0, 0, 0),
        line(0xb4, 0, 0, 0, 0), // 7
        line(0x95, 0, 0, 0, 0),
    ]
}

pub(super) fn part(instructions: &[bpf_insn]) -> Part<'_> {
    Part {
        label: "test/a",
        license: License::Says(c"GPL"),
        instructions,
        func_info: &[],
        btf: None,
        stacks: &[],
    }
}

pub(super) fn walk_of(members: usize) -> crate::fuse::Main {
    let member = Member {
        proceed_on: VerdictSet::default_for(Hook::Xdp),
        mode: Mode::Enforce,
        failure: Failure::Closed,
        keeps_length: true,
        answers: Answers::Itself,
    };
    walk::quiet(PLACE, &vec![member; members])
}

fn join(parts: &[Part<'_>]) -> Result<Fused, FuseError> {
    fuse::fuse(parts, &walk_of(parts.len()), Form::Called)
}

/// Where every call and function address of the result leads.
pub(super) fn targets(fused: &Fused) -> Vec<u32> {
    let named =
        |i: &bpf_insn| i.code == 0x85 && i.src_reg() == 1 || i.code == 0x18 && i.src_reg() == 4;
    let mut found: Vec<u32> = fused
        .instructions
        .iter()
        .enumerate()
        .filter(|(_, i)| named(i))
        .map(|(at, i)| u32::try_from(i64::try_from(at).unwrap() + 1 + i64::from(i.imm)).unwrap())
        .collect();
    found.sort_unstable();
    found
}

#[test]
fn calls_and_callbacks_lead_to_the_functions_of_their_own_part() {
    let code = with_functions();
    let fused = join(&[part(&code), part(&code), part(&code)]).unwrap();
    let starts: Vec<u32> = fused.func_info.iter().map(|info| info.insn_off).collect();
    assert_eq!(starts.len(), 1 + 3 * 3);
    assert!(starts.is_sorted());
    assert_eq!(targets(&fused), starts[1..]);
    for start in &starts[1..] {
        // Each function of this test begins with a call or with an answer.
        let first = fused.instructions[usize::try_from(*start).unwrap()];
        assert!([0x85, 0xb4].contains(&first.code));
    }
}

#[test]
fn functions_that_nobody_calls_stay_out() {
    let mut code = exit();
    code.extend(exit());
    let spare =
        [bpf_func_info { insn_off: 0, type_id: 1 }, bpf_func_info { insn_off: 2, type_id: 1 }];
    let fused = join(&[Part { func_info: &spare, ..part(&code) }]).unwrap();
    assert_eq!(fused.func_info.len(), 2);
}

#[test]
fn limits_are_named_before_the_kernel_is_asked() {
    let maps: Vec<bpf_insn> = (0..65)
        .flat_map(|fd| [line(0x18, 1, 1, 0, fd + 3), line(0, 0, 0, 0, 0)])
        .chain(exit())
        .collect();
    assert_eq!(join(&[part(&maps)]).unwrap_err(), FuseError::TooManyMaps { maps: 65 });

    let code = with_functions();
    let many = vec![part(&code); 86];
    assert_eq!(join(&many).unwrap_err(), FuseError::TooManyFunctions { functions: 1 + 86 * 3 });

    let mut deep: Vec<bpf_insn> =
        (0..7).flat_map(|_| [line(0x85, 0, 1, 0, 1), line(0x95, 0, 0, 0, 0)]).collect();
    deep.extend(exit());
    let refused = join(&[part(&deep)]).unwrap_err();
    assert_eq!(refused, FuseError::TooDeep { member: "test/a".to_owned(), frames: 9 });
    assert!(join(&[part(&deep[2..])]).is_ok(), "eight frames with the chain's own");

    let stack = [
        line(0x7b, 10, 1, -512, 0),
        line(0x85, 0, 1, 0, 1),
        line(0x95, 0, 0, 0, 0),
        line(0x7b, 10, 1, -8, 0),
        line(0xb4, 0, 0, 0, 2),
        line(0x95, 0, 0, 0, 0),
    ];
    assert_eq!(
        join(&[part(&stack)]).unwrap_err(),
        FuseError::Stack { member: "test/a".to_owned(), bytes: 528 }
    );

    let kfunc = [line(0x85, 0, 2, 0, 7), line(0x95, 0, 0, 0, 0)];
    assert_eq!(
        join(&[part(&kfunc)]).unwrap_err(),
        FuseError::KernelFunctions { member: "test/a".to_owned() }
    );
}

#[test]
fn one_program_has_one_licence() {
    let code = exit();
    let says = |license: &'static CStr| Part { license: License::Says(license), ..part(&code) };
    let of = |parts: &[Part<'_>]| join(parts).map(|fused| fused.license);
    assert_eq!(of(&[says(c"GPL"), says(c"Dual MIT/GPL")]).unwrap(), c"GPL");
    assert_eq!(of(&[says(c"Proprietary"), says(c"MIT")]).unwrap(), c"Proprietary");
    let ours = Part { license: License::Any, ..part(&code) };
    assert_eq!(of(&[says(c"Proprietary"), ours]).unwrap(), c"Proprietary");
    assert_eq!(of(&[]).unwrap(), c"Dual BSD/GPL");
    let mixed = of(&[says(c"MIT"), says(c"GPL v2")]).unwrap_err();
    assert!(matches!(&mixed, FuseError::MixedLicenses { license, .. } if license == "MIT"));
}

#[test]
fn a_function_that_calls_itself_is_an_answer_and_not_an_endless_search() {
    let code = [line(0x85, 0, 1, 0, -1), line(0x95, 0, 0, 0, 0)];
    assert!(matches!(join(&[part(&code)]).unwrap_err(), FuseError::DamagedCode { .. }));
}

#[test]
fn constants_of_two_objects_move_into_one_map_and_other_maps_stay() {
    let mut pool = Pool::default();
    assert_eq!((pool.add(&[1; 5]), pool.add(&[2; 9])), (Some(0), Some(8)));
    assert_eq!(pool.bytes, [&[1; 5][..], &[0; 3], &[2; 9]].concat());
    let wide = |kind, map, offset| [line(0x18, 1, kind, 0, map), line(0, 0, 0, 0, offset)];
    // An address in the map that moves, one in another, the map itself, and half a wide one.
    let mut code = [wide(2, 7, 4), wide(2, 6, 4), wide(1, 7, 0)].concat();
    code.push(line(0x18, 1, 2, 0, 7));
    redirect(&mut code, Moved { from: 7, to: 9, by: 8 });
    let numbers: Vec<i32> = code.iter().map(|line| line.imm).collect();
    assert_eq!(numbers, [9, 12, 6, 4, 7, 0, 7]);
}

#[test]
fn a_program_that_tail_calls_is_told_from_one_that_only_loads_such_a_number() {
    let calls = [line(0x85, 0, 0, 0, 12), line(0x95, 0, 0, 0, 0)];
    let loads = [line(0x18, 1, 0, 0, 12), line(0, 0, 0, 0, 12), line(0x85, 0, 1, 0, 12)];
    assert_eq!(fuse::answers(&calls), Answers::ByTailCall);
    assert_eq!(fuse::answers(&loads), Answers::Itself);
}

/// A real object as it stands before relocation: code, function types, type information.
struct Real {
    instructions: Vec<bpf_insn>,
    func_info: Vec<bpf_func_info>,
    btf: Vec<u8>,
}

fn real() -> Vec<Real> {
    let object = Object::parse(crate::support::object(Hook::Xdp)).unwrap();
    let btf = object.btf.as_ref().unwrap().to_bytes();
    object
        .functions
        .values()
        .map(|function| Real {
            instructions: function.instructions.clone(),
            func_info: function
                .func_info
                .func_info
                .iter()
                .map(|info| bpf_func_info { insn_off: 0, type_id: info.type_id })
                .collect(),
            btf: btf.clone(),
        })
        .collect()
}

fn parts(real: &[Real]) -> Vec<Part<'_>> {
    real.iter()
        .map(|real| Part {
            label: "real",
            license: License::Any,
            instructions: &real.instructions,
            func_info: &real.func_info,
            btf: Some(&real.btf),
            stacks: &[],
        })
        .collect()
}

#[test]
fn merged_types_read_back_and_hold_every_function_once() {
    let real = real();
    assert_eq!(real.len(), 4);
    let fused = join(&parts(&real)).unwrap();
    let merged = Btf::parse(&fused.btf, Endianness::default()).unwrap();
    assert_eq!(merged.to_bytes(), fused.btf);
    let whole: usize = real.iter().map(|part| part.btf.len()).sum();
    assert!(fused.btf.len() < whole / 2, "{} of {whole} bytes", fused.btf.len());
    for name in ["skep_xdp", "skep_enter", "skep_leave", "skep_dropped"] {
        let id = merged.id_by_type_name_kind(name, aya_obj::btf::BtfKind::Func).unwrap();
        assert!(fused.func_info.iter().any(|info| info.type_id == id), "{name}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn damaged_types_are_answered(
        changes in vec((any::<Index>(), any::<u8>()), 1..6),
        cut in proptest::option::of(any::<Index>()),
    ) {
        let mut real = real();
        let btf = &mut real[0].btf;
        for (at, byte) in changes {
            let at = at.index(btf.len());
            btf[at] = byte;
        }
        if let Some(cut) = cut {
            btf.truncate(cut.index(btf.len()));
        }
        if let Ok(fused) = join(&parts(&real)) {
            prop_assert_eq!(fused.func_info.len(), 1 + real.len());
        }
    }

    #[test]
    fn damaged_code_is_answered(
        changes in vec((any::<Index>(), any::<[u8; 4]>(), any::<i16>(), any::<i32>()), 1..6),
        info in vec((any::<u32>(), any::<u32>()), 0..4),
    ) {
        let mut real = real();
        for (at, [code, registers, far, _], off, imm) in changes {
            let code_of = &mut real[0].instructions;
            let at = at.index(code_of.len());
            let off = if far & 1 == 0 { off % 8 } else { off };
            let imm = if far & 2 == 0 { imm % 16 } else { imm };
            code_of[at] = line(code, registers & 0xf, registers >> 4, off, imm);
        }
        for (insn_off, type_id) in info {
            let insn_off = if insn_off & 1 == 0 { insn_off % 64 } else { insn_off };
            real[0].func_info.push(bpf_func_info { insn_off, type_id: type_id % 64 });
        }
        let parts = parts(&real);
        let stacks: Vec<_> = parts.iter().map(|p| fuse::touched(p.instructions, p.func_info)).collect();
        let counted: Vec<Part<'_>> =
            parts.iter().zip(&stacks).map(|(part, stacks)| Part { stacks, ..*part }).collect();
        let main = walk_of(parts.len());
        let forms = [Form::Called, Form::Inlined].map(|form| fuse::fuse(&counted, &main, form));
        for fused in forms.into_iter().flatten() {
            let starts: Vec<u32> = fused.func_info.iter().map(|info| info.insn_off).collect();
            prop_assert!(starts.is_sorted());
            for target in targets(&fused) {
                prop_assert!(starts.contains(&target));
            }
        }
    }
}
