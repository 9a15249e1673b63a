//! Enrolment, desired state, long polls, reports.

use crate::world::{Package, Publisher, World, eventually, refusal};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use skep_api::client::Client;
use skep_api::v1::nodes::{CreateNodeToken, EnrolRequest, NodeFacts, NodeState, Refused};
use skep_api::v1::policies::ApplyRequest;
use skep_api::v1::sync::{DesiredState, Have, Report, SyncRequest};
use skep_artifact::dsse::{self, POLICY_PAYLOAD_TYPE};
use skep_artifact::hook::{Failure, Hook, Mode, VerdictSet};
use skep_artifact::key::SecretKey;
use skep_fleet::policy::{Attach, InterfaceMatch, PinnedProgram, PolicyRevision};
use skep_fleet::selector::{Labels, Selector};
use std::time::Duration;

const ROLE: &str = "role";

pub(crate) fn revision(name: &str, number: u64, role: &str, package: &Package) -> PolicyRevision {
    PolicyRevision {
        name: name.parse().unwrap(),
        revision: number,
        removed: false,
        nodes: Selector::label(ROLE, role),
        attach: Attach::on(InterfaceMatch { patterns: vec!["eth*".to_owned()] }, Hook::Xdp),
        programs: vec![PinnedProgram {
            name: "guard".parse().unwrap(),
            package: package.name.clone(),
            version: package.version.clone(),
            index: package.index(),
            program: "pass_all".to_owned(),
            priority: 50,
            proceed_on: VerdictSet::default_for(Hook::Xdp),
            mode: Mode::Enforce,
            failure: Failure::Closed,
            config: Default::default(),
        }],
        fallback: None,
        rollout: None,
        approval: None,
    }
}

pub(crate) fn signed(revision: &PolicyRevision) -> ApplyRequest {
    let operator = SecretKey::from_seed([3; 32]);
    let payload = revision.to_json().unwrap();
    let envelope = dsse::sign(POLICY_PAYLOAD_TYPE, &payload, &[operator]).unwrap();
    ApplyRequest { envelope: BASE64.encode(envelope) }
}

async fn node_token(world: &World, role: &str, uses: u32) -> String {
    let labels = Labels::from([(ROLE.to_owned(), role.to_owned())]);
    let wish = CreateNodeToken { labels, uses, valid_secs: 600 };
    world.admin().create_node_token(&wish).await.unwrap().secret
}

pub(crate) fn enrolment(token: &str, name: &str, instance: u8) -> EnrolRequest {
    EnrolRequest {
        token: token.to_owned(),
        name: name.parse().unwrap(),
        labels: Labels::from([(ROLE.to_owned(), "own".to_owned()), ("zone".into(), "a".into())]),
        instance: hex::encode([instance; 32]),
    }
}

pub(crate) async fn enrolled(world: &World, name: &str, role: &str) -> Client {
    let token = node_token(world, role, 1).await;
    let answer = world.anonymous().enrol(&enrolment(&token, name, 1)).await.unwrap();
    world.client(Some(&answer.credential))
}

pub(crate) async fn now(node: &Client) -> DesiredState {
    let wish = SyncRequest { have: None, wait_secs: 0, notices: None };
    let desired = node.sync(&wish).await.unwrap().unwrap();
    // Signed anew with every answer.
    DesiredState { assignment: None, ..desired }
}

pub(crate) fn have(desired: &DesiredState) -> Have {
    Have { generation: desired.generation, digest: desired.digest }
}

async fn package(world: &World) -> Package {
    let publisher = Publisher::new(world, "acme").await;
    let package = Package::new("acme/pass", "1.0.0");
    publisher.publish(&package).await.unwrap();
    package
}

#[tokio::test]
async fn a_tokens_labels_win_and_its_uses_run_out() {
    let world = World::start().await;
    let token = node_token(&world, "edge", 1).await;
    let anyone = world.anonymous();
    let first = anyone.enrol(&enrolment(&token, "edge-1", 1)).await.unwrap();
    assert_eq!(first.labels[ROLE], "edge");
    assert_eq!(first.labels["zone"], "a");
    let refused = refusal(anyone.enrol(&enrolment(&token, "edge-2", 2)).await);
    assert_eq!(refused, (403, "node.token_refused".into()));
    // The same host again: its answer may have been lost. A fresh credential, no use.
    let again = anyone.enrol(&enrolment(&token, "edge-1", 1)).await.unwrap();
    assert_ne!(again.credential, first.credential);
    now(&world.client(Some(&again.credential))).await;
    let old = world.client(Some(&first.credential));
    let refused = refusal(old.sync(&SyncRequest { have: None, wait_secs: 0, notices: None }).await);
    assert_eq!(refused.0, 401);
    // Another host under the same name.
    let token = node_token(&world, "edge", 5).await;
    let refused = refusal(anyone.enrol(&enrolment(&token, "edge-1", 9)).await);
    assert_eq!(refused, (409, "node.name_taken".into()));
    let refused = refusal(anyone.enrol(&enrolment("skepn_00", "edge-3", 3)).await);
    assert_eq!(refused, (403, "node.token_refused".into()));
}

