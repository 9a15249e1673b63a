//! Chains that are one program: everything a member may be made of, alone and mixed; what cannot be
//! fused is refused by name; moving between builds loses nothing.

use skep_artifact::hook::{Hook, Mode, Verdict};
use skep_chain_dispatcher::{
    ApplyError, Backend, BackendChoice, Chain, Counting, Engine, EngineConfig, FuseError, Member,
    Step,
};

use crate::place::{ANSWER, Place, answering, at, chain, compile, member, packet};

use kinds::{BARE, GREEDY, KINDS, MAPS, OWN_TAIL, PARSES, WHOLE_STACK, source};

mod kinds;

fn it(name: &str, source: &str) -> Member {
    member(name, 1, source, "it", Hook::Xdp)
}

fn fused(generation: u64, members: Vec<Member>) -> Chain {
    Chain { backend: BackendChoice::Fused, ..chain(Hook::Xdp, generation, members) }
}

fn answer_of(engine: &Engine, hook: Hook) -> i32 {
    engine.test_run(&at(hook), &packet(), 1).unwrap().unwrap().code
}

/// Major and minor number of the running kernel.
fn kernel() -> (u32, u32) {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release.split('.').map(|part| part.parse().unwrap());
    (numbers.next().unwrap(), numbers.next().unwrap())
}

fn quiet(place: &Place) -> Engine {
    Engine::open(EngineConfig { counting: Counting::Off, ..place.config() }).unwrap()
}

#[test]
fn a_member_of_any_kind_runs_alone_and_before_a_dropper() {
    Place::run(|place| {
        let mut generation = 0;
        for engine in [place.engine(), quiet(place)] {
            for (name, source) in KINDS {
                let mut run = |members| {
                    generation += 1;
                    engine
                        .apply(&fused(generation, members))
                        .unwrap_or_else(|error| panic!("{name}: {error:?}"));
                    answer_of(&engine, Hook::Xdp)
                };
                assert_eq!(run(vec![it(name, source)]), 2, "{name}");
                let dropper = answering(Hook::Xdp, "z", 2, 1);
                assert_eq!(run(vec![it(name, source), dropper]), 1, "{name}");
            }
        }
    });
}

#[test]
fn a_member_that_uses_the_whole_stack_fits_or_is_named() {
    Place::run(|place| {
        for (generation, engine) in (1..).zip([place.engine(), quiet(place)]) {
            let members = vec![it("whole", WHOLE_STACK), it("other", BARE)];
            match engine.apply(&fused(generation, members)) {
                Ok(_) => assert_eq!(answer_of(&engine, Hook::Xdp), 2),
                // What counts is called, and Linux 6.1 counts 32 bytes for a function without any.
                Err(ApplyError::FusedVerifier { stack: Some(deep), .. }) => {
                    assert_eq!((deep.member.as_str(), deep.bytes), ("test/whole", 512));
                    assert!(kernel() < (6, 12) && generation == 1, "{deep}");
                }
                Err(other) => panic!("{other:?}"),
            }
        }
    });
}

#[test]
fn what_a_tail_called_program_answers_is_what_counts() {
    Place::run(|place| {
        let mut generation = 0;
        for engine in [place.engine(), quiet(place)] {
            // (what its own code answers, what the program it tail-calls answers)
            for (falls_through, answers, expected) in
                [("XDP_PASS", "XDP_DROP", 1), ("XDP_DROP", "XDP_PASS", 3), ("XDP_PASS", "77", 0)]
            {
                generation += 1;
                let source = OWN_TAIL
                    .replace("return XDP_DROP;", "return FALLS_THROUGH;")
                    .replace("return XDP_PASS;", &format!("return {answers};"))
                    .replace("FALLS_THROUGH", falls_through);
                let members = vec![it("caller", &source), answering(Hook::Xdp, "next", 2, 3)];
                engine.apply(&fused(generation, members)).unwrap();
                assert_eq!(answer_of(&engine, Hook::Xdp), expected, "{answers}");
            }
        }
    });
}

