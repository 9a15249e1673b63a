//! What an owned server may try with sets, assignments, approvals and revocations: each attempt is named, and what runs is kept.

use crate::host::{Host, NOW, converge, pass};
use crate::signed::{Code, DROP, PASS, Published, Publisher, policy, revised, state, trusting};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use skep_api::v1::operators::Notices;
use skep_api::v1::sync::DesiredState;
use skep_artifact::digest::Digest;
use skep_artifact::dsse::{
    self, APPROVAL_PAYLOAD_TYPE, ASSIGNMENT_PAYLOAD_TYPE, REVOCATION_PAYLOAD_TYPE, SET_PAYLOAD_TYPE,
};
use skep_artifact::hook::Hook;
use skep_artifact::key::SecretKey;
use skep_fleet::PolicyRevision;
use skep_fleet::policy::{ApprovalRule, Fallback};
use skep_node_agent::node::Node;
use skep_trust::{Approval, Assignment, PolicySet, Revocation, Severity};

const OPERATOR: u8 = 2;
const SERVER: u8 = 5;

fn sealed(payload_type: &str, document: &impl Serialize, seed: u8) -> String {
    let payload = serde_json::to_vec(document).unwrap();
    let keys = [SecretKey::from_seed([seed; 32])];
    STANDARD.encode(dsse::sign(payload_type, &payload, &keys).unwrap())
}

pub(crate) fn payload_of(revision: &PolicyRevision) -> Digest {
    Digest::of(&revision.to_json().unwrap())
}

fn set(epoch: u64, version: u64, policies: &[(&str, u64)]) -> PolicySet {
    let policies = policies.iter().map(|(name, lowest)| ((*name).to_owned(), *lowest)).collect();
    PolicySet { environment: "prod".into(), epoch, version, policies, nodes: Default::default() }
}

/// What a server says beside a state.
#[derive(Default)]
pub(crate) struct Beside {
    set: Option<PolicySet>,
    approvals: Vec<String>,
    revocations: Vec<String>,
}

impl Beside {
    fn notices(&self) -> Notices {
        let set = self.set.as_ref().map(|set| sealed(SET_PAYLOAD_TYPE, set, OPERATOR));
        let digest = Notices::digest_of(set.as_deref(), &self.approvals);
        let revocations = self.revocations.clone();
        let revocations_in_all = revocations.len() as u64;
        let approvals = self.approvals.clone();
        Notices { digest, set, approvals, revocations, revocations_in_all }
    }
}

/// A state with all a server signs, changed before it is signed.
pub(crate) fn assigned(
    generation: u64,
    policies: &[&PolicyRevision],
    beside: &Beside,
    change: impl FnOnce(&mut Assignment),
) -> DesiredState {
    let mut assignment = Assignment {
        node: "edge-1".to_owned(),
        epoch: beside.set.as_ref().map_or(1, |set| set.epoch),
        generation,
        set: beside.set.as_ref().map(|set| set.version),
        revisions: policies.iter().map(|revision| payload_of(revision)).collect(),
        fallback: std::collections::BTreeSet::new(),
        issued_at: NOW - 1,
        expires_at: NOW + 60,
    };
    change(&mut assignment);
    DesiredState {
        assignment: Some(sealed(ASSIGNMENT_PAYLOAD_TYPE, &assignment, SERVER)),
        notices: Some(beside.notices()),
        ..state(generation, policies)
    }
}

pub(crate) struct Running {
    publisher: Publisher,
    pub(crate) answer: Published,
    pub(crate) fw: PolicyRevision,
}

/// A host that follows a signed set and runs revision 1 of policy `fw` at generation 5, answering DROP.
pub(crate) fn with_a_running_policy(
    node_policy: &str,
    test: impl FnOnce(&Host, &mut Node, &mut Running) + Send,
) {
    Host::run(node_policy, |host| {
        let mut publisher = Publisher::new();
        let answer = publisher.publish("1.0.0", Code::Answer);
        let fw = policy("fw", "skep0", vec![answer.member("guard", 10, DROP)]);
        let mut node = host.node();
        let beside = Beside { set: Some(set(1, 3, &[("fw", 1)])), ..Beside::default() };
        node.offer(&assigned(5, &[&fw], &beside, |_| ()), NOW).unwrap();
        publisher.deliver(&answer, &host.cache(), &mut node);
        converge(&mut node);
        test(host, &mut node, &mut Running { publisher, answer, fw });
    });
}