#[tokio::test]
async fn a_parked_poll_is_woken_by_a_policy_for_its_labels_and_by_no_other() {
    let world = World::start().await;
    let package = package(&world).await;
    let (edge, core) =
        (enrolled(&world, "edge-1", "edge").await, enrolled(&world, "core-1", "core").await);
    let (edge_has, core_has) = (now(&edge).await, now(&core).await);
    assert!(edge_has.policies.is_empty());

    let parked = |client: Client, have: Have| {
        tokio::spawn(async move {
            client.sync(&SyncRequest { have: Some(have), wait_secs: 60, notices: None }).await
        })
    };
    let edge_poll = parked(edge.clone(), have(&edge_has));
    let core_poll = parked(core.clone(), have(&core_has));
    eventually("both polls are parked", async || {
        let nodes = world.admin().nodes().await.unwrap().nodes;
        nodes.iter().all(|node| node.last_seen_at.is_some()).then_some(())
    })
    .await;

    let receipt =
        world.admin().apply(&signed(&revision("guard", 1, "edge", &package))).await.unwrap();
    assert_eq!(receipt.nodes, ["edge-1"]);
    let woken = tokio::time::timeout(Duration::from_secs(10), edge_poll).await.unwrap();
    let desired = woken.unwrap().unwrap().unwrap();
    assert_eq!(desired.generation.0, edge_has.generation.0 + 1);
    assert_eq!(desired.digest, DesiredState::digest_of(&desired.policies));
    assert_eq!(desired.policies, [signed(&revision("guard", 1, "edge", &package)).envelope]);
    assert!(!core_poll.is_finished());
    core_poll.abort();
    assert_eq!(now(&core).await, core_has);
}

#[tokio::test]
async fn a_poll_ends_with_nothing_when_nothing_changes() {
    let world = World::start().await;
    let node = enrolled(&world, "edge-1", "edge").await;
    let has = now(&node).await;
    let answer = node
        .sync(&SyncRequest { have: Some(have(&has)), wait_secs: 1, notices: None })
        .await
        .unwrap();
    assert_eq!(answer, None);
    let too_long = SyncRequest { have: None, wait_secs: 100_000, notices: None };
    assert_eq!(refusal(node.sync(&too_long).await).0, 400);
}

#[tokio::test]
async fn revisions_only_grow_and_a_removal_reaches_those_who_had_the_policy() {
    let world = World::start().await;
    let package = package(&world).await;
    let edge = enrolled(&world, "edge-1", "edge").await;
    let admin = world.admin();
    let first = revision("guard", 2, "edge", &package);
    admin.apply(&signed(&first)).await.unwrap();
    // The same bytes again change nothing; other bytes under the same or a lower number are refused.
    assert!(admin.apply(&signed(&first)).await.unwrap().nodes.is_empty());
    let mut other = revision("guard", 2, "core", &package);
    assert_eq!(
        refusal(admin.apply(&signed(&other)).await),
        (409, "policy.revision_not_newer".into())
    );
    other.revision = 1;
    assert_eq!(
        refusal(admin.apply(&signed(&other)).await),
        (409, "policy.revision_not_newer".into())
    );
    let before = now(&edge).await;

    // Moved to other nodes: who had it hears so from the operator's signature.
    let moved = revision("guard", 3, "core", &package);
    let receipt = admin.apply(&signed(&moved)).await.unwrap();
    assert_eq!(receipt.nodes, ["edge-1"]);
    let after = now(&edge).await;
    assert_eq!(after.policies, [signed(&moved).envelope]);
    assert!(after.generation > before.generation);

    let tombstone = moved.tombstone(4);
    admin.apply(&signed(&tombstone)).await.unwrap();
    assert_eq!(now(&edge).await.policies, [signed(&tombstone).envelope]);
    // Whoever never had it does not hear of it.
    let late = enrolled(&world, "edge-2", "edge").await;
    assert!(now(&late).await.policies.is_empty());
    let listed = admin.policies().await.unwrap().policies;
    assert!(listed[0].revision.removed && listed[0].nodes.is_empty());
}

