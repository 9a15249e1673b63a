//! The TUF repository a server keeps: ceremonies, delegations, role files passed on, keys rotated; read as a node reads it.

use crate::world::{Package, Publisher, World};
use skep_api::client::Client;
use skep_api::v1::namespaces::ClaimNamespace;
use skep_artifact::key::SecretKey;
use skep_artifact::role::Role;
use skep_registry_server::tuf::keys::ServerKeys;
use skep_trust::tuf::{
    Answer, Answers, DelegationDraft, Delegations, Document, Outcome, RoleKeysDraft, RootDraft,
    Session, Stored, TargetsDraft, Withheld,
};

const FAR: i64 = 2_000_000_000;

fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed([seed; 32])
}

fn role(seeds: &[u8], threshold: usize) -> RoleKeysDraft {
    RoleKeysDraft { keys: seeds.iter().map(|seed| key(*seed).public()).collect(), threshold }
}

fn signed(document: Option<Document>, seeds: &[u8]) -> Vec<u8> {
    let mut document = document.unwrap();
    for seed in seeds {
        document.sign(&key(*seed)).unwrap();
    }
    document.to_bytes().unwrap()
}

/// Root 20 to 22, two of three; targets 30 to 32, two of three; the server's own keys.
async fn root(admin: &Client, version: u64) -> RootDraft {
    let online = admin.trust().await.unwrap().online;
    let one = |key| RoleKeysDraft { keys: vec![key], threshold: 1 };
    RootDraft {
        version,
        expires_at: FAR,
        root: role(&[20, 21, 22], 2),
        targets: role(&[30, 31, 32], 2),
        snapshot: one(online.snapshot),
        timestamp: one(online.timestamp),
    }
}

async fn targets(admin: &Client, version: u64, namespaces: &[(&str, &[u8])]) -> TargetsDraft {
    let online = admin.trust().await.unwrap().online;
    let namespaces = namespaces.iter().map(|(name, seeds)| DelegationDraft {
        namespace: name.parse().unwrap(),
        signers: role(seeds, 1),
    });
    TargetsDraft {
        version,
        expires_at: FAR,
        namespaces: namespaces.collect(),
        selfservice: Some(online.selfservice),
    }
}

pub(crate) async fn ceremony(admin: &Client) -> Vec<u8> {
    let first = signed(root(admin, 1).await.document(), &[20, 21]);
    admin.put_trust("root", first.clone()).await.unwrap();
    let offline = signed(targets(admin, 1, &[]).await.document(), &[30, 32]);
    admin.put_trust("targets", offline).await.unwrap();
    first
}

pub(crate) async fn delegate(admin: &Client, version: u64, namespaces: &[(&str, &[u8])]) {
    let offline = signed(targets(admin, version, namespaces).await.document(), &[31, 32]);
    admin.put_trust("targets", offline).await.unwrap();
}

/// A node: reads the repository and gives what it learned, and the role of a namespace.
async fn read(client: &Client, root: &[u8], stored: &mut Stored, namespace: &str) -> Read {
    let mut answers = Answers::new();
    let path = format!("{namespace}/-/-");
    let now = skep_registry_server::clock::now();
    loop {
        let session = Session { root, stored, answers: &answers, now };
        match session.find(&path) {
            (Outcome::Fetch(request), _) => {
                let limit = usize::try_from(request.bytes_max).unwrap();
                let answer = client.tuf_file(&request.file, limit).await.unwrap();
                let answer = answer.map_or(Answer::Missing, |b| Answer::Bytes(b.to_vec()));
                answers.insert(request.file, answer);
            }
            (Outcome::Refused(error), _) => return Err(error.code().to_owned()),
            (Outcome::Done(_), next) => {
                *stored = next;
                let role = stored.files.get(&format!("{namespace}.json")).cloned();
                return Ok((Delegations::read(stored).unwrap(), role));
            }
        }
    }
}

type Read = Result<(Delegations, Option<Vec<u8>>), String>;

fn code(error: &skep_api::client::ClientError) -> &str {
    error.code().unwrap_or("no code")
}

#[tokio::test]
async fn without_a_ceremony_there_is_no_repository_and_nothing_claims_one() {
    let world = World::start().await;
    let publisher = Publisher::new(&world, "acme").await;
    publisher.publish(&Package::new("acme/limiter", "1.0.0")).await.unwrap();
    let client = world.anonymous();
    for file in ["1.root.json", "root.json", "timestamp.json", "1.acme.json", "acme.json"] {
        assert_eq!(client.tuf_file(file, 1 << 20).await.unwrap(), None, "{file}");
    }
    let info = client.trust().await.unwrap();
    assert_eq!((info.root, info.timestamp, info.delegated), (None, None, Vec::new()));
}

