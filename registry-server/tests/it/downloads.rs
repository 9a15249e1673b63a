//! Counting downloads: what was fetched is told by version and day, and outlives the server.

use crate::world::{Package, Publisher, World, eventually, http, refusal};

#[tokio::test]
async fn each_fetch_of_an_index_counts_for_its_version_and_is_kept() {
    let world = World::start().await;
    let publisher = Publisher::new(&world, "acme").await;
    let (old, new) = (Package::new("acme/pass", "1.0.0"), Package::new("acme/pass", "1.1.0"));
    publisher.publish(&old).await.unwrap();
    publisher.publish(&new).await.unwrap();
    let anyone = world.anonymous();
    for package in [&old, &new, &new] {
        anyone.manifest(&package.name, &package.index(), 1 << 20).await.unwrap();
    }
    let tag = format!("{}/v2/acme/pass/manifests/latest", world.address);
    // A look is no download, nor is a part of a package.
    assert_eq!(http().head(&tag).send().await.unwrap().status(), 200);
    assert_eq!(http().get(&tag).send().await.unwrap().status(), 200);
    let part = new.blobs.all().into_iter().find(|b| b.media_type.contains("image.manifest"));
    anyone.manifest(&new.name, &part.unwrap().digest, 1 << 20).await.unwrap();

    // What is not written yet is written when the server stops.
    let world = world.restart().await;
    let anyone = world.anonymous();
    let stats = anyone.stats(&new.name).await.unwrap();
    let by_version: Vec<_> =
        stats.versions.iter().map(|v| (v.version.to_string(), v.downloads)).collect();
    assert_eq!(by_version, [("1.1.0".to_owned(), 3), ("1.0.0".to_owned(), 1)]);
    assert_eq!((stats.downloads, stats.installs), (4, 0));
    assert_eq!(stats.days.len(), 1);
    assert_eq!((stats.days[0].downloads, stats.days[0].day % 86_400), (4, 0));
    assert_eq!(anyone.package(&new.name).await.unwrap().summary.downloads, 4);
    assert_eq!(anyone.packages(&Default::default()).await.unwrap().packages[0].downloads, 4);

    anyone.manifest(&old.name, &old.index(), 1 << 20).await.unwrap();
    eventually("it is written while the server serves", async || {
        (anyone.stats(&old.name).await.unwrap().downloads == 5).then_some(())
    })
    .await;
    let missing = anyone.stats(&"acme/none".parse().unwrap()).await;
    assert_eq!(refusal(missing).0, 404);
}
