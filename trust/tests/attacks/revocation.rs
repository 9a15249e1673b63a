//! Attacks on revocations: forged ones, foreign ones, withheld threshold, and ways to undo one.

use serde_json::{Value, json};
use skep_artifact::Digest;
use skep_artifact::dsse::{REVOCATION_LIFT_PAYLOAD_TYPE, REVOCATION_PAYLOAD_TYPE};
use skep_trust::revocation::{KnownRevocation, REVOCATIONS_MAX, REVOKED_MAX};
use skep_trust::{
    Floors, Lift, NodePolicy, Revocation, RevocationRefusal, Revoker, Severity, VerifiedRevocation,
    Wanted, verify_revocation,
};

use crate::documents::{self, Kind, sealed};
use crate::world::{NOW, World, key};

/// Publishers 1 and 2 of acme (both must sign), 4 of a neighbour, operators 7 and 8 (both must sign), emergency key 6.
fn policy() -> NodePolicy {
    let keys = |seeds: &[u8]| {
        let keys: Vec<_> =
            seeds.iter().map(|seed| format!("\"{}\"", key(*seed).public())).collect();
        keys.join(", ")
    };
    let text = format!(
        "[operator]\nkeys = [{}]\nthreshold = 2\nemergency = [{}]\n\
         [[namespace]]\nname = \"acme\"\nkeys = [{}]\nthreshold = 2\nhooks = [\"xdp\"]\n\
         [[namespace]]\nname = \"acne\"\nkeys = [{}]\nhooks = [\"xdp\"]\n",
        keys(&[7, 8]),
        keys(&[6]),
        keys(&[1, 2]),
        keys(&[4]),
    );
    NodePolicy::parse(&text).unwrap()
}

fn payload() -> Value {
    json!({
        "package": "acme/limiter", "versions": ["1.4.2"], "reason": "lets IPv6 pass", "severity": "high",
        "issued_at": NOW,
    })
}

fn digest() -> Digest {
    Digest::of(payload().to_string().as_bytes())
}

fn lift_payload() -> Value {
    json!({
        "package": "acme/limiter", "revocation": digest(), "reason": "it was another package", "issued_at": NOW,
    })
}

struct Desk {
    payload_type: &'static str,
    payload: Value,
    signers: Vec<u8>,
    floors: Floors,
}

impl Desk {
    fn deny() -> Self {
        let (payload_type, floors) = (REVOCATION_PAYLOAD_TYPE, Floors::default());
        Self { payload_type, payload: payload(), signers: vec![6], floors }
    }

    /// Two operators take back what one said.
    fn lift() -> Self {
        let by_operator = Self { signers: vec![7], ..Self::deny() };
        let floors = Floors::default().raise_revocation(&by_operator.verify().unwrap());
        Self {
            payload_type: REVOCATION_LIFT_PAYLOAD_TYPE,
            payload: lift_payload(),
            signers: vec![7, 8],
            floors,
        }
    }

    fn verify(&self) -> Result<VerifiedRevocation, RevocationRefusal> {
        let envelope = sealed(self.payload_type, &self.payload, &self.signers);
        verify_revocation(&policy(), &envelope, &self.floors)
    }

    fn judge(&self) -> &'static str {
        self.verify().map_or_else(|refusal| spoken(&refusal), |_| "accepted")
    }

    fn by(signers: &[u8]) -> Option<Revoker> {
        match (Self { signers: signers.to_vec(), ..Self::deny() }).verify().ok()? {
            VerifiedRevocation::Deny { by, .. } => Some(by),
            VerifiedRevocation::Allow { .. } => None,
        }
    }
}

fn spoken(refusal: &RevocationRefusal) -> &'static str {
    assert!(refusal.to_string().starts_with("Refused: "), "{refusal}");
    refusal.code()
}

pub(crate) fn kind() -> Kind {
    Kind {
        name: "revocation",
        payload_type: REVOCATION_PAYLOAD_TYPE,
        payload: payload(),
        signer: 6,
        field: "severity",
        judge: |envelope| {
            let verified = verify_revocation(&policy(), envelope, &Floors::default());
            verified.map_or_else(|refusal| spoken(&refusal), |_| "accepted")
        },
    }
}

/// A lift of what one operator of one said: the threshold of lifts has rows of its own.
pub(crate) fn lift() -> Kind {
    Kind {
        name: "revocation",
        payload_type: REVOCATION_LIFT_PAYLOAD_TYPE,
        payload: lift_payload(),
        signer: 7,
        field: "revocation",
        judge: |envelope| {
            let text = format!("[operator]\nkeys = [\"{}\"]\n", key(7).public());
            let policy = NodePolicy::parse(&text).unwrap();
            let verified = verify_revocation(&policy, envelope, &Desk::lift().floors);
            verified.map_or_else(|refusal| spoken(&refusal), |_| "accepted")
        },
    }
}

