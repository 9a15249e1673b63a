//! The meaning of a chain, checked against a plain reading of the design: members × verdicts ×
//! proceed-on × mode × length, on the dispatchers that really run.

use skep_artifact::hook::{Failure, Hook, Mode, Verdict, VerdictSet};
use skep_chain_dispatcher::{BackendChoice, Chain, Member};

use crate::place::{Place, answering, at, chain, member, packet};

/// What the design says happens, written down without looking at the dispatcher.
fn meaning(
    backend: BackendChoice,
    hook: Hook,
    members: &[Member],
    answers: &[i32],
) -> (i32, Vec<bool>) {
    let mut ran = vec![false; members.len()];
    let mut decision = if hook == Hook::Xdp { 2 } else { -1 };
    for (index, (member, answer)) in members.iter().zip(answers).enumerate() {
        ran[index] = true;
        if member.mode == Mode::Observe {
            continue;
        }
        let unknown = if hook == Hook::Xdp { Verdict::Aborted } else { Verdict::Unspec };
        let verdict = Verdict::from_code(hook, *answer).unwrap_or(unknown);
        decision = verdict.code(hook).unwrap();
        if !member.proceed_on.contains(verdict) {
            break;
        }
    }
    let decision = match backend {
        _ if hook == Hook::Xdp => decision,
        BackendChoice::Tc | BackendChoice::TcFused => on_clsact(decision),
        _ => on_tcx(decision),
    };
    (decision, ran)
}

/// tcx knows NEXT, PASS, DROP and REDIRECT only.
fn on_tcx(decision: i32) -> i32 {
    match decision {
        0 | 2 | 7 => decision,
        4 | 8 => 2,
        _ => -1,
    }
}

/// A direct-action filter knows these; every other one lets the packet on.
fn on_clsact(decision: i32) -> i32 {
    if [0, 2, 4, 7, 8].contains(&decision) { decision } else { -1 }
}

/// A small generator with a fixed seed: the same table every time.
struct Dice(u64);

impl Dice {
    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        from[usize::try_from(self.0 >> 33).unwrap() % from.len()]
    }
}

/// Of the chains of each length one in so many is tried: all, but in an emulated machine
/// (`cargo xtask vm`), where a chain of 32 takes seconds to load.
fn one_in() -> usize {
    std::env::var("SKEP_CONFORMANCE_ONE_IN").map_or(1, |text| text.parse().unwrap())
}

fn check(backend: BackendChoice, hook: Hook, lengths: &[usize], chains_each: usize) {
    Place::run_choosing(&[backend], hook, |place| {
        let engine = place.engine();
        let mut dice = Dice(0x5eed);
        let verdicts = hook.verdicts();
        let mut codes: Vec<i32> = verdicts.iter().map(|v| v.code(hook).unwrap()).collect();
        codes.extend([77, -7]);
        let going_on = VerdictSet::default_for(hook);
        let mut sets = vec![VerdictSet::EMPTY, going_on, going_on, going_on];
        sets.push(verdicts.iter().copied().collect());
        sets.push(VerdictSet::of(&[verdicts[0], verdicts[1]]));
        if backend == BackendChoice::Libxdp {
            // Nothing else has one meaning in such a chain.
            sets = vec![VerdictSet::EMPTY, going_on, going_on, going_on];
        }
        let mut generation = 0;
        for length in lengths {
            for _ in 0..chains_each.div_ceil(one_in()) {
                generation += 1;
                let mut answers = Vec::new();
                let mut members = Vec::new();
                for index in 0..*length {
                    // Long chains would end at once if every verdict were as likely.
                    let likely = if hook == Hook::Xdp { 2 } else { -1 };
                    let answer = if *length > 3 && dice.pick(&[true, true, true, true, true, false])
                    {
                        likely
                    } else {
                        dice.pick(&codes)
                    };
                    let mut member = answering(hook, &format!("m{index:02}"), 10, answer);
                    member.proceed_on = dice.pick(&sets);
                    member.mode = dice.pick(&[Mode::Enforce, Mode::Enforce, Mode::Observe]);
                    member.failure = dice.pick(&[Failure::Closed, Failure::Open]);
                    answers.push(answer);
                    members.push(member);
                }
                let (expected, ran) = meaning(backend, hook, &members, &answers);
                let told: Vec<_> = members
                    .iter()
                    .zip(&answers)
                    .map(|(m, answer)| (*answer, m.proceed_on, m.mode))
                    .collect();
                let wanted = Chain { backend, ..chain(hook, generation, members) };
                engine.apply(&wanted).unwrap();
                let outcome = engine.test_run(&at(hook), &packet(), 1).unwrap().unwrap();
                assert_eq!(outcome.code, expected, "{told:?}");
                let counters = engine.counters(&at(hook)).unwrap();
                for ((counted, ran), answer) in counters.iter().zip(&ran).zip(&answers) {
                    let wanted: Vec<(Verdict, u64)> = Verdict::from_code(hook, *answer)
                        .filter(|_| *ran)
                        .map(|v| (v, 1))
                        .into_iter()
                        .collect();
                    assert_eq!(counted.packets, u64::from(*ran), "{told:?} {counters:?}");
                    assert_eq!(counted.verdicts, wanted, "{told:?} {counters:?}");
                    assert_eq!(counted.unknown, u64::from(*ran && wanted.is_empty()), "{told:?}");
                    assert_eq!(counted.missed, 0, "{told:?}");
                    assert_eq!(counted.bytes, if *ran { 60 } else { 0 }, "{told:?} {counters:?}");
                }
            }
        }
    });
}

