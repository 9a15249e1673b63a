//! Listing, searching, paging.

use crate::world::{Package, Publisher, World, refusal};
use skep_api::v1::packages::PackageQuery;

fn query(q: &str) -> PackageQuery {
    PackageQuery { q: Some(q.to_owned()), ..PackageQuery::default() }
}

async fn names(world: &World, query: &PackageQuery) -> Vec<String> {
    let page = world.anonymous().packages(query).await.unwrap();
    assert_eq!(page.total, page.packages.len() as u64);
    page.packages.iter().map(|p| p.name.to_string()).collect()
}

#[tokio::test]
async fn words_find_names_descriptions_and_keywords_and_are_never_operators() {
    let world = World::start().await;
    let publisher = Publisher::new(&world, "acme").await;
    for (name, text) in [
        ("acme/ratelimit", "Limits packets by source"),
        ("acme/firewall", "Drops what a list names; see also ratelimit"),
        ("acme/flowlog", "Samples 100% of flows"),
    ] {
        publisher.publish(&Package::described(name, "1.0.0", text)).await.unwrap();
    }
    assert_eq!(names(&world, &query("ratelimit")).await, ["acme/ratelimit", "acme/firewall"]);
    assert_eq!(names(&world, &query("limi")).await.first().unwrap(), "acme/ratelimit");
    assert_eq!(names(&world, &query("LIST drops")).await, ["acme/firewall"]);
    assert_eq!(names(&world, &query("wall")).await, ["acme/firewall"]);
    assert_eq!(names(&world, &query("sample")).await.len(), 3);
    for hostile in ["\"", "%", "_", "' OR 1=1 --", "name:acme AND NOT", "*", "\\", "a\0b"] {
        let found = world.anonymous().packages(&query(hostile)).await.unwrap();
        assert!(found.total <= 3, "{hostile}");
    }
    assert_eq!(names(&world, &query("%")).await, Vec::<String>::new());
    let xdp = PackageQuery { hook: Some(skep_artifact::hook::Hook::Xdp), ..query("acme") };
    assert_eq!(names(&world, &xdp).await.len(), 3);
    let tc = PackageQuery { hook: Some(skep_artifact::hook::Hook::TcIngress), ..query("acme") };
    assert_eq!(names(&world, &tc).await.len(), 0);
}

#[tokio::test]
async fn pages_follow_each_other_without_gap_or_repetition() {
    let world = World::start().await;
    let publisher = Publisher::new(&world, "acme").await;
    for i in 0..7 {
        publisher.publish(&Package::new(&format!("acme/pass-{i}"), "1.0.0")).await.unwrap();
    }
    for q in [None, Some("pass".to_owned())] {
        let (mut after, mut seen) = (None, Vec::new());
        loop {
            let query =
                PackageQuery { q: q.clone(), after, limit: Some(3), ..PackageQuery::default() };
            let page = world.anonymous().packages(&query).await.unwrap();
            assert_eq!(page.total, 7);
            seen.extend(page.packages.iter().map(|p| p.name.to_string()));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(seen.len(), 7, "{q:?}");
        assert_eq!(seen[0], "acme/pass-6", "newest first");
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), 7, "{q:?}");
    }
    let bad = PackageQuery { after: Some("nonsense".to_owned()), ..PackageQuery::default() };
    assert_eq!(refusal(world.anonymous().packages(&bad).await).0, 400);
    let bad = PackageQuery { limit: Some(1000), ..PackageQuery::default() };
    assert_eq!(refusal(world.anonymous().packages(&bad).await).0, 400);
}

#[tokio::test]
async fn a_listing_shows_the_highest_version_whatever_came_last() {
    let world = World::start().await;
    let publisher = Publisher::new(&world, "acme").await;
    for version in ["2.0.0", "1.9.9", "2.1.0-rc.1"] {
        publisher.publish(&Package::new("acme/pass", version)).await.unwrap();
    }
    let name = "acme/pass".parse().unwrap();
    let shown = world.anonymous().package(&name).await.unwrap();
    assert_eq!(shown.summary.version.to_string(), "2.0.0");
    let versions: Vec<String> = shown.versions.iter().map(|v| v.version.to_string()).collect();
    assert_eq!(versions, ["2.1.0-rc.1", "1.9.9", "2.0.0"]);
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let world = World::start().await;
    let anyone = world.anonymous();
    assert_eq!(refusal(anyone.package(&"acme/none".parse().unwrap()).await).0, 404);
    assert_eq!(refusal(anyone.namespace(&"acme".parse().unwrap()).await).0, 404);
    assert_eq!(anyone.role(&"acme".parse().unwrap(), 100).await.unwrap(), None);
    for path in ["/v1/packages/acme/..%2f..%2fetc", "/v1/packages/a/b/not-semver", "/v1/x"] {
        let answer = crate::world::get(format!("{}{path}", world.address)).await.unwrap();
        assert_eq!(answer.status(), 404, "{path}");
    }
    let answer = crate::world::get(format!("{}/missing.js", world.address)).await.unwrap();
    assert_eq!(answer.status(), 404);
}
