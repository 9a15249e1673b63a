//! Attacks on the registry's TUF repository by holders of some of its keys: signatures and delegations.

use serde_json::{Value, json};

use crate::tuf_world::{
    RepoAttack, acme, check, delegate, root, self_service, targets, weak_key_hex,
};
use crate::world::key;

const SIGNATURES: &[RepoAttack] = &[
    ("timestamp by Mallory", |r| r.part("timestamp").seeds = vec![9], "tuf.threshold_not_met"),
    (
        "timestamp by the snapshot's key",
        |r| r.part("timestamp").seeds = vec![40],
        "tuf.threshold_not_met",
    ),
    ("timestamp by nobody", |r| r.part("timestamp").seeds.clear(), "tuf.threshold_not_met"),
    (
        "timestamp twice by one key",
        |r| r.part("timestamp").seeds = vec![41, 41],
        "tuf.signature_duplicated",
    ),
    ("snapshot by Mallory", |r| r.part("snapshot").seeds = vec![9], "tuf.threshold_not_met"),
    (
        "snapshot by the timestamp's key",
        |r| r.part("snapshot").seeds = vec![41],
        "tuf.threshold_not_met",
    ),
    (
        "snapshot twice by one key",
        |r| r.part("snapshot").seeds = vec![40, 40],
        "tuf.signature_duplicated",
    ),
    (
        "targets by one keeper of two",
        |r| r.part("targets").seeds = vec![30],
        "tuf.threshold_not_met",
    ),
    (
        "targets by one keeper and Mallory",
        |r| r.part("targets").seeds = vec![30, 9],
        "tuf.threshold_not_met",
    ),
    (
        "targets twice by one keeper",
        |r| r.part("targets").seeds = vec![30, 30],
        "tuf.signature_duplicated",
    ),
    (
        "targets by the server's own keys",
        |r| r.part("targets").seeds = vec![40, 41, 42],
        "tuf.threshold_not_met",
    ),
    (
        "targets by the root's keepers",
        |r| r.part("targets").seeds = vec![20, 21, 22],
        "tuf.threshold_not_met",
    ),
    ("role by Mallory", |r| r.part("acme").seeds = vec![9], "tuf.threshold_not_met"),
    ("role by a neighbour", |r| r.part("acme").seeds = vec![5], "tuf.threshold_not_met"),
    ("role by the server", |r| r.part("acme").seeds = vec![40, 41, 42], "tuf.threshold_not_met"),
    (
        "role by the offline keepers",
        |r| r.part("acme").seeds = vec![30, 31],
        "tuf.threshold_not_met",
    ),
    ("role twice by one key", |r| r.part("acme").seeds = vec![1, 1], "tuf.signature_duplicated"),
    ("role by one of two that must", |r| acme(r)["threshold"] = 2.into(), "tuf.threshold_not_met"),
    (
        "role by a key that was taken back",
        |r| {
            let offline = vec![delegate("acme", &[3]), delegate("skep", &[5])];
            r.part("targets").signed = targets(6, offline);
        },
        "tuf.threshold_not_met",
    ),
    (
        "root by one old keeper",
        |r| r.add_root(2, root(2, &[23, 24, 25], 41), &[20, 23, 24]),
        "tuf.threshold_not_met",
    ),
    (
        "root by old keepers only",
        |r| r.add_root(2, root(2, &[23, 24, 25], 41), &[20, 21]),
        "tuf.threshold_not_met",
    ),
    (
        "root by new keepers only",
        |r| r.add_root(2, root(2, &[23, 24, 25], 41), &[23, 24]),
        "tuf.threshold_not_met",
    ),
    (
        "root twice by one keeper",
        |r| r.add_root(2, root(2, &[20, 21, 22], 41), &[20, 20]),
        "tuf.signature_duplicated",
    ),
    (
        "fork by keepers that were replaced",
        |r| {
            r.add_root(2, root(2, &[23, 24, 25], 41), &[20, 21, 23, 24]);
            r.add_root(3, root(3, &[20, 21, 22], 9), &[20, 21]);
        },
        "tuf.threshold_not_met",
    ),
    (
        "timestamp by a key that a new root took back",
        |r| r.add_root(2, root(2, &[20, 21, 22], 43), &[20, 21]),
        "tuf.threshold_not_met",
    ),
    (
        "signature over other bytes",
        |r| {
            let mut file: Value = serde_json::from_slice(&r.files()["timestamp.json"]).unwrap();
            file["signed"]["expires"] = "2037-01-01T00:00:00Z".into();
            r.serve("timestamp.json", serde_json::to_vec(&file).unwrap());
        },
        "tuf.threshold_not_met",
    ),
];

