//! Attacks on who signed, what the role says and when.

use serde_json::{Value, json};
use skep_artifact::Digest;

use crate::world::{Attack, World, check, key, package, target};

const WANTED: &str = "acme/limiter/1.4.2";

fn nothing(_: &mut Value) {}

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
