//! Attacks on who signed, what the role says and when.

use serde_json::{Value, json};
use skep_artifact::Digest;

use crate::world::{Attack, World, check, key, package, policy_text, target};

const WANTED: &str = "acme/limiter/1.4.2";

fn nothing(_: &mut Value) {}

/// Adds the group order to a signature's scalar: valid under lax rules, another spelling of the same signature.
fn malleate(signature: &str) -> String {
    const ORDER: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde,
        0x14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let mut carry = 0u16;
    let scalar = (0..32).map(|index| {
        let at = 64 + 2 * index;
        let sum = u16::from_str_radix(&signature[at..at + 2], 16).unwrap()
            + u16::from(ORDER[index])
            + carry;
        carry = sum >> 8;
        format!("{:02x}", sum & 0xff)
    });
    let scalar: String = scalar.collect();
    format!("{}{scalar}", &signature[..64])
}

const SIGNATURES: &[Attack] = &[
    ("empty policy", |w| w.policy = String::new(), "package.namespace_not_allowed"),
    (
        "policy of a neighbour",
        |w| w.policy = w.policy.replace("acme", "acne"),
        "package.namespace_not_allowed",
    ),
    (
        "key the policy does not know",
        |w| {
            let s = w.signed();
            w.sign(&s, &[9])
        },
        "package.signature_untrusted",
    ),
    (
        "operator's key in the publisher's place",
        |w| {
            let s = w.signed();
            w.sign(&s, &[7])
        },
        "package.signature_untrusted",
    ),
    (
        "unsigned role",
        |w| {
            let s = w.signed();
            w.sign(&s, &[])
        },
        "package.signature_untrusted",
    ),
    ("one of two signatures", |w| w.policy = policy_text(&[1, 2], 2), "package.threshold_not_met"),
    (
        "one of two and a stranger's",
        |w| {
            w.policy = policy_text(&[1, 2], 2);
            let s = w.signed();
            w.sign(&s, &[1, 9])
        },
        "package.threshold_not_met",
    ),
    (
        "one key signs twice",
        |w| {
            w.policy = policy_text(&[1, 2], 2);
            let s = w.signed();
            w.sign(&s, &[1, 1])
        },
        "package.signature_duplicated",
    ),
    (
        "flipped bit in the signature",
        |w| {
            w.edit_signature(|s| {
                if s.starts_with('0') { s.replacen('0', "1", 1) } else { format!("0{}", &s[1..]) }
            })
        },
        "package.signature_invalid",
    ),
    ("malleable signature", |w| w.edit_signature(|s| malleate(&s)), "package.signature_invalid"),
    ("short signature", |w| w.edit_signature(|s| s[..126].to_owned()), "package.signature_invalid"),
    ("long signature", |w| w.edit_signature(|s| format!("{s}00")), "package.signature_invalid"),
    ("signature of words", |w| w.edit_signature(|_| "please".into()), "package.signature_invalid"),
    ("all-zero signature", |w| w.edit_signature(|_| "0".repeat(128)), "package.signature_invalid"),
    (
        "stranger's signature under a known key id",
        |w| {
            let s = w.signed();
            w.sign(&s, &[9]);
            let (known, stranger) =
                (key(1).public().key_id().hex(), key(9).public().key_id().hex());
            w.edit_role(&stranger, &known)
        },
        "package.signature_invalid",
    ),
    (
        "good signature and a bad one by the other key",
        |w| {
            let s = w.signed();
            w.sign(&s, &[1, 9]);
            let (known, stranger) =
                (key(2).public().key_id().hex(), key(9).public().key_id().hex());
            w.edit_role(&stranger, &known)
        },
        "package.signature_invalid",
    ),
    (
        "crowd of signatures",
        |w| {
            let s = w.signed();
            w.sign(&s, &[9; 33])
        },
        "package.role_too_large",
    ),
    (
        "role changed after signing",
        |w| w.edit_role("\"release\":9", "\"release\":99"),
        "package.signature_invalid",
    ),
    (
        "key id in capitals",
        |w| {
            let id = key(1).public().key_id().hex();
            w.edit_role(&id, &id.to_uppercase())
        },
        "package.role_malformed",
    ),
];

