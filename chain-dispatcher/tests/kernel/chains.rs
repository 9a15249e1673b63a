//! Putting chains on hooks, replacing them, finding them again, taking them off.

use std::collections::BTreeMap;

use skep_artifact::hook::{Hook, Mode, Verdict};
use skep_chain_dispatcher::{
    ApplyError, Backend, Chain, Counting, Engine, EngineConfig, LostState, SLOTS_MAX, Step, XdpMode,
};

use crate::place::{ANSWER, Place, answering, at, chain, global, member, packet};

/// Reads the first element of an array map of u64.
pub(crate) fn first_u64(path: &std::path::Path) -> u64 {
    let map = aya::maps::MapData::from_pin(path).unwrap();
    let map = aya::maps::Map::Array(map);
    let array: aya::maps::Array<_, u64> = map.try_into().unwrap();
    array.get(&0, 0).unwrap()
}

pub(crate) fn answer_of(engine: &skep_chain_dispatcher::Engine, hook: Hook) -> i32 {
    engine.test_run(&at(hook), &packet(), 1).unwrap().unwrap().code
}

#[test]
fn a_chain_that_runs_is_adopted_and_nothing_is_touched() {
    Place::run(|place| {
        let members = || vec![answering(Hook::Xdp, "a", 1, 2), answering(Hook::Xdp, "b", 2, 1)];
        let wanted = chain(Hook::Xdp, 7, members());
        let first = place.engine().apply(&wanted).unwrap();
        assert_eq!(first.chain.members.len(), 2);
        assert_eq!(first.chain.generation, 7);
        assert_eq!(first.chain.backend, Some(Backend::Slots));
        assert_eq!(first.chain.mode, Some(XdpMode::Native), "veth has a native mode");
        let engine = place.engine();
        assert!(engine.plan(&wanted).unwrap().is_empty());
        let second = engine.apply(&wanted).unwrap();
        assert!(second.plan.is_empty());
        assert_eq!(second.chain, first.chain);
        assert_eq!(answer_of(&engine, Hook::Xdp), 1);
        let renumbered = engine.apply(&chain(Hook::Xdp, 8, members())).unwrap();
        assert!(matches!(renumbered.plan.steps[..], [Step::Renumber { generation: 8, .. }]));
        assert_eq!(renumbered.chain.generation, 8);
        assert_eq!(renumbered.chain.dispatcher_id, first.chain.dispatcher_id);
        assert_eq!(engine.observe().unwrap(), [renumbered.chain]);
    });
}

#[test]
fn members_meet_packets_by_priority_then_policy_then_name() {
    Place::run(|place| {
        let engine = place.engine();
        let mut other_policy = answering(Hook::Xdp, "z", 5, 2);
        other_policy.policy = "alpha".to_owned();
        let members = vec![
            answering(Hook::Xdp, "b", 5, 2),
            answering(Hook::Xdp, "a", 5, 2),
            answering(Hook::Xdp, "c", 1, 2),
            other_policy,
        ];
        let applied = engine.apply(&chain(Hook::Xdp, 1, members)).unwrap();
        let order: Vec<_> =
            applied.chain.members.iter().map(|m| format!("{}/{}", m.policy, m.name)).collect();
        assert_eq!(order, ["test/c", "alpha/z", "test/a", "test/b"]);
    });
}

#[test]
fn a_refused_program_is_named_and_the_old_chain_runs_on() {
    Place::run(|place| {
        let engine = place.engine();
        let before =
            engine.apply(&chain(Hook::Xdp, 1, vec![answering(Hook::Xdp, "good", 1, 1)])).unwrap();
        let careless = r#"
            #include <linux/bpf.h>
            #include <bpf/bpf_helpers.h>
            SEC("xdp") int careless(struct xdp_md *ctx)
            { return *(volatile char *)(long)ctx->data; }
            char _license[] SEC("license") = "GPL";"#;
        let bad = member("bad", 2, careless, "careless", Hook::Xdp);
        let refused = engine
            .apply(&chain(Hook::Xdp, 2, vec![answering(Hook::Xdp, "good", 1, 2), bad]))
            .unwrap_err();
        assert_eq!(refused.code(), "chain.verifier_refused");
        let ApplyError::Verifier { member, program, last_lines, .. } = refused else {
            panic!("{refused:?}")
        };
        assert_eq!((member.as_str(), program.as_str()), ("test/bad", "careless"));
        assert!(
            last_lines.iter().any(|line| line.contains("invalid access to packet")),
            "{last_lines:?}"
        );
        assert_eq!(engine.observe_hook(&at(Hook::Xdp)).unwrap(), before.chain);
        assert_eq!(answer_of(&engine, Hook::Xdp), 1);
        assert_eq!(place.generations(Hook::Xdp).len(), 1);
    });
}

