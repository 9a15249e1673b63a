//! What the pure half of the agent promises, as cases and as properties.

use super::*;
use proptest::prelude::*;
use skep_artifact::hook::{Failure as OnFailure, Hook, Mode, VerdictSet};
use skep_fleet::{How, ObservedMember};

fn digest(text: &str) -> Digest {
    Digest::of(text.as_bytes())
}

fn name(text: &str) -> PolicyName {
    text.parse().unwrap()
}

fn state(generation: u64, policies: &[&str]) -> DesiredState {
    let policies: Vec<String> = policies.iter().map(|p| (*p).to_owned()).collect();
    let digest = DesiredState::digest_of(&policies);
    DesiredState { generation: Generation(generation), digest, policies }
}

fn have(state: &DesiredState) -> Have {
    Have { generation: state.generation, digest: state.digest }
}

fn candidate(policy: &str, revision: u64, content: &str) -> Candidate {
    let accepted =
        Accepted { revision, payload: digest(content), envelope: digest(content), removed: false };
    Candidate { name: name(policy), accepted }
}

fn tombstone(policy: &str, revision: u64) -> Candidate {
    let mut candidate = candidate(policy, revision, "gone");
    candidate.accepted.removed = true;
    candidate
}

fn known(candidates: &[Candidate]) -> BTreeMap<PolicyName, Accepted> {
    candidates.iter().map(|c| (c.name.clone(), c.accepted)).collect()
}

fn codes(refused: &[Refused]) -> Vec<&str> {
    refused.iter().map(|r| r.code.as_str()).collect()
}

mod judging_an_offer {
    use super::*;

    #[track_caller]
    fn check(newest: &DesiredState, offered: &DesiredState, expected: Result<(), &str>) {
        let judged = judge(Some(have(newest)), offered);
        assert_eq!(judged.as_ref().map(|_| ()).map_err(OfferError::code), expected);
    }

    #[test]
    fn an_older_generation_is_refused_whatever_it_holds() {
        check(&state(7, &["b"]), &state(6, &["a"]), Err("state.rollback"));
        check(&state(7, &["b"]), &state(6, &["b"]), Err("state.rollback"));
        check(&state(u64::MAX, &[]), &state(0, &[]), Err("state.rollback"));
    }

    #[test]
    fn a_generation_used_twice_is_refused() {
        check(&state(7, &["b"]), &state(7, &["a"]), Err("state.equivocation"));
        check(&state(7, &["a", "b"]), &state(7, &["b", "a"]), Err("state.equivocation"));
    }

    #[test]
    fn the_same_state_again_and_a_newer_one_are_taken() {
        check(&state(7, &["b"]), &state(7, &["b"]), Ok(()));
        check(&state(7, &["b"]), &state(8, &["a"]), Ok(()));
        assert!(judge(None, &state(1, &[])).is_ok());
    }

    #[test]
    fn content_that_does_not_have_its_digest_is_refused() {
        let changed = DesiredState { policies: vec!["x".to_owned()], ..state(8, &["a"]) };
        check(&state(7, &[]), &changed, Err("state.digest_mismatch"));
    }

    #[test]
    fn more_policies_than_a_host_can_mean_are_refused_before_hashing() {
        let many: Vec<&str> = std::iter::repeat_n("p", POLICIES_MAX + 1).collect();
        check(&state(1, &[]), &state(2, &many), Err("state.too_many_policies"));
    }

    proptest! {
        /// Whatever is offered in whatever order, the accepted generation never goes down and
        /// one generation never means two contents.
        #[test]
        fn ledger_is_monotonic(offers in prop::collection::vec((0u64..6, 0u8..3), 0..40)) {
            let mut newest: Option<Have> = None;
            let mut contents: BTreeMap<Generation, Digest> = BTreeMap::new();
            for (generation, content) in offers {
                let offered = state(generation, &[&content.to_string()]);
                let Ok(taken) = judge(newest, &offered) else { continue };
                prop_assert!(newest.is_none_or(|n| n.generation <= taken.generation));
                let first = *contents.entry(taken.generation).or_insert(taken.digest);
                prop_assert_eq!(first, taken.digest);
                newest = Some(taken);
            }
        }
    }
}

mod accepting_revisions {
    use super::*;

    #[test]
    fn an_older_revision_is_refused_and_the_newer_one_kept() {
        let have = known(&[candidate("fw", 5, "five")]);
        let result = accept(&have, &[candidate("fw", 4, "four")]);
        assert_eq!(codes(&result.refused), ["policy.rollback"]);
        assert_eq!(result.accepted, have);
        assert!(result.omitted.is_empty(), "it was offered, though in vain");
    }