const FORM: &[Attack] = &[
    ("nothing", |w| w.role.clear(), "package.role_malformed"),
    ("a page of HTML", |w| w.role = b"<html>not found</html>".to_vec(), "package.role_malformed"),
    ("bytes after the role", |w| w.role.extend(b"{}"), "package.role_malformed"),
    (
        "key twice",
        |w| w.edit_role("\"version\":5", "\"version\":5,\"version\":6"),
        "package.role_malformed",
    ),
    (
        "key twice, once escaped",
        |w| w.edit_role("\"version\":5", "\"version\":5,\"\\u0076ersion\":6"),
        "package.role_malformed",
    ),
    (
        "float version",
        |w| w.edit_role("\"version\":5", "\"version\":5.0"),
        "package.role_malformed",
    ),
    (
        "version of 2^64",
        |w| w.edit_role("\"version\":5", "\"version\":18446744073709551616"),
        "package.role_malformed",
    ),
    ("negative version", |w| w.forge(|s| s["version"] = (-5).into()), "package.role_malformed"),
    ("version 0", |w| w.forge(|s| s["version"] = 0.into()), "package.role_malformed"),
    (
        "deep JSON",
        |w| {
            w.edit_role(
                "\"version\":5",
                &format!("\"x\":{}{},\"version\":5", "[".repeat(40), "]".repeat(40)),
            )
        },
        "package.role_malformed",
    ),
    ("bottomless JSON", |w| w.role = vec![b'['; 1_000_000], "package.role_malformed"),
    ("endless role", |w| w.role.extend(vec![b' '; 1024 * 1024]), "package.role_malformed"),
    (
        "role of type root",
        |w| w.forge(|s| s["_type"] = "root".into()),
        "package.role_of_other_type",
    ),
    (
        "role of type snapshot",
        |w| w.forge(|s| s["_type"] = "snapshot".into()),
        "package.role_of_other_type",
    ),
    (
        "later specification",
        |w| w.forge(|s| s["spec_version"] = "2.0.0".into()),
        "package.role_malformed",
    ),
    (
        "delegation to a friend",
        |w| w.forge(|s| s["delegations"] = json!({"keys": {}, "roles": []})),
        "package.role_delegates",
    ),
    (
        "digest of another algorithm",
        |w| w.forge(|s| s["targets"][WANTED]["hashes"] = json!({"sha512": "00"})),
        "package.role_malformed",
    ),
    (
        "short digest",
        |w| w.forge(|s| s["targets"][WANTED]["hashes"]["sha256"] = "00".into()),
        "package.role_malformed",
    ),
    (
        "unknown hook",
        |w| w.forge(|s| s["targets"][WANTED]["custom"]["hooks"] = json!(["lsm"])),
        "package.role_malformed",
    ),
    (
        "no release counter",
        |w| {
            w.forge(|s| {
                s["targets"][WANTED]["custom"].as_object_mut().unwrap().remove("release");
            })
        },
        "package.role_malformed",
    ),
    (
        "ten thousand versions",
        |w| {
            w.forge(|s| {
        let target = json!({"custom": {"arch": [], "hooks": [], "release": 1, "version": "0.0.1"}, "hashes": {"sha256": Digest::of(b"").hex()}, "length": 1});
        s["targets"] = Value::Object((0..4097).map(|n| (format!("acme/b/0.0.{n}"), target.clone())).collect());
    })
        },
        "package.role_too_large",
    ),
];

