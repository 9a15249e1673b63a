//! Attacks on assignments: what an owned server could try to make of its online key.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use skep_artifact::Digest;
use skep_artifact::dsse::ASSIGNMENT_PAYLOAD_TYPE;
use skep_trust::assignment::{ASSIGNED_MAX, Expected};
use skep_trust::floors::SetFloor;
use skep_trust::{
    AssignmentRefusal, Floors, VerifiedAssignment, accept_unsigned, verify_assignment,
};

use crate::documents::{self, Kind, sealed};
use crate::world::{NOW, key};

/// The server's online key.
const SERVER: u8 = 5;

fn revisions() -> BTreeSet<Digest> {
    [Digest::of(b"edge-firewall 13"), Digest::of(b"limits 4")].into()
}

fn payload() -> Value {
    json!({
        "node": "edge-1", "epoch": 2, "generation": 41, "set": 7, "revisions": revisions(),
        "issued_at": NOW - 60, "expires_at": NOW + 3540,
    })
}

struct Desk {
    payload: Value,
    signers: Vec<u8>,
    signed: BTreeSet<Digest>,
    generation: u64,
    floors: Floors,
    now: i64,
}

impl Desk {
    fn good() -> Self {
        let environment = "prod".to_owned();
        let set = SetFloor { environment, epoch: 2, version: 7, digest: Digest::of(b"set") };
        let floors = Floors { set: Some(set), ..Floors::default() };
        let (payload, signed) = (payload(), revisions());
        let mut desk =
            Self { payload, signers: vec![SERVER], signed, generation: 40, floors, now: NOW };
        desk.payload["generation"] = 40.into();
        desk.floors = desk.floors.raise_assignment(&desk.verify().unwrap());
        Self { payload: self::payload(), generation: 41, ..desk }
    }

    fn verify(&self) -> Result<VerifiedAssignment, AssignmentRefusal> {
        let server = key(SERVER).public();
        let expected = Expected {
            server: &server,
            node: "edge-1",
            generation: self.generation,
            signed: &self.signed,
        };
        let envelope = sealed(ASSIGNMENT_PAYLOAD_TYPE, &self.payload, &self.signers);
        verify_assignment(&envelope, &expected, &self.floors, self.now)
    }

    fn judge(&self) -> &'static str {
        self.verify().map_or_else(|refusal| spoken(&refusal), |_| "accepted")
    }

    /// The same state again, after it was followed.
    fn again() -> Self {
        let desk = Self::good();
        let floors = desk.floors.raise_assignment(&desk.verify().unwrap());
        Self { floors, ..desk }
    }

    fn choose(&mut self, revisions: &[&[u8]]) {
        let digests: Vec<_> = revisions.iter().map(|bytes| Digest::of(bytes)).collect();
        self.payload["revisions"] = json!(digests);
    }
}

fn spoken(refusal: &AssignmentRefusal) -> &'static str {
    assert!(refusal.to_string().starts_with("Refused: "), "{refusal}");
    refusal.code()
}

pub(crate) fn kind() -> Kind {
    Kind {
        name: "assignment",
        payload_type: ASSIGNMENT_PAYLOAD_TYPE,
        payload: payload(),
        signer: SERVER,
        field: "generation",
        judge: |envelope| {
            let desk = Desk::good();
            let server = key(SERVER).public();
            let expected =
                Expected { server: &server, node: "edge-1", generation: 41, signed: &desk.signed };
            let verified = verify_assignment(envelope, &expected, &desk.floors, NOW);
            verified.map_or_else(|refusal| spoken(&refusal), |_| "accepted")
        },
    }
}

