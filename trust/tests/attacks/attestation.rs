//! Attacks on statements that a node policy asks for.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use skep_artifact::dsse::{self, ENVELOPE_BYTES_MAX};
use skep_trust::Wanted;
use skep_trust::attestation::{
    ATTESTATIONS_MAX, CYCLONEDX, PROVENANCE, SPDX, STATEMENT_PAYLOAD_TYPE, VERIFIED_ON, statement,
};

use crate::world::{World, key};

const KERNEL: &str = "6.1.0-18-amd64";

/// A node that asks for provenance by key 11 (2 of 11 and 12 where a case says so), and for the word of key 13 that
/// Linux 6.1 verified the package.
fn good() -> World {
    let mut world = World::good();
    let public = |seed: u8| key(seed).public();
    world.policy = world.policy.replace(
        "hooks = ",
        &format!(
            "require-attestation = [{{ type = \"provenance\", keys = [\"{}\", \"{}\"] }}]\n\
             require-verified-on = true\nverified-on-keys = [\"{}\"]\nhooks = ",
            public(11),
            public(12),
            public(13)
        ),
    );
    world.beside.kernel = KERNEL.to_owned();
    world.beside.attestations = vec![
        sealed(&world.wanted, PROVENANCE, json!({ "buildDefinition": {} }), &[11]),
        sealed(&world.wanted, VERIFIED_ON, on(KERNEL, true), &[13]),
    ];
    world
}

fn on(kernel: &str, accepted: bool) -> Value {
    json!({
        "kernel": kernel, "machine": "x86_64", "accepted": accepted, "at": 1_800_000_000,
        "programs": [{ "name": "xdp_limiter on xdp", "accepted": accepted }],
    })
}

fn sealed(wanted: &Wanted, kind: &str, predicate: Value, seeds: &[u8]) -> Vec<u8> {
    seal(&statement(wanted, kind, predicate).unwrap(), STATEMENT_PAYLOAD_TYPE, seeds)
}

fn seal(payload: &[u8], kind: &str, seeds: &[u8]) -> Vec<u8> {
    let keys: Vec<_> = seeds.iter().map(|seed| key(*seed)).collect();
    dsse::sign(kind, payload, &keys).unwrap()
}

/// Replaces the provenance.
fn provenance(world: &mut World, change: impl FnOnce(&World) -> Vec<u8>) {
    world.beside.attestations[0] = change(world);
}

/// Replaces the kernel's word.
fn verified(world: &mut World, predicate: Value) {
    world.beside.attestations[1] = sealed(&world.wanted, VERIFIED_ON, predicate, &[13]);
}

/// Signs a changed statement with the right key.
fn forged(world: &mut World, change: impl FnOnce(&mut Value)) {
    let bytes = statement(&world.wanted, PROVENANCE, json!({})).unwrap();
    let mut value: Value = serde_json::from_slice(&bytes).unwrap();
    change(&mut value);
    let bytes = serde_json::to_vec(&value).unwrap();
    world.beside.attestations[0] = seal(&bytes, STATEMENT_PAYLOAD_TYPE, &[11]);
}

fn edit(world: &mut World, from: &str, to: &str) {
    let text = String::from_utf8(world.beside.attestations[0].clone()).unwrap();
    assert!(text.contains(from), "{from}");
    world.beside.attestations[0] = text.replacen(from, to, 1).into_bytes();
}

fn payload(world: &World) -> String {
    let envelope: Value = serde_json::from_slice(&world.beside.attestations[0]).unwrap();
    String::from_utf8(BASE64.decode(envelope["payload"].as_str().unwrap()).unwrap()).unwrap()
}

type Attack = (&'static str, fn(&mut World), &'static str);

