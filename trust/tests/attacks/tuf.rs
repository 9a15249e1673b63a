//! Attacks on the registry's TUF repository by whoever owns the registry: old, late, mixed and shapeless files.

use serde_json::{Value, json};

use crate::tuf_world::{DAY, Repo, RepoAttack, check, expires, root, version};
use crate::world::NOW;

const ROLLBACK: &[RepoAttack] = &[
    ("older timestamp", |r| version(r, "timestamp", 4), "tuf.rollback"),
    ("older snapshot", |r| version(r, "snapshot", 4), "tuf.rollback"),
    ("older targets", |r| version(r, "targets", 4), "tuf.rollback"),
    ("older role of a publisher", |r| version(r, "acme", 4), "tuf.rollback"),
    ("older role of a neighbour", |r| version(r, "skep", 2), "tuf.rollback"),
    (
        "older root as the next one",
        |r| r.add_root(2, root(1, &[20, 21, 22], 41), &[20, 21]),
        "tuf.root_version",
    ),
    (
        "root that skips a version",
        |r| r.add_root(2, root(3, &[20, 21, 22], 41), &[20, 21]),
        "tuf.root_version",
    ),
    (
        "newer timestamp, signed earlier",
        |r| r.part("timestamp").signed["x-skep-signed-at"] = "2027-01-14T08:00:00Z".into(),
        "tuf.time_backwards",
    ),
    (
        "role left out of the snapshot",
        |r| drop(r.pins.insert("acme", Value::Null)),
        "tuf.mix_and_match",
    ),
    (
        "neighbour left out of the snapshot",
        |r| drop(r.pins.insert("skep", Value::Null)),
        "tuf.mix_and_match",
    ),
];

const FREEZE: &[RepoAttack] = &[
    ("expired timestamp", |r| r.now = NOW + DAY + 60, "tuf.expired"),
    (
        "expired snapshot under a fresh timestamp",
        |r| expires(r, "snapshot", "2027-01-15T07:00:00Z"),
        "tuf.expired",
    ),
    ("expired targets", |r| expires(r, "targets", "2027-01-15T07:00:00Z"), "tuf.expired"),
    (
        "expired role of the publisher",
        |r| {
            version(r, "acme", 6);
            expires(r, "acme", "2027-01-15T07:00:00Z");
        },
        "tuf.expired",
    ),
    (
        "expired root",
        |r| {
            let mut next = root(2, &[20, 21, 22], 41);
            next["expires"] = "2027-01-15T07:00:00Z".into();
            r.add_root(2, next, &[20, 21]);
        },
        "tuf.expired",
    ),
    ("no timestamp", |r| drop(r.served.insert("timestamp.json".into(), None)), "tuf.missing"),
    ("no snapshot", |r| drop(r.served.insert("6.snapshot.json".into(), None)), "tuf.missing"),
    ("no targets", |r| drop(r.served.insert("6.targets.json".into(), None)), "tuf.missing"),
    ("no role", |r| drop(r.served.insert("5.acme.json".into(), None)), "tuf.missing"),
];

const MIX: &[RepoAttack] = &[
    (
        "wrong length of the snapshot",
        |r| {
            r.pins.insert("snapshot", json!({ "version": 6, "length": 1 }));
        },
        "tuf.mix_and_match",
    ),
    (
        "wrong hash of the snapshot",
        |r| {
            r.pins.insert("snapshot", json!({ "version": 6, "hashes": { "sha256": "00" } }));
        },
        "tuf.mix_and_match",
    ),
    (
        "wrong length of targets",
        |r| {
            r.pins.insert("targets", json!({ "version": 6, "length": 1 }));
        },
        "tuf.mix_and_match",
    ),
    (
        "wrong hash of targets",
        |r| {
            r.pins.insert("targets", json!({ "version": 6, "hashes": { "sha256": "00" } }));
        },
        "tuf.mix_and_match",
    ),
    (
        "wrong length of a role",
        |r| {
            r.pins.insert("acme", json!({ "version": 5, "length": 1 }));
        },
        "tuf.mix_and_match",
    ),
    (
        "wrong hash of a role",
        |r| {
            r.pins.insert("acme", json!({ "version": 5, "hashes": { "sha256": "00" } }));
        },
        "tuf.mix_and_match",
    ),
    (
        "only a hash nobody computes",
        |r| {
            r.pins.insert("acme", json!({ "version": 5, "hashes": { "md5": "00" } }));
        },
        "tuf.mix_and_match",
    ),
    (
        "snapshot of another moment",
        |r| r.serve("6.snapshot.json", Repo::first().files()["5.snapshot.json"].clone()),
        "tuf.mix_and_match",
    ),
    (
        "targets of another moment",
        |r| r.serve("6.targets.json", Repo::first().files()["5.targets.json"].clone()),
        "tuf.mix_and_match",
    ),
    (
        "snapshot of another number",
        |r| {
            r.pins.insert("snapshot", json!({ "version": 7 }));
        },
        "tuf.mix_and_match",
    ),
    (
        "role of another number",
        |r| {
            r.pins.insert("acme", json!({ "version": 7 }));
        },
        "tuf.mix_and_match",
    ),
    (
        "a neighbour's role in the publisher's place",
        |r| r.serve("5.acme.json", Repo::first().files()["3.skep.json"].clone()),
        "tuf.mix_and_match",
    ),
    (
        "snapshot where targets belong",
        |r| {
            let files = r.files();
            r.pins.insert("targets", json!({ "version": 6 }));
            r.serve("6.targets.json", files["6.snapshot.json"].clone());
        },
        "tuf.malformed",
    ),
];

