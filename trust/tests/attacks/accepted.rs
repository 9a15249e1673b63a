//! What must be accepted, and what an accepted package says of itself.

use skep_artifact::{Hook, SecretKey};
use skep_trust::{LocallyTrusted, VerifiedObject};

use crate::world::{NOW, OBJECT, World, key, policy_text};

#[test]
fn an_accepted_package_says_what_it_is_and_who_signed() {
    let package = World::good().verify().unwrap();
    assert_eq!(package.name().to_string(), "acme/limiter");
    assert_eq!(
        (package.version().to_string(), package.release(), package.role_version()),
        ("1.4.2".to_owned(), 9, 5)
    );
    assert_eq!(package.signed_by(), [key(1).public().key_id()]);
    let object: VerifiedObject = package.object("x86_64").unwrap();
    assert_eq!(object.bytes(), *OBJECT);
    assert_eq!(object.package(), package.name());
    assert_eq!(object.index_digest(), package.index_digest());
    assert!(object.facts().program("xdp_limiter").is_some());
    assert!(package.object("arm64").is_some());
    assert!(package.object("s390x").is_none());
    assert!(package.object("vax").is_none());
}

#[test]
fn a_package_runs_only_on_the_hooks_it_offers_and_the_policy_allows() {
    let mut world = World::good();
    world.policy = world.policy.replace(", \"tc-egress\"", ", \"tc-ingress\"");
    let package = world.verify().unwrap();
    assert_eq!(package.permit(Hook::Xdp), Ok(()));
    assert_eq!(package.object("x86_64").unwrap().hooks(), [Hook::Xdp]);
    for hook in [Hook::TcEgress, Hook::TcIngress] {
        assert_eq!(package.permit(hook).unwrap_err().code(), "package.hook_not_allowed");
    }
}

#[test]
fn enough_signatures_among_strangers_are_enough() {
    let mut world = World::good();
    world.policy = policy_text(&[1, 2], 2);
    let signed = world.signed();
    world.sign(&signed, &[9, 2, 1]);
    assert_eq!(world.verify().unwrap().signed_by().len(), 2);
}

#[test]
fn floors_rise_with_what_was_accepted_and_never_fall() {
    let mut world = World::good();
    world.forge(|signed| signed["version"] = 6.into());
    let newer = world.verify().unwrap();
    let raised = world.floors.raise(&newer);
    assert_eq!(raised.roles[newer.name().namespace()], 6);
    let older = World::good().verify().unwrap();
    assert_eq!(raised.raise(&older), raised);
    let json = serde_json::to_string(&raised).unwrap();
    assert_eq!(serde_json::from_str::<skep_trust::Floors>(&json).unwrap(), raised);
}

#[test]
fn what_was_accepted_before_its_role_expired_is_realised_again() {
    let mut world = World::good();
    world.now = 1_900_000_000;
    assert_eq!(
        world.verify().map_err(|refusal| refusal.code()).err(),
        Some("package.role_expired")
    );
    world.now = NOW;
    assert!(world.verify().is_ok(), "the caller passes the time of first acceptance");
}

#[test]
fn a_refusal_speaks_in_the_voice_of_the_design() {
    let mut world = World::good();
    let signed = world.signed();
    world.sign(&signed, &[9]);
    let id = SecretKey::from_seed([9; 32]).public().key_id();
    assert_eq!(
        world.verify().unwrap_err().to_string(),
        format!(
            "Refused: acme/limiter 1.4.2 is signed by key {}, which the node policy does not accept for acme/*. \
             Add the key to the node policy, or ask the publisher.",
            id.short()
        )
    );
}

#[test]
fn local_objects_need_consent_and_still_must_be_objects() {
    let object = LocallyTrusted::by_explicit_consent(OBJECT.clone()).unwrap();
    assert_eq!(object.bytes(), *OBJECT);
    assert!(object.facts().map("counters").is_some());
    assert!(LocallyTrusted::by_explicit_consent(b"#!/bin/sh".to_vec()).is_err());
}
