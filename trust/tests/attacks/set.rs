//! Attacks on policy sets, and what a set says a node lacks.

use serde_json::{Value, json};
use skep_artifact::Digest;
use skep_artifact::dsse::SET_PAYLOAD_TYPE;
use skep_trust::floors::SetFloor;
use skep_trust::set::{Lacking, SET_POLICIES_MAX};
use skep_trust::{Floors, NodePolicy, PolicySet, SetRefusal, VerifiedSet, verify_set};

use crate::documents::{self, Kind, sealed};
use crate::world::{key, policy_text};

struct Desk {
    policy: String,
    payload: Value,
    signers: Vec<u8>,
    floors: Floors,
}

fn payload() -> Value {
    json!({
        "environment": "prod", "epoch": 2, "version": 7,
        "policies": { "edge-firewall": 13, "limits": 4 },
        "nodes": { "limits": { "matchLabels": { "role": "edge" } } },
    })
}

/// The floor a node has that accepted this set before.
fn floor(payload: &Value) -> SetFloor {
    let number = |name: &str| payload[name].as_u64().unwrap();
    SetFloor {
        environment: payload["environment"].as_str().unwrap().to_owned(),
        epoch: number("epoch"),
        version: number("version"),
        digest: Digest::of(payload.to_string().as_bytes()),
    }
}

impl Desk {
    fn good() -> Self {
        let floors = Floors { set: Some(floor(&payload())), ..Floors::default() };
        Self { policy: policy_text(&[1], 1), payload: payload(), signers: vec![7], floors }
    }

    fn verify(&self) -> Result<VerifiedSet, SetRefusal> {
        let envelope = sealed(SET_PAYLOAD_TYPE, &self.payload, &self.signers);
        verify_set(&NodePolicy::parse(&self.policy).unwrap(), &envelope, &self.floors)
    }

    fn judge(&self) -> &'static str {
        self.verify().map_or_else(|refusal| spoken(&refusal), |_| "accepted")
    }

    fn operators(&mut self, rest: &str) {
        self.policy = self.policy.replace("[operator]\n", &format!("[operator]\n{rest}\n"));
    }

    fn two_operators(&mut self) {
        let second = key(8).public();
        self.policy = self.policy.replace(
            "[operator]\nkeys = [",
            &format!("[operator]\nthreshold = 2\nkeys = [\"{second}\", "),
        );
    }
}

fn spoken(refusal: &SetRefusal) -> &'static str {
    assert!(refusal.to_string().starts_with("Refused: "), "{refusal}");
    refusal.code()
}

pub(crate) fn kind() -> Kind {
    Kind {
        name: "set",
        payload_type: SET_PAYLOAD_TYPE,
        payload: payload(),
        signer: 7,
        field: "epoch",
        judge: |envelope| {
            let policy = NodePolicy::parse(&policy_text(&[1], 1)).unwrap();
            let verified = verify_set(&policy, envelope, &Floors::default());
            verified.map_or_else(|refusal| spoken(&refusal), |_| "accepted")
        },
    }
}

#[test]
fn sets_that_may_not_be_followed_are_refused_by_name() {
    documents::check(
        Desk::good,
        Desk::judge,
        &[
            ("policy without an operator", |d| d.policy = String::new(), "set.nobody_accepted"),
            (
                "publisher's key in the operator's place",
                |d| d.signers = vec![1],
                "set.signature_untrusted",
            ),
            ("one of two signatures", Desk::two_operators, "set.threshold_not_met"),
            (
                "one of two and a stranger's",
                |d| {
                    d.two_operators();
                    d.signers = vec![7, 9];
                },
                "set.threshold_not_met",
            ),
            (
                "an emergency key's signature",
                |d| {
                    d.operators(&format!("emergency = [\"{}\"]", key(6).public()));
                    d.signers = vec![6];
                },
                "set.signature_untrusted",
            ),
            ("older version", |d| d.payload["version"] = 6.into(), "set.rollback"),
            ("first version again", |d| d.payload["version"] = 1.into(), "set.rollback"),
            (
                "older version that hides a policy",
                |d| {
                    d.payload["version"] = 6.into();
                    d.payload["policies"].as_object_mut().unwrap().remove("edge-firewall");
                },
                "set.rollback",
            ),
            (
                "same version, another policy left out",
                |d| {
                    d.payload["policies"].as_object_mut().unwrap().remove("edge-firewall");
                },
                "set.equivocation",
            ),
            (
                "same version, lower revision",
                |d| d.payload["policies"]["limits"] = 3.into(),
                "set.equivocation",
            ),
            (
                "same version, wider selector",
                |d| d.payload["nodes"] = json!({}),
                "set.equivocation",
            ),
            ("older epoch", |d| d.payload["epoch"] = 1.into(), "set.epoch_rollback"),
            (
                "older epoch, far newer version",
                |d| {
                    d.payload["epoch"] = 1.into();
                    d.payload["version"] = 999.into();
                },
                "set.epoch_rollback",
            ),
            (
                "another environment's set",
                |d| d.payload["environment"] = "staging".into(),
                "set.other_environment",
            ),
            (
                "another environment's set, far newer",
                |d| {
                    d.payload["environment"] = "staging".into();
                    d.payload["epoch"] = 9.into();
                },
                "set.other_environment",
            ),
            (
                "environment the node policy does not name",
                |d| {
                    d.operators("environment = \"lab\"");
                },
                "set.other_environment",
            ),
            (
                "first set, of an environment the node policy does not name",
                |d| {
                    d.floors = Floors::default();
                    d.operators("environment = \"lab\"");
                },
                "set.other_environment",
            ),
            ("nameless environment", |d| d.payload["environment"] = "".into(), "set.malformed"),
            (
                "environment that rewrites the terminal",
                |d| {
                    d.payload["environment"] = "\u{1b}[2J".into();
                },
                "set.malformed",
            ),
            ("epoch 0", |d| d.payload["epoch"] = 0.into(), "set.malformed"),
            ("version 0", |d| d.payload["version"] = 0.into(), "set.malformed"),
            ("negative version", |d| d.payload["version"] = (-1).into(), "set.malformed"),
            ("revision 0", |d| d.payload["policies"]["limits"] = 0.into(), "set.malformed"),
            ("nameless policy", |d| d.payload["policies"][""] = 1.into(), "set.malformed"),
            (
                "endless policy name",
                |d| d.payload["policies"]["x".repeat(101)] = 1.into(),
                "set.malformed",
            ),
            (
                "selector of a policy it does not name",
                |d| {
                    d.payload["nodes"]["other"] = json!({});
                },
                "set.malformed",
            ),
            (
                "more policies than are read",
                |d| {
                    for number in 0..SET_POLICIES_MAX {
                        d.payload["policies"][format!("p{number}")] = 1.into();
                    }
                },
                "set.malformed",
            ),
        ],
    );
}