const DELEGATIONS: &[RepoAttack] = &[
    (
        "everybody's paths for one publisher",
        |r| acme(r)["paths"] = json!(["*/*/*"]),
        "package.delegation_overreaches",
    ),
    (
        "a neighbour's paths beside the own",
        |r| acme(r)["paths"] = json!(["acme/*/*", "skep/*/*"]),
        "package.delegation_overreaches",
    ),
    (
        "delegation that is not terminating",
        |r| acme(r)["terminating"] = false.into(),
        "package.delegation_not_terminating",
    ),
    ("threshold of nobody", |r| acme(r)["threshold"] = 0.into(), "tuf.malformed"),
    ("threshold beyond the keys", |r| acme(r)["threshold"] = 3.into(), "tuf.threshold_not_met"),
    (
        "one key counted twice",
        |r| {
            let id = acme(r)["keyids"][0].clone();
            acme(r)["keyids"] = json!([id, id]);
            let signed = key(1).public().key_id().hex() == id.as_str().unwrap();
            r.part("acme").seeds = vec![if signed { 1 } else { 2 }];
        },
        "package.delegation_refused",
    ),
    (
        "one key under two names",
        |r| {
            let object = r.part("targets").signed["delegations"]["keys"]
                [key(1).public().key_id().hex()]
            .clone();
            let other = key(9).public().key_id().hex();
            r.part("targets").signed["delegations"]["keys"][&other] = object;
            let ids = json!([key(1).public().key_id(), other]);
            acme(r)["keyids"] = ids;
        },
        "package.delegation_refused",
    ),
    (
        "key of small order",
        |r| {
            let id = key(2).public().key_id().hex();
            let weak = weak_key_hex();
            r.part("targets").signed["delegations"]["keys"][&id]["keyval"]["public"] = weak.into();
        },
        "package.delegation_refused",
    ),
    (
        "delegated twice",
        |r| {
            let again = acme(r).clone();
            r.part("targets").signed["delegations"]["roles"].as_array_mut().unwrap().push(again);
        },
        "package.delegation_refused",
    ),
    (
        "not delegated at all",
        |r| r.part("targets").signed = targets(6, vec![delegate("skep", &[5])]),
        "package.namespace_not_delegated",
    ),
    (
        "claimed by sign-up only",
        |r| {
            r.part("targets").signed = targets(6, vec![delegate("skep", &[5])]);
            r.part("selfservice").signed = self_service(6, vec![delegate("acme", &[1])]);
        },
        "package.self_service_not_pinned",
    ),
    (
        "claimed by Mallory's sign-up, signed by Mallory",
        |r| {
            r.part("targets").signed = targets(6, vec![delegate("skep", &[5])]);
            r.part("selfservice").signed = self_service(6, vec![delegate("acme", &[9])]);
            r.part("acme").seeds = vec![9];
        },
        "package.self_service_not_pinned",
    ),
    (
        "ten thousand delegations",
        |r| {
            let role = acme(r).clone();
            let roles = (0..10_000).map(|n| {
                let mut role = role.clone();
                role["name"] = format!("n{n}").into();
                role
            });
            let roles: Vec<Value> = roles.collect();
            r.part("targets").signed["delegations"]["roles"] = roles.into();
        },
        "tuf.too_many_delegations",
    ),
];

#[test]
fn too_few_and_wrong_and_repeated_signatures_are_refused_in_every_role() {
    check(SIGNATURES);
}

#[test]
fn delegations_that_give_too_much_are_refused_by_name() {
    check(DELEGATIONS);
}
