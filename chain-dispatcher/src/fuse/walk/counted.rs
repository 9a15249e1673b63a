//! The walk that counts, times and tells, as the dispatchers do. The common verdict of a member is
//! counted at an address that is a constant; the clock and the drop events are calls to
//! `bpf/support.bpf.c`. Registers that calls keep: R6 the context, R7 the chain's verdict, R8 the
//! counters of this CPU, R9 the time at which this packet entered the member, or 0.

use skep_artifact::hook::{Failure, Mode};

use super::{Ending, MISSED, Member, Place, So, is_last};
use crate::fuse::asm::{Address, Assembly, If, Kept, Label, R, R0, R1, R2, R3, R6, R7, R8, R9};
use crate::layout;

/// The functions of `bpf/support.bpf.c` that the walk calls, in the order of their parts.
pub(crate) const SUPPORT: [&str; 4] =
    ["skep_enter", "skep_leave", "skep_dropped", "skep_dropped_missed"];
const ENTER: usize = 0;
const LEAVE: usize = 1;
const DROPPED: usize = 2;
const DROPPED_MISSED: usize = 3;
/// `bpf_map_lookup_elem`, which the verifier replaces by a few instructions here.
const MAP_LOOKUP: i32 = 1;

/// Where the walk finds what it counts in and what it is told to watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counting {
    /// The descriptor of `skep_counts`.
    pub(crate) counts: i32,
    /// Four bytes of 0 that nobody can write: its one key. The stack stays free for the members.
    pub(crate) zero: Address,
    /// `one_in` of `skep_timing`.
    pub(crate) timing: Address,
    /// `one_in` of `skep_telling`.
    pub(crate) telling: Address,
}

struct Walk {
    place: Place,
    code: Assembly,
    counting: Counting,
    /// Number of the first member in its chain, whose part is the first one.
    first: usize,
    /// Number of the first support function's part.
    support: usize,
    /// R7 holds the chain's verdict, R2 the number of the member that decided it.
    out: Label,
    /// The same where the member did not run.
    out_missed: Label,
    rare: Vec<Rare>,
}

/// What to do with an answer in R0 that is not the common one.
struct Rare {
    at: Label,
    /// Where the chain goes on.
    next: Label,
    number: usize,
    member: Member,
    /// What the verdict is where the chain goes on, after this member and before it.
    so: So,
    before: So,
}

/// `first`: number of the first member in its chain.
pub(super) fn walk(place: Place, members: &[Member], counting: Counting, first: usize) -> Assembly {
    let mut code = Assembly::default();
    let (out, out_missed) = (code.label(), code.label());
    let support = members.len();
    let mut walk =
        Walk { place, code, counting, first, support, out, out_missed, rare: Vec::new() };
    walk.members(members);
    walk.code
}

impl Walk {
    fn members(&mut self, members: &[Member]) {
        self.begin();
        let mut so = So::Always(self.place.end());
        // Who decided the verdict so far. A member that fails open and answers that it did not run
        // takes the blame for the one before; none does by accident.
        let mut decider = self.first;
        let mut whole = true;
        for (part, member) in members.iter().enumerate() {
            let number = self.first + part;
            self.run(number, part, *member, so);
            self.place.forget(&mut self.code, *member);
            if member.mode == Mode::Observe {
                self.observe(number);
                continue;
            }
            let later = members.get(part + 1..).unwrap_or_default();
            decider = number;
            if is_last(self.place, *member, later) && member.failure == Failure::Closed {
                self.last(number, *member, so);
                whole = false;
                break;
            }
            so = self.decide(number, *member, so);
        }
        if whole {
            match so {
                So::Always(code) => self.code.set(R7, code),
                So::InR7 => {}
            }
            if let Some((part, last)) = members.iter().enumerate().next_back() {
                self.ended(self.first + part, *last);
            }
            self.number(decider);
        }
        self.finish(whole);
    }