#[tokio::test]
async fn a_policy_that_names_what_is_not_published_or_is_no_policy_is_refused() {
    let world = World::start().await;
    let package = package(&world).await;
    let admin = world.admin();
    let mut absent = revision("guard", 1, "edge", &package);
    absent.programs[0].version = "9.9.9".parse().unwrap();
    assert_eq!(refusal(admin.apply(&signed(&absent)).await), (422, "policy.refused".into()));
    let mut exchanged = revision("guard", 1, "edge", &package);
    exchanged.programs[0].index = package.blobs.manifest_json.digest;
    assert_eq!(refusal(admin.apply(&signed(&exchanged)).await), (422, "policy.refused".into()));
    let key = SecretKey::from_seed([3; 32]);
    let payload = revision("guard", 1, "edge", &package).to_json().unwrap();
    let mistyped = dsse::sign("text/plain", &payload, &[key]).unwrap();
    let request = ApplyRequest { envelope: BASE64.encode(mistyped) };
    assert_eq!(refusal(admin.apply(&request).await), (422, "policy.refused".into()));
    let request = ApplyRequest { envelope: BASE64.encode(b"{}") };
    assert_eq!(refusal(admin.apply(&request).await), (422, "policy.refused".into()));
    let request = ApplyRequest { envelope: "*".to_owned() };
    assert_eq!(refusal(admin.apply(&request).await).0, 400);
}

pub(crate) fn report(
    seen: &DesiredState,
    applied: Option<Have>,
    refusal: Option<Refused>,
) -> Report {
    Report {
        log: None,
        boot_id: "boot".to_owned(),
        seq: 1,
        facts: NodeFacts {
            kernel: "6.18.0".to_owned(),
            arch: "amd64".to_owned(),
            ..Default::default()
        },
        seen: Some(have(seen)),
        applied,
        refusal,
        chains: Vec::new(),
        notes: vec!["a note".to_owned()],
        standing: None,
    }
}

#[tokio::test]
async fn reports_decide_a_nodes_state() {
    let world = World::start().await;
    let package = package(&world).await;
    let node = enrolled(&world, "edge-1", "edge").await;
    let admin = world.admin();
    let state = async || admin.node(&"edge-1".parse().unwrap()).await.unwrap().summary.state;
    assert_eq!(state().await, NodeState::New);
    let first = now(&node).await;
    node.report(&report(&first, Some(have(&first)), None)).await.unwrap();
    assert_eq!(state().await, NodeState::Healthy);
    admin.apply(&signed(&revision("guard", 1, "edge", &package))).await.unwrap();
    assert_eq!(state().await, NodeState::Converging);
    let second = now(&node).await;
    let refused = Refused { code: "package.rollback".to_owned(), message: "No.".to_owned() };
    node.report(&report(&second, Some(have(&first)), Some(refused.clone()))).await.unwrap();
    assert_eq!(state().await, NodeState::Refused);
    let detail = admin.node(&"edge-1".parse().unwrap()).await.unwrap();
    assert_eq!(detail.summary.refusal, Some(refused));
    assert_eq!(detail.notes, ["a note"]);
    node.report(&report(&second, Some(have(&second)), None)).await.unwrap();
    assert_eq!(state().await, NodeState::Healthy);
    let reader =
        world.client(Some(&world.token(skep_api::v1::tokens::Scope::ReadFleet, None).await));
    assert_eq!(reader.nodes().await.unwrap().nodes.len(), 1);
    let refused = refusal(reader.apply(&signed(&revision("x", 1, "edge", &package))).await);
    assert_eq!(refused.0, 403);
}

#[tokio::test]
async fn a_restart_keeps_packages_fleet_and_generations() {
    let world = World::start().await;
    let package = package(&world).await;
    let token = node_token(&world, "edge", 1).await;
    let enrolled = world.anonymous().enrol(&enrolment(&token, "edge-1", 1)).await.unwrap();
    let node = world.client(Some(&enrolled.credential));
    world.admin().apply(&signed(&revision("guard", 1, "edge", &package))).await.unwrap();
    let before = now(&node).await;
    node.report(&report(&before, Some(have(&before)), None)).await.unwrap();
    let parked = {
        let (node, have) = (node.clone(), have(&before));
        tokio::spawn(async move {
            node.sync(&SyncRequest { have: Some(have), wait_secs: 60, notices: None }).await
        })
    };
    eventually("the poll is parked", async || {
        let text = crate::world::get(format!("{}/metrics", world.address)).await.unwrap();
        text.text().await.unwrap().contains("syncs_total 2").then_some(())
    })
    .await;

    let world = world.restart().await;
    // The parked poll was sent away in words, not cut off.
    assert_eq!(refusal(parked.await.unwrap()), (503, "server.overloaded".into()));
    let node = world.client(Some(&enrolled.credential));
    assert_eq!(now(&node).await, before);
    let detail = world.admin().node(&"edge-1".parse().unwrap()).await.unwrap();
    assert_eq!(detail.summary.state, NodeState::Healthy);
    assert_eq!(detail.facts.kernel, "6.18.0");
    world.anonymous().version(&package.name, &package.version).await.unwrap();
    let stale = revision("guard", 1, "core", &package);
    assert_eq!(refusal(world.admin().apply(&signed(&stale)).await).0, 409);
    let next = revision("guard", 2, "edge", &package);
    world.admin().apply(&signed(&next)).await.unwrap();
    assert_eq!(now(&node).await.generation.0, before.generation.0 + 1);
}
