//! Attacks on policy revisions.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use skep_artifact::Digest;
use skep_artifact::dsse::{self, POLICY_PAYLOAD_TYPE};
use skep_trust::{Floors, NodePolicy, Refusal, VerifiedRevision, verify_revision};

use crate::world::{World, key, policy_text};

const PAYLOAD: &str = r#"{"name":"edge-firewall","revision":13,"programs":[]}"#;

struct Desk {
    policy: String,
    envelope: Vec<u8>,
    floors: Floors,
}

impl Desk {
    fn good() -> Self {
        let accepted = (13, Digest::of(PAYLOAD.as_bytes()));
        let floors = Floors {
            revisions: [("edge-firewall".to_owned(), accepted)].into(),
            ..Floors::default()
        };
        Self { policy: policy_text(&[1], 1), envelope: sealed(PAYLOAD, &[7]), floors }
    }

    fn verify(&self) -> Result<VerifiedRevision, Refusal> {
        verify_revision(&NodePolicy::parse(&self.policy).unwrap(), &self.envelope, &self.floors)
    }

    fn edit(&mut self, from: &str, to: &str) {
        let text = String::from_utf8(self.envelope.clone()).unwrap();
        assert!(text.contains(from), "{from}");
        self.envelope = text.replacen(from, to, 1).into_bytes();
    }

    fn seal(&mut self, payload: &str) {
        self.envelope = sealed(payload, &[7]);
    }

    fn two_operators(&mut self) {
        let second = key(8).public();
        self.policy = self.policy.replace(
            "[operator]\nkeys = [",
            &format!("[operator]\nthreshold = 2\nkeys = [\"{second}\", "),
        );
    }
}

fn sealed(payload: &str, seeds: &[u8]) -> Vec<u8> {
    let keys: Vec<_> = seeds.iter().map(|seed| key(*seed)).collect();
    dsse::sign(POLICY_PAYLOAD_TYPE, payload.as_bytes(), &keys).unwrap()
}

type Attack = (&'static str, fn(&mut Desk), &'static str);