#[track_caller]
pub(crate) fn refused(host: &Host, node: &mut Node, code: &str) {
    let before = host.program_ids();
    pass(node);
    assert_eq!(node.summary().refusal.map(|r| r.code).as_deref(), Some(code));
    assert_eq!(host.program_ids(), before, "what runs must be untouched");
    assert_eq!(host.answers("skep0", Hook::Xdp), Some(DROP));
}

pub(crate) fn same_set() -> Beside {
    Beside { set: Some(set(1, 3, &[("fw", 1)])), ..Beside::default() }
}

#[test]
fn an_assignment_that_does_not_count_changes_nothing_and_is_named() {
    if !crate::can_run("assigned::an_assignment_that_does_not_count_changes_nothing_and_is_named") {
        return;
    }
    with_a_running_policy(&trusting(), |host, node, running| {
        let other = revised(&running.fw, vec![running.answer.member("guard", 10, PASS)]);
        let (beside, stranger) = (same_set(), Digest::of(b"nobody signed this"));
        type Change = fn(&mut Assignment, Digest);
        let cases: [(&str, Change, &str); 6] = [
            ("another node's", |a, _| a.node = "edge-2".into(), "assignment.other_node"),
            ("expired", |a, _| (a.issued_at, a.expires_at) = (NOW - 99, NOW), "assignment.expired"),
            ("too long", |a, _| a.expires_at = NOW + 9999, "assignment.lifetime"),
            ("new epoch", |a, _| a.epoch = 2, "assignment.epoch_not_signed"),
            ("no set", |a, _| a.set = None, "assignment.set_rollback"),
            (
                "unsigned revision",
                |a, stranger| a.revisions = [stranger].into(),
                "assignment.revision_not_signed",
            ),
        ];
        for (name, change, code) in cases {
            node.offer(&assigned(6, &[&other], &beside, |a| change(a, stranger)), NOW).unwrap();
            pass(node);
            let said = node.summary().refusal.unwrap();
            assert_eq!(said.code, code, "{name}: {}", said.message);
            refused(host, node, code);
        }
        let forged = DesiredState {
            assignment: assigned(6, &[&running.fw], &beside, |_| ()).assignment,
            ..assigned(6, &[&other], &beside, |_| ())
        };
        node.offer(&forged, NOW).unwrap();
        refused(host, node, "assignment.revision_not_signed");
        // A server of the release before, or somebody who takes signatures off.
        *node = host.node();
        node.offer(&state(6, &[&other]), NOW).unwrap();
        refused(host, node, "assignment.unsigned");
        node.offer(&assigned(4, &[&other], &beside, |_| ()), NOW).unwrap();
        refused(host, node, "state.rollback");
        node.offer(&assigned(6, &[&other], &beside, |_| ()), NOW).unwrap();
        converge(node);
        assert_eq!(host.answers("skep0", Hook::Xdp), Some(PASS));
    });
}

#[test]
fn a_policy_that_the_set_names_and_the_server_leaves_out_is_reported_and_kept() {
    if !crate::can_run(
        "assigned::a_policy_that_the_set_names_and_the_server_leaves_out_is_reported_and_kept",
    ) {
        return;
    }
    with_a_running_policy(&trusting(), |host, node, running| {
        let beside =
            Beside { set: Some(set(1, 4, &[("fw", 1), ("limits", 1)])), ..Beside::default() };
        node.offer(&assigned(6, &[&running.fw], &beside, |_| ()), NOW).unwrap();
        refused(host, node, "set.policy_left_out");
        assert_eq!(node.summary().standing.left_out, ["limits"]);
        let newer = Beside { set: Some(set(1, 5, &[("fw", 2)])), ..Beside::default() };
        node.offer(&assigned(7, &[&running.fw], &newer, |_| ()), NOW).unwrap();
        refused(host, node, "set.revision_too_low");
        assert_eq!(node.summary().standing.left_out, ["fw"]);
        node.offer(&assigned(8, &[&running.fw], &same_set(), |_| ()), NOW).unwrap();
        refused(host, node, "assignment.set_rollback");
        // For another node's labels nothing is missing here.
        let mut elsewhere = set(1, 6, &[("fw", 1), ("core", 3)]);
        let selector = serde_json::json!({ "matchLabels": { "role": "core" } });
        elsewhere.nodes.insert("core".into(), selector);
        let elsewhere = Beside { set: Some(elsewhere), ..Beside::default() };
        node.offer(&assigned(9, &[&running.fw], &elsewhere, |_| ()), NOW).unwrap();
        converge(node);
    });
}