    /// The counters and the time; a chain without counters does not exist, so that is closed.
    fn begin(&mut self) {
        let (seen, untimed) = (self.code.label(), self.code.label());
        self.code.copy(R6, R1);
        self.code.fixed(R6);
        self.code.map(R1, self.counting.counts);
        self.code.address(R2, self.counting.zero);
        self.code.help(MAP_LOOKUP);
        self.code.jump_unless_zero(R0, seen);
        self.code.set(R0, self.place.closed());
        self.code.exit();
        self.code.place(seen);
        self.code.copy(R8, R0);
        self.code.fixed(R8);
        self.code.set(R9, 0);
        self.code.address(R1, self.counting.timing);
        self.code.load32(R1, R1, 0);
        self.code.jump_if_zero(R1, untimed);
        self.code.copy(R1, R8);
        self.support(ENTER);
        self.code.copy(R9, R0);
        self.code.place(untimed);
    }

    /// Runs the member; one that may change the packet's length counts the bytes before. `so`: the
    /// verdict before it.
    fn run(&mut self, number: usize, part: usize, member: Member, so: So) {
        if !member.keeps_length {
            self.bytes(number);
        }
        self.code.copy(R1, R6);
        let live = Kept::default().with(R6).with(R8).with(R9);
        self.code.member(part, if so == So::InR7 { live.with(R7) } else { live });
    }

    /// The packet's way ends behind this member: counts the bytes, if it did not before.
    fn ended(&mut self, number: usize, member: Member) {
        if member.keeps_length {
            self.bytes(number);
        }
    }

    /// Counts the bytes that the packet has now for a member.
    fn bytes(&mut self, number: usize) {
        if self.place.hook.is_tc() {
            // __sk_buff::len
            self.code.load32(R1, R6, 0);
        } else {
            // xdp_md::data_end - xdp_md::data
            self.code.load32(R1, R6, 4);
            self.code.load32(R2, R6, 0);
            self.code.subtract_register(R1, R2);
        }
        let at = at(number, layout::COUNTERS_PACKET_BYTES_AT);
        self.code.load(R2, R8, at);
        self.code.add_register(R2, R1);
        self.code.store(R8, at, R2);
    }

    /// Counts what an observing member said, and goes on.
    fn observe(&mut self, number: usize) {
        let (strange, missed, counted) = (self.code.label(), self.code.label(), self.code.label());
        self.place.index(&mut self.code, R2, strange);
        self.count_index(number, R2);
        self.code.jump(counted);
        self.code.place(strange);
        self.code.jump_if(R0, If::Equal, MISSED, missed);
        self.count(number, unknown_at());
        self.code.jump(counted);
        self.code.place(missed);
        self.count(number, layout::COUNTERS_MISSED_AT);
        self.code.place(counted);
        self.time(number);
    }

    /// Goes on or ends after an answer in R0; gives what the verdict is where it goes on.
    fn decide(&mut self, number: usize, member: Member, before: So) -> So {
        let (rare, next) = (self.code.label(), self.code.label());
        let goes_on = self.place.codes(member.proceed_on);
        let so = match goes_on.as_slice() {
            [] => before,
            [only] if member.failure == Failure::Closed => So::Always(*only),
            _ => So::InR7,
        };
        match goes_on.first() {
            None => self.code.jump(rare),
            Some(common) => {
                self.code.jump_if(R0, If::NotEqual, *common, rare);
                self.count(number, self.verdict_at(*common));
                if so == So::InR7 {
                    self.code.set(R7, *common);
                }
                self.time(number);
            }
        }
        self.code.place(next);
        self.rare.push(Rare { at: rare, next, number, member, so, before });
        so
    }

    /// Nobody runs behind this enforcing member: whatever it said is final.
    fn last(&mut self, number: usize, member: Member, before: So) {
        let at = self.code.label();
        let member = Member { proceed_on: skep_artifact::hook::VerdictSet::EMPTY, ..member };
        self.rarely(&Rare { at, next: at, number, member, so: before, before });
    }

