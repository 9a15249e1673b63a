//! Objects that others wrote, unmodified, as members of our chains: each is a sentence, an object and
//! the packets it meets, run on every backend between two members of ours.

mod carried;
mod cases;
mod debian;
mod redirect;

use skep_artifact::config::EncodedConfig;
use skep_artifact::hook::Hook;
use skep_chain_dispatcher::{ApplyError, BackendChoice, Chain, Member};

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
    /// Backends that refuse it, with words of the answer.
    unfit: &'static [(BackendChoice, Refused, &'static str)],
}

/// Where a backend refuses an object.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Refused {
    Everywhere,
    /// The kernel's own limits decide; where it takes the object, it must run.
    OnSomeKernels,
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

/// Runs a case on a backend. It begins without a chain, so with the maps' first content.
fn check(place: &Place, case: &Case, backend: BackendChoice) {
    let engine = place.engine();
    let says = format!("{} on {backend}", case.says);
    let wanted = chain_of(backend, 1, case.member(), case.hook);
    let unfit = case.unfit.iter().find(|(other, ..)| *other == backend);
    match (engine.apply(&wanted), unfit) {
        (Ok(_), None | Some((_, Refused::OnSomeKernels, _))) => {}
        (Err(error), Some((.., words))) if told(&error).contains(words) => {
            assert!(engine.observe().unwrap().is_empty(), "{says}");
            return;
        }
        (Err(error), _) => panic!("{says}: {}", told(&error)),
        (Ok(applied), Some(_)) => panic!("{says}: {applied:?}"),
    }
    for (number, meeting) in case.meets.iter().enumerate() {
        let met = engine.test_run(&at(case.hook), &meeting.packet, 1).unwrap().unwrap();
        assert_eq!(met.code, meeting.verdict, "{says}: packet {number}");
        assert_eq!(met.packet, meeting.left, "{says}: packet {number}");
    }
    let counters = engine.counters(&at(case.hook)).unwrap();
    assert_eq!(counters[1].packets, case.meets.len() as u64, "{says}: {counters:?}");
    assert_eq!(counters[1].missed, 0, "{says}");
    engine.detach(&at(case.hook)).unwrap();
}

/// A chain of somebody's member between two of ours.
fn chain_of(backend: BackendChoice, generation: u64, theirs: Member, hook: Hook) -> Chain {
    Chain { backend, ..chain(hook, generation, between(theirs, hook)) }
}

fn check_all(backend: BackendChoice, hook: Hook) {
    Place::run_choosing(&[backend], hook, |place| {
        for case in if hook == Hook::Xdp { cases::xdp() } else { cases::tc() } {
            check(place, &Case { hook, ..case }, backend);
        }
    });
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
fn unmodified_xdp_objects_run_in_slots() {
    check_all(BackendChoice::Slots, Hook::Xdp);
}

#[test]
fn unmodified_xdp_objects_run_fused() {
    check_all(BackendChoice::Fused, Hook::Xdp);
}

#[test]
fn unmodified_xdp_objects_run_as_extensions() {
    check_all(BackendChoice::Libxdp, Hook::Xdp);
}

#[test]
fn unmodified_tc_objects_run_on_a_tcx_link() {
    check_all(BackendChoice::Tcx, Hook::TcIngress);
}

#[test]
fn unmodified_tc_objects_run_fused_by_whatever_attachment_there_is() {
    check_all(BackendChoice::Fused, Hook::TcEgress);
}

#[test]
fn unmodified_tc_objects_run_as_a_clsact_filter() {
    check_all(BackendChoice::Tc, Hook::TcEgress);
}

#[test]
fn unmodified_tc_objects_run_fused_as_a_clsact_filter() {
    check_all(BackendChoice::TcFused, Hook::TcIngress);
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
