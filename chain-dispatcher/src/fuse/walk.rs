//! The walk along a chain as generated code, with the masks, modes and failures as constants: the one
//! place that says what a chain means, whatever builds it and whoever its members are. Uses no stack
//! itself. Knows no object and no kernel.

mod counted;
mod quiet;

use skep_artifact::hook::{Failure, Hook, Mode, Verdict, VerdictSet};

use super::asm::{Assembly, If, Label, R, R0, R1, R6};
use super::{Linkage, Main};
pub(crate) use counted::{Counting, SUPPORT};

/// Raised with every change of the generated code: a chain that was built before it is built anew.
pub(crate) const VERSION: &[u8] = b"walk 4";

/// `SKEP_MISSED`: the answer of a slot whose member could not run. Where members are functions every
/// one runs; one that answers this on purpose is treated as one that could not.
const MISSED: i32 = 0x534b_4550;

/// A member of the walk. Its program is the first entry of the part of the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) proceed_on: VerdictSet,
    pub(crate) mode: Mode,
    pub(crate) failure: Failure,
    /// Its code cannot change the length of a packet.
    pub(crate) keeps_length: bool,
    pub(crate) answers: Answers,
}

/// Who gives a member's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answers {
    /// The member's own code: what the verifier knows about the answer is true.
    Itself,
    /// Maybe a program that it tail-called. Verifiers of before 6.13 know only what the member
    /// answers where its call falls through, and remove the code for everything else.
    ByTailCall,
}

/// What is done with the chain's verdict before the kernel gets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Nothing.
    AsItIs,
    /// For a tcx link, which knows four verdicts: NEXT (-1), PASS (0), DROP (2) and REDIRECT (7), and
    /// takes every other one for NEXT. A member that stole or trapped the packet meant that nobody
    /// after it sees it, so that is a drop here and never a silent pass.
    Tcx,
    /// For a clsact filter, which knows stolen and trapped packets as well.
    Clsact,
}

/// Where the chain is and how its verdict leaves it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) hook: Hook,
    pub(crate) ending: Ending,
}

/// The main that walks along these members and counts nothing: between two members stand three
/// instructions where one verdict lets the chain go on.
pub(crate) fn quiet(place: Place, members: &[Member]) -> Main {
    main(name(place), place, quiet::walk(place, members))
}

/// The main that walks along these members and counts as the dispatchers do. Behind the members'
/// parts stands one for each function of [`SUPPORT`].
pub(crate) fn counted(place: Place, members: &[Member], counting: Counting) -> Main {
    main(name(place), place, counted::walk(place, members, counting, 0))
}

/// A global `int name(struct xdp_md *ctx)` around the one member that is the first part: gives its
/// verdict whatever type its function declares, lets an observing member go on with PASS, and makes
/// of no verdict what the kernel would.
pub(crate) fn wrapped(name: &str, place: Place, member: Member) -> Main {
    main(name.to_owned(), place, quiet::walk(place, &[member]))
}

/// As [`wrapped`], and counts as member `number` of its chain. Behind the member's part stands one
/// for each function of [`SUPPORT`].
pub(crate) fn wrapped_counted(
    name: &str,
    place: Place,
    number: usize,
    member: Member,
    counting: Counting,
) -> Main {
    main(name.to_owned(), place, counted::walk(place, &[member], counting, number))
}

/// The name of a chain's program in the kernel.
fn name(place: Place) -> String {
    if place.hook.is_tc() { "skep_tc" } else { "skep_xdp" }.to_owned()
}

fn main(name: String, place: Place, code: Assembly) -> Main {
    Main { name, hook: place.hook, linkage: Linkage::Global, code }
}

/// The chain's verdict so far, as the code knows it at one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum So {
    /// This, whatever the packet.
    Always(i32),
    /// What R7 holds.
    InR7,
}

/// Whether nobody behind this enforcing member ever runs.
fn is_last(place: Place, member: Member, later: &[Member]) -> bool {
    let ends = place.codes(member.proceed_on).is_empty() && member.failure == Failure::Closed;
    later.is_empty() || ends
}

/// Whether the verdict of a member may still count when these have run: an enforcing member that
/// fails closed always replaces it.
fn is_read(later: &[Member]) -> bool {
    let next = later.iter().find(|member| member.mode == Mode::Enforce);
    next.is_none_or(|member| member.failure == Failure::Open)
}

