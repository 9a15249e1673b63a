//! The generated walks mean what the design says, for every chain of up to six members.

use proptest::collection::vec;
use proptest::prelude::{
    Just, ProptestConfig, Strategy, any, prop_assert_eq, prop_oneof, proptest,
};
use skep_artifact::hook::{Failure, Hook, Mode, Verdict, VerdictSet};

use super::machine::{COUNTING, LENGTH, Ran, Stands, run, run_as};
use crate::fuse::asm::Bodies;
use crate::fuse::walk::{self, Answers, Ending, Member, Place};
use crate::layout::{
    self, ALL_COUNTERS_BYTES, COUNTERS_BYTES, COUNTERS_MEMBERS_AT, COUNTERS_MISSED_AT,
    COUNTERS_VERDICTS_AT, VERDICT_UNKNOWN,
};

const MISSED: i32 = 0x534b_4550;

/// What must happen, and for each member that runs the counter that goes up.
struct Meaning {
    verdict: i32,
    counted: Vec<usize>,
    told: Vec<(u64, i32, bool)>,
}

fn meaning(place: Place, members: &[Member], answers: &[i32]) -> Meaning {
    let tc = place.hook.is_tc();
    let mut verdict = if tc { -1 } else { 2 };
    let (mut counted, mut who) = (Vec::new(), 0);
    let mut missed_last = false;
    for (number, (member, answer)) in members.iter().zip(answers).enumerate() {
        if *answer == MISSED {
            counted.push(COUNTERS_MISSED_AT);
            if member.mode == Mode::Observe || member.failure == Failure::Open {
                // The generated code has forgotten who decided before a member that fails open.
                who = if member.mode == Mode::Observe { who } else { number };
                continue;
            }
            (verdict, who, missed_last) = (if tc { 2 } else { 1 }, number, true);
            break;
        }
        let known = Verdict::from_code(place.hook, *answer);
        let index =
            known.map_or(VERDICT_UNKNOWN, |_| usize::try_from(answer + i32::from(tc)).unwrap());
        counted.push(COUNTERS_VERDICTS_AT + 8 * index);
        if member.mode == Mode::Observe {
            continue;
        }
        let said = known.unwrap_or(if tc { Verdict::Unspec } else { Verdict::Aborted });
        (verdict, who) = (said.code(place.hook).unwrap(), number);
        if !member.proceed_on.contains(said) {
            break;
        }
    }
    let drops: &[i32] = if tc { &[2, 4, 8] } else { &[0, 1] };
    let told = drops.contains(&verdict).then_some((who as u64, verdict, missed_last));
    let verdict = match (place.ending, verdict) {
        (Ending::AsItIs, verdict) => verdict,
        (Ending::Tcx, 0 | 2 | 7) | (Ending::Clsact, 0 | 2 | 4 | 7 | 8) => verdict,
        (Ending::Tcx, 4 | 8) => 2,
        (Ending::Tcx | Ending::Clsact, _) => -1,
    };
    Meaning { verdict, counted, told: told.into_iter().collect() }
}

fn places() -> impl Strategy<Value = Place> {
    prop_oneof![
        Just(Place { hook: Hook::Xdp, ending: Ending::AsItIs }),
        Just(Place { hook: Hook::TcIngress, ending: Ending::Tcx }),
        Just(Place { hook: Hook::TcEgress, ending: Ending::Clsact }),
    ]
}

fn members(hook: Hook) -> impl Strategy<Value = Vec<(Member, i32)>> {
    let verdicts = hook.verdicts();
    let codes: Vec<i32> = verdicts.iter().map(|v| v.code(hook).unwrap()).collect();
    let usual = if hook.is_tc() { -1 } else { 2 };
    let answer = prop_oneof![
        6 => Just(usual),
        4 => proptest::sample::select(codes),
        1 => prop_oneof![Just(MISSED), Just(77), Just(-7), any::<i32>()],
    ];
    let size = verdicts.len();
    let set = prop_oneof![
        3 => Just(VerdictSet::default_for(hook)),
        2 => proptest::sample::subsequence(verdicts, 0..=size)
            .prop_map(|chosen| chosen.into_iter().collect()),
    ];
    let mode = prop_oneof![3 => Just(Mode::Enforce), 1 => Just(Mode::Observe)];
    let failure = prop_oneof![3 => Just(Failure::Closed), 1 => Just(Failure::Open)];
    let answers = prop_oneof![3 => Just(Answers::Itself), 1 => Just(Answers::ByTailCall)];
    let member = (set, mode, failure, any::<bool>(), answers);
    let member = member.prop_map(|(proceed_on, mode, failure, keeps_length, answers)| Member {
        proceed_on,
        mode,
        failure,
        keeps_length,
        answers,
    });
    vec((member, answer), 0..6)
}

