//! Narrowing a listing, and counting by what it can be narrowed.

use crate::world::{Package, Publisher, World, eventually};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::json;
use skep_api::client::Client;
use skep_api::v1::attestations::{AddAttestation, DSSE_TYPE};
use skep_api::v1::facets::{FacetName, Facets};
use skep_api::v1::life::Reason;
use skep_api::v1::packages::PackageQuery;
use skep_artifact::dsse;
use skep_artifact::object::KernelVersion;
use skep_trust::Wanted;
use skep_trust::attestation::{STATEMENT_PAYLOAD_TYPE, VERIFIED_ON, statement};

fn reason() -> Reason {
    Reason { message: "A test says so.".to_owned() }
}

fn all() -> PackageQuery {
    PackageQuery::default()
}

async fn names(client: &Client, query: &PackageQuery) -> Vec<String> {
    let page = client.packages(query).await.unwrap();
    assert_eq!(page.total, page.packages.len() as u64);
    page.packages.iter().map(|p| p.name.to_string()).collect()
}

fn values(facets: &Facets, name: FacetName) -> Vec<(&str, u64)> {
    let facet = facets.facets.iter().find(|facet| facet.name == name);
    let values = facet.iter().flat_map(|facet| &facet.values);
    values.map(|value| (value.value.as_str(), value.packages)).collect()
}

/// Three packages of two namespaces, the newest last.
async fn filled(world: &World) -> [Publisher; 2] {
    let acme = Publisher::new(world, "acme").await;
    let other = Publisher::new(world, "other").await;
    let (ddos, both) = ("categories = [\"network/ddos\"]", "\"amd64\", \"arm64\"");
    let edge = "categories = [\"network/ddos\", \"edge\"]";
    let write = |name: &str, more: &str, arch: &str| {
        Package::written(name, "1.0.0", "Lets every packet pass", more, arch)
    };
    acme.publish(&write("acme/pass", ddos, both)).await.unwrap();
    acme.publish(&write("acme/edge", edge, "\"arm64\"")).await.unwrap();
    other.publish(&write("other/pass", "", both)).await.unwrap();
    [acme, other]
}

#[tokio::test]
async fn a_listing_is_narrowed_by_what_packages_are_and_the_values_are_counted() {
    let world = World::start().await;
    let [acme, _] = filled(&world).await;
    let anyone = world.anonymous();
    let facets = anyone.facets(&all()).await.unwrap();
    assert_eq!(facets.packages, 3);
    assert_eq!(values(&facets, FacetName::Arch), [("arm64", 3), ("amd64", 2)]);
    assert_eq!(values(&facets, FacetName::Category), [("network/ddos", 2), ("edge", 1)]);
    assert_eq!(values(&facets, FacetName::Namespace), [("acme", 2), ("other", 1)]);
    assert_eq!(values(&facets, FacetName::Hook), [("xdp", 3)]);
    assert_eq!(values(&facets, FacetName::ProgramType), [("xdp", 3)]);
    assert_eq!(values(&facets, FacetName::License), [("GPL-2.0-only", 3)]);
    let key = acme.key.public().key_id().to_string();
    assert_eq!(values(&facets, FacetName::SignedBy), [(key.as_str(), 3)]);
    assert_eq!(values(&facets, FacetName::VerifiedOn), []);
    let lowest = anyone.packages(&all()).await.unwrap().packages[0].lowest_kernel.clone().unwrap();
    assert_eq!(values(&facets, FacetName::Kernel), [(lowest.as_str(), 3)]);

    let some = |text: &str| Some(text.to_owned());
    let everything = ["other/pass", "acme/edge", "acme/pass"];
    let lowest: KernelVersion = lowest.parse().unwrap();
    let before = KernelVersion { major: lowest.major - 1, minor: 99 };
    let narrowed: [(PackageQuery, &[&str]); 12] = [
        (PackageQuery { category: some("edge"), ..all() }, &["acme/edge"]),
        (PackageQuery { category: some("network/ddos"), ..all() }, &everything[1..]),
        (PackageQuery { category: some("ddos"), ..all() }, &[]),
        (PackageQuery { arch: some("amd64"), ..all() }, &["other/pass", "acme/pass"]),
        (PackageQuery { arch: some("amd64"), namespace: some("acme"), ..all() }, &["acme/pass"]),
        (PackageQuery { signed_by: some(&key), ..all() }, &everything),
        (PackageQuery { license: some("MIT"), ..all() }, &[]),
        (PackageQuery { program_type: some("kprobe"), ..all() }, &[]),
        (PackageQuery { kernel: Some(lowest), ..all() }, &everything),
        (PackageQuery { kernel: Some(before), ..all() }, &[]),
        (PackageQuery { q: some("edge"), arch: some("arm64"), ..all() }, &["acme/edge"]),
        (PackageQuery { q: some("edge"), arch: some("amd64\0' OR 1"), ..all() }, &[]),
    ];
    for (query, expected) in narrowed {
        assert_eq!(names(&anyone, &query).await, expected, "{query:?}");
        let counted = anyone.facets(&query).await.unwrap();
        assert_eq!(counted.packages, expected.len() as u64, "{query:?}");
    }
    let counted = anyone.facets(&PackageQuery { q: some("edge"), ..all() }).await.unwrap();
    assert_eq!(values(&counted, FacetName::Arch), [("arm64", 1)]);
    let counted = anyone.facets(&PackageQuery { q: some("%"), ..all() }).await.unwrap();
    assert_eq!((counted.packages, counted.facets.len()), (0, 0));
    let bad = crate::world::get(format!("{}/v1/facets?kernel=six", world.address)).await.unwrap();
    assert_eq!(bad.status(), 400);
}