#[tokio::test]
async fn a_delegated_namespace_is_read_as_its_publisher_signed_it_and_others_are_self_service() {
    let world = World::start().await;
    let admin = world.admin();
    let publisher = Publisher::new(&world, "acme").await;
    let _newcomer = Publisher::new(&world, "newcomer").await;
    publisher.publish(&Package::new("acme/limiter", "1.0.0")).await.unwrap();
    let first = ceremony(&admin).await;
    let (mut stored, client) = (Stored::default(), world.anonymous());

    let (known, role) = read(&client, &first, &mut stored, "acme").await.unwrap();
    assert_eq!(known.of(&"acme".parse().unwrap()), Err(Withheld::SelfService));
    let name = "acme".parse().unwrap();
    let served = client.role(&name, 1 << 20).await.unwrap().unwrap();
    assert_eq!(role.unwrap(), served.to_vec(), "byte for byte");

    delegate(&admin, 2, &[("acme", &[7])]).await;
    let (known, _) = read(&client, &first, &mut stored, "acme").await.unwrap();
    let signers = &known.of(&name).unwrap().signers;
    assert_eq!((signers.keys.len(), signers.threshold), (1, 1));
    assert_eq!(known.pin(&name), Some(1));
    assert_eq!(known.of(&"newcomer".parse().unwrap()), Err(Withheld::SelfService));

    // Every publish moves the snapshot.
    publisher.publish(&Package::new("acme/limiter", "1.1.0")).await.unwrap();
    let (known, role) = read(&client, &first, &mut stored, "acme").await.unwrap();
    assert_eq!(known.pin(&name), Some(2));
    let role = role.unwrap();
    assert_eq!(Role::verify(&role, &name, &[key(7).public()], 1).unwrap().role().version(), 2);

    // The target is served under the name consistent snapshots give it.
    let version = client.version(&"acme/limiter".parse().unwrap(), &"1.1.0".parse().unwrap()).await;
    let index = version.unwrap().summary.index;
    let path = format!("/tuf/targets/acme/limiter/{}.1.1.0", index.hex());
    let bytes = client.file(&path, 1 << 20).await.unwrap().unwrap();
    assert_eq!(skep_artifact::digest::Digest::of(&bytes), index);
    let other = format!("/tuf/targets/acme/limiter/{}.1.0.0", index.hex());
    assert_eq!(client.file(&other, 1 << 20).await.unwrap(), None);
}

#[tokio::test]
async fn documents_that_tuf_would_not_take_are_refused_and_change_nothing() {
    let world = World::start().await;
    let admin = world.admin();
    let draft = root(&admin, 1).await;
    let put = async |what: &str, bytes: Vec<u8>| admin.put_trust(what, bytes).await.unwrap_err();
    let refused = put("targets", signed(targets(&admin, 1, &[]).await.document(), &[30, 31])).await;
    assert_eq!(code(&refused), "trust.no_root");
    assert_eq!(code(&put("root", signed(draft.document(), &[20])).await), "trust.refused");
    assert_eq!(code(&put("root", b"<html>".to_vec()).await), "trust.refused");
    let expired = RootDraft { expires_at: 1, ..draft.clone() };
    assert_eq!(code(&put("root", signed(expired.document(), &[20, 21])).await), "trust.refused");
    let others = RootDraft { timestamp: role(&[9], 1), ..draft.clone() };
    let refused = put("root", signed(others.document(), &[20, 21])).await;
    assert!(refused.to_string().contains("timestamp"), "{refused}");
    let second = RootDraft { version: 2, ..draft.clone() };
    let refused = put("root", signed(second.document(), &[20, 21])).await;
    assert_eq!(code(&refused), "trust.version_conflict");
    assert_eq!(admin.trust().await.unwrap().root, None);

    ceremony(&admin).await;
    let by_one = signed(targets(&admin, 2, &[]).await.document(), &[30]);
    assert_eq!(code(&put("targets", by_one).await), "trust.refused");
    let by_root = signed(targets(&admin, 2, &[]).await.document(), &[20, 21]);
    assert_eq!(code(&put("targets", by_root).await), "trust.refused");
    let again = signed(targets(&admin, 1, &[]).await.document(), &[30, 31]);
    assert_eq!(code(&put("targets", again).await), "trust.version_conflict");
    let reserved = signed(targets(&admin, 2, &[("snapshot", &[7])]).await.document(), &[30, 31]);
    assert_eq!(code(&put("targets", reserved).await), "trust.refused");
    let mut wide = targets(&admin, 2, &[("acme", &[7])]).await.document().unwrap().signed().clone();
    wide["delegations"]["roles"][0]["paths"] = serde_json::json!(["*/*/*"]);
    let wide = signed(Some(Document::unsigned(wide)), &[30, 31]);
    assert_eq!(code(&put("targets", wide).await), "trust.refused");
    assert_eq!(admin.trust().await.unwrap().targets.unwrap().version, 1);

    // Keepers replaced: both must sign.
    let next = RootDraft { version: 2, root: role(&[23, 24, 25], 2), ..draft };
    assert_eq!(code(&put("root", signed(next.document(), &[23, 24])).await), "trust.refused");
    assert_eq!(code(&put("root", signed(next.document(), &[20, 21])).await), "trust.refused");
    admin.put_trust("root", signed(next.document(), &[20, 21, 23, 24])).await.unwrap();
}