const ATTACKS: &[Attack] = &[
    ("nothing", |w| w.beside.attestations.clear(), "attestation.missing"),
    ("no provenance", |w| drop(w.beside.attestations.remove(0)), "attestation.other_predicate"),
    (
        "no word of a kernel",
        |w| drop(w.beside.attestations.remove(1)),
        "attestation.other_predicate",
    ),
    (
        "statement of a type nobody asked for",
        |w| provenance(w, |w| sealed(&w.wanted, "https://example.com/praise", json!({}), &[11])),
        "attestation.other_predicate",
    ),
    (
        "list of contents in the place of provenance",
        |w| provenance(w, |w| sealed(&w.wanted, SPDX, json!({ "spdxVersion": "SPDX-2.3" }), &[11])),
        "attestation.other_predicate",
    ),
    (
        "older provenance version",
        |w| {
            let old = "https://slsa.dev/provenance/v0.2";
            provenance(w, |w| sealed(&w.wanted, old, json!({}), &[11]))
        },
        "attestation.other_predicate",
    ),
    (
        "provenance of another version",
        |w| {
            let mut other = w.wanted.clone();
            other.index = skep_artifact::Digest::of(b"other");
            provenance(w, |_| sealed(&other, PROVENANCE, json!({}), &[11]))
        },
        "attestation.other_subject",
    ),
    (
        "statement about nothing",
        |w| forged(w, |s| s["subject"] = json!([])),
        "attestation.other_subject",
    ),
    (
        "right name, other digest",
        |w| forged(w, |s| s["subject"][0]["digest"]["sha256"] = "0".repeat(64).into()),
        "attestation.other_subject",
    ),
    (
        "digest under another algorithm's name",
        |w| {
            forged(w, |s| {
                let digest = s["subject"][0]["digest"]["sha256"].take();
                s["subject"][0]["digest"] = json!({ "sha3-256": digest });
            })
        },
        "attestation.other_subject",
    ),
    (
        "digest in the name only",
        |w| {
            let hex = w.wanted.index.hex();
            forged(w, |s| {
                s["subject"][0] = json!({ "name": hex, "digest": { "sha256": "1".repeat(64) } });
            })
        },
        "attestation.other_subject",
    ),
    (
        "stranger's signature",
        |w| provenance(w, |w| sealed(&w.wanted, PROVENANCE, json!({}), &[9])),
        "attestation.signature_untrusted",
    ),
    (
        "publisher's own word",
        |w| provenance(w, |w| sealed(&w.wanted, PROVENANCE, json!({}), &[1])),
        "attestation.signature_untrusted",
    ),
    (
        "the lab's signature under the builder's statement",
        |w| provenance(w, |w| sealed(&w.wanted, PROVENANCE, json!({}), &[13])),
        "attestation.signature_untrusted",
    ),
    (
        "unsigned",
        |w| provenance(w, |w| sealed(&w.wanted, PROVENANCE, json!({}), &[])),
        "attestation.signature_untrusted",
    ),
    (
        "one of two signatures",
        |w| w.policy = w.policy.replace("\"] }]", "\"], threshold = 2 }]"),
        "attestation.threshold_not_met",
    ),
    (
        "one of two signatures, twice",
        |w| {
            w.policy = w.policy.replace("\"] }]", "\"], threshold = 2 }]");
            provenance(w, |w| sealed(&w.wanted, PROVENANCE, json!({}), &[11, 11]))
        },
        "attestation.signature_invalid",
    ),
    (
        "stranger's signature under a known key id",
        |w| {
            provenance(w, |w| sealed(&w.wanted, PROVENANCE, json!({}), &[9]));
            let (known, stranger) =
                (key(11).public().key_id().hex(), key(9).public().key_id().hex());
            edit(w, &stranger, &known)
        },
        "attestation.signature_invalid",
    ),
    (
        "predicate changed after signing",
        |w| {
            let before = payload(w);
            let after = before.replace("buildDefinition", "buildDefinitiom");
            edit(w, &BASE64.encode(before), &BASE64.encode(after))
        },
        "attestation.signature_invalid",
    ),
    (
        "type of the payload changed after signing",
        |w| {
            let payload = payload(w);
            provenance(w, |_| seal(payload.as_bytes(), "text/plain", &[11]));
            edit(w, "text/plain", STATEMENT_PAYLOAD_TYPE)
        },
        "attestation.signature_invalid",
    ),
    (
        "payload of another type",
        |w| {
            let payload = payload(w);
            provenance(w, |_| seal(payload.as_bytes(), "text/plain", &[11]))
        },
        "attestation.payload_of_other_type",
    ),
    (
        "policy revision in the place of a statement",
        |w| {
            let payload = payload(w);
            provenance(w, |_| seal(payload.as_bytes(), dsse::POLICY_PAYLOAD_TYPE, &[11]))
        },
        "attestation.payload_of_other_type",
    ),
    (
        "statement of an older version",
        |w| forged(w, |s| s["_type"] = "https://in-toto.io/Statement/v0.1".into()),
        "attestation.malformed",
    ),
    (
        "payload that is not JSON",
        |w| provenance(w, |_| seal(b"built", STATEMENT_PAYLOAD_TYPE, &[11])),
        "attestation.malformed",
    ),
    (
        "payload nested without end",
        |w| provenance(w, |_| seal("[".repeat(100_000).as_bytes(), STATEMENT_PAYLOAD_TYPE, &[11])),
        "attestation.malformed",
    ),
    (
        "two subjects in one statement's text",
        |w| {
            let twice = payload(w).replacen("\"subject\"", "\"subject\":[],\"subject\"", 1);
            provenance(w, |_| seal(twice.as_bytes(), STATEMENT_PAYLOAD_TYPE, &[11]))
        },
        "attestation.malformed",
    ),
    (
        "no envelope",
        |w| provenance(w, |w| statement(&w.wanted, PROVENANCE, json!({})).unwrap()),
        "attestation.malformed",
    ),
    (
        "kernel's word that is not JSON of its kind",
        |w| verified(w, json!({ "kernel": 6 })),
        "attestation.kernel_not_verified",
    ),
    (
        "another kernel's word",
        |w| verified(w, on("6.12.0", true)),
        "attestation.kernel_not_verified",
    ),
    (
        "a refusal of this kernel",
        |w| verified(w, on(KERNEL, false)),
        "attestation.kernel_not_verified",
    ),
    (
        "accepted in all but one program",
        |w| {
            let mut on = on(KERNEL, true);
            on["programs"][0]["accepted"] = false.into();
            verified(w, on)
        },
        "attestation.kernel_not_verified",
    ),
    (
        "accepted without any program",
        |w| {
            let mut on = on(KERNEL, true);
            on["programs"] = json!([]);
            verified(w, on)
        },
        "attestation.kernel_not_verified",
    ),
    (
        "kernel whose number begins alike",
        |w| verified(w, on("6.18.3", true)),
        "attestation.kernel_not_verified",
    ),
    (
        "one of two kernels",
        |w| {
            w.policy = w
                .policy
                .replace("require-verified-on = true", "require-verified-on = [\"6.1\", \"6.12\"]")
        },
        "attestation.kernel_not_verified",
    ),
    (
        "crowd",
        |w| w.beside.attestations = vec![w.beside.attestations[0].clone(); ATTESTATIONS_MAX + 1],
        "attestation.too_many",
    ),
    (
        "oversize",
        |w| w.beside.attestations = vec![vec![b' '; ENVELOPE_BYTES_MAX + 1]],
        "attestation.too_large",
    ),
];

