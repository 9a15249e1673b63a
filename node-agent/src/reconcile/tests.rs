//! What the pure half of the agent promises, as cases and as properties.

use super::*;
use proptest::prelude::*;

mod deciding;

fn digest(text: &str) -> Digest {
    Digest::of(text.as_bytes())
}

fn name(text: &str) -> PolicyName {
    text.parse().unwrap()
}

fn state(generation: u64, policies: &[&str]) -> DesiredState {
    let policies: Vec<String> = policies.iter().map(|p| (*p).to_owned()).collect();
    let digest = DesiredState::digest_of(&policies);
    let (assignment, notices) = (None, None);
    DesiredState { generation: Generation(generation), digest, policies, assignment, notices }
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
