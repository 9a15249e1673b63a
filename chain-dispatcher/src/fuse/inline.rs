//! Which members stand in the generated main themselves, and why the others stay functions that it
//! calls: where the kernel guards returns, a call costs as much as a small member. Pure.

use std::collections::BTreeMap;

use super::asm::{Assembly, Bodies, Body};
use super::{FuseError, PROGRAM, Read, STACK_BYTES_MAX};

/// Instructions that members put into the main together. Its jumps reach 32,767; the walk's own
/// lines around 64 members are at most 60 for each.
const INSTRUCTIONS_MAX: usize = 28_000;
/// What kernels count for a frame at least, and round it up to, before 6.12 and where a JIT is old:
/// a main that fits so fits everywhere.
const FRAME_BYTES: usize = 32;
/// The kernel allows tail calls only where the frames above use less than this.
const STACK_ABOVE_TAIL_CALLS: usize = 256;

/// Why a member stays a function that the main calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Stays {
    /// They would leave the chain and not only the member.
    #[error("it makes tail calls")]
    TailCalls,
    /// They end the function where the packet ends.
    #[error("it loads from the packet in the way of the first BPF")]
    OldLoads,
    #[error("its code does not end with its last instruction")]
    Open,
    #[error("nobody counted how much stack it uses")]
    Unknown,
    #[error("the stack has no room for it beside the chain's own function")]
    Stack,
    #[error("the chain's own function would be too long")]
    Long,
}

/// What stands in the main, and which other members do not.
#[derive(Debug, Default)]
pub(super) struct Choice<'a> {
    pub(super) bodies: Bodies<'a>,
    pub(super) stays: BTreeMap<usize, Stays>,
}

/// As many members as fit, those with a small stack first: they all share the main's, and what is
/// called lies below it.
pub(super) fn choose<'a>(parts: &'a [Read<'_>], main: &Assembly) -> Result<Choice<'a>, FuseError> {
    let used = main.parts()?;
    let mut fit = Choice::default();
    let mut length = 0;
    for number in used.members.keys().copied() {
        let Some(part) = parts.get(number) else { continue };
        match body(part) {
            Ok(body) if length + body.instructions.len() > INSTRUCTIONS_MAX => {
                fit.stays.insert(number, Stays::Long);
            }
            Ok(body) => {
                length += body.instructions.len();
                fit.bodies.insert(number, body);
            }
            Err(why) => drop(fit.stays.insert(number, why)),
        }
    }
    let needs: BTreeMap<usize, Needs> = used
        .members
        .keys()
        .chain(&used.called)
        .filter_map(|number| Some((*number, Needs::of(parts.get(*number)?))))
        .collect();
    while !fit.bodies.is_empty() && !has_room(&needs, main.stack(&fit.bodies)?, &fit.bodies) {
        let most = fit.bodies.values().map(|body| body.stack).max().unwrap_or_default();
        for (number, _) in fit.bodies.extract_if(.., |_, body| body.stack == most) {
            fit.stays.insert(number, Stays::Stack);
        }
    }
    Ok(fit)
}

/// What a part needs where it is called, and below the main where its program stands in that.
struct Needs {
    called: Below,
    inside: Below,
}

/// What lies below the main's frame.
#[derive(Clone, Copy)]
struct Below {
    stack: usize,
    tail_calls: bool,
}

impl Needs {
    fn of(part: &Read<'_>) -> Self {
        let functions = &part.code.functions;
        // What calls itself was refused when it was read.
        let stack = part.code.reach(PROGRAM, frame).map_or(STACK_BYTES_MAX, |reach| reach.stack);
        let own = functions.get(PROGRAM).map_or(0, |program| frame(program.stack));
        let tail_calls = |number: &usize| functions.get(*number).is_some_and(|f| f.tail_calls);
        let needed = part.code.needed(PROGRAM);
        let inside = needed.iter().any(|number| *number != PROGRAM && tail_calls(number));
        Self {
            called: Below { stack, tail_calls: inside || tail_calls(&PROGRAM) },
            inside: Below { stack: stack.saturating_sub(own), tail_calls: inside },
        }
    }
}

/// Whether the main's stack, and below it that of whatever it calls, are no more than there is.
fn has_room(needs: &BTreeMap<usize, Needs>, main: usize, bodies: &Bodies<'_>) -> bool {
    let own = frame(main);
    needs.iter().all(|(number, needs)| {
        let below = if bodies.contains_key(number) { needs.inside } else { needs.called };
        let enough_for_tail_calls = !below.tail_calls || own < STACK_ABOVE_TAIL_CALLS;
        own + below.stack <= STACK_BYTES_MAX && enough_for_tail_calls
    })
}

/// The program of a part, if it may stand anywhere.
fn body<'a>(part: &'a Read<'_>) -> Result<Body<'a>, Stays> {
    let function = part.code.functions.get(PROGRAM).ok_or(Stays::Open)?;
    let instructions = part.code.instructions.get(function.start..function.end);
    match instructions {
        _ if function.tail_calls => Err(Stays::TailCalls),
        _ if function.old_loads => Err(Stays::OldLoads),
        _ if !part.counted => Err(Stays::Unknown),
        Some(instructions) if function.closed => {
            Ok(Body { instructions, stack: function.stack, writes: function.writes })
        }
        _ => Err(Stays::Open),
    }
}

/// What the strictest kernel counts for a frame.
fn frame(bytes: usize) -> usize {
    bytes.next_multiple_of(FRAME_BYTES).max(FRAME_BYTES)
}