    #[test]
    fn one_revision_with_two_contents_is_refused() {
        let have = known(&[candidate("fw", 5, "five")]);
        let result = accept(&have, &[candidate("fw", 5, "another five")]);
        assert_eq!(codes(&result.refused), ["policy.equivocation"]);
        assert_eq!(result.accepted, have);
    }

    #[test]
    fn a_refused_policy_does_not_stop_another() {
        let have = known(&[candidate("fw", 5, "five"), candidate("log", 1, "one")]);
        let result = accept(&have, &[candidate("fw", 4, "four"), candidate("log", 2, "two")]);
        assert_eq!(result.accepted[&name("log")].revision, 2);
        assert_eq!(result.accepted[&name("fw")].revision, 5);
    }

    #[test]
    fn a_policy_left_out_is_kept_and_named() {
        let have = known(&[candidate("fw", 5, "five"), candidate("log", 1, "one")]);
        let result = accept(&have, &[candidate("log", 1, "one")]);
        assert_eq!(result.omitted, [name("fw")]);
        assert_eq!(result.accepted, have);
    }

    #[test]
    fn a_tombstone_is_the_way_to_leave_one_out() {
        let have = known(&[candidate("fw", 5, "five")]);
        let removed = accept(&have, &[tombstone("fw", 6)]);
        assert!(removed.accepted[&name("fw")].removed);
        assert!(accept(&removed.accepted, &[]).omitted.is_empty());
        let replayed = accept(&removed.accepted, &[candidate("fw", 5, "five")]);
        assert_eq!(codes(&replayed.refused), ["policy.rollback"]);
    }

    fn offers() -> impl Strategy<Value = Vec<Candidate>> {
        let one = (0u8..3, 1u64..5, 0u8..2, any::<bool>()).prop_map(
            |(policy, revision, content, gone)| {
                let mut one =
                    candidate(&format!("p{policy}"), revision, &format!("{revision}{content}"));
                one.accepted.removed = gone;
                one
            },
        );
        prop::collection::vec(one, 0..6)
    }

    proptest! {
        #[test]
        fn no_revision_ever_goes_down(rounds in prop::collection::vec(offers(), 0..10)) {
            let mut have = BTreeMap::new();
            for offered in rounds {
                let next = accept(&have, &offered).accepted;
                for (name, before) in &have {
                    let after: &Accepted = &next[name];
                    prop_assert!(after.revision >= before.revision);
                    prop_assert!(after.revision > before.revision || after == before
                        || after.payload == before.payload);
                }
                have = next;
            }
        }

        #[test]
        fn leaving_out_never_changes_anything(offered in offers()) {
            let have = accept(&BTreeMap::new(), &offered).accepted;
            let result = accept(&have, &[]);
            prop_assert_eq!(&result.accepted, &have);
            let alive = have.values().filter(|a| !a.removed).count();
            prop_assert_eq!(result.omitted.len(), alive);
        }
    }
}

mod deciding {
    use super::*;

    fn member(policy: &str, version: u64) -> ObservedMember {
        ObservedMember {
            policy: name(policy),
            name: "m".parse().unwrap(),
            package: "skep/firewall".parse().unwrap(),
            version: semver::Version::new(version, 0, 0),
            index: digest("index"),
            program: "xdp_firewall".to_owned(),
            priority: 10,
            proceed_on: VerdictSet::default_for(Hook::Xdp),
            mode: Mode::Enforce,
            failure: OnFailure::Closed,
            config: digest("config"),
        }
    }

    fn place(interface: &str) -> Place {
        Place { interface: interface.to_owned(), hook: Hook::Xdp }
    }

    fn chain(interface: &str, policy: &str, version: u64) -> WantedChain {
        let members = vec![member(policy, version)];
        WantedChain {
            interface: interface.to_owned(),
            hook: Hook::Xdp,
            members,
            how: How::default(),
        }
    }

    fn wish(wanted: WantedChain) -> Wish {
        Wish { place: place_of(&wanted), wanted: Ok(wanted), fallback: None }
    }

    fn refusal(code: &str) -> Refused {
        Refused { code: code.to_owned(), message: "no".to_owned() }
    }

    fn running(chain: WantedChain) -> Running {
        Running { chain, generation: 1 }
    }

    struct Case {
        wishes: Vec<Wish>,
        running: Vec<Running>,
        failures: Vec<Failure>,
        known: BTreeSet<PolicyName>,
        newest: u64,
        detached: Vec<Place>,
    }

