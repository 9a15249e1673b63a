//! Attacks that every document of operators and servers must withstand alike: its envelope, its signatures, its form.
//! One table, walked for each kind of document.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use skep_artifact::dsse;

use crate::world::key;
use crate::{approval, assignment, revocation, set};

/// A kind of document: how it is signed when all is right, and who judges it.
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    pub(crate) payload_type: &'static str,
    pub(crate) payload: Value,
    /// Whose signature counts.
    pub(crate) signer: u8,
    /// A field that must be there.
    pub(crate) field: &'static str,
    pub(crate) judge: fn(&[u8]) -> &'static str,
}

pub(crate) fn sealed(payload_type: &str, payload: &Value, seeds: &[u8]) -> Vec<u8> {
    sealed_text(payload_type, &payload.to_string(), seeds)
}

pub(crate) fn sealed_text(payload_type: &str, payload: &str, seeds: &[u8]) -> Vec<u8> {
    let keys: Vec<_> = seeds.iter().map(|seed| key(*seed)).collect();
    dsse::sign(payload_type, payload.as_bytes(), &keys).unwrap()
}

impl Kind {
    fn seal(&self, payload: &str) -> Vec<u8> {
        sealed_text(self.payload_type, payload, &[self.signer])
    }

    fn good(&self) -> Vec<u8> {
        self.seal(&self.payload.to_string())
    }

    fn edited(&self, change: impl FnOnce(&mut Value)) -> Vec<u8> {
        let mut envelope: Value = serde_json::from_slice(&self.good()).unwrap();
        change(&mut envelope);
        envelope.to_string().into_bytes()
    }

    fn with_signature(&self, change: impl FnOnce(Vec<u8>) -> Vec<u8>) -> Vec<u8> {
        self.edited(|envelope| {
            let sig = &mut envelope["signatures"][0]["sig"];
            let bytes = change(BASE64.decode(sig.as_str().unwrap()).unwrap());
            *sig = BASE64.encode(bytes).into();
        })
    }

    /// The payload's text with something put behind its opening brace, signed.
    fn with_member(&self, member: &str) -> Vec<u8> {
        let text = self.payload.to_string();
        self.seal(&text.replacen('{', &format!("{{{member},"), 1))
    }
}

/// Adds the order of the group to the second half: lax verifiers accept it.
fn malleate(mut signature: Vec<u8>) -> Vec<u8> {
    const L: [u8; 16] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde,
        0x14,
    ];
    let mut carry = 0u16;
    for at in 0..32 {
        let order = match at {
            0..16 => L[at],
            31 => 0x10,
            _ => 0,
        };
        let sum = u16::from(signature[32 + at]) + u16::from(order) + carry;
        signature[32 + at] = sum.to_le_bytes()[0];
        carry = sum >> 8;
    }
    signature
}

type Attack = (&'static str, fn(&Kind) -> Vec<u8>, &'static str);

