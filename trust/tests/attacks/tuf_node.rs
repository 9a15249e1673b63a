//! What a node makes of a repository over time: neighbours, sign-up, expiry, new roots.

use serde_json::json;

use crate::tuf_world::{
    DAY, POLICY, Reader, Repo, delegate, expires, root, self_service, targets, version,
};
use crate::world::{NOW, key};

#[test]
fn a_neighbour_who_is_expired_overreaching_missing_or_huge_stops_nobody() {
    type Neighbour = (&'static str, fn(&mut Repo));
    let neighbours: &[Neighbour] = &[
        ("expired", |r| expires(r, "skep", "2026-01-01T00:00:00Z")),
        ("overreaching", |r| {
            let role = &mut r.part("targets").signed["delegations"]["roles"][1];
            role["paths"] = json!(["*/*/*"]);
        }),
        ("missing", |r| drop(r.served.insert("3.skep.json".into(), None))),
        ("huge", |r| r.serve("3.skep.json", vec![b' '; 5 << 20])),
        ("unsigned", |r| r.part("skep").seeds.clear()),
        ("signed by Mallory", |r| r.part("skep").seeds = vec![9]),
        ("of no form", |r| r.serve("3.skep.json", b"<html>".to_vec())),
        ("without a usable key", |r| {
            let role = &mut r.part("targets").signed["delegations"]["roles"][1];
            role["keyids"] = json!([]);
        }),
    ];
    for (name, change) in neighbours {
        let mut repo = Repo::good();
        change(&mut repo);
        assert_eq!(Reader::new().accept(&repo), Ok(()), "{name}");
    }
}

#[test]
fn a_name_claimed_by_sign_up_is_accepted_with_pinned_keys_and_after_it_was_taken_over() {
    let mut repo = Repo::good();
    repo.part("targets").signed = targets(6, vec![delegate("skep", &[5])]);
    repo.part("selfservice").signed = self_service(6, vec![delegate("acme", &[1])]);
    let mut reader = Reader::new();
    assert_eq!(reader.accept(&repo), Err("package.self_service_not_pinned".to_owned()));
    let pinned = format!("keys = [\"{}\"]\nhooks", key(1).public());
    let with_pin = Repo { policy: POLICY.replace("hooks", &pinned), ..repo.clone() };
    assert_eq!(reader.accept(&with_pin), Ok(()));
    let offline = vec![delegate("acme", &[1, 2]), delegate("skep", &[5])];
    repo.part("targets").signed = targets(7, offline);
    version(&mut repo, "snapshot", 7);
    version(&mut repo, "timestamp", 7);
    assert_eq!(reader.accept(&repo), Ok(()));
}

#[test]
fn expiry_stops_what_is_new_and_not_what_was_accepted() {
    let (mut reader, repo) = (Reader::new(), Repo::good());
    assert_eq!(reader.accept(&repo), Ok(()));
    let later = NOW + 30 * DAY;
    // A month without a refresh, the registry gone: what was accepted is judged by when it was.
    assert_eq!(reader.verify(&repo, NOW), Ok(()));
    assert_eq!(reader.verify(&repo, later), Err("package.repository_not_fresh".to_owned()));
}

#[test]
fn a_role_file_other_than_the_snapshot_names_is_not_accepted_first() {
    let mut reader = Reader::new();
    reader.read(&Repo::good()).unwrap();
    for other in [4, 6] {
        let mut repo = Repo::good();
        version(&mut repo, "acme", other);
        let refused = Err("package.role_not_current".to_owned());
        assert_eq!(reader.verify(&repo, NOW), refused, "{other}");
        // Accepted before the newest timestamp was signed, it is judged by what was known then.
        assert_eq!(reader.verify(&repo, NOW - 120), Ok(()), "{other}");
    }
}

#[test]
fn a_node_that_never_read_the_repository_accepts_nothing_by_it() {
    let (reader, repo) = (Reader::new(), Repo::good());
    let policy = skep_trust::NodePolicy::parse(&repo.policy).unwrap();
    let world = crate::world::World::good();
    let get = |digest: &skep_artifact::Digest| world.blobs.get(digest).cloned();
    let floors = skep_trust::Floors::default();
    let beside = skep_trust::Beside::default();
    let (role, wanted) = (&world.role, &world.wanted);
    let refused = skep_trust::verify_package(&policy, role, &get, wanted, &floors, NOW, &beside);
    assert_eq!(refused.unwrap_err().code(), "package.repository_unknown");
    assert_eq!(reader.verify(&repo, NOW), Ok(()));
}

#[test]
fn a_new_root_takes_the_old_keys_word_at_once_even_when_the_rest_is_withheld() {
    let (mut reader, mut repo) = (Reader::new(), Repo::good());
    assert_eq!(reader.accept(&repo), Ok(()));
    repo.add_root(2, root(2, &[20, 21, 22], 43), &[20, 21]);
    assert_eq!(reader.read(&repo), Err("tuf.threshold_not_met".to_owned()));
    assert_eq!(reader.verify(&repo, NOW), Err("package.repository_not_fresh".to_owned()));
    repo.part("timestamp").seeds = vec![43];
    assert_eq!(reader.accept(&repo), Ok(()));
}

#[test]
fn a_time_set_far_ahead_by_a_stolen_key_is_healed_by_a_new_one() {
    let (mut reader, mut repo) = (Reader::new(), Repo::good());
    version(&mut repo, "timestamp", 7);
    repo.part("timestamp").signed["x-skep-signed-at"] = "2099-01-01T00:00:00Z".into();
    expires(&mut repo, "timestamp", "2099-01-02T00:00:00Z");
    reader.read(&repo).unwrap();
    assert_eq!(reader.policy(&repo).delegations().unwrap().time_floor(), 4_070_908_800);
    let mut healed = Repo::good();
    healed.add_root(2, root(2, &[20, 21, 22], 43), &[20, 21]);
    healed.part("timestamp").seeds = vec![43];
    // An agent's time is the floor at first: the newest root is expired by then, and taken all the same.
    let far = Repo { now: reader.stored.time_floor(), ..healed.clone() };
    assert_eq!(far.now, 4_070_908_800);
    assert_eq!(reader.read(&far), Err("tuf.expired".to_owned()));
    assert_eq!(reader.stored.time_floor(), 0);
    assert_eq!(reader.accept(&healed), Ok(()));
    assert_eq!(reader.policy(&healed).delegations().unwrap().time_floor(), NOW);
}