#[test]
fn as_many_policies_as_are_read_are_read() {
    let mut desk = Desk::good();
    desk.payload["version"] = 8.into();
    desk.payload["environment"] = "prod".into();
    for number in 2..SET_POLICIES_MAX {
        desk.payload["policies"][format!("p{number}")] = 1.into();
    }
    let set = desk.verify().unwrap();
    assert_eq!(set.lacking(&|_| None, &|_| true).len(), SET_POLICIES_MAX);
    desk.payload["policies"]["x".repeat(100)] = 1.into();
    desk.payload["policies"].as_object_mut().unwrap().remove("p2");
    assert!(desk.verify().is_ok(), "a name of 100 characters is read");
}

#[test]
fn a_newer_set_raises_the_floor_and_a_new_epoch_begins_versions_anew() {
    let mut desk = Desk::good();
    desk.payload["version"] = 8.into();
    let newer = desk.verify().unwrap();
    assert_eq!(newer.signed_by(), [key(7).public().key_id()]);
    let raised = desk.floors.raise_set(&newer);
    assert_eq!(raised.set.as_ref().map(|floor| floor.version), Some(8));
    assert_eq!(raised.set.as_ref().map(|floor| floor.digest), Some(newer.digest()));
    let older = Desk::good().verify().unwrap();
    assert_eq!(raised.raise_set(&older), raised, "floors only rise");

    desk.floors = raised;
    desk.payload["epoch"] = 3.into();
    desk.payload["version"] = 1.into();
    let restarted = desk.verify().unwrap();
    assert_eq!((restarted.epoch(), restarted.version()), (3, 1));
    let raised = desk.floors.raise_set(&restarted);
    assert_eq!(raised.epoch(), 3);
    assert_eq!(Floors::default().epoch(), 1);
    let json = serde_json::to_string(&raised).unwrap();
    assert_eq!(serde_json::from_str::<Floors>(&json).unwrap(), raised);
}

#[test]
fn the_node_policy_decides_which_environment_it_is() {
    let mut desk = Desk::good();
    desk.floors = Floors::default();
    assert_eq!(desk.judge(), "accepted", "the first set seen decides where nobody else does");
    desk.operators("environment = \"prod\"");
    assert_eq!(desk.judge(), "accepted");
    assert_eq!(
        Floors::default().raise_set(&desk.verify().unwrap()).set.unwrap().environment,
        "prod"
    );
}

#[test]
fn a_policy_that_is_left_out_or_too_old_is_named() {
    let set = Desk::good().verify().unwrap();
    let lacking = |have: &[(&str, u64)], concerns: &dyn Fn(&str) -> bool| {
        let have = |name: &str| have.iter().find(|(n, _)| *n == name).map(|(_, r)| *r);
        set.lacking(&have, concerns)
    };
    let everything = |_: &str| true;
    assert_eq!(lacking(&[("edge-firewall", 13), ("limits", 9)], &everything), []);
    let firewall = |have| Lacking { policy: "edge-firewall".to_owned(), wanted: 13, have };
    assert_eq!(lacking(&[("limits", 4)], &everything), [firewall(None)]);
    assert_eq!(lacking(&[("edge-firewall", 12), ("limits", 4)], &everything), [firewall(Some(12))]);
    assert_eq!(lacking(&[], &|name| name != "limits"), [firewall(None)]);
    assert_eq!(set.lowest("edge-firewall"), Some(13));
    assert_eq!(set.lowest("other"), None);
    assert!(set.selector("limits").is_some() && set.selector("edge-firewall").is_none());
    assert_eq!(set.environment(), "prod");
}

#[test]
fn a_server_reads_what_it_stores_and_refuses_what_no_node_would_take() {
    let text = payload().to_string();
    assert_eq!(PolicySet::read_unverified(text.as_bytes()).unwrap().version, 7);
    let zero = text.replace("\"version\":7", "\"version\":0");
    assert!(PolicySet::read_unverified(zero.as_bytes()).is_err());
}