#[test]
fn members_of_every_kind_share_one_program() {
    Place::run(|place| {
        let engine = place.engine();
        let mut members: Vec<Member> = KINDS.iter().map(|(name, text)| it(name, text)).collect();
        members.extend(KINDS.iter().map(|(name, text)| it(&format!("again-{name}"), text)));
        let applied = engine.apply(&fused(1, members.clone())).unwrap();
        assert_eq!(applied.chain.backend, Some(Backend::Fused));
        assert_eq!(answer_of(&engine, Hook::Xdp), 2);
        assert!(engine.plan(&fused(1, members.clone())).unwrap().is_empty());
        // Their code runs in the chain's own program: that is the number they have.
        for seen in &applied.chain.members {
            assert_eq!(seen.prog_id, applied.chain.dispatcher_id);
        }
        members.push(answering(Hook::Xdp, "z", 2, 1));
        engine.apply(&fused(2, members)).unwrap();
        assert_eq!(answer_of(&engine, Hook::Xdp), 1);
        let counted = engine.counters(&at(Hook::Xdp)).unwrap();
        assert_eq!(counted.len(), 2 * KINDS.len() + 1);
        assert!(counted.iter().all(|member| member.packets == 1 && member.bytes == 60));
        assert_eq!(counted[2 * KINDS.len()].verdicts, [(Verdict::Drop, 1)]);
    });
}

#[test]
fn sixty_four_members_load_run_and_are_counted_and_one_more_is_refused() {
    Place::run(|place| {
        let engine = place.engine();
        let bare = |count: usize| (0..count).map(|n| it(&format!("m{n:02}"), BARE)).collect();
        let bare_ones = engine.apply(&fused(1, bare(64))).unwrap().chain;
        assert!(!bare_ones.reason.contains("function of its own"), "{}", bare_ones.reason);
        assert_eq!(answer_of(&engine, Hook::Xdp), 2);
        let counted = engine.counters(&at(Hook::Xdp)).unwrap();
        assert_eq!(counted.len(), 64);
        assert!(counted.iter().all(|member| member.verdicts == [(Verdict::Pass, 1)]));
        let refused = engine.apply(&fused(2, bare(65))).unwrap_err();
        assert_eq!(refused.code(), "chain.too_many_members");
        // Paths through one member meet behind it: the verifier does not multiply them.
        let parse = |count: usize| (0..count).map(|n| it(&format!("p{n:02}"), PARSES)).collect();
        // One map each, and what counts has five.
        for (engine, maps) in [(place.engine(), 59), (quiet(place), 64)] {
            for members in [bare(64), parse(maps)] {
                let chain = engine.apply(&fused(3, members)).unwrap().chain;
                assert!(!chain.reason.contains("of their own"), "{}", chain.reason);
                assert_eq!(answer_of(&engine, Hook::Xdp), 2);
            }
        }
    });
}

#[test]
fn a_member_that_tail_calls_stays_a_function_and_the_chain_says_why() {
    Place::run(|place| {
        let engine = place.engine();
        let chain = fused(1, vec![it("bare", BARE), it("greedy", GREEDY)]);
        let reason = engine.apply(&chain).unwrap().chain.reason;
        let why = "; test/greedy stays a function of its own because it makes tail calls";
        assert!(reason.ends_with(why), "{reason}");
        // What was told when it was built is told as long as it runs.
        let reason = engine.apply(&Chain { generation: 2, ..chain }).unwrap().chain.reason;
        assert!(reason.ends_with(why), "{reason}");
    });
}

#[test]
fn a_greedy_tail_caller_before_a_dropper_spends_its_own_calls_only() {
    Place::run(|place| {
        let engine = place.engine();
        // A program that the array may hold: the same code, in slots on a chain of its own.
        let spare = vec![it("greedy", GREEDY), answering(Hook::Xdp, "dropper", 2, 1)];
        engine.apply(&chain(Hook::Xdp, 1, spare.clone())).unwrap();
        let program = place.pin(Hook::Xdp, "members/test+greedy/program");
        let held =
            aya::programs::Xdp::from_pin(&program, aya_obj::programs::XdpAttachType::Interface)
                .unwrap();
        for (generation, mode) in [(2, Mode::Enforce), (3, Mode::Observe)] {
            let mut members = spare.clone();
            members[1].mode = mode;
            engine.apply(&fused(generation, members)).unwrap();
            let array = place.pin(Hook::Xdp, "members/test+greedy/maps/next");
            let array = aya::maps::MapData::from_pin(array).unwrap();
            let mut array =
                aya::maps::ProgramArray::try_from(aya::maps::Map::ProgramArray(array)).unwrap();
            array.set(0, held.fd().unwrap(), 0).unwrap();
            let expected = if mode == Mode::Enforce { 1 } else { 2 };
            assert_eq!(answer_of(&engine, Hook::Xdp), expected);
            let counters = engine.counters(&at(Hook::Xdp)).unwrap();
            assert_eq!(counters[0].verdicts, [(Verdict::Pass, 1)]);
            assert_eq!(counters[1].verdicts, [(Verdict::Drop, 1)], "it ran");
            assert_eq!((counters[0].missed, counters[1].missed), (0, 0));
        }
    });
}

