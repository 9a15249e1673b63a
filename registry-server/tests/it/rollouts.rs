//! Rollouts as operators and nodes meet them: real routes, a real database, and nodes that say what they counted.

use crate::fleet::{now, report, revision, signed};
use crate::rollout_scene::{Agent, CAREFUL, NODES, Scene, guard, offered, payload_of};
use crate::world::{eventually, refusal};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use skep_api::v1::nodes::Refused;
use skep_api::v1::operators::HandIn;
use skep_api::v1::rollouts::{RolloutWish, WishKind};
use skep_api::v1::sync::SyncRequest;
use skep_api::v1::tokens::Scope;
use skep_artifact::digest::Digest;
use skep_artifact::dsse::{self, APPROVAL_PAYLOAD_TYPE};
use skep_artifact::key::SecretKey;
use skep_fleet::policy::ApprovalRule;
use skep_fleet::rollout::Freeze;
use skep_trust::Approval;

#[tokio::test]
async fn a_good_version_goes_to_one_node_and_then_to_all() {
    let scene = Scene::new().await;
    let next = scene.in_waves(2, CAREFUL);
    let digest = Digest::of(&next.to_json().unwrap());
    let receipt = scene.admin.apply(&signed(&next)).await.unwrap();
    assert_eq!((receipt.waves, receipt.nodes.len()), (2, 0));
    let again = scene.admin.apply(&signed(&next)).await.unwrap();
    assert_eq!(again.waves, 2, "an answer may have been lost");
    let (canary, others) = scene.parted(2).await;
    let mut before = Vec::new();
    for other in &others {
        before.push(now(&other.client).await);
    }
    offered(canary, digest).await;
    let policies = scene.admin.policies().await.unwrap().policies;
    assert_eq!((policies[0].revision.revision, policies[0].lowest), (2, Some(1)));
    // Packets are too few to judge by, and nothing passes by itself.
    canary.runs(50, 0).await;
    scene
        .until(2, "the gate waits for packets", |detail| {
            detail.summary.waits_for.contains("only 50 packets")
        })
        .await;
    for (other, before) in others.iter().zip(&before) {
        assert_eq!(now(&other.client).await, *before, "{}", other.name);
    }
    canary.runs(500, 1).await;
    for other in &others {
        other.runs(2000, 0).await;
    }
    for other in &others {
        offered(other, digest).await;
        other.runs(500, 0).await;
    }
    scene.phase(2, "succeeded").await;
    let policies = scene.admin.policies().await.unwrap().policies;
    assert_eq!((policies[0].lowest, policies[0].rolled_back), (None, false));
    // Whoever comes now has what all have.
    offered(&Agent::enrol(&scene.world, "edge-9").await, digest).await;
}

#[tokio::test]
async fn a_bad_version_goes_back_by_itself_and_touches_one_node() {
    let scene = Scene::new().await;
    let next = scene.in_waves(2, CAREFUL);
    let digest = Digest::of(&next.to_json().unwrap());
    scene.admin.apply(&signed(&next)).await.unwrap();
    let (canary, others) = scene.parted(2).await;
    let mut before = Vec::new();
    for other in &others {
        other.runs(2000, 0).await;
        before.push(now(&other.client).await);
    }
    let forward = offered(canary, digest).await;
    canary.runs(500, 100).await;
    for other in &others {
        other.runs(3000, 0).await;
    }
    scene.phase(2, "rolling back").await;
    let back = eventually("the canary goes back", async || {
        let desired = now(&canary.client).await;
        (desired.generation > forward.generation).then_some(desired)
    })
    .await;
    // The same envelope, and another choice: what it falls back to.
    assert_eq!(back.digest, forward.digest);
    let wish = SyncRequest { have: None, wait_secs: 0, notices: None };
    let said = canary.client.sync(&wish).await.unwrap().unwrap();
    let assignment = payload_of(&said.assignment.unwrap());
    let assignment: serde_json::Value = serde_json::from_slice(&assignment).unwrap();
    assert_eq!(assignment["fallback"], serde_json::json!([digest.to_string()]));
    canary.runs(10, 0).await;
    scene.phase(2, "rolled back").await;
    for (other, before) in others.iter().zip(&before) {
        assert_eq!(now(&other.client).await, *before, "{} was touched", other.name);
    }
    let detail = scene.detail(2).await;
    let failed = detail.evidence.iter().find(|one| one.what == "gate-failed").unwrap();
    let sample = failed.samples.iter().find(|sample| sample.node == canary.name).unwrap();
    assert_eq!((sample.packets, sample.dropped), (500, 100));
    assert_eq!(detail.summary.nodes.reverted, 1);
    let policies = scene.admin.policies().await.unwrap().policies;
    assert!(policies[0].rolled_back);
    assert_eq!(policies[0].lowest, Some(1));
    // The same content under another number stands still before it reaches anybody.
    scene.admin.apply(&signed(&scene.in_waves(3, CAREFUL))).await.unwrap();
    scene
        .until(3, "what is known to be bad stands still", |detail| {
            detail.summary.phase == "paused"
                && detail.summary.waits_for.contains("rolled back before")
        })
        .await;
    assert_eq!(scene.wish(3, WishKind::Resume).await.unwrap_err().0, 409);
    scene.wish(3, WishKind::BreakGlass).await.unwrap();
    scene.wish(3, WishKind::Resume).await.unwrap();
    let (again, _) = scene.parted(3).await;
    offered(again, Digest::of(&scene.in_waves(3, CAREFUL).to_json().unwrap())).await;
}