    /// An answer that the quick test did not know: counted, timed, then the chain goes on or ends.
    fn rarely(&mut self, rare: &Rare) {
        let (strange, known, on) = (self.code.label(), self.code.label(), self.code.label());
        let goes_on = self.place.codes(rare.member.proceed_on);
        self.code.place(rare.at);
        self.place.index(&mut self.code, R2, strange);
        self.count_index(rare.number, R2);
        self.code.jump(known);

        self.code.place(strange);
        let missed = self.code.label();
        self.code.jump_if(R0, If::Equal, MISSED, missed);
        self.count(rare.number, unknown_at());
        self.code.set(R0, self.place.unknown());
        self.code.jump(known);

        self.code.place(missed);
        self.count(rare.number, layout::COUNTERS_MISSED_AT);
        match rare.member.failure {
            Failure::Closed => {
                self.time(rare.number);
                self.ended(rare.number, rare.member);
                self.number(rare.number);
                self.code.jump(self.out_missed);
            }
            Failure::Open => {
                if let (So::InR7, So::Always(code)) = (rare.so, rare.before) {
                    self.code.set(R7, code);
                }
                self.time(rare.number);
                self.code.jump(rare.next);
            }
        }

        self.code.place(known);
        // Nobody asks for the verdict before this one any more.
        self.code.copy32(R7, R0);
        self.time(rare.number);
        for code in &goes_on {
            self.code.jump_if(R7, If::Equal, *code, on);
        }
        self.ended(rare.number, rare.member);
        self.number(rare.number);
        self.code.jump(self.out);
        if !goes_on.is_empty() {
            self.code.place(on);
            self.code.jump(rare.next);
        }
    }

    /// Everything behind the last member. `falls_in`: R7 and R2 are set by the code above.
    fn finish(&mut self, falls_in: bool) {
        if falls_in {
            self.code.jump(self.out);
        }
        for rare in std::mem::take(&mut self.rare) {
            self.rarely(&rare);
        }
        let (leave, tell) = (self.code.label(), self.code.label());
        self.code.place(self.out);
        for drop in self.place.drops() {
            self.code.jump_if(R7, If::Equal, *drop, tell);
        }
        self.code.place(leave);
        self.code.copy32(R0, R7);
        match self.place.ending {
            Ending::AsItIs => self.code.exit(),
            Ending::Tcx | Ending::Clsact => self.place.leave_tc(&mut self.code),
        }
        self.code.place(tell);
        self.tell(DROPPED, leave);
        self.code.jump(leave);
        self.code.place(self.out_missed);
        self.code.set(R7, self.place.closed());
        self.tell(DROPPED_MISSED, leave);
        self.code.jump(leave);
    }

    /// Tells a drop if somebody asked for it; else to `leave`. R2 holds the member's number.
    fn tell(&mut self, function: usize, leave: Label) {
        self.code.address(R1, self.counting.telling);
        self.code.load32(R1, R1, 0);
        self.code.jump_if_zero(R1, leave);
        self.code.copy(R1, R6);
        self.code.copy32(R3, R7);
        self.support(function);
    }

    /// Adds the time of a timed packet to the member.
    fn time(&mut self, number: usize) {
        let untimed = self.code.label();
        self.code.jump_if_zero(R9, untimed);
        self.code.copy(R1, R8);
        self.code.add(R1, i32::from(at(number, 0)));
        self.code.copy(R2, R9);
        self.support(LEAVE);
        self.code.copy(R9, R0);
        self.code.place(untimed);
    }

    fn count(&mut self, number: usize, counter: usize) {
        let at = at(number, counter);
        self.code.load(R1, R8, at);
        self.code.add(R1, 1);
        self.code.store(R8, at, R1);
    }

    /// Counts the verdict whose index this register holds; the register is lost.
    fn count_index(&mut self, number: usize, index: R) {
        let at = at(number, layout::COUNTERS_VERDICTS_AT);
        self.code.shift(index, 3);
        self.code.add_register(index, R8);
        self.code.load(R1, index, at);
        self.code.add(R1, 1);
        self.code.store(index, at, R1);
    }

    fn verdict_at(&self, code: i32) -> usize {
        let index = usize::try_from(code + self.place.shift()).unwrap_or_default();
        layout::COUNTERS_VERDICTS_AT + 8 * index
    }

    fn number(&mut self, number: usize) {
        self.code.set(R2, i32::try_from(number).unwrap_or_default());
    }

    fn support(&mut self, function: usize) {
        self.code.call(self.support + function);
    }
}

fn unknown_at() -> usize {
    layout::COUNTERS_VERDICTS_AT + 8 * layout::VERDICT_UNKNOWN
}

/// Where a counter of a member lies behind R8. The largest is 8,256: `SKEP_MEMBERS` are 64.
fn at(number: usize, counter: usize) -> i16 {
    let at = layout::COUNTERS_MEMBERS_AT + number * layout::COUNTERS_BYTES + counter;
    i16::try_from(at).unwrap_or(i16::MAX)
}
