//! Two servers on one PostgreSQL: real processes, each told a different thing.

use crate::cluster::{Cluster, Database};
use crate::durability::Server;
use crate::fleet::{enrolment, have, now, revision, signed};
use crate::world::{Package, Publisher, admin_token, client, eventually, token};
use skep_api::client::Client;
use skep_api::v1::nodes::CreateNodeToken;
use skep_api::v1::sync::{DesiredState, SyncRequest};
use skep_api::v1::tokens::Scope;
use skep_fleet::selector::Labels;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Within which time servers must see each other's changes.
const SEEN_WITHIN: Duration = Duration::from_secs(2);

struct Pair {
    first: Server,
    second: Server,
    admin: String,
    _folders: [TempDir; 2],
    _database: Database,
}

/// Two servers with one database and one set of blobs.
async fn pair() -> Pair {
    let database = Database::Postgres(Cluster::start());
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let first = Server::start(folders[0].path(), &database, None).await;
    let blobs = folders[1].path().join("data/blobs");
    std::fs::create_dir_all(&blobs).unwrap();
    std::os::unix::fs::symlink(first.data.join("blobs/sha256"), blobs.join("sha256")).unwrap();
    share_keys(&first.data, &folders[1].path().join("data"));
    let second = Server::start(folders[1].path(), &database, None).await;
    assert!(!second.data.join("admin.token").exists(), "the first server made one for all");
    let admin = admin_token(&first.data);
    Pair { first, second, admin, _folders: folders, _database: database }
}

/// Gives a server the keys of another, as its operator would.
pub(crate) fn share_keys(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for keys in ["log.key", "assignment.key", "cosign.key", "trust"] {
        let copied = Command::new("cp").arg("-a").arg(from.join(keys)).arg(to).status();
        assert!(copied.unwrap().success());
    }
}

impl Pair {
    fn admins(&self) -> [Client; 2] {
        [&self.first, &self.second].map(|server| client(&server.address, Some(&self.admin)))
    }

    /// A node enrolled at the first server, as it meets each of them.
    async fn node(&self, name: &str) -> [Client; 2] {
        let labels = Labels::from([("role".to_owned(), "edge".to_owned())]);
        let wish = CreateNodeToken { labels, uses: 1, valid_secs: 600 };
        let [first, _] = self.admins();
        let secret = first.create_node_token(&wish).await.unwrap().secret;
        let anyone = client(&self.first.address, None);
        let enrolled = anyone.enrol(&enrolment(&secret, name, 1)).await.unwrap();
        [&self.first, &self.second]
            .map(|server| client(&server.address, Some(&enrolled.credential)))
    }

    async fn package(&self) -> Package {
        let [first, _] = self.admins();
        let publisher = Publisher::with(&self.first.address, &first, "acme").await;
        let package = Package::new("acme/pass", "1.0.0");
        publisher.publish(&package).await.unwrap();
        package
    }
}

async fn parked(node: &Client, known: &DesiredState) -> DesiredState {
    let request = SyncRequest { have: Some(have(known)), wait_secs: 30, notices: None };
    node.sync(&request).await.unwrap().expect("something else is wanted before the wait is over")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_server_is_told_the_other_knows() {
    let pair = pair().await;
    let [first, second] = pair.admins();
    let package = pair.package().await;
    let elsewhere = client(&pair.second.address, None);
    let there = elsewhere.version(&package.name, &package.version).await.unwrap();
    assert_eq!(there.summary.index, package.index());
    let index = elsewhere.manifest(&package.name, &package.index(), 1 << 20).await.unwrap();
    assert_eq!(index, package.blobs.index.bytes);
    // A publish at the second follows the role that the first took.
    let publisher = Publisher {
        client: client(&pair.second.address, Some(&pair.admin)),
        namespace: "acme".parse().unwrap(),
        key: skep_artifact::key::SecretKey::from_seed([7; 32]),
        secret: pair.admin.clone(),
    };
    let receipt = publisher.publish(&Package::new("acme/pass", "1.1.0")).await.unwrap();
    assert_eq!(receipt.role_version, 2);
    let reader = token(&first, Scope::ReadFleet, None).await;
    client(&pair.second.address, Some(&reader)).nodes().await.unwrap();
    let [_, node] = pair.node("web-1").await;
    assert_eq!(now(&node).await.generation.0, 1, "its credential opens the other server at once");
    let begun = Instant::now();
    eventually("the other server lists the node", async || {
        let nodes = second.nodes().await.unwrap();
        nodes.nodes.iter().any(|n| n.name.as_str() == "web-1").then_some(())
    })
    .await;
    assert!(begun.elapsed() < SEEN_WITHIN, "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_parked_at_one_server_is_woken_by_a_policy_applied_at_the_other() {
    let pair = pair().await;
    let admins = pair.admins();
    let package = pair.package().await;
    let nodes = pair.node("web-1").await;
    let mut known = now(&nodes[0]).await;
    let mut fastest = Duration::MAX;
    // The node moves: each time it waits at one server, and the other is told.
    for round in 1..=4_u64 {
        let (here, there) = ((round % 2) as usize, ((round + 1) % 2) as usize);
        let (node, before) = (nodes[here].clone(), known.clone());
        let waiting = tokio::spawn(async move { (parked(&node, &before).await, Instant::now()) });
        let told = Instant::now();
        let revision = revision("edge-guard", round, "edge", &package);
        let receipt = admins[there].apply(&signed(&revision)).await.unwrap();
        assert_eq!(receipt.nodes, ["web-1"], "round {round}");
        let (woken, at) = waiting.await.unwrap();
        assert_eq!(woken.generation.0, known.generation.0 + 1, "round {round}");
        fastest = fastest.min(at - told);
        known = woken;
    }
    assert!(fastest < SEEN_WITHIN, "{fastest:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn policies_applied_at_both_servers_at_once_count_every_generation_once() {
    const EACH: u64 = 8;
    let pair = pair().await;
    let package = pair.package().await;
    let nodes = pair.node("web-1").await;
    let applying = pair.admins().into_iter().zip(["a", "b"]).map(|(admin, name)| {
        let revisions: Vec<_> =
            (1..=EACH).map(|n| signed(&revision(name, n, "edge", &package))).collect();
        tokio::spawn(async move {
            for revision in revisions {
                admin.apply(&revision).await.unwrap();
            }
        })
    });
    let applying: Vec<_> = applying.collect();
    // Whatever is seen meanwhile, at whichever server, never goes back.
    let watching = nodes.clone().map(|node| {
        tokio::spawn(async move {
            let mut known = now(&node).await;
            while known.generation.0 < 1 + 2 * EACH {
                let next = parked(&node, &known).await;
                assert!(next.generation > known.generation, "{known:?} then {next:?}");
                known = next;
            }
            known
        })
    });
    for done in applying {
        done.await.unwrap();
    }
    let [first, second] = watching;
    let (first, second) = (first.await.unwrap(), second.await.unwrap());
    assert_eq!(first.generation.0, 1 + 2 * EACH);
    assert_eq!((first.generation, first.digest), (second.generation, second.digest));
}
