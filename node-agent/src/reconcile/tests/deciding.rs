//! What is decided from what is wanted and what runs, as cases and as properties.

use super::*;
use skep_artifact::hook::{Failure as OnFailure, Hook, Mode, VerdictSet};
use skep_fleet::{How, ObservedMember};

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
    WantedChain { interface: interface.to_owned(), hook: Hook::Xdp, members, how: How::default() }
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
    Case { wishes: vec![wish(wanted.clone())], running: vec![running(wanted)], ..Case::default() }
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
        let wish = Wish { place: place("eth0"), wanted, fallback: Some(chain("eth0", "fw", 1)) };
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
    let one = (any_chain(), 1u64..3).prop_map(|(chain, generation)| Running { chain, generation });
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