#[test]
fn only_an_epoch_that_operators_signed_begins_generations_anew() {
    if !crate::can_run("assigned::only_an_epoch_that_operators_signed_begins_generations_anew") {
        return;
    }
    with_a_running_policy(&trusting(), |host, node, running| {
        node.offer(&assigned(2, &[&running.fw], &same_set(), |_| ()), NOW).unwrap();
        refused(host, node, "state.rollback");
        let epoch = Beside { set: Some(set(2, 1, &[("fw", 1)])), ..Beside::default() };
        let second = revised(&running.fw, vec![running.answer.member("guard", 10, PASS)]);
        node.offer(&assigned(2, &[&second], &epoch, |_| ()), NOW).unwrap();
        converge(node);
        assert_eq!(host.answers("skep0", Hook::Xdp), Some(PASS));
        *node = host.node();
        converge(node);
        // The epoch before is over, whatever its numbers.
        node.offer(&assigned(9, &[&second], &same_set(), |_| ()), NOW).unwrap();
        pass(node);
        assert_eq!(node.summary().refusal.unwrap().code, "assignment.epoch_rollback");
        assert_eq!(host.answers("skep0", Hook::Xdp), Some(PASS));
    });
}

fn revocation(answer: &Published, seed: u8) -> String {
    let revocation = Revocation {
        package: answer.needed.package.clone(),
        versions: [answer.needed.version.clone()].into(),
        digests: Default::default(),
        reason: "lets IPv6 pass".into(),
        severity: Severity::Critical,
        issued_at: NOW,
    };
    sealed(REVOCATION_PAYLOAD_TYPE, &revocation, seed)
}

#[test]
fn revoked_content_is_kept_replaced_or_taken_off_as_the_owner_says() {
    if !crate::can_run("assigned::revoked_content_is_kept_replaced_or_taken_off_as_the_owner_says")
    {
        return;
    }
    for (rest, answers) in [
        ("", Some(DROP)),
        ("[on-revoke]\nxdp = \"fallback\"\n", Some(PASS)),
        ("[on-revoke]\nxdp = \"detach\"\n", None),
    ] {
        with_a_running_policy(&format!("{rest}{}", trusting()), |host, node, running| {
            let bad = running.publisher.publish("1.1.0", Code::Answer);
            let old = running.answer.member("guard", 10, PASS);
            let fallback = Some(Fallback { revision: 1, programs: vec![old] });
            let second = PolicyRevision {
                fallback,
                ..revised(&running.fw, vec![bad.member("guard", 10, DROP)])
            };
            node.offer(&assigned(6, &[&second], &same_set(), |_| ()), NOW).unwrap();
            running.publisher.deliver(&bad, &host.cache(), node);
            converge(node);
            let before = host.program_ids();

            let forged = Beside { revocations: vec![revocation(&bad, 9)], ..same_set() };
            node.offer(&assigned(6, &[&second], &forged, |_| ()), NOW).unwrap();
            pass(node);
            assert_eq!(node.summary().refusal.unwrap().code, "revocation.signature_untrusted");
            assert_eq!(host.program_ids(), before);

            // A denial counts, whatever state it comes beside.
            let denied = Beside { revocations: vec![revocation(&bad, OPERATOR)], ..same_set() };
            node.offer(&assigned(1, &[], &denied, |_| ()), NOW).unwrap();
            pass(node);
            assert_eq!(host.answers("skep0", Hook::Xdp), answers, "{rest}");
            node.offer(&assigned(6, &[&second], &same_set(), |_| ()), NOW).unwrap();
            pass(node);
            let refusal = node.summary().refusal.unwrap();
            assert_eq!(refusal.code, "package.revoked", "{}", refusal.message);
            assert_eq!(host.answers("skep0", Hook::Xdp), answers, "{rest}: forgotten");
            // Withheld after a restart, it is still known, and not loaded again after a reboot.
            *node = host.node();
            host.reboot();
            node.offer(&assigned(6, &[&second], &same_set(), |_| ()), NOW).unwrap();
            running.publisher.deliver(&bad, &host.cache(), node);
            pass(node);
            assert_ne!(host.answers("skep0", Hook::Xdp), Some(DROP), "{rest}: realised again");
            assert_eq!(node.summary().refusal.unwrap().code, "package.revoked");
        });
    }
}

