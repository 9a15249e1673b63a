//! Attacks on the transparency log: proofs that prove something else, checkpoints of others.

use skep_artifact::Digest;
use skep_artifact::log::{Entry, Event, leaf_hash};
use skep_trust::LogMemory;
use skep_trust::note::{cosign, sign};

use crate::log_world::{Desk, INDEX, ORIGIN, SIZE, checkpoint_text, note, published};
use crate::world::{NOW, key};

type Attack = (&'static str, fn(&mut Desk), &'static str);

const ATTACKS: &[Attack] = &[
    ("no proof", |d| d.world.beside.log = None, "log.proof_missing"),
    ("proof of an older version", |d| d.prove(SIZE, 1), "log.entry_of_another_package"),
    ("proof of another package", |d| d.prove(SIZE, 0), "log.entry_of_another_package"),
    (
        "entry of the same version with other content",
        |d| d.evidence().entry = published("acme/limiter", "1.4.2", Digest::of(b"other")),
        "log.entry_of_another_package",
    ),
    (
        "entry of another kind",
        |d| {
            let event = Event::Rollout { policy: "p".into(), revision: 1, step: "begun".into() };
            d.evidence().entry = Entry { at: NOW, event }.to_bytes().unwrap();
        },
        "log.entry_of_another_package",
    ),
    (
        "yank of the version instead of its publication",
        |d| {
            let event = Event::Yank {
                package: d.world.wanted.name.clone(),
                version: d.world.wanted.version.clone(),
                index: d.world.wanted.index,
                yanked: false,
                reason: String::new(),
            };
            d.evidence().entry = Entry { at: NOW, event }.to_bytes().unwrap();
        },
        "log.entry_of_another_package",
    ),
    ("wrong index", |d| d.evidence().index = 4, "log.not_included"),
    ("index outside the tree", |d| d.evidence().index = 6, "log.not_included"),
    ("index of 2^64 - 1", |d| d.evidence().index = u64::MAX, "log.not_included"),
    (
        "right entry that was never logged",
        |d| d.evidence().entry = reworded(d.log.entries[INDEX].clone()),
        "log.not_included",
    ),
    (
        "wrong hash in the proof",
        |d| d.evidence().inclusion[0] = Digest::of(b"x"),
        "log.not_included",
    ),
    ("proof cut short", |d| d.evidence().inclusion.truncate(1), "log.not_included"),
    (
        "proof with one hash more",
        |d| d.evidence().inclusion.push(Digest::of(b"x")),
        "log.not_included",
    ),
    ("proof in another order", |d| d.evidence().inclusion.reverse(), "log.not_included"),
    ("no hashes at all", |d| d.evidence().inclusion.clear(), "log.not_included"),
    (
        "endless proof",
        |d| d.evidence().inclusion = vec![Digest::of(b"x"); 10_000],
        "log.not_included",
    ),
    (
        "hashes of another size's proof",
        |d| d.evidence().inclusion = d.log.inclusion(5, INDEX),
        "log.not_included",
    ),
    (
        "leaf in the place of the root",
        |d| forge_root(d, |d| leaf_hash(&d.log.entries[INDEX])),
        "log.not_included",
    ),
    ("entry with a space", |d| spaced(&mut d.evidence().entry), "log.entry_malformed"),
    (
        "entry that is not JSON",
        |d| d.evidence().entry = b"acme/limiter".to_vec(),
        "log.entry_malformed",
    ),
    ("empty entry", |d| d.evidence().entry.clear(), "log.entry_malformed"),
    ("endless entry", |d| d.evidence().entry = vec![b'x'; 1 << 20], "log.entry_malformed"),
    (
        "entry that says more than is understood",
        |d| d.evidence().entry = added(d.log.entries[INDEX].clone()),
        "log.entry_malformed",
    ),
    (
        "checkpoint of nobody",
        |d| d.evidence().checkpoint = String::new(),
        "log.checkpoint_malformed",
    ),
    (
        "checkpoint without signatures",
        |d| d.evidence().checkpoint = d.text(),
        "log.checkpoint_malformed",
    ),
    (
        "endless checkpoint",
        |d| d.evidence().checkpoint.push_str(&"x".repeat(1 << 20)),
        "log.checkpoint_too_large",
    ),
    (
        "checkpoint of another log, signed by it",
        |d| d.sign(&d.log.text("evil.example/log", SIZE), "evil.example/log", 9),
        "log.other_origin",
    ),
    (
        "checkpoint of another log, signed by the right key",
        |d| d.sign(&d.log.text("evil.example/log", SIZE), ORIGIN, 5),
        "log.other_origin",
    ),
    (
        "checkpoint signed by a stranger under its own name",
        |d| d.sign(&d.text(), "evil.example/log", 9),
        "log.not_signed",
    ),
    ("stranger's key under the log's name", |d| d.sign(&d.text(), ORIGIN, 9), "log.not_signed"),
    (
        "stranger's signature under the log's key id",
        |d| {
            let text = d.text();
            let good = sign(ORIGIN, &key(5), text.as_bytes()).unwrap();
            let evil = sign(ORIGIN, &key(9), text.as_bytes()).unwrap();
            let evil = evil.signature().to_vec();
            let forged = signed_note::Signature::new(ORIGIN.into(), good.id(), evil).unwrap();
            d.evidence().checkpoint = note(&text, &[forged]);
        },
        "log.signature_invalid",
    ),
    ("size changed after signing", |d| d.edit("\n6\n", "\n7\n"), "log.signature_invalid"),
    ("line added after signing", |d| d.edit("\n\n", "\nmore\n\n"), "log.signature_invalid"),
    (
        "size with a leading zero",
        |d| {
            let text = checkpoint_text(ORIGIN, "06", d.log.root(SIZE));
            d.sign(&text, ORIGIN, 5)
        },
        "log.checkpoint_malformed",
    ),
    (
        "size of 2^64 - 1",
        |d| {
            let text = checkpoint_text(ORIGIN, "18446744073709551615", d.log.root(SIZE));
            d.sign(&text, ORIGIN, 5)
        },
        "log.checkpoint_malformed",
    ),
    (
        "negative size",
        |d| {
            let text = checkpoint_text(ORIGIN, "-1", d.log.root(SIZE));
            d.sign(&text, ORIGIN, 5)
        },
        "log.checkpoint_malformed",
    ),
    (
        "control character in the origin",
        |d| d.edit("registry", "\u{1b}registry"),
        "log.checkpoint_malformed",
    ),
    (
        "cosignature in the place of the log's signature",
        |d| {
            let text = d.text();
            let line = cosign(ORIGIN, &key(5), text.as_bytes(), NOW).unwrap();
            d.evidence().checkpoint = note(&text, &[line]);
        },
        "log.not_signed",
    ),
    ("no witnesses", |d| d.two_witnesses(), "log.too_few_witnesses"),
    (
        "one of two witnesses",
        |d| {
            d.two_witnesses();
            d.cosigned(&[("w1", 21)])
        },
        "log.too_few_witnesses",
    ),
    (
        "one witness twice",
        |d| {
            d.two_witnesses();
            d.cosigned(&[("w1", 21), ("w1", 21)])
        },
        "log.too_few_witnesses",
    ),
    (
        "one witness under the other's name",
        |d| {
            d.two_witnesses();
            d.cosigned(&[("w1", 21), ("w2", 21)])
        },
        "log.too_few_witnesses",
    ),
    (
        "one witness and a stranger",
        |d| {
            d.two_witnesses();
            d.cosigned(&[("w1", 21), ("w3", 23)])
        },
        "log.too_few_witnesses",
    ),
    (
        "cosignature whose time was changed",
        |d| {
            d.two_witnesses();
            let text = d.text();
            let log = sign(ORIGIN, &key(5), text.as_bytes()).unwrap();
            let made = cosign("w1", &key(21), text.as_bytes(), NOW).unwrap();
            let mut bytes = made.signature().to_vec();
            bytes[7] ^= 1;
            let moved = signed_note::Signature::new("w1".into(), made.id(), bytes).unwrap();
            d.evidence().checkpoint = note(&text, &[log, moved]);
        },
        "log.signature_invalid",
    ),
    (
        "fork of the log, signed by it",
        |d| {
            d.log.entries[5] = published("acme/other", "6.6.6", Digest::of(b"fork"));
            d.prove(SIZE, INDEX)
        },
        "log.checkpoint_unknown",
    ),
    ("older checkpoint that was never seen", |d| d.prove(4, INDEX), "log.checkpoint_unknown"),
    (
        "newer checkpoint that was never compared",
        |d| {
            d.log.entries.push(published("acme/other", "7.0.0", Digest::of(b"7")));
            d.prove(SIZE + 1, INDEX)
        },
        "log.checkpoint_unknown",
    ),
    (
        "node that never saw its log",
        |d| d.world.beside.memory = LogMemory::default(),
        "log.checkpoint_unknown",
    ),
    (
        "memory of another log",
        |d| d.world.beside.memory.origin = "evil.example/log".to_owned(),
        "log.checkpoint_unknown",
    ),
];

