//! The walk that counts nothing: as few instructions as its meaning allows.

use skep_artifact::hook::{Failure, Mode};

use super::{Answers, Ending, MISSED, Member, Place, So, is_last, is_read};
use crate::fuse::asm::{Assembly, If, Kept, Label, R0, R1, R2, R6, R7};

struct Walk {
    place: Place,
    code: Assembly,
    /// R0 holds any answer of a closed member: make it the chain's verdict.
    end: Label,
    /// What members must leave as it is.
    live: Kept,
    /// Code for what is rare, placed behind all members.
    rare: Vec<Rare>,
}

/// What to do with an answer in R0 that is not the common one.
struct Rare {
    at: Label,
    /// Where the chain goes on.
    next: Label,
    failure: Failure,
    /// Whether a verdict that the hook does not know lets the chain go on.
    unknown_goes_on: bool,
    /// Whether R7 must hold the verdict at `next`, and what it is before this member.
    keep: Option<So>,
}

pub(super) fn walk(place: Place, members: &[Member]) -> Assembly {
    let mut code = Assembly::default();
    let end = code.label();
    let mut walk = Walk { place, code, end, live: Kept::default(), rare: Vec::new() };
    walk.members(members);
    walk.finish();
    walk.code
}

impl Walk {
    fn members(&mut self, members: &[Member]) {
        if members.len() > 1 || members.iter().any(|m| m.answers == Answers::ByTailCall) {
            self.code.copy(R6, R1);
            self.code.fixed(R6);
            self.live = self.live.with(R6);
        }
        let mut so = So::Always(self.place.end());
        for (number, member) in members.iter().enumerate() {
            if number > 0 {
                self.code.copy(R1, R6);
            }
            self.code.member(number, self.live);
            self.place.forget(&mut self.code, *member);
            if member.mode == Mode::Observe {
                continue;
            }
            let later = members.get(number + 1..).unwrap_or_default();
            if is_last(self.place, *member, later) {
                self.last(*member, so);
                return;
            }
            so = self.decide(*member, so, is_read(later));
        }
        self.load(so);
    }

    /// Nobody runs behind this enforcing member: its verdict is final.
    fn last(&mut self, member: Member, so: So) {
        if member.failure == Failure::Open {
            let said = self.code.label();
            self.code.jump_if(R0, If::NotEqual, MISSED, said);
            self.load(so);
            self.code.place(said);
        }
    }

    /// Goes on or ends after an answer in R0; gives what the verdict is where it goes on. `read`:
    /// whether somebody behind may ask for it.
    fn decide(&mut self, member: Member, before: So, read: bool) -> So {
        let next = self.code.label();
        let go = self.code.label();
        let goes_on = self.place.codes(member.proceed_on);
        let unknown_goes_on = goes_on.contains(&self.place.unknown());
        let so = match goes_on.as_slice() {
            // Only a member that did not run is passed by, and says nothing.
            [] => before,
            [only] if member.failure == Failure::Closed => So::Always(*only),
            _ => So::InR7,
        };
        let in_r7 = read && so == So::InR7;
        let keep = (in_r7 && !goes_on.is_empty()).then_some(before);
        self.live = if in_r7 { self.live.with(R7) } else { self.live.but(R7) };
        let plain = member.failure == Failure::Closed && !unknown_goes_on;
        let rare = if plain { self.end } else { self.code.label() };
        self.test(&goes_on, go, rare);
        self.code.place(go);
        if keep.is_some() {
            match goes_on.as_slice() {
                [only] => self.code.set(R7, *only),
                _ => self.code.copy(R7, R0),
            }
        }
        self.code.place(next);
        if !plain {
            let failure = member.failure;
            self.rare.push(Rare { at: rare, next, failure, unknown_goes_on, keep });
        }
        so
    }

    /// Falls through or jumps to `go` for these verdicts, jumps to `rare` for every other answer.
    fn test(&mut self, goes_on: &[i32], go: Label, rare: Label) {
        match goes_on {
            [] => self.code.jump(rare),
            [only] => self.code.jump_if(R0, If::NotEqual, *only, rare),
            [first, second] => {
                self.code.jump_if(R0, If::Equal, *first, go);
                self.code.jump_if(R0, If::NotEqual, *second, rare);
            }
            many => {
                let shift = self.place.shift();
                let bits = many.iter().fold(0, |bits, code| bits | 1 << (code + shift));
                self.place.index(&mut self.code, R1, rare);
                self.code.set(R2, 1);
                self.code.shift32(R2, R1);
                self.code.jump_if(R2, If::AnyBit, bits, go);
                self.code.jump(rare);
            }
        }
    }

    /// Everything behind the last member.
    fn finish(&mut self) {
        self.code.place(self.end);
        match self.place.ending {
            Ending::AsItIs => self.end_as_it_is(),
            Ending::Tcx | Ending::Clsact => self.place.leave_tc(&mut self.code),
        }
        for rare in std::mem::take(&mut self.rare) {
            self.rarely(&rare);
        }
    }

    /// A verdict of the hook is final as it is; what is none becomes the unknown verdict.
    fn end_as_it_is(&mut self) {
        let (strange, missed) = (self.code.label(), self.code.label());
        self.place.refuse_strange(&mut self.code, strange);
        self.code.exit();
        self.code.place(strange);
        self.code.jump_if(R0, If::Equal, MISSED, missed);
        self.code.set(R0, self.place.unknown());
        self.code.exit();
        self.code.place(missed);
        self.code.set(R0, self.place.closed());
        self.code.exit();
    }

    /// An answer that the quick test did not know.
    fn rarely(&mut self, rare: &Rare) {
        self.code.place(rare.at);
        if rare.failure == Failure::Open {
            let said = self.code.label();
            self.code.jump_if(R0, If::NotEqual, MISSED, said);
            // It did not run: the verdict stays what it was.
            if let Some(So::Always(code)) = rare.keep {
                self.code.set(R7, code);
            }
            self.code.jump(rare.next);
            self.code.place(said);
        } else {
            self.code.jump_if(R0, If::Equal, MISSED, self.end);
        }
        if !rare.unknown_goes_on {
            self.code.jump(self.end);
            return;
        }
        let strange = self.code.label();
        self.place.refuse_strange(&mut self.code, strange);
        self.code.jump(self.end);
        self.code.place(strange);
        if rare.keep.is_some() {
            self.code.set(R7, self.place.unknown());
        }
        self.code.jump(rare.next);
    }

    fn load(&mut self, so: So) {
        match so {
            So::Always(code) => self.code.set(R0, code),
            So::InR7 => self.code.copy(R0, R7),
        }
    }
}
