//! Objects that others wrote, unmodified, as members of our chains: each is a sentence, an object and
//! the packets it meets, run on every backend between two members of ours.

mod cases;
mod debian;

use skep_artifact::config::EncodedConfig;
use skep_artifact::hook::Hook;
use skep_chain_dispatcher::{ApplyError, Engine, Member};

use crate::place::{Place, answering, at, chain, compile};

/// An object and what it makes of packets.
struct Case {
    /// What is unusual about it.
    says: &'static str,
    hook: Hook,
    source: &'static str,
    program: &'static str,
    config: EncodedConfig,
    /// The packets it meets in turn.
    meets: Vec<Meeting>,
}

/// A packet, what the chain decides about it, and what is left of it.
struct Meeting {
    packet: Vec<u8>,
    verdict: i32,
    left: Vec<u8>,
}

/// A packet that stays as it is.
fn meets(packet: &[u8], verdict: i32) -> Meeting {
    Meeting { packet: packet.to_vec(), verdict, left: packet.to_vec() }
}

/// A packet that is changed.
fn changes(packet: &[u8], verdict: i32, left: &[u8]) -> Meeting {
    Meeting { packet: packet.to_vec(), verdict, left: left.to_vec() }
}

impl Case {
    fn member(&self) -> Member {
        let mut member = answering(self.hook, "theirs", 20, 2);
        member.object = compile(self.source);
        member.program = self.program.to_owned();
        member.config = self.config.clone();
        member
    }
}

/// The verdict after which a chain goes on.
fn go_on(hook: Hook) -> i32 {
    if hook == Hook::Xdp { 2 } else { -1 }
}

/// The member under test between two that let every packet on.
fn between(theirs: Member, hook: Hook) -> Vec<Member> {
    let on = go_on(hook);
    vec![answering(hook, "before", 10, on), theirs, answering(hook, "after", 30, on)]
}

fn check(engine: &Engine, generation: u64, case: &Case) {
    let wanted = chain(case.hook, generation, between(case.member(), case.hook));
    if let Err(error) = engine.apply(&wanted) {
        panic!("{}: {}", case.says, told(&error));
    }
    for (number, meeting) in case.meets.iter().enumerate() {
        let met = engine.test_run(&at(case.hook), &meeting.packet, 1).unwrap().unwrap();
        assert_eq!(met.code, meeting.verdict, "{}: packet {number}", case.says);
        assert_eq!(met.packet, meeting.left, "{}: packet {number}", case.says);
    }
    let counters = engine.counters(&at(case.hook)).unwrap();
    assert_eq!(counters[1].packets, case.meets.len() as u64, "{}: {counters:?}", case.says);
    assert_eq!(counters[1].missed, 0, "{}", case.says);
}

/// An error with its causes.
fn told(error: &ApplyError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}

#[test]
fn unmodified_xdp_objects_run_as_members() {
    Place::run(|place| {
        let engine = place.engine();
        for (generation, case) in (1..).zip(cases::xdp()) {
            check(&engine, generation, &case);
        }
    });
}

#[test]
fn unmodified_tc_objects_run_as_members() {
    Place::run_on(&[Hook::TcIngress, Hook::TcEgress], |place| {
        let engine = place.engine();
        for (generation, case) in (1..).zip(cases::tc()) {
            check(&engine, generation, &case);
        }
    });
}

#[test]
fn objects_that_cannot_serve_are_refused_in_words() {
    Place::run(|place| {
        let engine = place.engine();
        for (generation, (says, source, program, words)) in (1..).zip(cases::refused()) {
            let mut theirs = answering(Hook::Xdp, "theirs", 1, 2);
            theirs.object = compile(source);
            theirs.program = program.to_owned();
            theirs.config = EncodedConfig::default();
            let error = engine.apply(&chain(Hook::Xdp, generation, vec![theirs])).unwrap_err();
            assert!(told(&error).contains(words), "{says}: {}", told(&error));
        }
        assert!(engine.observe().unwrap().is_empty());
    });
}