#[tokio::test]
async fn a_lost_key_is_recovered_by_the_offline_role_and_the_old_one_signs_nothing_any_more() {
    let world = World::start().await;
    let admin = world.admin();
    let publisher = Publisher::new(&world, "acme").await;
    publisher.publish(&Package::new("acme/limiter", "1.0.0")).await.unwrap();
    let first = ceremony(&admin).await;
    delegate(&admin, 2, &[("acme", &[7])]).await;
    let (mut stored, client) = (Stored::default(), world.anonymous());
    read(&client, &first, &mut stored, "acme").await.unwrap();

    delegate(&admin, 3, &[("acme", &[8])]).await;
    // Until the publisher signs with the new key, the role is one of a key that was taken back.
    let refused = read(&client, &first, &mut stored.clone(), "acme").await;
    assert_eq!(refused.map(drop), Err("tuf.threshold_not_met".to_owned()));
    let refused = publisher.publish(&Package::new("acme/limiter", "1.1.0")).await.unwrap_err();
    assert_eq!(code(&refused), "package.signature_untrusted");

    let name = "acme".parse().unwrap();
    let old = client.role(&name, 1 << 20).await.unwrap().unwrap();
    let next = Role::read_unverified(&old, &name).unwrap().next("2036-01-01T00:00:00Z").unwrap();
    let refused = admin.put_role(&name, next.sign(&[key(7)]).unwrap()).await.unwrap_err();
    assert_eq!(code(&refused), "package.signature_untrusted");
    let empty = Role::new(name.clone(), 2, "2036-01-01T00:00:00Z").unwrap();
    let refused = admin.put_role(&name, empty.sign(&[key(8)]).unwrap()).await.unwrap_err();
    assert_eq!(code(&refused), "trust.refused", "it drops what was published");
    let receipt = admin.put_role(&name, next.sign(&[key(8)]).unwrap()).await.unwrap();
    assert_eq!(receipt.version, 2);
    let (known, _) = read(&client, &first, &mut stored, "acme").await.unwrap();
    assert_eq!(known.pin(&name), Some(2));
}

#[tokio::test]
async fn the_servers_own_key_is_rotated_by_a_new_root_and_a_restart() {
    let world = World::start().await;
    let admin = world.admin();
    let first = ceremony(&admin).await;
    let (mut stored, client) = (Stored::default(), world.anonymous());
    let (before, _) = read(&client, &first, &mut stored, "acme").await.unwrap();

    let new = ServerKeys::add(&world.data, "timestamp").unwrap();
    let world = world.restart().await;
    let (admin, client) = (world.admin(), world.anonymous());
    assert_eq!(admin.trust().await.unwrap().online.timestamp, new);
    // Still the old key: no root names the new one yet.
    read(&client, &first, &mut stored, "acme").await.unwrap();
    let next = signed(root(&admin, 2).await.document(), &[20, 22]);
    admin.put_trust("root", next).await.unwrap();
    let (after, _) = read(&client, &first, &mut stored, "acme").await.unwrap();
    assert_eq!(after.versions().0, 2);
    assert!(after.versions().2 > before.versions().2);
}

#[tokio::test]
async fn names_of_the_repositorys_own_roles_cannot_be_claimed() {
    let world = World::start().await;
    // The first is no name of a namespace at all.
    assert!("root".parse::<skep_artifact::name::Namespace>().is_err());
    for name in ["targets", "snapshot", "timestamp", "selfservice"] {
        let keys = vec![key(7).public()];
        let claim = ClaimNamespace { name: name.parse().unwrap(), keys, threshold: 1 };
        let refused = world.admin().claim_namespace(&claim).await.unwrap_err();
        assert_eq!(code(&refused), "request.malformed", "{name}");
    }
}