    impl Default for Case {
        fn default() -> Self {
            Self {
                wishes: vec![],
                running: vec![],
                failures: vec![],
                known: BTreeSet::from([name("fw"), name("log")]),
                newest: 1,
                detached: vec![],
            }
        }
    }

    impl Case {
        fn decide(&self) -> Decision {
            decide(&View {
                wishes: &self.wishes,
                running: &self.running,
                failures: &self.failures,
                known: &self.known,
                newest: self.newest,
                detached: &|place| self.detached.contains(place),
            })
        }

        #[track_caller]
        fn does(&self, expected: &[&str]) -> Decision {
            let decision = self.decide();
            let shown = |step: &Step| match step {
                Step::SwapChain { interface, members, .. } => {
                    let versions: Vec<String> =
                        members.iter().map(|m| m.version.major.to_string()).collect();
                    format!("swap {interface} {}", versions.join(","))
                }
                Step::DetachChain { interface, .. } => format!("detach {interface}"),
            };
            let steps: Vec<String> = decision.steps.iter().map(shown).collect();
            assert_eq!(steps, expected);
            decision
        }
    }

    #[test]
    fn adopts_what_runs_already() {
        let wanted = chain("eth0", "fw", 1);
        Case {
            wishes: vec![wish(wanted.clone())],
            running: vec![running(wanted)],
            ..Case::default()
        }
        .does(&[]);
    }

    #[test]
    fn one_refused_hook_does_not_stop_another() {
        let refused = Wish {
            wanted: Err(Obstacle::Refused(refusal("package.rollback"))),
            ..wish(chain("eth0", "fw", 2))
        };
        let case = Case {
            wishes: vec![refused, wish(chain("eth1", "fw", 2))],
            running: vec![running(chain("eth0", "fw", 1)), running(chain("eth1", "fw", 1))],
            ..Case::default()
        };
        let decision = case.does(&["swap eth1 2"]);
        assert_eq!(decision.refused[&place("eth0")].code, "package.rollback");
    }

    #[test]
    fn what_the_kernel_refused_is_not_tried_again_and_what_runs_stays() {
        let tried = chain("eth0", "fw", 2);
        let failure = Failure { place: place("eth0"), tried, refused: refusal("chain.verifier") };
        let case = Case {
            wishes: vec![wish(chain("eth0", "fw", 2))],
            running: vec![running(chain("eth0", "fw", 1))],
            failures: vec![failure],
            ..Case::default()
        };
        let decision = case.does(&[]);
        assert_eq!(decision.refused[&place("eth0")].code, "chain.verifier");
        let newer = Case { wishes: vec![wish(chain("eth0", "fw", 3))], ..case };
        newer.does(&["swap eth0 3"]);
    }

    #[test]
    fn after_a_reboot_what_ran_well_runs_when_the_newest_cannot() {
        for wanted in [Err(Obstacle::Pending), Err(Obstacle::Refused(refusal("x")))] {
            let wish =
                Wish { place: place("eth0"), wanted, fallback: Some(chain("eth0", "fw", 1)) };
            let bare = Case { wishes: vec![wish.clone()], ..Case::default() };
            bare.does(&["swap eth0 1"]);
            let up = Case { running: vec![running(chain("eth0", "fw", 1))], ..bare };
            up.does(&[]);
            let other = Case { running: vec![running(chain("eth0", "fw", 9))], ..up };
            other.does(&[]);
        }
    }

    #[test]
    fn a_fallback_the_kernel_refuses_is_not_tried_again() {
        let fallback = chain("eth0", "fw", 1);
        let failure = Failure {
            place: place("eth0"),
            tried: fallback.clone(),
            refused: refusal("chain.verifier"),
        };
        let wish =
            Wish { place: place("eth0"), wanted: Err(Obstacle::Pending), fallback: Some(fallback) };
        Case { wishes: vec![wish], failures: vec![failure], ..Case::default() }.does(&[]);
    }

    #[test]
    fn a_chain_nobody_wants_any_more_is_taken_off() {
        Case { running: vec![running(chain("eth0", "fw", 1))], ..Case::default() }
            .does(&["detach eth0"]);
    }

    #[test]
    fn a_chain_of_a_policy_the_node_does_not_know_is_left_alone() {
        let case = Case { running: vec![running(chain("eth0", "stranger", 1))], ..Case::default() };
        assert_eq!(case.does(&[]).notes.len(), 1);
        let wanted = Case { wishes: vec![wish(chain("eth0", "fw", 1))], ..case };
        wanted.does(&[]);
    }