#[test]
fn revocations_that_do_not_count_are_refused_by_name() {
    documents::check(
        Desk::deny,
        Desk::judge,
        &[
            ("one of two publishers", |d| d.signers = vec![1], "revocation.threshold_not_met"),
            (
                "one of two publishers and a stranger",
                |d| d.signers = vec![1, 9],
                "revocation.threshold_not_met",
            ),
            ("a neighbour's publisher", |d| d.signers = vec![4], "revocation.signature_untrusted"),
            (
                "one publisher and a neighbour's",
                |d| d.signers = vec![1, 4],
                "revocation.threshold_not_met",
            ),
            (
                "publishers about a neighbour's package",
                |d| {
                    d.payload["package"] = "acne/limiter".into();
                    d.signers = vec![1, 2];
                },
                "revocation.signature_untrusted",
            ),
            (
                "publishers about a namespace nobody knows",
                |d| {
                    d.payload["package"] = "other/limiter".into();
                    d.signers = vec![1, 2];
                },
                "revocation.signature_untrusted",
            ),
            (
                "about nothing",
                |d| drop(d.payload.as_object_mut().unwrap().remove("versions")),
                "revocation.malformed",
            ),
            (
                "about too many versions",
                |d| {
                    let many: Vec<_> = (0..=REVOKED_MAX).map(|n| format!("1.0.{n}")).collect();
                    d.payload["versions"] = json!(many);
                },
                "revocation.malformed",
            ),
            ("without a reason", |d| d.payload["reason"] = "".into(), "revocation.malformed"),
            (
                "with a reason that rewrites the terminal",
                |d| d.payload["reason"] = "\u{1b}[2J".into(),
                "revocation.malformed",
            ),
            (
                "with an endless reason",
                |d| d.payload["reason"] = "x".repeat(301).into(),
                "revocation.malformed",
            ),
            (
                "of a severity nobody knows",
                |d| d.payload["severity"] = "meh".into(),
                "revocation.malformed",
            ),
            ("of every version", |d| d.payload["versions"] = json!(["*"]), "revocation.malformed"),
            (
                "of a package without a namespace",
                |d| d.payload["package"] = "limiter".into(),
                "revocation.malformed",
            ),
            (
                "more than a node remembers",
                |d| {
                    let VerifiedRevocation::Deny { revocation, by, .. } =
                        Desk::deny().verify().unwrap()
                    else {
                        return;
                    };
                    let known = KnownRevocation { revocation, by, lifted: false };
                    let many =
                        (0..REVOCATIONS_MAX).map(|n| (Digest::of(&n.to_le_bytes()), known.clone()));
                    d.floors.revoked = many.collect();
                },
                "revocation.too_many",
            ),
        ],
    );
}

#[test]
fn one_operator_or_emergency_key_denies_and_publishers_need_their_threshold() {
    assert_eq!(Desk::by(&[6]), Some(Revoker::Emergency));
    assert_eq!(Desk::by(&[7]), Some(Revoker::Operator));
    assert_eq!(Desk::by(&[7, 6, 1]), Some(Revoker::Operator));
    assert_eq!(Desk::by(&[1, 2]), Some(Revoker::Publisher));
    assert_eq!(Desk::by(&[1]), None);
    let mut full = Desk::deny();
    let verified = full.verify().unwrap();
    full.floors = full.floors.raise_revocation(&verified);
    let known = full.floors.revoked.values().next().unwrap().clone();
    let others = (1..REVOCATIONS_MAX).map(|n| (Digest::of(&n.to_le_bytes()), known.clone()));
    full.floors.revoked.extend(others);
    assert_eq!(full.judge(), "accepted", "what is remembered already is no news");
}

#[test]
fn as_much_as_is_read_is_read() {
    let mut desk = Desk::deny();
    let many: Vec<_> = (1..REVOKED_MAX).map(|n| format!("1.0.{n}")).collect();
    desk.payload["versions"] = json!(many);
    desk.payload["digests"] = json!([Digest::of(b"one more")]);
    desk.payload["reason"] = "x".repeat(300).into();
    assert_eq!(desk.judge(), "accepted");
    desk.payload["digests"] = json!([Digest::of(b"one more"), Digest::of(b"too many")]);
    assert_eq!(desk.judge(), "revocation.malformed");
}

