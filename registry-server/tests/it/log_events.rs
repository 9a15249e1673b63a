//! Everything that decides what runs is in the log: what becomes of packages, who signs, what operators and publishers say.
//! What was refused, or was so already, is not.

use crate::fleet::{revision, signed as signed_revision};
use crate::log::whole_log;
use crate::trust::{ceremony, delegate};
use crate::world::{Package, Publisher, World};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Serialize;
use skep_api::v1::life::{Deprecation, Reason};
use skep_api::v1::operators::HandIn;
use skep_artifact::digest::Digest;
use skep_artifact::dsse::{
    self, APPROVAL_PAYLOAD_TYPE, REVOCATION_LIFT_PAYLOAD_TYPE, REVOCATION_PAYLOAD_TYPE,
    SET_PAYLOAD_TYPE,
};
use skep_artifact::key::SecretKey;
use skep_artifact::log::Event;
use skep_artifact::role::Role;
use skep_trust::{Approval, Lift, PolicySet, Revocation, Severity};

/// Events of a world since some number of entries.
async fn since(world: &World, entries: usize) -> Vec<Event> {
    let (_, all) = whole_log(&world.anonymous()).await;
    all.into_iter().skip(entries).map(|entry| entry.event).collect()
}

fn sealed(kind: &str, payload: &impl Serialize) -> (HandIn, Digest) {
    let payload = skep_artifact::json::canonical(payload).unwrap();
    let envelope = dsse::sign(kind, &payload, &[SecretKey::from_seed([3; 32])]).unwrap();
    (HandIn { envelope: BASE64.encode(&envelope) }, Digest::of(&payload))
}

fn envelope_digest(envelope: &str) -> Digest {
    Digest::of(&BASE64.decode(envelope).unwrap())
}

#[tokio::test]
async fn what_becomes_of_a_package_is_logged_once_each_time_it_changes() {
    let world = World::start().await;
    let publisher = Publisher::new(&world, "acme").await;
    let (package, next) = (Package::new("acme/pass", "1.0.0"), Package::new("acme/pass", "1.1.0"));
    publisher.publish(&package).await.unwrap();
    publisher.publish(&next).await.unwrap();
    let before = whole_log(&world.anonymous()).await.1.len();
    let (client, name, version) = (&publisher.client, &package.name, &package.version);
    let why = |message: &str| Reason { message: message.to_owned() };
    let advice = Deprecation { message: "Use pass2.".to_owned(), replacement: None };
    client.yank(name, version, &why("Counts twice.")).await.unwrap();
    // The same again is no news, and neither is what was refused.
    client.yank(name, version, &why("Counts twice.")).await.unwrap();
    client.yank(name, version, &why("")).await.unwrap_err();
    client.yank(name, &"9.9.9".parse().unwrap(), &why("No.")).await.unwrap_err();
    client.unyank(name, version).await.unwrap();
    client.deprecate(name, Some(version), &advice).await.unwrap();
    client.deprecate(name, None, &advice).await.unwrap();
    client.undeprecate(name, None).await.unwrap();
    world.admin().tombstone(name, &why("Never mind.")).await.unwrap();
    let yank = |yanked, reason: &str| Event::Yank {
        package: name.clone(),
        version: version.clone(),
        index: package.index(),
        yanked,
        reason: reason.to_owned(),
    };
    let deprecate = |version, message: &str| Event::Deprecate {
        package: name.clone(),
        version,
        message: message.to_owned(),
    };
    let expected = [
        yank(true, "Counts twice."),
        yank(false, ""),
        deprecate(Some(version.clone()), "Use pass2."),
        deprecate(None, "Use pass2."),
        deprecate(None, ""),
        Event::Tombstone { package: name.clone(), message: "Never mind.".to_owned() },
    ];
    assert_eq!(since(&world, before).await, expected);
}

#[tokio::test]
async fn whose_keys_sign_is_logged_with_the_documents_that_say_so() {
    let world = World::start().await;
    let (admin, anyone) = (world.admin(), world.anonymous());
    let publisher = Publisher::new(&world, "acme").await;
    publisher.publish(&Package::new("acme/pass", "1.0.0")).await.unwrap();
    let before = whole_log(&anyone).await.1.len();
    ceremony(&admin).await;
    delegate(&admin, 2, &[("acme", &[7])]).await;
    delegate(&admin, 3, &[("acme", &[7]), ("newcomer", &[8])]).await;
    let name = "acme".parse().unwrap();
    let old = anyone.role(&name, 1 << 20).await.unwrap().unwrap();
    let next = Role::read_unverified(&old, &name).unwrap().next("2036-01-01T00:00:00Z").unwrap();
    let role = next.sign(&[SecretKey::from_seed([7; 32])]).unwrap();
    admin.put_role(&name, role.clone()).await.unwrap();
    // What the keepers did not sign changed nothing.
    admin.put_trust("targets", b"{}".to_vec()).await.unwrap_err();
    admin.put_role(&name, role.clone()).await.unwrap_err();

    let mut expected = Vec::new();
    for (role, version, new) in [
        ("root", 1, None),
        ("targets", 1, None),
        ("targets", 2, Some(("acme", 7))),
        ("targets", 3, Some(("newcomer", 8))),
    ] {
        let file = format!("{version}.{role}.json");
        let document = Digest::of(&anyone.tuf_file(&file, 1 << 20).await.unwrap().unwrap());
        let role = role.to_owned();
        expected.push(Event::Trust { role, namespace: None, version, document });
        expected.extend(new.map(|(namespace, seed)| Event::Delegation {
            namespace: namespace.parse().unwrap(),
            keys: vec![SecretKey::from_seed([seed; 32]).public()],
            threshold: 1,
            document: Some(document),
        }));
    }
    expected.push(Event::Trust {
        role: "acme".to_owned(),
        namespace: Some(name),
        version: 2,
        document: Digest::of(&role),
    });
    assert_eq!(since(&world, before).await, expected);
}