#[test]
fn assignments_that_may_not_be_followed_are_refused_by_name() {
    documents::check(
        Desk::good,
        Desk::judge,
        &[
            (
                "operator's key in the server's place",
                |d| d.signers = vec![7],
                "assignment.signature_untrusted",
            ),
            ("another server's key", |d| d.signers = vec![6], "assignment.signature_untrusted"),
            ("another node's", |d| d.payload["node"] = "edge-2".into(), "assignment.other_node"),
            ("nameless node", |d| d.payload["node"] = "".into(), "assignment.malformed"),
            (
                "a name that begins like the node's",
                |d| d.payload["node"] = "edge-11".into(),
                "assignment.other_node",
            ),
            ("expired a moment ago", |d| d.now = NOW + 3540, "assignment.expired"),
            ("expired long ago", |d| d.now = NOW + 86_400, "assignment.expired"),
            (
                "valid for ever",
                |d| d.payload["expires_at"] = i64::MAX.into(),
                "assignment.lifetime",
            ),
            (
                "valid from the beginning of time",
                |d| d.payload["issued_at"] = i64::MIN.into(),
                "assignment.lifetime",
            ),
            (
                "valid a second too long",
                |d| d.payload["issued_at"] = (NOW - 61).into(),
                "assignment.lifetime",
            ),
            (
                "valid for no time",
                |d| d.payload["issued_at"] = (NOW + 3540).into(),
                "assignment.lifetime",
            ),
            (
                "expires before it was issued",
                |d| d.payload["issued_at"] = (NOW + 9999).into(),
                "assignment.lifetime",
            ),
            (
                "lower generation",
                |d| {
                    d.payload["generation"] = 39.into();
                    d.generation = 39;
                },
                "assignment.rollback",
            ),
            ("generation of another state", |d| d.generation = 42, "assignment.other_generation"),
            (
                "older assignment for a newer state",
                |d| d.payload["generation"] = 40.into(),
                "assignment.other_generation",
            ),
            (
                "other choice under the same number",
                |d| {
                    d.payload["generation"] = 40.into();
                    d.generation = 40;
                    d.choose(&[b"limits 4"]);
                    d.signed = [Digest::of(b"limits 4")].into();
                },
                "assignment.equivocation",
            ),
            (
                "revision that no operator signed",
                |d| {
                    d.choose(&[b"edge-firewall 13", b"limits 4", b"mallory 1"]);
                },
                "assignment.revision_not_signed",
            ),
            (
                "only a revision that no operator signed",
                |d| d.choose(&[b"mallory 1"]),
                "assignment.revision_not_signed",
            ),
            (
                "nothing chosen, and yet revisions sent",
                |d| d.choose(&[]),
                "assignment.revision_not_chosen",
            ),
            (
                "revision sent that was not chosen",
                |d| d.choose(&[b"limits 4"]),
                "assignment.revision_not_chosen",
            ),
            ("older epoch", |d| d.payload["epoch"] = 1.into(), "assignment.epoch_rollback"),
            (
                "epoch that no operator signed",
                |d| d.payload["epoch"] = 3.into(),
                "assignment.epoch_not_signed",
            ),
            (
                "epoch that no operator signed, to begin generations anew",
                |d| {
                    d.payload["epoch"] = 3.into();
                    d.payload["generation"] = 1.into();
                    d.generation = 1;
                },
                "assignment.epoch_not_signed",
            ),
            ("older set", |d| d.payload["set"] = 6.into(), "assignment.set_rollback"),
            (
                "no set, where there is one",
                |d| drop(d.payload.as_object_mut().unwrap().remove("set")),
                "assignment.set_rollback",
            ),
            (
                "set that no operator signed",
                |d| d.payload["set"] = 8.into(),
                "assignment.set_not_signed",
            ),
            (
                "set, where there is none",
                |d| {
                    d.floors = Floors::default();
                    d.payload["epoch"] = 1.into();
                },
                "assignment.set_not_signed",
            ),
            (
                "more revisions than a node may follow",
                |d| {
                    let many: BTreeSet<_> =
                        (0..=ASSIGNED_MAX).map(|n| Digest::of(&n.to_le_bytes())).collect();
                    d.payload["revisions"] = json!(many);
                    d.signed = many;
                },
                "assignment.malformed",
            ),
            (
                "revisions by number",
                |d| d.payload["revisions"] = json!([13, 4]),
                "assignment.malformed",
            ),
            (
                "going back from a revision it does not choose",
                |d| d.payload["fallback"] = json!([Digest::of(b"edge-firewall 12")]),
                "assignment.fallback_not_chosen",
            ),
            (
                "fallbacks by number",
                |d| d.payload["fallback"] = json!([13]),
                "assignment.malformed",
            ),
        ],
    );
}