/// How each of six members stands in the main, with at most 480 bytes of stack: 32 are left for what
/// it destroys.
fn stands() -> impl Strategy<Value = Vec<Stands>> {
    let inside = (any::<[bool; 4]>(), 0usize..=60)
        .prop_map(|(destroys, words)| Stands::Inside { destroys, stack: words * 8 });
    vec(prop_oneof![1 => Just(Stands::Apart), 3 => inside], 6)
}

fn counter(ran: &Ran, number: usize, counter: usize) -> u64 {
    let at = COUNTERS_MEMBERS_AT + number * COUNTERS_BYTES + counter;
    u64::from_ne_bytes(ran.counters[at..at + 8].try_into().unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn a_quiet_walk_decides_as_the_design_says(
        (place, chain) in places().prop_flat_map(|place| (Just(place), members(place.hook))),
        stands in stands(),
    ) {
        let (members, answers): (Vec<_>, Vec<_>) = chain.into_iter().unzip();
        let meaning = meaning(place, &members, &answers);
        let ran = run_as(&walk::quiet(place, &members), &answers, &stands, 0, 0);
        prop_assert_eq!(ran.verdict, meaning.verdict);
        prop_assert_eq!(ran.members, (0..meaning.counted.len()).collect::<Vec<_>>());
    }

    #[test]
    fn a_counting_walk_decides_the_same_and_counts_times_and_tells(
        (place, chain) in places().prop_flat_map(|place| (Just(place), members(place.hook))),
        stands in stands(),
        since in prop_oneof![Just(0u64), Just(1_000)],
        telling in 0u32..3,
    ) {
        let (members, answers): (Vec<_>, Vec<_>) = chain.into_iter().unzip();
        let meaning = meaning(place, &members, &answers);
        let main = walk::counted(place, &members, COUNTING);
        let ran = run_as(&main, &answers, &stands, since, telling);
        let all: Vec<usize> = (0..meaning.counted.len()).collect();
        prop_assert_eq!(ran.verdict, meaning.verdict);
        prop_assert_eq!(&ran.members, &all);
        prop_assert_eq!(&ran.timed, &if since == 0 { Vec::new() } else { all.clone() });
        let told = if telling == 0 { Vec::new() } else { meaning.told };
        prop_assert_eq!(&ran.told, &told);
        let keep_length: Vec<bool> = members.iter().map(|member| member.keeps_length).collect();
        let read = layout::counts(place.hook, &keep_length, ALL_COUNTERS_BYTES, &ran.counters);
        let bytes: Vec<u64> = read.unwrap().members.iter().map(|member| member.bytes).collect();
        let met = |number: usize| if number < all.len() { LENGTH } else { 0 };
        prop_assert_eq!(bytes, (0..members.len()).map(met).collect::<Vec<_>>());
        for (number, counted) in meaning.counted.iter().enumerate() {
            prop_assert_eq!(counter(&ran, number, *counted), 1);
        }
        let written = |number: &usize| !keep_length[*number] || number + 1 == all.len();
        let lengths = all.iter().filter(|number| written(number)).count() as u64;
        let sum: u64 = ran.counters.as_chunks::<8>().0.iter().map(|n| u64::from_ne_bytes(*n)).sum();
        prop_assert_eq!(sum, lengths * LENGTH + all.len() as u64);
    }

    #[test]
    fn a_wrapped_member_counts_in_its_own_place(
        (place, chain) in places().prop_flat_map(|place| (Just(place), members(place.hook))),
        number in 0usize..64,
    ) {
        let Some((member, answer)) = chain.first().copied() else { return Ok(()) };
        let meaning = meaning(place, &[member], &[answer]);
        let ran = run(
            &walk::wrapped_counted("it", place, number, member, COUNTING),
            &[answer],
            7,
            1,
        );
        prop_assert_eq!(ran.verdict, meaning.verdict);
        prop_assert_eq!(&ran.timed, &vec![number]);
        prop_assert_eq!(counter(&ran, number, meaning.counted[0]), 1);
        let told: Vec<_> = meaning.told.iter().map(|(_, v, m)| (number as u64, *v, *m)).collect();
        prop_assert_eq!(&ran.told, &told);
        prop_assert_eq!(run(&walk::wrapped("it", place, member), &[answer], 0, 0).verdict, ran.verdict);
    }
}

#[test]
fn between_two_members_that_go_on_with_pass_stand_three_instructions() {
    let place = Place { hook: Hook::Xdp, ending: Ending::AsItIs };
    let member = Member {
        proceed_on: VerdictSet::default_for(Hook::Xdp),
        mode: Mode::Enforce,
        failure: Failure::Closed,
        keeps_length: true,
        answers: Answers::Itself,
    };
    let length = |members| {
        walk::quiet(place, &vec![member; members])
            .code
            .assemble(&Bodies::new())
            .unwrap()
            .instructions
            .len()
    };
    assert_eq!(length(64) - length(2), 62 * 3);
}