const FORM: &[RepoAttack] = &[
    ("endless timestamp", |r| r.serve("timestamp.json", vec![b' '; 20_000]), "tuf.too_large"),
    ("endless root", |r| r.serve("2.root.json", vec![b' '; 600_000]), "tuf.too_large"),
    ("endless snapshot", |r| r.serve("6.snapshot.json", vec![b' '; 5 << 20]), "tuf.too_large"),
    ("endless targets", |r| r.serve("6.targets.json", vec![b' '; 5 << 20]), "tuf.too_large"),
    ("endless role", |r| r.serve("5.acme.json", vec![b' '; 5 << 20]), "tuf.too_large"),
    ("a page of HTML", |r| r.serve("timestamp.json", b"<html>".to_vec()), "tuf.malformed"),
    ("bottomless JSON", |r| r.serve("timestamp.json", vec![b'['; 16_000]), "tuf.malformed"),
    ("nothing", |r| r.serve("timestamp.json", Vec::new()), "tuf.malformed"),
    (
        "key twice",
        |r| {
            let text = String::from_utf8(r.files()["timestamp.json"].clone()).unwrap();
            let text = text.replace("\"version\":6}", "\"version\":6,\"version\":7}");
            r.serve("timestamp.json", text.into_bytes());
        },
        "tuf.malformed",
    ),
    (
        "version of 2^64",
        |r| {
            let text = String::from_utf8(r.files()["timestamp.json"].clone()).unwrap();
            let text = text.replace("\"version\":6}", "\"version\":18446744073709551616}");
            r.serve("timestamp.json", text.into_bytes());
        },
        "tuf.malformed",
    ),
    ("version of 2^64 - 1", |r| version(r, "timestamp", u64::MAX), "tuf.version_out_of_range"),
    ("version of 2^53", |r| version(r, "timestamp", 1 << 53), "tuf.version_out_of_range"),
    ("version 0", |r| version(r, "timestamp", 0), "tuf.version_out_of_range"),
    (
        "later specification",
        |r| r.part("timestamp").signed["spec_version"] = "2.0.0".into(),
        "tuf.malformed",
    ),
    (
        "role of another type",
        |r| r.part("timestamp").signed["_type"] = "root".into(),
        "tuf.malformed",
    ),
    (
        "no list of signatures",
        |r| r.serve("timestamp.json", b"{\"signed\":{\"version\":6}}".to_vec()),
        "tuf.malformed",
    ),
    (
        "endless rotations of the root",
        |r| {
            for number in 2..40 {
                r.add_root(number, root(number, &[20, 21, 22], 41), &[20, 21]);
            }
        },
        "tuf.too_many_roots",
    ),
];

#[test]
fn what_is_older_than_what_was_seen_is_refused_in_every_role() {
    check(ROLLBACK);
}

#[test]
fn what_is_withheld_or_expired_is_refused_in_every_role() {
    check(FREEZE);
}

#[test]
fn files_that_do_not_belong_together_are_refused() {
    check(MIX);
}

#[test]
fn metadata_of_a_bad_form_is_refused_before_it_is_believed() {
    check(FORM);
}