#[test]
fn going_back_is_a_choice_of_its_own() {
    let back = |d: &mut Desk| d.payload["fallback"] = json!([Digest::of(b"limits 4")]);
    let mut first = Desk::good();
    back(&mut first);
    assert_eq!(first.judge(), "accepted");
    // Under a number that was followed it is another choice, in either direction.
    let mut after = Desk::again();
    back(&mut after);
    assert_eq!(after.judge(), "assignment.equivocation");
    let floors = first.floors.raise_assignment(&first.verify().unwrap());
    let forth = Desk { floors, ..Desk::good() };
    assert_eq!(forth.judge(), "assignment.equivocation");
}

#[test]
fn expiry_limits_first_acceptance_only() {
    documents::check(
        Desk::again,
        Desk::judge,
        &[
            ("the same again, long expired", |d| d.now = NOW + 86_400, "accepted"),
            (
                "the next generation, long expired",
                |d| {
                    d.now = NOW + 86_400;
                    d.payload["generation"] = 42.into();
                    d.generation = 42;
                },
                "assignment.expired",
            ),
            (
                "a moment before it expires",
                |d| {
                    d.now = NOW + 3539;
                    d.payload["generation"] = 42.into();
                    d.generation = 42;
                },
                "accepted",
            ),
            (
                "the same number in a new epoch, long expired",
                |d| {
                    d.now = NOW + 86_400;
                    d.payload["epoch"] = 3.into();
                    d.floors.set.as_mut().unwrap().epoch = 3;
                },
                "assignment.expired",
            ),
            (
                "a new epoch begins generations anew",
                |d| {
                    d.payload["epoch"] = 3.into();
                    d.floors.set.as_mut().unwrap().epoch = 3;
                    d.payload["generation"] = 1.into();
                    d.generation = 1;
                },
                "accepted",
            ),
            (
                "as many revisions as a node may follow",
                |d| {
                    let many: BTreeSet<_> =
                        (0..ASSIGNED_MAX).map(|n| Digest::of(&n.to_le_bytes())).collect();
                    d.payload["revisions"] = json!(many);
                    d.payload["generation"] = 42.into();
                    d.generation = 42;
                    d.signed = many;
                },
                "accepted",
            ),
        ],
    );
}

#[test]
fn before_any_set_the_epoch_is_the_first() {
    let mut desk = Desk::good();
    desk.floors = Floors::default();
    desk.payload["epoch"] = 1.into();
    desk.payload.as_object_mut().unwrap().remove("set");
    let verified = desk.verify().unwrap();
    assert_eq!((verified.assignment().epoch, verified.assignment().set), (1, None));
}

#[test]
fn an_unsigned_state_is_taken_until_a_signed_one_was_seen() {
    assert_eq!(accept_unsigned(&Floors::default()), Ok(()));
    let refused = accept_unsigned(&Desk::good().floors).unwrap_err();
    assert_eq!(spoken(&refused), "assignment.unsigned");
}

#[test]
fn floors_rise_with_assignments_and_never_fall() {
    let desk = Desk::again();
    let before = Desk::good().floors.assigned.unwrap();
    let after = desk.floors.assigned.unwrap();
    assert_eq!(
        ((before.epoch, before.generation), (after.epoch, after.generation)),
        ((2, 40), (2, 41))
    );
    let mut older = Desk::good();
    older.payload["generation"] = 40.into();
    older.generation = 40;
    assert_eq!(desk.floors.raise_assignment(&older.verify().unwrap()), desk.floors);
    let json = serde_json::to_string(&desk.floors).unwrap();
    assert_eq!(serde_json::from_str::<Floors>(&json).unwrap(), desk.floors);
}