#[tokio::test]
async fn pages_of_a_narrowed_listing_follow_each_other() {
    let world = World::start().await;
    let publisher = Publisher::new(&world, "acme").await;
    for i in 0..7 {
        publisher.publish(&Package::new(&format!("acme/pass-{i}"), "1.0.0")).await.unwrap();
    }
    let (mut after, mut seen) = (None, Vec::new());
    loop {
        let arch = Some("amd64".to_owned());
        let query = PackageQuery { arch, after, limit: Some(3), ..all() };
        let page = world.anonymous().packages(&query).await.unwrap();
        assert_eq!(page.total, 7);
        seen.extend(page.packages.iter().map(|p| p.name.to_string()));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let expected: Vec<String> = (0..7).rev().map(|i| format!("acme/pass-{i}")).collect();
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn facets_follow_what_becomes_of_a_package() {
    let world = World::start().await;
    let [acme, _] = filled(&world).await;
    let anyone = world.anonymous();
    let package = Package::written("acme/pass", "1.1.0", "x", "", "\"arm64\"");
    acme.publish(&package).await.unwrap();
    let amd64 = PackageQuery { arch: Some("amd64".to_owned()), ..all() };
    assert_eq!(names(&anyone, &amd64).await, ["other/pass"]);

    // The kernel it was verified on, of the version that is shown; a kernel that refused is none.
    let series = |series: &str| PackageQuery { verified_on: Some(series.to_owned()), ..all() };
    for (kernel, accepted) in [("6.1.0-18-amd64", true), ("5.10.0-1", false)] {
        attest(&acme, &package, kernel, accepted).await;
    }
    assert_eq!(names(&anyone, &series("6.1")).await, ["acme/pass"]);
    assert_eq!(names(&anyone, &series("5.10")).await, Vec::<String>::new());
    acme.client.yank(&package.name, &package.version, &reason()).await.unwrap();
    assert_eq!(names(&anyone, &series("6.1")).await, Vec::<String>::new());
    assert_eq!(names(&anyone, &amd64).await, ["other/pass", "acme/pass"]);
    acme.client.unyank(&package.name, &package.version).await.unwrap();
    assert_eq!(names(&anyone, &series("6.1")).await, ["acme/pass"]);

    world.admin().tombstone(&package.name, &reason()).await.unwrap();
    assert_eq!(names(&anyone, &series("6.1")).await, Vec::<String>::new());
    let counted = eventually("the deleted one is not counted", async || {
        let facets = anyone.facets(&all()).await.unwrap();
        (facets.packages == 2).then_some(facets)
    })
    .await;
    assert_eq!(values(&counted, FacetName::Namespace), [("acme", 1), ("other", 1)]);
}

async fn attest(publisher: &Publisher, package: &Package, kernel: &str, accepted: bool) {
    let wanted = Wanted {
        name: package.name.clone(),
        version: package.version.clone(),
        index: package.index(),
    };
    let predicate = json!({ "kernel": kernel, "machine": "x86_64", "accepted": accepted, "at": 1,
        "programs": [{ "name": "pass_all", "accepted": accepted }] });
    let payload = statement(&wanted, VERIFIED_ON, predicate).unwrap();
    let key = std::slice::from_ref(&publisher.key);
    let envelope = dsse::sign(STATEMENT_PAYLOAD_TYPE, &payload, key).unwrap();
    let new = AddAttestation { media_type: DSSE_TYPE.to_owned(), content: BASE64.encode(envelope) };
    publisher.client.add_attestation(&package.name, &package.version, &new).await.unwrap();
}

#[tokio::test]
async fn packages_that_are_older_than_facets_get_theirs_while_the_server_serves() {
    let world = World::start().await;
    filled(&world).await;
    world.admin().tombstone(&"acme/edge".parse().unwrap(), &reason()).await.unwrap();
    let stopped = world.stop().await;
    let forget = [
        "DELETE FROM package_facets",
        "DELETE FROM facet_values",
        "UPDATE packages SET faceted = 0",
    ];
    stopped.database.execute(&stopped.data(), &forget).await;
    let world = World::go_on(stopped).await;
    let anyone = world.anonymous();
    let filled = eventually("facets are filled in", async || {
        let facets = anyone.facets(&all()).await.unwrap();
        (facets.packages == 2).then_some(facets)
    })
    .await;
    assert_eq!(values(&filled, FacetName::Arch), [("amd64", 2), ("arm64", 2)]);
    assert_eq!(values(&filled, FacetName::Category), [("network/ddos", 1)]);
}