#[test]
fn a_revocation_is_taken_back_by_a_threshold_and_by_nobody_else() {
    documents::check(
        Desk::lift,
        Desk::judge,
        &[
            ("one of two operators", |d| d.signers = vec![7], "revocation.threshold_not_met"),
            ("the emergency key", |d| d.signers = vec![6], "revocation.threshold_not_met"),
            (
                "one operator and the emergency key",
                |d| d.signers = vec![7, 6],
                "revocation.threshold_not_met",
            ),
            (
                "the publishers, what an operator said",
                |d| d.signers = vec![1, 2],
                "revocation.lift_not_allowed",
            ),
            (
                "of what nobody said",
                |d| d.payload["revocation"] = json!(Digest::of(b"x")),
                "revocation.nothing_to_lift",
            ),
            (
                "of another package",
                |d| d.payload["package"] = "acme/other".into(),
                "revocation.nothing_to_lift",
            ),
            (
                "of a neighbour's package",
                |d| {
                    d.payload["package"] = "acne/limiter".into();
                    d.signers = vec![4];
                },
                "revocation.nothing_to_lift",
            ),
            ("without a reason", |d| d.payload["reason"] = "".into(), "revocation.malformed"),
            ("before it was made", |d| d.floors = Floors::default(), "revocation.nothing_to_lift"),
        ],
    );
    let mut own = Desk::lift();
    let said = Desk { signers: vec![1, 2], ..Desk::deny() }.verify().unwrap();
    own.floors = Floors::default().raise_revocation(&said);
    own.signers = vec![1, 2];
    assert_eq!(own.judge(), "accepted", "publishers take back what publishers said");
    own.signers = vec![1];
    assert_eq!(own.judge(), "revocation.threshold_not_met");
    own.floors = Floors::default()
        .raise_revocation(&Desk { signers: vec![6], ..Desk::deny() }.verify().unwrap());
    own.signers = vec![1, 2];
    assert_eq!(own.judge(), "revocation.lift_not_allowed", "nor what an emergency key said");
}

#[test]
fn what_was_lifted_stays_lifted_when_the_revocation_is_replayed() {
    let world = World::good();
    let denied = Desk::deny().verify().unwrap();
    let floors = world.floors.raise_revocation(&denied);
    assert!(floors.revocation_of(&world.wanted).is_some());
    let lifted = Desk { floors: floors.clone(), ..Desk::lift() }.verify().unwrap();
    let floors = floors.raise_revocation(&lifted);
    assert!(floors.revocation_of(&world.wanted).is_none());
    assert!(floors.raise_revocation(&denied).revocation_of(&world.wanted).is_none());
    let json = serde_json::to_string(&floors).unwrap();
    assert_eq!(serde_json::from_str::<Floors>(&json).unwrap(), floors);

    let mut again = Desk::deny();
    again.payload["reason"] = "it is bad after all".into();
    let floors = floors.raise_revocation(&again.verify().unwrap());
    assert!(floors.revocation_of(&world.wanted).is_some(), "another document denies anew");
    let nothing = Desk { floors: floors.clone(), ..Desk::lift() }.verify().unwrap();
    assert_eq!(Floors::default().raise_revocation(&nothing), Floors::default());
}

#[test]
fn revoked_content_is_refused_whoever_signs_it_again() {
    let by = |signers: &[u8], payload: Value| {
        let mut world = World::good();
        let desk = Desk { signers: signers.to_vec(), payload, ..Desk::deny() };
        world.floors = world.floors.raise_revocation(&desk.verify().unwrap());
        let refusal = world.verify().err();
        refusal.map(|refusal| (refusal.code(), refusal.to_string()))
    };
    for (signers, word) in [(&[1, 2][..], "publisher"), (&[7], "operator"), (&[6], "emergency key")]
    {
        let (code, said) = by(signers, payload()).unwrap();
        assert_eq!(code, "package.revoked");
        assert!(said.contains(&format!("revoked by its {word}: lets IPv6 pass")), "{said}");
        assert!(said.contains("severity high"), "{said}");
    }
    let index = World::good().wanted.index;
    let mut of_digest = payload();
    of_digest["versions"] = json!([]);
    of_digest["digests"] = json!([index]);
    assert_eq!(by(&[6], of_digest.clone()).unwrap().0, "package.revoked");
    of_digest["package"] = "acne/limiter".into();
    assert_eq!(by(&[4], of_digest), None, "a neighbour's word is about the neighbour's packages");
    let mut other = payload();
    other["versions"] = json!(["1.4.1"]);
    assert_eq!(by(&[6], other), None);
}

#[test]
fn a_server_reads_what_it_stores_and_people_read_how_bad_it_is() {
    let text = payload().to_string();
    let read = Revocation::read_unverified(text.as_bytes()).unwrap();
    let World { wanted, .. } = World::good();
    assert!(read.covers(&wanted));
    assert!(!read.covers(&Wanted { version: "1.4.3".parse().unwrap(), ..wanted }));
    assert!(Revocation::read_unverified(text.replace("lets IPv6 pass", "").as_bytes()).is_err());
    let text = lift_payload().to_string();
    assert_eq!(Lift::read_unverified(text.as_bytes()).unwrap().revocation, digest());
    let all = [Severity::Low, Severity::Medium, Severity::High, Severity::Critical];
    assert_eq!(all.map(|severity| severity.to_string()), ["low", "medium", "high", "critical"]);
}