#[test]
fn moving_between_slots_and_fused_is_one_update_of_the_same_link_and_keeps_state() {
    for (hook, slots, one) in [
        (Hook::Xdp, Backend::Slots, Backend::Fused),
        (Hook::TcIngress, Backend::Tcx, Backend::TcxFused),
    ] {
        Place::run_with(one, &[hook], |place| {
            let engine = place.engine();
            let stay = if hook == Hook::Xdp { 2 } else { -1 };
            let members = || vec![answering(hook, "a", 1, stay), answering(hook, "b", 2, stay)];
            let wanted =
                |generation, backend| Chain { backend, ..chain(hook, generation, members()) };
            let first = engine.apply(&wanted(1, BackendChoice::Slots)).unwrap().chain;
            assert_eq!(first.backend, Some(slots));
            for (generation, choice, backend) in [
                (2, BackendChoice::Fused, one),
                (3, BackendChoice::Slots, slots),
                (4, BackendChoice::Fused, one),
            ] {
                answer_of(&engine, hook);
                let applied = engine.apply(&wanted(generation, choice)).unwrap();
                assert_eq!(applied.chain.backend, Some(backend));
                assert_eq!(applied.chain.link_id, first.link_id);
                let live = |step: &&Step| matches!(step, Step::Switch { .. } | Step::Attach { .. });
                assert_eq!(applied.plan.steps.iter().filter(live).count(), 1);
                let seen = place.pin(hook, "members/test+b/maps/seen");
                let map = aya::maps::MapData::from_pin(seen).unwrap();
                let map = aya::maps::Array::<_, u64>::try_from(aya::maps::Map::Array(map)).unwrap();
                assert_eq!(map.get(&0, 0).unwrap(), generation - 1);
            }
        });
    }
}