#[test]
fn config_that_does_not_fit_is_refused_before_anything_is_touched() {
    Place::run(|place| {
        let engine = place.engine();
        let mut wrong = answering(Hook::Xdp, "a", 1, 2);
        wrong.config = global("no_such_global", &[0; 4]);
        let refused = engine.apply(&chain(Hook::Xdp, 1, vec![wrong])).unwrap_err();
        assert_eq!(refused.code(), "chain.config_refused", "{refused:?}");
        let mut wrong = answering(Hook::Xdp, "a", 1, 2);
        wrong.config.maps = BTreeMap::from([("no_such_map".to_owned(), Vec::new())]);
        let refused = engine.apply(&chain(Hook::Xdp, 1, vec![wrong])).unwrap_err();
        assert_eq!(refused.code(), "chain.config_refused", "{refused:?}");
        let mut wrong = answering(Hook::Xdp, "a", 1, 2);
        wrong.config.maps = BTreeMap::from([("seen".to_owned(), vec![(vec![0; 3], vec![0; 8])])]);
        let refused = engine.apply(&chain(Hook::Xdp, 1, vec![wrong])).unwrap_err();
        assert_eq!(refused.code(), "chain.config_refused", "{refused:?}");
        assert!(engine.observe().unwrap().is_empty());
    });
}

#[test]
fn an_upgrade_keeps_state_renews_config_and_says_what_starts_empty() {
    Place::run(|place| {
        let engine = place.engine();
        let first = answering(Hook::Xdp, "m", 1, 2);
        engine.apply(&chain(Hook::Xdp, 1, vec![first.clone()])).unwrap();
        for _ in 0..5 {
            answer_of(&engine, Hook::Xdp);
        }
        let seen = "members/test+m/maps/seen";
        assert_eq!(first_u64(&place.pin(Hook::Xdp, seen)), 5);

        let mut upgraded = answering(Hook::Xdp, "m", 1, 1);
        upgraded.object = crate::place::compile(&format!(
            "{ANSWER}\n// the next version\nint more(void) {{ return 1; }}"
        ));
        let applied = engine.apply(&chain(Hook::Xdp, 2, vec![upgraded.clone()])).unwrap();
        assert!(
            matches!(&applied.plan.steps[0], Step::LoadMember { carried, restarted, .. }
            if carried == &["seen"] && restarted.is_empty()),
            "{}",
            applied.plan
        );
        assert_eq!(answer_of(&engine, Hook::Xdp), 1, "the new config is in force");
        assert_eq!(first_u64(&place.pin(Hook::Xdp, seen)), 6, "the state went on");

        let mut larger = upgraded.clone();
        larger.object = crate::place::compile(&ANSWER.replace("max_entries, 1", "max_entries, 2"));
        let larger = chain(Hook::Xdp, 3, vec![larger]);
        let applied = engine.apply(&Chain { lost_state: LostState::Allow, ..larger }).unwrap();
        assert!(
            matches!(&applied.plan.steps[0], Step::LoadMember { carried, restarted, .. }
            if carried.is_empty() && restarted[0].why.contains("number of entries was 1 and is 2")),
            "{}",
            applied.plan
        );
        assert_eq!(first_u64(&place.pin(Hook::Xdp, seen)), 0);

        let mut configured = upgraded;
        configured.config.maps = BTreeMap::from([(
            "seen".to_owned(),
            vec![(0u32.to_ne_bytes().to_vec(), 40u64.to_ne_bytes().to_vec())],
        )]);
        engine.apply(&chain(Hook::Xdp, 4, vec![configured])).unwrap();
        assert_eq!(
            first_u64(&place.pin(Hook::Xdp, seen)),
            40,
            "a map that the config fills is fresh"
        );
    });
}

