//! Attacks on approvals, one by one and counted together.

use serde_json::{Value, json};
use skep_artifact::Digest;
use skep_artifact::dsse::APPROVAL_PAYLOAD_TYPE;
use skep_trust::approval::APPROVALS_MAX;
use skep_trust::{
    Approval, ApprovalRefusal, NodePolicy, VerifiedApproval, verify_approval, verify_approvals,
};

use crate::documents::{self, Kind, sealed};
use crate::world::{key, policy_text};

fn payload() -> Value {
    json!({ "policy": "edge-firewall", "revision": Digest::of(b"r14"), "wave": "wave-2" })
}

fn wanted() -> Approval {
    serde_json::from_value(payload()).unwrap()
}

/// Operators 7, 8 and 5; approvals are theirs one by one, whatever the threshold of revisions is.
fn policy() -> NodePolicy {
    let others = format!("keys = [\"{}\", \"{}\", ", key(8).public(), key(5).public());
    let text = policy_text(&[1], 1);
    let (head, operator) = text.split_once("[operator]\nkeys = [").unwrap();
    NodePolicy::parse(&format!("{head}[operator]\nthreshold = 2\n{others}{operator}")).unwrap()
}

fn spoken(refusal: &ApprovalRefusal) -> &'static str {
    assert!(refusal.to_string().starts_with("Refused: "), "{refusal}");
    refusal.code()
}

pub(crate) fn kind() -> Kind {
    Kind {
        name: "approval",
        payload_type: APPROVAL_PAYLOAD_TYPE,
        payload: payload(),
        signer: 7,
        field: "wave",
        judge: |envelope| {
            let verified = verify_approval(&policy(), envelope, &wanted());
            verified.map_or_else(|refusal| spoken(&refusal), |_| "accepted")
        },
    }
}

#[test]
fn an_approval_of_something_else_is_refused_by_name() {
    documents::check(
        payload,
        |p| (kind().judge)(&sealed(APPROVAL_PAYLOAD_TYPE, p, &[7])),
        &[
            ("another policy", |p| p["policy"] = "limits".into(), "approval.other_policy"),
            (
                "the revision before",
                |p| p["revision"] = json!(Digest::of(b"r13")),
                "approval.other_revision",
            ),
            ("another wave", |p| p["wave"] = "wave-1".into(), "approval.other_wave"),
            ("nameless wave", |p| p["wave"] = "".into(), "approval.malformed"),
            (
                "wave that rewrites the terminal",
                |p| p["wave"] = "\u{1b}[2J".into(),
                "approval.malformed",
            ),
            ("nameless policy", |p| p["policy"] = "".into(), "approval.malformed"),
            ("revision by number", |p| p["revision"] = 14.into(), "approval.malformed"),
        ],
    );
    let nobody = NodePolicy::parse("").unwrap();
    let refused =
        verify_approval(&nobody, &sealed(APPROVAL_PAYLOAD_TYPE, &payload(), &[7]), &wanted());
    assert_eq!(refused.map_err(|refusal| spoken(&refusal)), Err("approval.nobody_accepted"));
}

struct Desk {
    envelopes: Vec<Vec<u8>>,
    needed: usize,
}

impl Desk {
    fn good() -> Self {
        Self { envelopes: vec![approved(&[7]), approved(&[8])], needed: 2 }
    }

    fn verify(&self) -> Result<VerifiedApproval, ApprovalRefusal> {
        verify_approvals(&policy(), &self.envelopes, &wanted(), self.needed)
    }

    fn judge(&self) -> &'static str {
        self.verify().map_or_else(|refusal| spoken(&refusal), |_| "accepted")
    }

    fn replace(&mut self, at: usize, change: impl FnOnce(&mut Value)) {
        let mut payload = payload();
        change(&mut payload);
        self.envelopes[at] = sealed(APPROVAL_PAYLOAD_TYPE, &payload, &[8]);
    }
}

fn approved(seeds: &[u8]) -> Vec<u8> {
    sealed(APPROVAL_PAYLOAD_TYPE, &payload(), seeds)
}

#[test]
fn a_wave_that_too_few_operators_approved_is_refused() {
    documents::check(
        Desk::good,
        Desk::judge,
        &[
            ("none", |d| d.envelopes.clear(), "approval.not_enough"),
            ("one dropped", |d| drop(d.envelopes.pop()), "approval.not_enough"),
            (
                "one operator in two envelopes",
                |d| d.envelopes[1] = approved(&[7]),
                "approval.not_enough",
            ),
            (
                "one operator and a stranger",
                |d| d.envelopes[1] = approved(&[9]),
                "approval.not_enough",
            ),
            (
                "one operator and a publisher",
                |d| d.envelopes[1] = approved(&[1]),
                "approval.not_enough",
            ),
            (
                "second of another wave",
                |d| d.replace(1, |p| p["wave"] = "wave-1".into()),
                "approval.not_enough",
            ),
            (
                "second of another policy",
                |d| d.replace(1, |p| p["policy"] = "limits".into()),
                "approval.not_enough",
            ),
            (
                "second of the revision before",
                |d| {
                    d.replace(1, |p| p["revision"] = json!(Digest::of(b"r13")));
                },
                "approval.not_enough",
            ),
            ("more are asked for", |d| d.needed = 3, "approval.not_enough"),
            (
                "nobody is asked and nobody approved",
                |d| {
                    d.needed = 0;
                    d.envelopes.clear();
                },
                "approval.not_enough",
            ),
            (
                "behind more envelopes than are read",
                |d| {
                    let second = d.envelopes.remove(1);
                    d.envelopes.extend(vec![approved(&[9]); APPROVALS_MAX - 1]);
                    d.envelopes.push(second);
                },
                "approval.not_enough",
            ),
        ],
    );
}

#[test]
fn distinct_operators_are_counted_and_rubbish_stops_nobody() {
    let mut desk = Desk::good();
    let mut both = vec![key(7).public().key_id(), key(8).public().key_id()];
    both.sort_unstable();
    let verified = desk.verify().unwrap();
    assert_eq!((verified.approved_by(), verified.approval()), (&both[..], &wanted()));
    desk.envelopes = vec![b"rubbish".to_vec(), approved(&[9]), approved(&[8, 7])];
    assert_eq!(desk.verify().unwrap().approved_by(), both, "one envelope may carry two");
    desk.envelopes.truncate(2);
    desk.envelopes.extend(vec![approved(&[9]); APPROVALS_MAX - 3]);
    desk.envelopes.push(approved(&[8, 7]));
    assert_eq!(desk.judge(), "accepted", "the last one that is read counts");
    desk.envelopes = vec![approved(&[5])];
    desk.needed = 0;
    assert_eq!(desk.judge(), "accepted", "whoever asks for nobody gets one");
}

#[test]
fn a_server_reads_what_it_stores() {
    let text = payload().to_string();
    assert_eq!(Approval::read_unverified(text.as_bytes()).unwrap(), wanted());
    assert!(Approval::read_unverified(text.replace("wave-2", "").as_bytes()).is_err());
}