#[test]
fn what_cannot_be_fused_is_refused_by_name_and_nothing_is_touched() {
    Place::run(|place| {
        let engine = place.engine();
        let before = engine.apply(&fused(1, vec![it("good", BARE)])).unwrap().chain;
        let refusal = |members| engine.apply(&fused(2, members)).unwrap_err();

        let closed = BARE.replace("\"GPL\"", "\"Proprietary\"");
        let mixed = refusal(vec![it("good", BARE), it("closed", &closed)]);
        let ApplyError::Fuse(FuseError::MixedLicenses { gpl, other, .. }) = &mixed else {
            panic!("{mixed:?}")
        };
        assert_eq!((gpl.as_str(), other.as_str()), ("test/good", "test/closed"));
        assert_eq!(mixed.code(), "chain.fuse_refused");
        engine.apply(&fused(2, vec![it("closed", &closed)])).unwrap();
        engine.apply(&fused(1, vec![it("good", BARE)])).unwrap();

        let greedy = (0..21).map(|n| it(&format!("m{n}"), MAPS)).collect();
        let maps = refusal(greedy);
        assert!(matches!(maps, ApplyError::Fuse(FuseError::TooManyMaps { maps: 68 })), "{maps:?}");

        let calls: String = (0..7)
            .map(|n| {
                format!(
                    "static __attribute__((noinline)) int f{}(int n) {{ return f{n}(n) + 1; }}\n",
                    n + 1
                )
            })
            .collect();
        let deep = format!(
            "#include <linux/bpf.h>\n#include <bpf/bpf_helpers.h>\n
             static __attribute__((noinline)) int f0(int n) {{ asm volatile(\"\" : \"+r\"(n)); return n; }}\n{calls}
             struct {{ __uint(type, BPF_MAP_TYPE_PROG_ARRAY); __uint(max_entries, 1);
                       __type(key, __u32); __type(value, __u32); }} next SEC(\".maps\");
             SEC(\"xdp\") int it(struct xdp_md *ctx) {{ int verdict = f6(ctx->rx_queue_index) - 4;
                       bpf_tail_call(ctx, &next, 0); return verdict; }}
             char _license[] SEC(\"license\") = \"GPL\";"
        );
        let deep = refusal(vec![it("good", BARE), it("deep", &deep)]);
        let ApplyError::Fuse(FuseError::TooDeep { member, frames }) = &deep else {
            panic!("{deep:?}")
        };
        assert_eq!((member.as_str(), *frames), ("test/deep", 9));

        let careless = source!(
            r#"SEC("xdp") int it(struct xdp_md *ctx) { return *(volatile char *)(long)ctx->data; }"#
        );
        let alone = refusal(vec![it("good", BARE), it("careless", careless)]);
        assert!(
            matches!(&alone, ApplyError::Verifier { member, .. } if member == "test/careless"),
            "{alone:?}"
        );
        let now = engine.observe_hook(&at(Hook::Xdp)).unwrap();
        assert_eq!(now.members, engine.observe().unwrap()[0].members);
        assert_eq!((now.members.len(), now.members[0].name.as_str()), (1, "good"));
        assert_eq!(now.link_id, before.link_id);
    });
}

#[test]
fn calls_to_functions_that_the_kernel_exports_are_refused_with_the_reason() {
    const KFUNC: &str = source!(
        r#"
        extern int bpf_xdp_metadata_rx_timestamp(const struct xdp_md *ctx, __u64 *time) __ksym;
        SEC("xdp") int it(struct xdp_md *ctx)
        { __u64 time = 0; bpf_xdp_metadata_rx_timestamp(ctx, &time); return time ? 1 : 2; }"#
    );
    Place::run(|place| {
        let refused = place.engine().apply(&fused(1, vec![it("kfunc", KFUNC)])).unwrap_err();
        assert_eq!(refused.code(), "chain.load_refused");
        assert!(format!("{refused:?}").contains("bpf_xdp_metadata_rx_timestamp"), "{refused:?}");
        assert!(place.engine().observe().unwrap().is_empty());
    });
}

#[test]
fn programs_that_all_cope_with_frags_are_fused_as_one_that_does() {
    Place::run(|place| {
        let engine = place.engine();
        let frags = ANSWER.replace("SEC(\"xdp\")", "SEC(\"xdp.frags\")");
        let with = |name: &str| member(name, 1, &frags, "on_xdp", Hook::Xdp);
        crate::place::ip(&["-n", place.outer(), "link", "set", "peer0", "mtu", "9000"]);
        crate::place::ip(&["link", "set", "skep0", "mtu", "9000"]);
        engine.apply(&fused(1, vec![with("a"), with("b")])).unwrap();
        assert_eq!(answer_of(&engine, Hook::Xdp), 2);
        let mixed = vec![with("a"), answering(Hook::Xdp, "without", 2, 1)];
        let refused = engine.apply(&fused(2, mixed)).unwrap_err();
        assert_eq!(refused.code(), "chain.mtu_too_large", "{refused:?}");
        assert_eq!(answer_of(&engine, Hook::Xdp), 2);
    });
}

#[test]
fn a_fused_chain_whose_counters_lost_their_pin_is_built_anew() {
    Place::run(|place| {
        let engine = place.engine();
        let wanted = fused(1, vec![it("a", BARE)]);
        engine.apply(&wanted).unwrap();
        std::fs::remove_file(place.pin(Hook::Xdp, "counters")).unwrap();
        let mended = engine.apply(&wanted).unwrap();
        assert!(mended.plan.steps.iter().any(|step| matches!(step, Step::Switch { .. })));
        assert!(engine.plan(&wanted).unwrap().is_empty());
        assert_eq!(answer_of(&engine, Hook::Xdp), 2);
        assert_eq!(engine.counters(&at(Hook::Xdp)).unwrap()[0].packets, 1);
    });
}

#[test]
fn two_members_of_one_object_keep_their_maps_apart() {
    Place::run(|place| {
        let engine = place.engine();
        let mut members: Vec<Member> =
            ["a", "b"].iter().map(|name| answering(Hook::Xdp, name, 1, 2)).collect();
        members[1].object = compile(ANSWER);
        engine.apply(&fused(1, members)).unwrap();
        answer_of(&engine, Hook::Xdp);
        for name in ["a", "b"] {
            let path = place.pin(Hook::Xdp, &format!("members/test+{name}/maps/seen"));
            let map = aya::maps::Map::Array(aya::maps::MapData::from_pin(path).unwrap());
            let map = aya::maps::Array::<_, u64>::try_from(map).unwrap();
            assert_eq!(map.get(&0, 0).unwrap(), 1);
        }
    });
}