#[tokio::test]
async fn what_operators_and_publishers_sign_is_logged_by_its_digest() {
    let world = World::start().await;
    let admin = world.admin();
    let publisher = Publisher::new(&world, "acme").await;
    let package = Package::new("acme/pass", "1.0.0");
    publisher.publish(&package).await.unwrap();
    let before = whole_log(&world.anonymous()).await.1.len();

    let policy = signed_revision(&revision("guard", 4, "edge", &package));
    admin.apply(&policy).await.unwrap();
    admin.apply(&policy).await.unwrap();
    let set = |epoch, version| {
        let set = PolicySet {
            environment: "prod".to_owned(),
            epoch,
            version,
            policies: [("guard".to_owned(), 4)].into(),
            nodes: Default::default(),
        };
        sealed(SET_PAYLOAD_TYPE, &set).0
    };
    let sets = [set(1, 1), set(1, 2), set(3, 1)];
    for set in &sets {
        admin.hand_in_set(set).await.unwrap();
    }
    admin.hand_in_set(&set(2, 9)).await.unwrap_err();
    let payload = revision("guard", 4, "edge", &package).to_json().unwrap();
    let approval = Approval {
        policy: "guard".to_owned(),
        revision: Digest::of(&payload),
        wave: "canary".to_owned(),
    };
    let (approval, _) = sealed(APPROVAL_PAYLOAD_TYPE, &approval);
    admin.approve(&approval).await.unwrap();
    admin.approve(&approval).await.unwrap();
    let revocation = Revocation {
        package: package.name.clone(),
        versions: [package.version.clone()].into(),
        digests: [package.index()].into(),
        reason: "lets IPv6 pass".to_owned(),
        severity: Severity::High,
        issued_at: 1,
    };
    let (revocation, revoked) = sealed(REVOCATION_PAYLOAD_TYPE, &revocation);
    admin.revoke(&revocation).await.unwrap();
    admin.revoke(&revocation).await.unwrap();
    let lift = Lift {
        package: package.name.clone(),
        revocation: revoked,
        reason: "it was another".to_owned(),
        issued_at: 2,
    };
    let (lift, lifted) = sealed(REVOCATION_LIFT_PAYLOAD_TYPE, &lift);
    admin.revoke(&lift).await.unwrap();

    let said = |what: &str, name: &str, revision, envelope: &str| Event::Policy {
        what: what.to_owned(),
        name: name.to_owned(),
        revision,
        envelope: envelope_digest(envelope),
    };
    let revoke = |versions, digests, lifts, document, reason: &str| Event::Revoke {
        package: package.name.clone(),
        versions,
        digests,
        lifts,
        document,
        reason: reason.to_owned(),
    };
    let expected = [
        said("revision", "guard", 4, &policy.envelope),
        said("set", "prod", 1, &sets[0].envelope),
        said("set", "prod", 2, &sets[1].envelope),
        said("set", "prod", 1, &sets[2].envelope),
        said("epoch", "prod", 3, &sets[2].envelope),
        said("approval", "guard", 4, &approval.envelope),
        revoke(
            vec![package.version.clone()],
            vec![package.index()],
            None,
            revoked,
            "lets IPv6 pass",
        ),
        revoke(Vec::new(), Vec::new(), Some(revoked), lifted, "it was another"),
    ];
    assert_eq!(since(&world, before).await, expected);
}

#[tokio::test]
async fn who_may_publish_a_package_may_revoke_it_with_its_keys_and_nothing_else() {
    let world = World::start().await;
    let publisher = Publisher::new(&world, "acme").await;
    let _other = Publisher::new(&world, "other").await;
    let (package, other) =
        (Package::new("acme/pass", "1.0.0"), Package::new("other/pass", "1.0.0"));
    publisher.publish(&package).await.unwrap();
    let revocation = |package: &Package, seed: u8| {
        let revocation = Revocation {
            package: package.name.clone(),
            versions: [package.version.clone()].into(),
            digests: Default::default(),
            reason: "it was bad".to_owned(),
            severity: Severity::High,
            issued_at: 1,
        };
        let payload = skep_artifact::json::canonical(&revocation).unwrap();
        let keys = [SecretKey::from_seed([seed; 32])];
        let envelope = dsse::sign(REVOCATION_PAYLOAD_TYPE, &payload, &keys).unwrap();
        HandIn { envelope: BASE64.encode(envelope) }
    };
    let before = whole_log(&world.anonymous()).await.1.len();
    let client = &publisher.client;
    // Signed by somebody else, or of another's package.
    let refused = crate::world::refusal(client.revoke(&revocation(&package, 3)).await);
    assert_eq!(refused, (422, "document.refused".to_owned()));
    assert_eq!(crate::world::refusal(client.revoke(&revocation(&other, 7)).await).0, 403);
    let policy = signed_revision(&revision("guard", 1, "edge", &package)).envelope;
    let no_revocation = client.revoke(&HandIn { envelope: policy }).await;
    assert_eq!(crate::world::refusal(no_revocation).0, 422);
    let reader = world.token(skep_api::v1::tokens::Scope::ReadFleet, None).await;
    let reader = world.client(Some(&reader));
    assert_eq!(crate::world::refusal(reader.revoke(&revocation(&package, 7)).await).0, 403);
    assert_eq!(since(&world, before).await, []);

    let told = client.revoke(&revocation(&package, 7)).await.unwrap();
    assert_eq!((told.package.as_str(), told.revoked_by.as_str()), ("acme/pass", "test"));
    assert_eq!(since(&world, before).await.len(), 1);
}