#[test]
fn packages_without_the_statements_that_are_asked_for_are_refused_by_name() {
    assert!(good().verify().is_ok(), "{:?}", good().verify());
    let surprises: Vec<_> = ATTACKS
        .iter()
        .filter_map(|(name, attack, wanted)| {
            let mut world = good();
            attack(&mut world);
            let code = world.verify().map_or_else(|refusal| refusal.code(), |_| "accepted");
            (code != *wanted).then(|| format!("{name}: {code} instead of {wanted}"))
        })
        .collect();
    assert!(surprises.is_empty(), "{}", surprises.join("\n"));
}

#[test]
fn what_satisfies_a_rule_is_found_among_everything_else() {
    let mut world = good();
    let noise = [
        b"noise".to_vec(),
        sealed(&world.wanted, PROVENANCE, json!({}), &[9]),
        sealed(&world.wanted, CYCLONEDX, json!({ "ratings": [{ "score": 9.8 }] }), &[11]),
    ];
    world.beside.attestations.splice(0..0, noise);
    assert!(world.verify().is_ok(), "{:?}", world.verify());
    world.policy = world.policy.replace("type = \"provenance\"", "type = \"sbom\"");
    assert!(world.verify().is_ok(), "{:?}", world.verify());
    let series = "require-verified-on = [\"6.1\"]";
    world.policy = world.policy.replace("require-verified-on = true", series);
    world.beside.kernel = "6.18.0".to_owned();
    assert!(world.verify().is_ok(), "a list asks for what it lists, wherever the node runs");
}

#[test]
fn a_rule_that_could_mean_nothing_is_no_policy() {
    use skep_trust::NodePolicy;
    let refused = |from: &str, to: &str| {
        let text = good().policy;
        assert!(text.contains(from), "{from}");
        NodePolicy::parse(&text.replacen(from, to, 1))
            .map_or_else(|e| e.to_string(), |_| "ok".into())
    };
    assert_eq!(refused("true", "false"), "ok");
    assert!(refused("\"provenance\"", "\"provenence\"").contains("`provenence`"));
    assert_eq!(refused("\"provenance\"", "\"https://example.com/x\""), "ok");
    assert!(refused("= true", "= [\"6\"]").contains("write it like 6.1"));
    assert!(refused("= true", "= [\"v6.1\"]").contains("write it like 6.1"));
    assert!(refused("require-verified-on", "require-verified").contains("unknown field"));
    assert!(refused("\"] }]", "\"], threshold = 3 }]").contains("3 of 2 different keys"));
}