#[test]
fn revoked_content_is_never_a_fallback() {
    if !crate::can_run("assigned::revoked_content_is_never_a_fallback") {
        return;
    }
    with_a_running_policy(
        &format!("[on-revoke]\nxdp = \"fallback\"\n{}", trusting()),
        |host, node, running| {
            let newer = running.publisher.publish("1.1.0", Code::Answer);
            let fallback = Some(Fallback {
                revision: 1,
                programs: vec![running.answer.member("guard", 10, PASS)],
            });
            let second = PolicyRevision {
                fallback,
                ..revised(&running.fw, vec![newer.member("guard", 10, DROP)])
            };
            node.offer(&assigned(6, &[&second], &same_set(), |_| ()), NOW).unwrap();
            running.publisher.deliver(&newer, &host.cache(), node);
            converge(node);
            let both = vec![revocation(&running.answer, OPERATOR), revocation(&newer, OPERATOR)];
            let denied = Beside { revocations: both, ..same_set() };
            node.offer(&assigned(6, &[&second], &denied, |_| ()), NOW).unwrap();
            refused(host, node, "package.revoked");
            assert_eq!(node.summary().standing.revoked[0].action, "kept");
        },
    );
}

#[test]
fn what_the_kernel_refuses_falls_back_to_what_the_revision_names() {
    if !crate::can_run("assigned::what_the_kernel_refuses_falls_back_to_what_the_revision_names") {
        return;
    }
    Host::run(&trusting(), |host| {
        let mut publisher = Publisher::new();
        let good = publisher.publish("1.0.0", Code::Answer);
        let reckless = publisher.publish("2.0.0", Code::Reckless);
        let fallback =
            Some(Fallback { revision: 1, programs: vec![good.member("guard", 10, PASS)] });
        let fw = PolicyRevision {
            revision: 2,
            fallback,
            ..policy("fw", "skep0", vec![reckless.member("guard", 10, DROP)])
        };
        let mut node = host.node();
        node.offer(&assigned(1, &[&fw], &Beside::default(), |_| ()), NOW).unwrap();
        publisher.deliver(&good, &host.cache(), &mut node);
        publisher.deliver(&reckless, &host.cache(), &mut node);
        pass(&mut node);
        assert_eq!(node.summary().refusal.unwrap().code, "chain.verifier_refused");
        assert_eq!(host.answers("skep0", Hook::Xdp), Some(PASS));
    });
}

#[test]
fn a_wave_waits_for_its_approvals_and_a_server_cannot_drop_one_later() {
    if !crate::can_run(
        "assigned::a_wave_waits_for_its_approvals_and_a_server_cannot_drop_one_later",
    ) {
        return;
    }
    with_a_running_policy(&trusting(), |host, node, running| {
        let second = PolicyRevision {
            approval: Some(ApprovalRule { before: vec!["canary".into()], by: 1 }),
            ..revised(&running.fw, vec![running.answer.member("guard", 10, PASS)])
        };
        let approval = |wave: &str, revision: &PolicyRevision, seed: u8| {
            let approval =
                Approval { policy: "fw".into(), revision: payload_of(revision), wave: wave.into() };
            sealed(APPROVAL_PAYLOAD_TYPE, &approval, seed)
        };
        for approvals in [
            vec![],
            vec![approval("wave-2", &second, OPERATOR)],
            vec![approval("canary", &running.fw, OPERATOR)],
            vec![approval("canary", &second, 9)],
        ] {
            let beside = Beside { approvals, ..same_set() };
            node.offer(&assigned(6, &[&second], &beside, |_| ()), NOW).unwrap();
            refused(host, node, "approval.not_enough");
        }
        let approvals = vec![approval("canary", &second, OPERATOR)];
        let beside = Beside { approvals, ..same_set() };
        node.offer(&assigned(6, &[&second], &beside, |_| ()), NOW).unwrap();
        converge(node);
        assert_eq!(host.answers("skep0", Hook::Xdp), Some(PASS));
        *node = host.node();
        node.offer(&assigned(6, &[&second], &same_set(), |_| ()), NOW).unwrap();
        converge(node);
    });
}
