//! Publishing: the good road, and everything that must not get through.

use crate::world::{Package, Publisher, World, refusal};
use skep_api::v1::tokens::Scope;
use skep_artifact::digest::Digest;
use skep_artifact::key::SecretKey;
use skep_artifact::role::Role;

const EXPIRES: &str = "2036-01-01T00:00:00Z";

#[tokio::test]
async fn a_published_version_is_there_with_facts_and_a_harmless_readme() {
    let world = World::start().await;
    let publisher = Publisher::new(&world, "acme").await;
    let package = Package::new("acme/pass", "1.0.0");
    let receipt = publisher.publish(&package).await.unwrap();
    assert_eq!((receipt.index, receipt.role_version), (package.index(), 1));

    let anyone = world.anonymous();
    let shown = anyone.package(&package.name).await.unwrap();
    assert_eq!(shown.summary.version, package.version);
    assert_eq!(shown.summary.hooks, [skep_artifact::hook::Hook::Xdp]);
    assert_eq!(shown.keywords, ["sample"]);
    assert!(shown.readme_html.contains("<h1>Pass</h1>"), "{}", shown.readme_html);
    assert!(!shown.readme_html.contains("script"), "{}", shown.readme_html);

    let version = anyone.version(&package.name, &package.version).await.unwrap();
    assert_eq!(version.facts[0].programs[0].name, "pass_all");
    assert_eq!(version.signed_by, [publisher.key.public().key_id().to_string()]);
    assert_eq!(version.summary.release, 1);
    let role = anyone.role(&publisher.namespace, 1 << 20).await.unwrap().unwrap();
    Role::verify(&role, &publisher.namespace, &[publisher.key.public()], 1).unwrap();
}

#[tokio::test]
async fn a_published_version_never_changes() {
    let world = World::start().await;
    let publisher = Publisher::new(&world, "acme").await;
    let first = Package::new("acme/pass", "1.0.0");
    publisher.publish(&first).await.unwrap();
    let other = Package::described("acme/pass", "1.0.0", "Other bytes");
    assert_eq!(refusal(publisher.publish(&other).await), (409, "package.version_exists".into()));

    // Nor does it change by the way, in the role of another version.
    let next = Package::new("acme/pass", "1.1.0");
    publisher.upload(&next.blobs).await.unwrap();
    let mut role = publisher.next_role(&next).await;
    role.add(other.target(1)).unwrap();
    let request = publisher.request(&next, &role);
    let refused = refusal(publisher.client.publish(&next.name, &request).await);
    assert_eq!(refused, (422, "package.refused".into()));
    let shown = world.anonymous().version(&first.name, &first.version).await.unwrap();
    assert_eq!(shown.summary.index, first.index());
}

#[tokio::test]
async fn of_concurrent_publishes_with_one_role_version_only_one_wins() {
    let world = World::start().await;
    let publisher = Publisher::new(&world, "acme").await;
    let packages: Vec<Package> =
        (0..8).map(|i| Package::new(&format!("acme/pass-{i}"), "1.0.0")).collect();
    let mut requests = Vec::new();
    for package in &packages {
        publisher.upload(&package.blobs).await.unwrap();
        let role = publisher.next_role(package).await;
        requests.push((package.name.clone(), publisher.request(package, &role)));
    }
    let calls = requests.iter().map(|(name, request)| publisher.client.publish(name, request));
    let (won, lost): (Vec<_>, Vec<_>) =
        futures::future::join_all(calls).await.into_iter().partition(Result::is_ok);
    assert_eq!((won.len(), lost.len()), (1, 7));
    for refused in lost {
        assert_eq!(refusal(refused), (409, "namespace.role_conflict".into()));
    }
    assert_eq!(world.anonymous().packages(&Default::default()).await.unwrap().total, 1);
}

#[tokio::test]
async fn a_role_by_an_unknown_key_or_of_an_old_version_is_refused() {
    let world = World::start().await;
    let publisher = Publisher::new(&world, "acme").await;
    let package = Package::new("acme/pass", "1.0.0");
    publisher.upload(&package.blobs).await.unwrap();
    let role = publisher.next_role(&package).await;
    let stranger = role.sign(&[SecretKey::from_seed([9; 32])]).unwrap();
    let refused = publisher.client.publish(&package.name, &package.request(&stranger)).await;
    assert_eq!(refusal(refused), (422, "package.signature_untrusted".into()));
    publisher.publish(&package).await.unwrap();

    let next = Package::new("acme/pass", "1.1.0");
    publisher.upload(&next.blobs).await.unwrap();
    let mut old = Role::new(publisher.namespace.clone(), 1, EXPIRES).unwrap();
    old.add(package.target(1)).unwrap();
    old.add(next.target(2)).unwrap();
    let refused = publisher.client.publish(&next.name, &publisher.request(&next, &old)).await;
    assert_eq!(refusal(refused), (409, "namespace.role_conflict".into()));
}

#[tokio::test]
async fn a_release_counter_that_does_not_grow_is_refused() {
    let world = World::start().await;
    let publisher = Publisher::new(&world, "acme").await;
    let first = Package::new("acme/pass", "1.0.0");
    publisher.upload(&first.blobs).await.unwrap();
    let mut role = Role::new(publisher.namespace.clone(), 1, EXPIRES).unwrap();
    role.add(first.target(5)).unwrap();
    publisher.client.publish(&first.name, &publisher.request(&first, &role)).await.unwrap();
    let next = Package::new("acme/pass", "1.1.0");
    publisher.upload(&next.blobs).await.unwrap();
    let mut role = role.next(EXPIRES).unwrap();
    role.add(next.target(4)).unwrap();
    let refused = publisher.client.publish(&next.name, &publisher.request(&next, &role)).await;
    assert_eq!(refusal(refused), (409, "package.release_not_newer".into()));
}

