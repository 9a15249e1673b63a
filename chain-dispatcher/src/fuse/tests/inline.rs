//! Members that stand in the main: what becomes of their exits, calls and stack, and which cannot.

use aya_obj::generated::bpf_insn;

use super::join::{exit, line, part, targets, walk_of, with_functions};
use crate::fuse::{self, Form, Fused, Part, Stays};

fn inlined(parts: &[Part<'_>]) -> Fused {
    fuse::fuse(parts, &walk_of(parts.len()), Form::Inlined).unwrap()
}

/// Why the only member stays a function.
fn stays(code: &[bpf_insn], stacks: &[usize]) -> Option<Stays> {
    inlined(&[Part { stacks, ..part(code) }]).stays.get(&0).copied()
}

#[test]
fn an_exit_leads_behind_its_member_and_functions_stay_functions() {
    let code = with_functions();
    let member = Part { stacks: &[0, 0, 0], ..part(&code) };
    let fused = inlined(&[member, member]);
    assert!(fused.inlined && fused.stays.is_empty());
    let starts: Vec<u32> = fused.func_info.iter().map(|info| info.insn_off).collect();
    assert_eq!(starts.len(), 1 + 2 * 2);
    assert_eq!(targets(&fused), starts[1..]);
    let main = &fused.instructions[..starts[1] as usize];
    // r6 = r1; the first member, its exit behind it, no load: it keeps r6; then the test.
    assert_eq!((main[0].code, main[1].code, main[5].code, main[5].off), (0xbf, 0x85, 0x05, 0));
    assert_eq!((main[6].code, main[6].imm), (0x56, 2));
    // Exits are left at the end of the chain only: as it is, strange, missed.
    assert_eq!(main.iter().filter(|line| line.code == 0x95).count(), 3);
}

#[test]
fn what_a_member_destroys_lies_below_its_stack_meanwhile() {
    let mut code = vec![line(0xb7, 6, 0, 0, 1), line(0x7b, 10, 6, -20, 0)];
    code.extend(exit());
    let member = Part { stacks: &[20], ..part(&code) };
    let fused = inlined(&[member, member]);
    let on_stack: Vec<(u8, u8, u8, i16)> = fused
        .instructions
        .iter()
        .filter(|line| line.dst_reg() == 10 || line.code == 0x79)
        .map(|line| (line.code, line.dst_reg(), line.src_reg(), line.off))
        .collect();
    let (stored, theirs, loaded) = ((0x7b, 10, 6, -32), (0x7b, 10, 6, -20), (0x79, 6, 10, -32));
    // The context never changes: it is stored once.
    assert_eq!(on_stack, [stored, theirs, loaded, theirs, loaded]);
}

#[test]
fn a_member_that_may_end_more_than_itself_stays_a_function() {
    let tail_call = [line(0x85, 0, 0, 0, 12), line(0x95, 0, 0, 0, 0)];
    assert_eq!(stays(&tail_call, &[0]), Some(Stays::TailCalls));
    let old_load = [line(0x20, 0, 0, 0, 12), line(0x95, 0, 0, 0, 0)];
    assert_eq!(stays(&old_load, &[0]), Some(Stays::OldLoads));
    let open = [line(0x95, 0, 0, 0, 0), line(0xb4, 0, 0, 0, 2)];
    assert_eq!(stays(&open, &[0]), Some(Stays::Open));
    assert_eq!(stays(&exit(), &[]), Some(Stays::Unknown));
    assert_eq!(stays(&exit(), &[0]), None);
    // In a function of its own a tail call comes back to the member.
    let below = [line(0x85, 0, 1, 0, 1), line(0x95, 0, 0, 0, 0)];
    assert_eq!(stays(&[&below[..], &tail_call].concat(), &[0, 0]), None);
    assert_eq!(stays(&[&below[..], &tail_call].concat(), &[256, 0]), Some(Stays::Stack));
}

#[test]
fn members_share_the_stack_and_the_deepest_make_room_for_what_is_called() {
    let mut spills = vec![line(0xb7, 6, 0, 0, 1)];
    spills.extend(exit());
    let plain = exit();
    let spilling = |stacks| Part { stacks, ..part(&spills) };
    // 504 bytes, and 8 for the context.
    let fused = inlined(&[spilling(&[504]), spilling(&[504])]);
    assert!(fused.stays.is_empty());
    // 512, and 8 for the context: called, they need a frame above it as well.
    let fused = inlined(&[spilling(&[505]), spilling(&[8])]);
    assert_eq!((fused.inlined, fused.stays.len()), (false, 2));
    let alone = Part { stacks: &[512], ..part(&plain) };
    assert!(inlined(&[alone, alone]).stays.is_empty());

    let calls = [line(0x85, 0, 1, 0, 1), line(0x95, 0, 0, 0, 0), line(0x95, 0, 0, 0, 0)];
    let caller = Part { stacks: &[8, 448], ..part(&calls) };
    let beside = |stacks| inlined(&[caller, Part { stacks, ..part(&plain) }]);
    assert!(beside(&[64]).stays.is_empty());
    let fused = beside(&[72]);
    assert_eq!(fused.stays.iter().collect::<Vec<_>>(), [(&1, &Stays::Stack)]);
    // Neither beside it nor below it.
    let fused = beside(&[504]);
    assert_eq!((fused.inlined, fused.stays.len()), (false, 2));
}

#[test]
fn jumps_reach_over_all_members_that_stand_in_the_main() {
    let mut long = vec![line(0xb7, 1, 0, 0, 1); 9_000];
    long.extend(exit());
    let member = Part { stacks: &[0], ..part(&long) };
    let fused = inlined(&[member; 5]);
    assert_eq!(fused.stays.keys().copied().collect::<Vec<_>>(), [3, 4]);
    assert!(fused.stays.values().all(|why| *why == Stays::Long));
}

#[test]
fn a_member_as_deep_as_the_kernel_allows_stands_in_the_main() {
    let mut deep: Vec<bpf_insn> =
        (0..7).flat_map(|_| [line(0x85, 0, 1, 0, 1), line(0x95, 0, 0, 0, 0)]).collect();
    deep.extend(exit());
    assert!(fuse::fuse(&[part(&deep)], &walk_of(1), Form::Inlined).is_err(), "it is called");
    assert_eq!(stays(&deep, &[0; 8]), None);
}
