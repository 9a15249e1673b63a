//! The drills that anybody can run with `cargo xtask drill`: every attempt is answered as it must be.

use skep_e2e::drill::{self, Drill};

#[track_caller]
fn every_attempt_holds(drill: Drill, at_least: usize) {
    let attempts = drill::perform(drill).unwrap();
    let table = drill::table(&attempts);
    assert!(attempts.len() >= at_least, "{table}");
    assert!(attempts.iter().all(|attempt| attempt.holds && attempt.kept), "{table}");
}

#[test]
fn a_registry_in_the_wrong_hands_changes_nothing_on_a_node() {
    if !crate::can_run("drills::a_registry_in_the_wrong_hands_changes_nothing_on_a_node") {
        return;
    }
    every_attempt_holds(Drill::OwnedRegistry, 6);
}

#[test]
fn a_controller_in_the_wrong_hands_changes_nothing_on_a_node() {
    if !crate::can_run("drills::a_controller_in_the_wrong_hands_changes_nothing_on_a_node") {
        return;
    }
    every_attempt_holds(Drill::OwnedController, 7);
}
