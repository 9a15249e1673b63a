//! The database goes away under a running server and comes back.

use crate::cluster::{Cluster, Database};
use crate::durability::Server;
use crate::fleet::{enrolment, have, now};
use crate::world::{Package, admin_token, client, eventually, get, http, refusal};
use skep_api::reason::ErrorBody;
use skep_api::v1::namespaces::ClaimNamespace;
use skep_api::v1::nodes::CreateNodeToken;
use skep_api::v1::sync::SyncRequest;
use skep_artifact::key::SecretKey;
use skep_fleet::selector::Labels;

#[tokio::test(flavor = "multi_thread")]
async fn while_the_database_is_down_writes_are_refused_in_words_and_nodes_are_answered() {
    let mut database = Database::Postgres(Cluster::start());
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &database, None).await;
    let secret = admin_token(&server.data);
    let admin = client(&server.address, Some(&secret));
    let wish = CreateNodeToken { labels: Labels::new(), uses: 1, valid_secs: 600 };
    let token = admin.create_node_token(&wish).await.unwrap().secret;
    let anyone = client(&server.address, None);
    let enrolled = anyone.enrol(&enrolment(&token, "web-1", 1)).await.unwrap();
    let node = client(&server.address, Some(&enrolled.credential));
    let known = now(&node).await;

    let Database::Postgres(cluster) = &mut database else { unreachable!() };
    cluster.stop();
    let key = SecretKey::from_seed([1; 32]).public();
    let claim = ClaimNamespace { name: "acme".parse().unwrap(), keys: vec![key], threshold: 1 };
    let answer = http()
        .post(format!("{}/v1/namespaces", server.address))
        .bearer_auth(&secret)
        .json(&claim)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 503);
    assert!(answer.headers().contains_key("retry-after"));
    let body: ErrorBody = answer.json().await.unwrap();
    assert!(
        ["server.database_down", "server.overloaded"].contains(&body.code.as_str()),
        "{body:?}"
    );
    let ready = http().get(format!("{}/readyz", server.address)).send().await.unwrap();
    assert_eq!(ready.status(), 503);
    // What is wanted of nodes is in memory: they are answered, and what they have stays.
    assert_eq!(now(&node).await, known);
    let request = SyncRequest { have: Some(have(&known)), wait_secs: 0, notices: None };
    assert_eq!(node.sync(&request).await.unwrap(), None);

    let Database::Postgres(cluster) = &mut database else { unreachable!() };
    cluster.go_on();
    eventually("the namespace is claimed", async || admin.claim_namespace(&claim).await.ok()).await;
}

/// What somebody without credentials reads of a package, as addresses.
fn public_reads(package: &Package) -> Vec<String> {
    let (name, version) = (&package.name, &package.version);
    vec![
        "/v1/packages".to_owned(),
        format!("/v1/packages/{name}"),
        format!("/v1/packages/{name}/{version}"),
        format!("/v1/packages/{name}/{version}/log"),
        format!("/v1/packages/{name}/history"),
        format!("/v1/namespaces/{}", name.namespace()),
        format!("/v1/namespaces/{}/role", name.namespace()),
        "/v1/revocations".to_owned(),
        "/v1/trust".to_owned(),
        "/log/checkpoint".to_owned(),
        "/log/tile/entries/000.p/2".to_owned(),
        format!("/v2/{name}/tags/list"),
        format!("/v2/{name}/referrers/{}", package.index()),
        format!("/v2/{name}/manifests/{version}"),
        format!("/v2/{name}/manifests/{}", package.index()),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_read_is_read_on_while_the_database_is_down_and_writes_are_refused_in_words() {
    let mut database = Database::Postgres(Cluster::start());
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &database, None).await;
    let publisher = server.publisher().await;
    let package = Package::new("acme/pass", "1.0.0");
    publisher.publish(&package).await.unwrap();
    let mut before = Vec::new();
    for path in public_reads(&package) {
        let answer = get(format!("{}{path}", server.address)).await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        before.push((path, answer.bytes().await.unwrap()));
    }
    let copies = tempfile::tempdir().unwrap();
    assert_eq!(copied(&server, &package, &copies.path().join("before")), Ok(()));

    let Database::Postgres(cluster) = &mut database else { unreachable!() };
    cluster.stop();
    for (path, body) in &before {
        let answer = get(format!("{}{path}", server.address)).await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        assert_eq!(answer.bytes().await.unwrap(), *body, "{path}");
    }
    // A client that others wrote fetches the whole package, and it is the same.
    assert_eq!(copied(&server, &package, &copies.path().join("during")), Ok(()));
    let list = |which: &str| -> Vec<_> {
        let files = std::fs::read_dir(copies.path().join(which)).unwrap();
        let mut files: Vec<_> = files.map(|file| file.unwrap().file_name()).collect();
        files.sort();
        files
    };
    assert_eq!(list("before"), list("during"));
    let anyone = client(&server.address, None);
    let bytes = anyone.manifest(&package.name, &package.index(), 1 << 20).await.unwrap();
    assert_eq!(bytes, package.blobs.index.bytes);
    // What nobody read is not there, and nothing is written.
    let unread = anyone.package(&"acme/other".parse().unwrap()).await;
    assert_eq!(refusal(unread).0, 503);
    let next = Package::new("acme/pass", "1.1.0");
    let refused = refusal(publisher.upload(&next.blobs).await);
    assert_eq!(refused.0, 503);
    assert!(["server.database_down", "server.overloaded"].contains(&refused.1.as_str()));

    let Database::Postgres(cluster) = &mut database else { unreachable!() };
    cluster.go_on();
    eventually("a publish goes through", async || publisher.publish(&next).await.ok()).await;
    // From now on nothing old is told.
    eventually("the new version is listed", async || {
        let detail = anyone.package(&package.name).await.ok()?;
        (detail.versions.len() == 2).then_some(())
    })
    .await;
    let tags = get(format!("{}/v2/acme/pass/tags/list", server.address)).await.unwrap();
    assert!(!tags.headers().contains_key("age"));
    assert!(tags.text().await.unwrap().contains("1.1.0"));
}

/// Copies a package with skopeo; what it said when it could not.
fn copied(server: &Server, package: &Package, into: &std::path::Path) -> Result<(), String> {
    let host = server.address.strip_prefix("http://").unwrap();
    let from = format!("docker://{host}/{}:{}", package.name, package.version);
    let mut skopeo = std::process::Command::new("skopeo");
    skopeo.args(["--insecure-policy", "copy", "--all", "--src-tls-verify=false", &from]);
    let done = skopeo.arg(format!("dir:{}", into.display())).output().unwrap();
    if done.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&done.stderr).into_owned())
}