#[tokio::test]
async fn missing_foreign_and_exchanged_blobs_are_refused() {
    let world = World::start().await;
    let publisher = Publisher::new(&world, "acme").await;
    let package = Package::new("acme/pass", "1.0.0");
    let role = publisher.next_role(&package).await;
    let request = publisher.request(&package, &role);
    let refused = refusal(publisher.client.publish(&package.name, &request).await);
    assert_eq!(refused, (422, "blob.missing".into()));

    publisher.upload(&package.blobs).await.unwrap();
    let foreign = b"anything";
    let digest = Digest::of(foreign);
    publisher.client.put_blob(&digest, &foreign[..], 8).await.unwrap();
    let mut with_foreign = request.clone();
    with_foreign.blobs.push(digest);
    let refused = refusal(publisher.client.publish(&package.name, &with_foreign).await);
    assert_eq!(refused, (422, "package.refused".into()));

    // A package of another name under this one's target.
    let other = Package::new("acme/other", "1.0.0");
    publisher.upload(&other.blobs).await.unwrap();
    let mut role = Role::new(publisher.namespace.clone(), 1, EXPIRES).unwrap();
    let mut target = other.target(1);
    target.package = package.name.clone();
    role.add(target).unwrap();
    let mut request = publisher.request(&other, &role);
    request.version = package.version.clone();
    let refused = refusal(publisher.client.publish(&package.name, &request).await);
    assert_eq!(refused, (422, "package.refused".into()));
    assert_eq!(world.anonymous().packages(&Default::default()).await.unwrap().total, 0);
}

#[tokio::test]
async fn a_tampered_layer_is_refused_when_the_package_is_opened() {
    let world = World::start().await;
    let publisher = Publisher::new(&world, "acme").await;
    let mut package = Package::new("acme/pass", "1.0.0");
    // The index names an image that is not there: the tampered one has another digest.
    let at = package.blobs.others.iter().position(|b| b.media_type.ends_with("tar+gzip")).unwrap();
    let layer = &mut package.blobs.others[at];
    let last = layer.bytes.len() - 9;
    layer.bytes[last] ^= 1;
    layer.digest = Digest::of(&layer.bytes);
    let refused = refusal(publisher.publish(&package).await);
    assert_eq!(refused, (422, "package.refused".into()));
}

#[tokio::test]
async fn wrong_digests_and_oversize_uploads_are_refused_and_leave_nothing() {
    let world = World::start().await;
    let publisher = Publisher::new(&world, "acme").await;
    let digest = Digest::of(b"these");
    let refused = refusal(publisher.client.put_blob(&digest, &b"those"[..], 5).await);
    assert_eq!(refused, (400, "blob.digest_mismatch".into()));
    let large = vec![0u8; (32 << 20) + 1];
    let refused = refusal(
        publisher.client.put_blob(&Digest::of(&large), large.clone(), large.len() as u64).await,
    );
    assert_eq!(refused, (413, "request.too_large".into()));
    assert!(!publisher.client.has_blob(&digest).await.unwrap());
    let left = std::fs::read_dir(world.data.join("blobs/tmp")).unwrap().count();
    assert_eq!(left, 0);
}

#[tokio::test]
async fn a_publisher_cannot_reach_into_another_namespace() {
    let world = World::start().await;
    let publisher = Publisher::new(&world, "acme").await;
    Publisher::new(&world, "other").await;
    let package = Package::new("other/pass", "1.0.0");
    publisher.upload(&package.blobs).await.unwrap();
    let mut role = Role::new("other".parse().unwrap(), 1, EXPIRES).unwrap();
    role.add(package.target(1)).unwrap();
    let request = publisher.request(&package, &role);
    let refused = refusal(publisher.client.publish(&package.name, &request).await);
    assert_eq!(refused, (403, "auth.not_allowed".into()));
    let reader = world.client(Some(&world.token(Scope::ReadFleet, None).await));
    let refused = refusal(reader.publish(&package.name, &request).await);
    assert_eq!(refused, (403, "auth.not_allowed".into()));
}

#[tokio::test]
async fn unused_blobs_go_after_a_day_and_used_ones_stay() {
    use skep_registry_server::app::App;
    use skep_registry_server::clock;
    use skep_registry_server::faults::Faults;
    use skep_registry_server::jobs::{collect_blobs, scrub};
    use skep_registry_server::maintenance::Progress;
    use skep_registry_server::people::People;
    let stopped = {
        let world = World::start().await;
        let publisher = Publisher::new(&world, "acme").await;
        publisher.publish(&Package::new("acme/pass", "1.0.0")).await.unwrap();
        publisher.client.put_blob(&Digest::of(b"unused"), &b"unused"[..], 6).await.unwrap();
        world.stop().await
    };
    let storage = stopped.storage();
    let app = App::open(&storage, Faults::default(), People::default(), Vec::new()).await.unwrap();
    let now = clock::now();
    let progress = Progress::default();
    assert_eq!(collect_blobs::run(&app, now, &progress).await.unwrap(), 0);
    let tomorrow = now + collect_blobs::UNUSED_SECS + 1;
    assert_eq!(collect_blobs::run(&app, tomorrow, &progress).await.unwrap(), 1);
    let found = scrub::run(&app.store, &app.blobs, None, &progress).await.unwrap();
    assert!(found.intact > 0 && found.all_is_well() && found.unknown.is_empty(), "{found:?}");
}