impl Place {
    /// Makes the verifier forget what it knows about the answer in R0, if that may be wrong: adds
    /// a number out of the context, which R6 holds, and takes it off again.
    fn forget(self, code: &mut Assembly, member: Member) {
        if member.answers == Answers::Itself {
            return;
        }
        // __sk_buff::len, xdp_md::rx_queue_index
        code.load32(R1, R6, if self.hook.is_tc() { 0 } else { 16 });
        code.add_register(R0, R1);
        code.subtract_register(R0, R1);
    }

    /// Jumps to `out` unless the answer in R0 is a verdict of the hook; gives the register that
    /// holds its index in the counters, 64 bits wide where it is `to`.
    fn index(self, code: &mut Assembly, to: R, out: Label) -> R {
        code.copy32(to, R0);
        if self.hook.is_tc() {
            code.add32(to, 1);
        }
        code.jump_if(to, If::Above, self.index_max(), out);
        to
    }

    /// As `index` where only the jump matters.
    fn refuse_strange(self, code: &mut Assembly, out: Label) {
        if self.hook.is_tc() {
            self.index(code, R1, out);
        } else {
            code.jump_if(R0, If::Above, self.index_max(), out);
        }
    }

    /// Ends with the answer in R0 in the kernel's words (see [`Ending`]): what it does not know means
    /// "go on".
    fn leave_tc(self, code: &mut Assembly) {
        let (out, drop) = (code.label(), code.label());
        let (stays, drops): (&[Verdict], &[Verdict]) = match self.ending {
            Ending::Clsact => (
                &[Verdict::Ok, Verdict::Shot, Verdict::Redirect, Verdict::Stolen, Verdict::Trap],
                &[],
            ),
            Ending::Tcx | Ending::AsItIs => (
                &[Verdict::Ok, Verdict::Shot, Verdict::Redirect],
                &[Verdict::Stolen, Verdict::Trap],
            ),
        };
        for verdict in stays {
            code.jump_if(R0, If::Equal, self.code_of(*verdict), out);
        }
        for verdict in drops {
            code.jump_if(R0, If::Equal, self.code_of(*verdict), drop);
        }
        code.jump_if(R0, If::Equal, MISSED, drop);
        code.set(R0, self.unknown());
        code.place(out);
        code.exit();
        code.place(drop);
        code.set(R0, self.closed());
        code.exit();
    }

    /// The codes of a set, the common ones first.
    fn codes(self, set: VerdictSet) -> Vec<i32> {
        let common = [Verdict::Pass, Verdict::Unspec, Verdict::Ok, Verdict::Pipe];
        let mut verdicts: Vec<Verdict> =
            self.hook.verdicts().into_iter().filter(|verdict| set.contains(*verdict)).collect();
        verdicts.sort_by_key(|verdict| {
            common.iter().position(|known| known == verdict).unwrap_or(common.len())
        });
        verdicts.into_iter().map(|verdict| self.code_of(verdict)).collect()
    }

    fn code_of(self, verdict: Verdict) -> i32 {
        verdict.code(self.hook).unwrap_or_else(|| self.unknown())
    }

    /// What the kernel makes of a verdict it does not know: ABORTED, UNSPEC.
    fn unknown(self) -> i32 {
        if self.hook.is_tc() { -1 } else { 0 }
    }

    /// What a closed member that could not run decides: DROP, SHOT.
    fn closed(self) -> i32 {
        if self.hook.is_tc() { 2 } else { 1 }
    }

    /// The verdict of a chain in which nobody enforced: PASS, UNSPEC.
    fn end(self) -> i32 {
        if self.hook.is_tc() { -1 } else { 2 }
    }

    /// Codes with which a packet ends here. Stolen and trapped packets do, too: what took them is worth
    /// telling.
    fn drops(self) -> &'static [i32] {
        if self.hook.is_tc() { &[2, 4, 8] } else { &[0, 1] }
    }

    /// The index of a verdict in the counters is its code plus this.
    fn shift(self) -> i32 {
        i32::from(self.hook.is_tc())
    }

    /// The highest index of a verdict: REDIRECT, TRAP + 1.
    fn index_max(self) -> i32 {
        if self.hook.is_tc() { 9 } else { 4 }
    }
}