const ATTACKS: &[Attack] = &[
    ("unsigned", |k| sealed(k.payload_type, &k.payload, &[]), "signature_untrusted"),
    ("stranger's signature", |k| sealed(k.payload_type, &k.payload, &[9]), "signature_untrusted"),
    (
        "stranger's signature under a known key id",
        |k| {
            let text = String::from_utf8(sealed(k.payload_type, &k.payload, &[9])).unwrap();
            let (known, stranger) =
                (key(k.signer).public().key_id().hex(), key(9).public().key_id().hex());
            text.replace(&stranger, &known).into_bytes()
        },
        "signature_invalid",
    ),
    (
        "payload changed after signing",
        |k| k.edited(|e| e["payload"] = BASE64.encode(format!("{} ", k.payload)).into()),
        "signature_invalid",
    ),
    (
        "payload of another type",
        |k| sealed("application/vnd.in-toto+json", &k.payload, &[k.signer]),
        "payload_of_other_type",
    ),
    (
        "payload of another type, relabelled",
        |k| {
            let text = String::from_utf8(sealed("text/plain", &k.payload, &[k.signer])).unwrap();
            text.replace("text/plain", k.payload_type).into_bytes()
        },
        "signature_invalid",
    ),
    ("malleable signature", |k| k.with_signature(malleate), "signature_invalid"),
    ("signature of zeroes", |k| k.with_signature(|_| vec![0; 64]), "signature_invalid"),
    (
        "signature of small order",
        |k| {
            k.with_signature(|_| {
                let mut identity = vec![0; 64];
                identity[0] = 1;
                identity
            })
        },
        "signature_invalid",
    ),
    ("short signature", |k| k.with_signature(|s| s[..63].to_vec()), "signature_invalid"),
    ("long signature", |k| k.with_signature(|s| [s, vec![0]].concat()), "signature_invalid"),
    (
        "one key signs twice",
        |k| sealed(k.payload_type, &k.payload, &[k.signer, k.signer]),
        "signature_duplicated",
    ),
    ("crowd of signatures", |k| sealed(k.payload_type, &k.payload, &[9; 33]), "malformed"),
    ("nothing", |_| Vec::new(), "malformed"),
    ("endless envelope", |k| [k.good(), vec![b' '; 2 << 20]].concat(), "malformed"),
    ("cut envelope", |k| k.good()[..100].to_vec(), "malformed"),
    (
        "key twice in the envelope",
        |k| {
            let text = String::from_utf8(k.good()).unwrap();
            text.replacen("\"payload\":", "\"payload\":\"\",\"payload\":", 1).into_bytes()
        },
        "malformed",
    ),
    ("payload that is not base64", |k| k.edited(|e| e["payload"] = "%%%".into()), "malformed"),
    (
        "signature that is not base64",
        |k| k.edited(|e| e["signatures"][0]["sig"] = "%%%".into()),
        "malformed",
    ),
    (
        "key id in capitals",
        |k| {
            let id = key(k.signer).public().key_id().hex();
            String::from_utf8(k.good()).unwrap().replace(&id, &id.to_uppercase()).into_bytes()
        },
        "malformed",
    ),
    ("payload that is not JSON", |k| k.seal("yes"), "malformed"),
    ("payload with something behind it", |k| k.seal(&format!("{} {{}}", k.payload)), "malformed"),
    (
        "deep payload",
        |k| k.with_member(&format!("\"x\":{}{}", "[".repeat(40), "]".repeat(40))),
        "malformed",
    ),
    ("float in the payload", |k| k.with_member("\"x\":1.5"), "malformed"),
    ("field that nobody knows", |k| k.with_member("\"x\":1"), "malformed"),
    (
        "field twice in the payload",
        |k| k.with_member(&format!("\"{}\":{}", k.field, k.payload[k.field])),
        "malformed",
    ),
    (
        "field that is missing",
        |k| {
            let mut payload = k.payload.clone();
            payload.as_object_mut().unwrap().remove(k.field);
            k.seal(&payload.to_string())
        },
        "malformed",
    ),
    (
        "field of another kind",
        |k| {
            let mut payload = k.payload.clone();
            payload[k.field] = json!([[]]);
            k.seal(&payload.to_string())
        },
        "malformed",
    ),
];

#[test]
fn no_document_gets_past_its_envelope_its_signatures_and_its_form() {
    let kinds =
        [set::kind(), approval::kind(), assignment::kind(), revocation::kind(), revocation::lift()];
    let mut surprises = Vec::new();
    for kind in kinds {
        assert_eq!((kind.judge)(&kind.good()), "accepted", "{}", kind.payload_type);
        for (name, attack, wanted) in ATTACKS {
            let code = (kind.judge)(&attack(&kind));
            let wanted = format!("{}.{wanted}", kind.name);
            if code != wanted {
                surprises
                    .push(format!("{}, {name}: {code} instead of {wanted}", kind.payload_type));
            }
        }
    }
    assert!(surprises.is_empty(), "{}", surprises.join("\n"));
}

/// One attack on a desk: its name, what it changes, the code it must be refused with.
pub(crate) type Case<D> = (&'static str, fn(&mut D), &'static str);

/// Runs a table of attacks on one kind of document and collects every surprise.
pub(crate) fn check<D>(good: fn() -> D, judge: fn(&D) -> &'static str, attacks: &[Case<D>]) {
    assert_eq!(judge(&good()), "accepted");
    let surprises: Vec<_> = attacks
        .iter()
        .filter_map(|(name, attack, wanted)| {
            let mut desk = good();
            attack(&mut desk);
            let code = judge(&desk);
            (code != *wanted).then(|| format!("{name}: {code} instead of {wanted}"))
        })
        .collect();
    assert!(surprises.is_empty(), "{}", surprises.join("\n"));
}