const MEANING: &[Attack] = &[
    (
        "target of a neighbour",
        |w| {
            w.forge(|s| {
                let t = s["targets"][WANTED].clone();
                s["targets"]["skep/firewall/1.4.2"] = t;
            })
        },
        "package.target_outside_namespace",
    ),
    (
        "path that climbs out",
        |w| {
            w.forge(|s| {
                let t = s["targets"][WANTED].clone();
                s["targets"]["acme/../skep/1.4.2"] = t;
            })
        },
        "package.target_outside_namespace",
    ),
    (
        "target of a look-alike namespace",
        |w| {
            w.forge(|s| {
                let t = s["targets"][WANTED].clone();
                s["targets"]["\u{430}cme/limiter/1.4.2"] = t;
            })
        },
        "package.target_outside_namespace",
    ),
    (
        "role of a neighbour with the same key",
        |w| {
            let mut role =
                skep_artifact::role::Role::new("skep".parse().unwrap(), 5, crate::world::EXPIRES)
                    .unwrap();
            role.add(target("skep/limiter", "1.4.2", 1, b"x")).unwrap();
            w.role = role.sign(&[key(1)]).unwrap();
        },
        "package.target_outside_namespace",
    ),
    (
        "two versions in one entry",
        |w| w.forge(|s| s["targets"][WANTED]["custom"]["version"] = "1.4.3".into()),
        "package.mix_and_match",
    ),
    (
        "release counter used twice",
        |w| w.forge(|s| s["targets"][WANTED]["custom"]["release"] = 8.into()),
        "package.release_repeated",
    ),
    ("expired role", |w| w.now = 1_900_000_000, "package.role_expired"),
    (
        "role that expires this second",
        |w| w.forge(|s| s["expires"] = "2027-01-15T08:00:00Z".into()),
        "package.role_expired",
    ),
    (
        "role frozen in the past",
        |w| w.forge(|s| s["expires"] = "1970-01-01T00:00:00Z".into()),
        "package.role_expired",
    ),
    ("role for ever", |w| w.forge(|s| s["expires"] = "never".into()), "package.role_malformed"),
    (
        "month 13",
        |w| w.forge(|s| s["expires"] = "2027-13-01T00:00:00Z".into()),
        "package.role_malformed",
    ),
    (
        "local time",
        |w| w.forge(|s| s["expires"] = "2027-05-01T00:00:00+02:00".into()),
        "package.role_malformed",
    ),
    ("older role", |w| w.forge(|s| s["version"] = 4.into()), "package.rollback"),
    (
        "older role, still unexpired, all keys",
        |w| {
            let mut s = w.signed();
            s["version"] = 1.into();
            w.sign(&s, &[1, 2])
        },
        "package.rollback",
    ),
    (
        "version taken back",
        |w| {
            w.forge(|s| {
                s["targets"].as_object_mut().unwrap().remove(WANTED);
            })
        },
        "package.not_listed",
    ),
    (
        "version that never was",
        |w| w.wanted.version = "1.4.4".parse().unwrap(),
        "package.not_listed",
    ),
    (
        "package that never was",
        |w| w.wanted.name = "acme/limiter2".parse().unwrap(),
        "package.not_listed",
    ),
    (
        "operator names another digest",
        |w| w.wanted.index = Digest::of(b"other"),
        "package.digest_not_signed",
    ),
    (
        "operator names another version's digest",
        |w| w.wanted.index = Digest::of(b"an older index"),
        "package.digest_not_signed",
    ),
    (
        "other length signed",
        |w| w.forge(|s| s["targets"][WANTED]["length"] = 1.into()),
        "package.length_not_signed",
    ),
    (
        "another package under the name",
        |w| {
            let other = package("acme/other", "1.4.2");
            w.blobs.extend(other.all().into_iter().map(|blob| (blob.digest, blob.bytes.clone())));
            w.publish(other.index.bytes);
        },
        "package.mix_and_match",
    ),
    (
        "another version under the number",
        |w| {
            let other = package("acme/limiter", "1.0.0");
            w.blobs.extend(other.all().into_iter().map(|blob| (blob.digest, blob.bytes.clone())));
            w.publish(other.index.bytes);
        },
        "package.mix_and_match",
    ),
    (
        "fewer hooks in the role",
        |w| w.forge(|s| s["targets"][WANTED]["custom"]["hooks"] = json!(["xdp"])),
        "package.role_contradicts_package",
    ),
    (
        "more architectures in the role",
        |w| {
            w.forge(|s| {
                s["targets"][WANTED]["custom"]["arch"] = json!(["amd64", "arm64", "riscv64"])
            })
        },
        "package.role_contradicts_package",
    ),
];

#[test]
fn signatures_that_do_not_count_are_refused_by_name() {
    check(SIGNATURES);
}

#[test]
fn role_files_of_a_bad_form_are_refused_by_name() {
    check(FORM);
}

#[test]
fn role_files_that_say_what_they_may_not_are_refused_by_name() {
    check(MEANING);
}

#[test]
fn forging_nothing_is_accepted() {
    // The forger's tool itself makes no difference: what is refused above is refused for the change.
    let mut world = World::good();
    world.forge(nothing);
    assert!(world.verify().is_ok());
    world.change_index(|_, _| ());
    assert!(world.verify().is_ok());
    world.change_layer(|bytes| bytes);
    assert!(world.verify().is_ok());
    world.change_config(|_| ());
    assert!(world.verify().is_ok());
    world.change_object(&crate::world::OBJECT.clone());
    assert!(world.verify().is_ok(), "{:?}", world.verify());
}