#[test]
fn a_member_that_could_not_run_is_never_a_silent_pass() {
    const GREEDY: &str = r#"
        #include <linux/bpf.h>
        #include <bpf/bpf_helpers.h>
        struct { __uint(type, BPF_MAP_TYPE_PROG_ARRAY); __uint(max_entries, 1);
                 __type(key, __u32); __type(value, __u32); } next SEC(".maps");
        SEC("xdp") int greedy(struct xdp_md *ctx)
        { bpf_tail_call(ctx, &next, 0); return XDP_PASS; }
        char _license[] SEC("license") = "GPL";"#;
    Place::run(|place| {
        let engine = place.engine();
        let greedy = || member("greedy", 1, GREEDY, "greedy", Hook::Xdp);
        let dropper = || answering(Hook::Xdp, "dropper", 2, 1);
        let own = "members/test+greedy";
        let closed = dropper();
        let mut open = dropper();
        open.failure = skep_artifact::hook::Failure::Open;
        let mut observing = dropper();
        observing.mode = Mode::Observe;
        // (the second member, what the chain answers when it is missed, and when it runs)
        let cases = [(closed, 1, 1), (open, 2, 1), (observing, 2, 2)];
        for (generation, (second, missed, ran)) in (1..).zip(cases) {
            engine.apply(&chain(Hook::Xdp, generation, vec![greedy(), second])).unwrap();
            let (array, program) = (
                place.pin(Hook::Xdp, &format!("{own}/maps/next")),
                place.pin(Hook::Xdp, &format!("{own}/program")),
            );
            place.put_program(&array, &program);
            let answer = answer_of(&engine, Hook::Xdp);
            let counters = engine.counters(&at(Hook::Xdp)).unwrap();
            assert_eq!(counters[0].verdicts, [(Verdict::Pass, 1)]);
            assert_eq!(counters[1].packets, 1);
            // Until Linux 6.12 (116e04ba1459) the calls that a function makes are not counted for
            // the program that called it: there the greedy one spends its own calls only.
            if counters[1].missed == 0 {
                assert_eq!(counters[1].verdicts, [(Verdict::Drop, 1)]);
                assert_eq!(answer, ran);
                continue;
            }
            assert_eq!((answer, counters[1].missed), (missed, 1));
            assert!(counters[1].verdicts.is_empty());
        }
    });
}

#[test]
fn an_emptied_slot_is_missed_and_not_passed_until_the_next_apply_mends_it() {
    Place::run(|place| {
        let engine = place.engine();
        let wanted = chain(Hook::Xdp, 1, vec![answering(Hook::Xdp, "a", 1, 2)]);
        engine.apply(&wanted).unwrap();
        let map = aya::maps::MapData::from_pin(place.pin(Hook::Xdp, "slots")).unwrap();
        let mut slots =
            aya::maps::ProgramArray::try_from(aya::maps::Map::ProgramArray(map)).unwrap();
        slots.clear_index(&0).unwrap();
        assert_eq!(answer_of(&engine, Hook::Xdp), 1);
        assert_eq!(engine.counters(&at(Hook::Xdp)).unwrap()[0].missed, 1);
        let mended = engine.apply(&wanted).unwrap();
        assert!(mended.plan.steps.iter().any(|step| matches!(step, Step::Switch { .. })));
        assert_eq!(answer_of(&engine, Hook::Xdp), 2);
        assert!(engine.plan(&wanted).unwrap().is_empty());
    });
}

#[test]
fn a_vanished_interface_is_told_and_its_pins_are_swept() {
    Place::run_on(&Hook::ALL, |place| {
        let engine = place.engine();
        let wanted = chain(Hook::Xdp, 1, vec![answering(Hook::Xdp, "a", 1, 1)]);
        engine.apply(&wanted).unwrap();
        engine
            .apply(&chain(Hook::TcEgress, 1, vec![answering(Hook::TcEgress, "a", 1, 2)]))
            .unwrap();
        place.remove_pair();
        let gone = engine.apply(&wanted).unwrap_err();
        assert_eq!(gone.code(), "chain.interface_gone");
        assert_eq!(place.hook_folders(), 0);
        place.make_pair();
        assert!(engine.observe().unwrap().is_empty(), "a new interface of the old name is new");
        let applied = engine.apply(&wanted).unwrap();
        assert!(matches!(applied.plan.steps.last(), Some(Step::Attach { .. })));
        assert_eq!(answer_of(&engine, Hook::Xdp), 1);
    });
}

#[test]
fn everything_of_ours_comes_off_at_once() {
    Place::run_on(&Hook::ALL, |place| {
        let engine = place.engine();
        for hook in Hook::ALL {
            engine.apply(&chain(hook, 1, vec![answering(hook, "a", 1, 2)])).unwrap();
        }
        assert_eq!(engine.detach_all().unwrap(), Hook::ALL.map(at));
        assert!(engine.observe().unwrap().is_empty());
        assert_eq!(place.hook_folders(), 0);
        engine.detach(&at(Hook::Xdp)).unwrap();
    });
}