#[tokio::test]
async fn operators_stop_and_steer_a_rollout_and_wishes_that_mean_nothing_are_refused() {
    let scene = Scene::new().await;
    scene.admin.apply(&signed(&scene.in_waves(2, CAREFUL))).await.unwrap();
    let digest = Digest::of(&scene.in_waves(2, CAREFUL).to_json().unwrap());
    let (canary, others) = scene.parted(2).await;
    offered(canary, digest).await;
    let refused = scene.wish(2, WishKind::Retry).await.unwrap_err();
    assert_eq!(refused, (409, "rollout.not_now".to_owned()));
    assert_eq!(scene.wish(7, WishKind::Pause).await.unwrap_err().0, 404);
    assert_eq!(scene.wish(2, WishKind::Pause).await.unwrap().summary.phase, "paused");
    assert_eq!(scene.wish(2, WishKind::Pause).await.unwrap_err().0, 409);
    // A node that refuses what it was offered, and then tries once more.
    let desired = now(&canary.client).await;
    let no = Refused { code: "package.refused".to_owned(), message: "No.".to_owned() };
    canary.client.report(&report(&desired, None, Some(no))).await.unwrap();
    scene
        .until(2, "the node failed", |detail| {
            detail.targets.iter().any(|target| target.state == "failed")
        })
        .await;
    scene.wish(2, WishKind::Retry).await.unwrap();
    eventually("it is asked once more", async || {
        (now(&canary.client).await.generation > desired.generation).then_some(())
    })
    .await;
    canary.runs(500, 0).await;
    scene.until(2, "the canary runs it", |detail| detail.summary.nodes.applied == 1).await;
    scene.wish(2, WishKind::Promote).await.unwrap();
    for other in &others {
        offered(other, digest).await;
    }
    let detail = scene.wish(2, WishKind::Rollback).await.unwrap();
    assert_eq!(detail.summary.phase, "rolling back");
    for agent in &scene.agents {
        agent.runs(10, 0).await;
    }
    scene.phase(2, "rolled back").await;
    let reader = scene.world.token(Scope::ReadFleet, None).await;
    let reader = scene.world.client(Some(&reader));
    assert_eq!(reader.rollouts().await.unwrap().rollouts.len(), 1);
    let wish = RolloutWish { wish: WishKind::Cancel, why: String::new() };
    assert_eq!(refusal(reader.wish_of_rollout(&guard(), 2, &wish).await).0, 403);
}