    #[test]
    fn a_chain_newer_than_the_ledger_is_left_alone() {
        let newer = Running { generation: 2, ..running(chain("eth0", "fw", 2)) };
        let case = Case {
            wishes: vec![wish(chain("eth0", "fw", 1))],
            running: vec![newer],
            ..Case::default()
        };
        assert_eq!(case.does(&[]).notes.len(), 1);
        Case { newest: 2, ..case }.does(&["swap eth0 1"]);
    }

    #[test]
    fn what_was_detached_by_hand_stays_off_and_goes_off() {
        let wanted = chain("eth0", "fw", 1);
        let case = Case {
            wishes: vec![wish(wanted.clone())],
            detached: vec![place("eth0")],
            ..Case::default()
        };
        case.does(&[]);
        let still_on = Case { running: vec![running(wanted)], ..case };
        still_on.does(&["detach eth0"]);
    }

    #[test]
    fn a_place_that_waits_for_a_package_keeps_what_runs() {
        let waiting = Wish { place: place("eth0"), wanted: Err(Obstacle::Pending), fallback: None };
        let case = Case {
            wishes: vec![waiting],
            running: vec![running(chain("eth0", "fw", 1))],
            ..Case::default()
        };
        assert!(case.does(&[]).pending.contains(&place("eth0")));
    }

    prop_compose! {
        fn any_chain()(interface in 0u8..3, policy in prop::sample::select(vec!["fw", "log", "stranger"]), version in 1u64..4) -> WantedChain {
            chain(&format!("eth{interface}"), policy, version)
        }
    }

    fn any_running() -> impl Strategy<Value = Vec<Running>> {
        let one =
            (any_chain(), 1u64..3).prop_map(|(chain, generation)| Running { chain, generation });
        prop::collection::vec(one, 0..4).prop_map(|mut all| {
            let mut seen = BTreeSet::new();
            all.retain(|r: &Running| seen.insert(place_of(&r.chain)));
            all
        })
    }

    fn any_wishes() -> impl Strategy<Value = Vec<Wish>> {
        let obstacle = prop_oneof![
            Just(None),
            Just(Some(Obstacle::Pending)),
            Just(Some(Obstacle::Refused(refusal("x")))),
        ];
        let one = (any_chain(), obstacle, prop::option::of(1u64..4)).prop_map(
            |(wanted, obstacle, fallback)| Wish {
                place: place_of(&wanted),
                fallback: fallback.map(|v| chain(&wanted.interface, "fw", v)),
                wanted: obstacle.map_or(Ok(wanted), Err),
            },
        );
        prop::collection::vec(one, 0..4).prop_map(|mut all| {
            let mut seen = BTreeSet::new();
            all.retain(|w: &Wish| seen.insert(w.place.clone()));
            all
        })
    }

    fn apply(mut all: Vec<Running>, steps: &[Step], generation: u64) -> Vec<Running> {
        for step in steps {
            let (Step::SwapChain { interface, hook, .. } | Step::DetachChain { interface, hook }) =
                step;
            all.retain(|r| (&r.chain.interface, r.chain.hook) != (interface, *hook));
            if let Step::SwapChain { members, how, .. } = step {
                let (interface, members) = (interface.clone(), members.clone());
                let chain = ObservedChain { interface, hook: *hook, members, how: *how };
                all.push(Running { chain, generation });
            }
        }
        all
    }

    proptest! {
        #[test]
        fn deciding_again_after_the_steps_does_nothing(
            wishes in any_wishes(), before in any_running(), newest in 1u64..3,
        ) {
            let case = Case { wishes, running: before, newest, ..Case::default() };
            let first = case.decide();
            let running = apply(case.running.clone(), &first.steps, newest);
            let again = Case { running, ..case }.decide();
            prop_assert_eq!(again.steps, vec![]);
        }

        #[test]
        fn no_chain_goes_away_unless_a_known_policy_stopped_wanting_it(
            wishes in any_wishes(), before in any_running(), newest in 1u64..3,
        ) {
            let case = Case { wishes, running: before, newest, ..Case::default() };
            for step in case.decide().steps {
                let Step::DetachChain { interface, hook } = step else { continue };
                let gone = Place { interface, hook };
                prop_assert!(!case.wishes.iter().any(|w| w.place == gone));
                let was = case.running.iter().find(|r| place_of(&r.chain) == gone).unwrap();
                prop_assert!(was.generation <= newest);
                prop_assert!(was.chain.members.iter().all(|m| case.known.contains(&m.policy)));
            }
        }
    }
}