const ATTACKS: &[Attack] = &[
    (
        "policy without an operator",
        |d| d.policy = d.policy.split("[operator]").next().unwrap().to_owned(),
        "policy.no_operator",
    ),
    ("empty policy", |d| d.policy = String::new(), "policy.no_operator"),
    ("stranger's signature", |d| d.envelope = sealed(PAYLOAD, &[9]), "policy.signature_untrusted"),
    (
        "publisher's key in the operator's place",
        |d| d.envelope = sealed(PAYLOAD, &[1]),
        "policy.signature_untrusted",
    ),
    ("unsigned", |d| d.envelope = sealed(PAYLOAD, &[]), "policy.signature_untrusted"),
    ("one of two signatures", |d| d.two_operators(), "policy.threshold_not_met"),
    (
        "one of two, twice",
        |d| {
            d.two_operators();
            d.envelope = sealed(PAYLOAD, &[7, 7])
        },
        "policy.signature_duplicated",
    ),
    (
        "one of two and a stranger's",
        |d| {
            d.two_operators();
            d.envelope = sealed(PAYLOAD, &[7, 9])
        },
        "policy.threshold_not_met",
    ),
    (
        "payload changed after signing",
        |d| d.edit(&BASE64.encode(PAYLOAD), &BASE64.encode(PAYLOAD.replace("13", "14"))),
        "policy.signature_invalid",
    ),
    (
        "stranger's signature under a known key id",
        |d| {
            d.envelope = sealed(PAYLOAD, &[9]);
            let (known, stranger) =
                (key(7).public().key_id().hex(), key(9).public().key_id().hex());
            d.edit(&stranger, &known)
        },
        "policy.signature_invalid",
    ),
    (
        "payload of another type",
        |d| {
            d.envelope =
                dsse::sign("application/vnd.in-toto+json", PAYLOAD.as_bytes(), &[key(7)]).unwrap()
        },
        "policy.payload_of_other_type",
    ),
    (
        "payload of another type, relabelled",
        |d| {
            d.envelope =
                dsse::sign("application/vnd.in-toto+json", PAYLOAD.as_bytes(), &[key(7)]).unwrap();
            d.edit("application/vnd.in-toto+json", POLICY_PAYLOAD_TYPE)
        },
        "policy.signature_invalid",
    ),
    ("crowd of signatures", |d| d.envelope = sealed(PAYLOAD, &[9; 33]), "policy.malformed"),
    ("role file as an envelope", |d| d.envelope = World::good().role, "policy.malformed"),
    ("nothing", |d| d.envelope.clear(), "policy.malformed"),
    ("endless envelope", |d| d.envelope.extend(vec![b' '; 2 * 1024 * 1024]), "policy.malformed"),
    (
        "key twice in the envelope",
        |d| d.edit("\"payload\":", "\"payload\":\"\",\"payload\":"),
        "policy.malformed",
    ),
    ("payload that is not base64", |d| d.edit(&BASE64.encode(PAYLOAD), "%%%"), "policy.malformed"),
    ("payload that is not JSON", |d| d.seal("revision 13"), "policy.malformed"),
    ("payload without a name", |d| d.seal(r#"{"revision":14}"#), "policy.malformed"),
    ("payload without a revision", |d| d.seal(r#"{"name":"edge-firewall"}"#), "policy.malformed"),
    ("nameless policy", |d| d.seal(r#"{"name":"","revision":14}"#), "policy.malformed"),
    (
        "name that rewrites the terminal",
        |d| d.seal(r#"{"name":"\u001b[2J","revision":14}"#),
        "policy.malformed",
    ),
    ("revision 0", |d| d.seal(r#"{"name":"other","revision":0}"#), "policy.malformed"),
    (
        "negative revision",
        |d| d.seal(r#"{"name":"edge-firewall","revision":-1}"#),
        "policy.malformed",
    ),
    (
        "revision of 2^64",
        |d| d.seal(r#"{"name":"edge-firewall","revision":18446744073709551616}"#),
        "policy.malformed",
    ),
    (
        "two revisions in one payload",
        |d| d.seal(r#"{"name":"edge-firewall","revision":1,"revision":14}"#),
        "policy.malformed",
    ),
    (
        "float in the payload",
        |d| d.seal(r#"{"name":"edge-firewall","revision":14,"x":1.5}"#),
        "policy.malformed",
    ),
    ("older revision", |d| d.seal(&PAYLOAD.replace("13", "12")), "policy.rollback"),
    ("first revision again", |d| d.seal(&PAYLOAD.replace("13", "1")), "policy.rollback"),
    (
        "same revision, other content",
        |d| d.seal(&PAYLOAD.replace("[]", "[{}]")),
        "policy.equivocation",
    ),
    (
        "same revision, other spelling",
        |d| d.seal(&PAYLOAD.replace(":13", ": 13")),
        "policy.equivocation",
    ),
];

#[test]
fn revisions_that_may_not_be_acted_on_are_refused_by_name() {
    assert!(Desk::good().verify().is_ok(), "{:?}", Desk::good().verify());
    let surprises: Vec<_> = ATTACKS
        .iter()
        .filter_map(|(name, attack, wanted)| {
            let mut desk = Desk::good();
            attack(&mut desk);
            let code = desk.verify().map_or_else(|refusal| refusal.code(), |_| "accepted");
            (code != *wanted).then(|| format!("{name}: {code} instead of {wanted}"))
        })
        .collect();
    assert!(surprises.is_empty(), "{}", surprises.join("\n"));
}

#[test]
fn a_newer_revision_is_accepted_and_raises_the_floor() {
    let mut desk = Desk::good();
    desk.seal(&PAYLOAD.replace("13", "14"));
    let verified = desk.verify().unwrap();
    assert_eq!((verified.name(), verified.revision()), ("edge-firewall", 14));
    assert_eq!(verified.signed_by(), [key(7).public().key_id()]);
    assert_eq!(verified.digest(), Digest::of(verified.payload()));
    let raised = desk.floors.raise_revision(&verified);
    assert_eq!(raised.revisions["edge-firewall"], (14, verified.digest()));
    desk.floors = raised.clone();
    assert!(desk.verify().is_ok(), "what was accepted is accepted again");
    desk.seal(PAYLOAD);
    assert_eq!(desk.verify().map_err(|refusal| refusal.code()), Err("policy.rollback"));
    let old = Desk::good().verify().unwrap();
    assert_eq!(raised.raise_revision(&old), raised, "floors only rise");
}