#[test]
fn chains_beyond_the_limits_are_refused_by_name() {
    Place::run(|place| {
        let engine = place.engine();
        let many = (0..=SLOTS_MAX).map(|n| answering(Hook::Xdp, &format!("m{n}"), 1, 2)).collect();
        assert_eq!(
            engine.apply(&chain(Hook::Xdp, 1, many)).unwrap_err().code(),
            "chain.too_many_members"
        );
        let twice = vec![answering(Hook::Xdp, "a", 1, 2), answering(Hook::Xdp, "a", 2, 2)];
        assert_eq!(
            engine.apply(&chain(Hook::Xdp, 1, twice)).unwrap_err().code(),
            "chain.duplicate_member"
        );
        let long = vec![answering(Hook::Xdp, &".".repeat(90), 1, 2)];
        assert_eq!(
            engine.apply(&chain(Hook::Xdp, 1, long)).unwrap_err().code(),
            "chain.unusable_name"
        );
        let tc_on_xdp = vec![member("a", 1, ANSWER, "on_tc", Hook::Xdp)];
        assert_eq!(
            engine.apply(&chain(Hook::Xdp, 1, tc_on_xdp)).unwrap_err().code(),
            "chain.load_refused"
        );
        let nameless = vec![member("a", 1, ANSWER, "nobody", Hook::Xdp)];
        let refused = engine.apply(&chain(Hook::Xdp, 1, nameless)).unwrap_err();
        assert_eq!(refused.code(), "chain.load_refused");
        assert!(std::error::Error::source(&refused).unwrap().to_string().contains("on_tc, on_xdp"));
        assert!(engine.observe().unwrap().is_empty());
    });
}

#[test]
fn programs_with_and_without_frags_share_a_chain() {
    Place::run(|place| {
        let engine = place.engine();
        let frags = ANSWER.replace("SEC(\"xdp\")", "SEC(\"xdp.frags\")");
        let with = || member("with", 1, &frags, "on_xdp", Hook::Xdp);
        let mixed = vec![with(), answering(Hook::Xdp, "without", 2, 1)];
        engine.apply(&chain(Hook::Xdp, 1, mixed)).unwrap();
        assert_eq!(answer_of(&engine, Hook::Xdp), 1);
        engine.apply(&chain(Hook::Xdp, 2, vec![with()])).unwrap();
        assert_eq!(answer_of(&engine, Hook::Xdp), 2);
    });
}

#[test]
fn tc_sections_of_every_name_load_with_functions_and_relocations() {
    const SOURCE: &str = r#"
        #include <linux/bpf.h>
        #include <bpf/bpf_helpers.h>
        #include <bpf/bpf_core_read.h>
        struct sk_buff { unsigned int len; } __attribute__((preserve_access_index));
        static __attribute__((noinline)) int add(int a, int b) { return a + b; }
        __attribute__((noinline)) int twice(int a) { return add(a, a); }
        static __always_inline int answer(void)
        { return bpf_core_field_exists(((struct sk_buff *)0)->len) ? twice(1) : 0; }
        SEC("tc") int plain(struct __sk_buff *ctx) { return answer(); }
        SEC("tc/ingress") int slashed(struct __sk_buff *ctx) { return answer(); }
        SEC("tcx/egress") int modern(struct __sk_buff *ctx) { return answer(); }
        SEC("classifier") int old(struct __sk_buff *ctx) { return answer(); }
        char _license[] SEC("license") = "GPL";"#;
    Place::run_on(&Hook::ALL, |place| {
        let engine = place.engine();
        for (generation, program) in (1..).zip(["plain", "slashed", "modern", "old"]) {
            let members = vec![member("m", 1, SOURCE, program, Hook::TcEgress)];
            engine.apply(&chain(Hook::TcEgress, generation, members)).unwrap();
            assert_eq!(answer_of(&engine, Hook::TcEgress), 2, "{program}");
        }
    });
}

#[test]
fn a_chain_that_does_not_count_decides_the_same() {
    Place::run(|place| {
        let config = EngineConfig { counting: Counting::Off, ..place.config() };
        let engine = Engine::open(config).unwrap();
        let members = vec![answering(Hook::Xdp, "a", 1, 2), answering(Hook::Xdp, "b", 2, 1)];
        let wanted = chain(Hook::Xdp, 1, members);
        engine.apply(&wanted).unwrap();
        assert_eq!(answer_of(&engine, Hook::Xdp), 1);
        assert!(engine.counters(&at(Hook::Xdp)).unwrap().iter().all(|member| member.packets == 0));
        place.engine().apply(&wanted).unwrap();
        assert_eq!(answer_of(&engine, Hook::Xdp), 1);
        assert!(engine.counters(&at(Hook::Xdp)).unwrap().iter().all(|member| member.packets == 1));
    });
}