#[test]
fn xdp_chains_in_slots_mean_what_the_design_says_whatever_their_length() {
    check(BackendChoice::Slots, Hook::Xdp, &[1, 2, 3, 5, 32], 24);
}

#[test]
fn fused_xdp_chains_mean_what_the_design_says_whatever_their_length() {
    check(BackendChoice::Fused, Hook::Xdp, &[1, 2, 3, 5, 32], 24);
}

#[test]
fn libxdp_chains_mean_what_the_design_says_whatever_their_length() {
    check(BackendChoice::Libxdp, Hook::Xdp, &[1, 2, 3, 5, 10], 12);
}

#[test]
fn tcx_chains_mean_what_the_design_says_whatever_their_length() {
    check(BackendChoice::Tcx, Hook::TcIngress, &[1, 2, 3, 5, 32], 16);
    check(BackendChoice::Tcx, Hook::TcEgress, &[2, 3], 8);
}

#[test]
fn fused_tcx_chains_mean_what_the_design_says_whatever_their_length() {
    check(BackendChoice::TcxFused, Hook::TcIngress, &[1, 2, 3, 5, 32], 16);
    check(BackendChoice::TcxFused, Hook::TcEgress, &[2, 3], 8);
}

#[test]
fn clsact_chains_mean_what_the_design_says_whatever_their_length() {
    check(BackendChoice::Tc, Hook::TcIngress, &[1, 2, 3, 5, 32], 16);
    check(BackendChoice::Tc, Hook::TcEgress, &[2, 3], 8);
}

#[test]
fn fused_clsact_chains_mean_what_the_design_says_whatever_their_length() {
    check(BackendChoice::TcFused, Hook::TcIngress, &[1, 2, 3, 5, 32], 16);
    check(BackendChoice::TcFused, Hook::TcEgress, &[2, 3], 8);
}

#[test]
fn an_empty_chain_lets_every_packet_on() {
    Place::run_on(&Hook::ALL, |place| {
        let engine = place.engine();
        for (hook, on) in [(Hook::Xdp, 2), (Hook::TcIngress, -1), (Hook::TcEgress, -1)] {
            engine.apply(&chain(hook, 1, Vec::new())).unwrap();
            let outcome = engine.test_run(&at(hook), &packet(), 1).unwrap().unwrap();
            assert_eq!(outcome.code, on, "{hook}");
            assert_eq!(outcome.packet, packet());
        }
    });
}

#[test]
fn a_chain_of_observers_lets_every_packet_on_and_counts_it() {
    Place::run(|place| {
        let engine = place.engine();
        let mut dropper = answering(Hook::Xdp, "dropper", 10, 1);
        dropper.mode = Mode::Observe;
        let mut aborter = answering(Hook::Xdp, "aborter", 20, 0);
        aborter.mode = Mode::Observe;
        engine.apply(&chain(Hook::Xdp, 1, vec![aborter, dropper])).unwrap();
        assert_eq!(engine.test_run(&at(Hook::Xdp), &packet(), 1).unwrap().unwrap().code, 2);
        let counters = engine.counters(&at(Hook::Xdp)).unwrap();
        assert_eq!(counters[0].name, "dropper");
        assert_eq!(counters[0].verdicts, [(Verdict::Drop, 1)]);
        assert_eq!(counters[0].bytes, 60);
        assert_eq!(counters[1].verdicts, [(Verdict::Aborted, 1)]);
    });
}

#[test]
fn a_member_that_resizes_the_packet_hands_on_what_it_made() {
    const GROW: &str = r#"
        #include <linux/bpf.h>
        #include <bpf/bpf_helpers.h>
        SEC("xdp") int grow(struct xdp_md *ctx)
        {
            char *data;
            if (bpf_xdp_adjust_head(ctx, -8)) return XDP_ABORTED;
            data = (char *)(long)ctx->data;
            if (data + 8 > (char *)(long)ctx->data_end) return XDP_ABORTED;
            __builtin_memset(data, 9, 8);
            return XDP_PASS;
        }
        char _license[] SEC("license") = "GPL";"#;
    Place::run(|place| {
        let engine = place.engine();
        let members = vec![
            answering(Hook::Xdp, "before", 1, 2),
            member("first", 2, GROW, "grow", Hook::Xdp),
            member("second", 3, GROW, "grow", Hook::Xdp),
            answering(Hook::Xdp, "behind", 4, 2),
            answering(Hook::Xdp, "last", 5, 2),
        ];
        engine.apply(&chain(Hook::Xdp, 1, members)).unwrap();
        let outcome = engine.test_run(&at(Hook::Xdp), &packet(), 1).unwrap().unwrap();
        assert_eq!((outcome.code, outcome.packet.len()), (2, 76));
        assert_eq!(outcome.packet[..16], [9; 16]);
        assert_eq!(outcome.packet[16..], packet());
        let bytes: Vec<u64> =
            engine.counters(&at(Hook::Xdp)).unwrap().iter().map(|member| member.bytes).collect();
        // Who keeps the length writes no bytes of packets that go on: they are those of the next one.
        assert_eq!(bytes, [60, 60, 68, 76, 76]);
    });
}