#[tokio::test]
async fn a_restart_in_the_middle_of_a_rollout_goes_on_where_it_stood() {
    let scene = Scene::new().await;
    let next = scene.in_waves(2, CAREFUL);
    let digest = Digest::of(&next.to_json().unwrap());
    scene.admin.apply(&signed(&next)).await.unwrap();
    let (canary, _) = scene.parted(2).await;
    offered(canary, digest).await;
    canary.runs(500, 0).await;
    scene.until(2, "the canary runs it", |detail| detail.summary.nodes.applied == 1).await;
    let before = scene.detail(2).await;
    let scene = scene.restarted().await;
    let after = scene.detail(2).await;
    assert_eq!(
        (after.hash, after.waves, after.targets),
        (before.hash, before.waves, before.targets)
    );
    let (_, others) = scene.parted(2).await;
    // What was counted before this server began is no reference; what is counted from now on is.
    let mut packets = 5000;
    eventually("the second wave begins", async || {
        packets += 1000;
        for other in &others {
            other.runs(packets, 0).await;
        }
        (scene.detail(2).await.summary.wave.as_deref() == Some("wave-2")).then_some(())
    })
    .await;
    for other in &others {
        offered(other, digest).await;
        other.runs(500, 0).await;
    }
    scene.phase(2, "succeeded").await;
}

#[tokio::test]
async fn a_freeze_holds_a_rollout_back_and_a_wave_waits_for_its_approvals() {
    let scene = Scene::new().await;
    let freeze = |name: &str, until: &str| -> Freeze {
        let text = format!(
            r#"{{"kind":"Freeze","name":"{name}","from":"2026-01-01T00:00:00Z","until":"{until}","reason":"holidays"}}"#
        );
        serde_json::from_str(&text).unwrap()
    };
    scene.admin.set_freeze(&freeze("winter", "2096-01-01T00:00:00Z")).await.unwrap();
    assert_eq!(scene.admin.freezes().await.unwrap().freezes.len(), 1);
    let wrong = freeze("wrong", "2025-01-01T00:00:00Z");
    assert_eq!(refusal(scene.admin.set_freeze(&wrong).await).0, 400);
    let mut next = scene.in_waves(2, CAREFUL);
    next.approval = Some(ApprovalRule { before: vec!["canary".to_owned()], by: 1 });
    let digest = Digest::of(&next.to_json().unwrap());
    scene.admin.apply(&signed(&next)).await.unwrap();
    scene.phase(2, "awaiting approval").await;
    let (canary, _) = scene.parted(2).await;
    let approval = Approval { policy: "guard".into(), revision: digest, wave: "canary".into() };
    let payload = serde_json::to_vec(&approval).unwrap();
    let operator = SecretKey::from_seed([3; 32]);
    let envelope = dsse::sign(APPROVAL_PAYLOAD_TYPE, &payload, &[operator]).unwrap();
    scene.admin.approve(&HandIn { envelope: BASE64.encode(envelope) }).await.unwrap();
    scene
        .until(2, "the freeze holds it", |detail| {
            detail.summary.waits_for.contains("the freeze winter")
        })
        .await;
    assert_eq!(scene.detail(2).await.summary.nodes.waiting, NODES.len());
    scene.admin.remove_freeze("winter").await.unwrap();
    assert_eq!(refusal(scene.admin.remove_freeze("winter").await).0, 404);
    offered(canary, digest).await;
    scene.wish(2, WishKind::Cancel).await.unwrap();
    scene.phase(2, "cancelled").await;
}

#[tokio::test]
async fn a_newer_revision_takes_over_and_a_removal_ends_the_rollout() {
    let scene = Scene::new().await;
    scene.admin.apply(&signed(&scene.in_waves(2, CAREFUL))).await.unwrap();
    let (canary, others) = scene.parted(2).await;
    offered(canary, Digest::of(&scene.in_waves(2, CAREFUL).to_json().unwrap())).await;
    let mut third = scene.in_waves(3, CAREFUL);
    third.programs[0].priority = 70;
    scene.admin.apply(&signed(&third)).await.unwrap();
    scene.phase(2, "superseded").await;
    let (next, _) = scene.parted(3).await;
    offered(next, Digest::of(&third.to_json().unwrap())).await;
    for other in others.iter().filter(|other| other.name != next.name) {
        let first = Digest::of(&revision("guard", 1, "edge", &scene.package).to_json().unwrap());
        offered(other, first).await;
    }
    let gone = third.tombstone(4);
    let digest = Digest::of(&gone.to_json().unwrap());
    scene.admin.apply(&signed(&gone)).await.unwrap();
    scene.phase(3, "superseded").await;
    for agent in &scene.agents {
        offered(agent, digest).await;
    }
}