fn reworded(entry: Vec<u8>) -> Vec<u8> {
    String::from_utf8(entry).unwrap().replace("\"release\":9", "\"release\":8").into_bytes()
}

fn spaced(entry: &mut Vec<u8>) {
    entry.push(b' ');
}

fn added(entry: Vec<u8>) -> Vec<u8> {
    String::from_utf8(entry).unwrap().replacen('{', "{\"a\":1,", 1).into_bytes()
}

fn forge_root(desk: &mut Desk, root: fn(&Desk) -> Digest) {
    let text = checkpoint_text(ORIGIN, "6", root(desk));
    desk.sign(&text, ORIGIN, 5);
}

#[test]
fn packages_whose_place_in_the_log_is_not_proved_are_refused_by_name() {
    assert!(Desk::good().world.verify().is_ok(), "{:?}", Desk::good().world.verify());
    let surprises: Vec<_> = ATTACKS
        .iter()
        .filter_map(|(name, attack, wanted)| {
            let mut desk = Desk::good();
            attack(&mut desk);
            let code = desk.world.verify().map_or_else(|refusal| refusal.code(), |_| "accepted");
            (code != *wanted).then(|| format!("{name}: {code} instead of {wanted}"))
        })
        .collect();
    assert!(surprises.is_empty(), "{}", surprises.join("\n"));
}

#[test]
fn a_proof_with_enough_witnesses_is_accepted() {
    let mut desk = Desk::good();
    desk.two_witnesses();
    desk.cosigned(&[("w1", 21), ("w2", 22), ("w3", 23)]);
    assert!(desk.world.verify().is_ok(), "{:?}", desk.world.verify());
}

#[test]
fn a_policy_that_follows_a_log_without_requiring_it_loads_what_has_no_proof() {
    let mut desk = Desk::good();
    desk.world.policy = desk.world.policy.replace("require-log = true", "require-log = false");
    desk.world.beside.log = None;
    assert!(desk.world.verify().is_ok());
}
