//! What becomes of a published package: yank, deprecate, delete, and what each of them leaves alone.

use crate::world::{Package, Publisher, World, get, refusal};
use skep_api::client::{Client, ClientError};
use skep_api::v1::life::{Deprecation, LIFE_MESSAGE_CHARS_MAX, LifeAction, Reason};
use skep_api::v1::packages::PackageQuery;
use skep_api::v1::tokens::Scope;
use skep_artifact::name::PackageName;

fn reason(message: &str) -> Reason {
    Reason { message: message.to_owned() }
}

fn advice(message: &str, replacement: Option<&str>) -> Deprecation {
    let replacement = replacement.map(|name| name.parse().unwrap());
    Deprecation { message: message.to_owned(), replacement }
}

async fn found(client: &Client, words: &str) -> Vec<PackageName> {
    let query = PackageQuery { q: Some(words.to_owned()), ..PackageQuery::default() };
    client.packages(&query).await.unwrap().packages.into_iter().map(|p| p.name).collect()
}

#[tokio::test]
async fn a_yanked_version_steps_back_from_the_listing_and_stays_where_it_is_named() {
    let world = World::start().await;
    let publisher = Publisher::new(&world, "acme").await;
    let old = Package::described("acme/pass", "1.0.0", "Older words");
    let new = Package::described("acme/pass", "1.1.0", "Newer words");
    publisher.publish(&old).await.unwrap();
    publisher.publish(&new).await.unwrap();
    let (name, version) = (&new.name, &new.version);
    let anyone = world.anonymous();
    assert_eq!(anyone.package(name).await.unwrap().summary.version, new.version);

    let receipt = publisher.client.yank(name, version, &reason("Counts twice.")).await.unwrap();
    assert_eq!((receipt.action, receipt.changed), (LifeAction::Yank, true));
    let again = publisher.client.yank(name, version, &reason("Counts twice.")).await.unwrap();
    assert!(!again.changed);
    let shown = anyone.package(name).await.unwrap();
    assert_eq!(shown.summary.version, old.version);
    assert_eq!(shown.summary.description, "Older words");
    assert_eq!(found(&anyone, "older").await, std::slice::from_ref(name));
    assert!(found(&anyone, "newer").await.is_empty());
    let detail = anyone.version(name, version).await.unwrap();
    assert!(detail.summary.yanked);
    assert_eq!(detail.summary.yank_message.as_deref(), Some("Counts twice."));
    // Whoever runs it goes on getting it: by digest, and by its exact tag.
    anyone.manifest(name, &new.index(), 1 << 20).await.unwrap();
    let tag = |tag: &str| format!("{}/v2/acme/pass/manifests/{tag}", world.address);
    assert_eq!(get(tag("1.1.0")).await.unwrap().status(), 200);
    let latest = get(tag("latest")).await.unwrap();
    assert_eq!(latest.bytes().await.unwrap(), old.blobs.index.bytes);

    assert!(publisher.client.unyank(name, version).await.unwrap().changed);
    assert!(!publisher.client.unyank(name, version).await.unwrap().changed);
    assert_eq!(anyone.package(name).await.unwrap().summary.version, new.version);
    let detail = anyone.version(name, version).await.unwrap();
    assert_eq!((detail.summary.yanked, detail.summary.yank_message), (false, None));
    let events = anyone.history(name).await.unwrap().events;
    let actions: Vec<_> = events.iter().map(|event| event.action).collect();
    assert_eq!(actions, [LifeAction::Unyank, LifeAction::Yank]);
    assert_eq!(
        (events[1].message.as_str(), events[1].version.as_ref()),
        ("Counts twice.", Some(version))
    );
    assert_eq!(events[1].by, "test");
}

#[tokio::test]
async fn when_all_versions_are_yanked_the_next_publish_is_shown() {
    let world = World::start().await;
    let publisher = Publisher::new(&world, "acme").await;
    let high = Package::new("acme/pass", "2.0.0");
    publisher.publish(&high).await.unwrap();
    publisher.client.yank(&high.name, &high.version, &reason("Broken.")).await.unwrap();
    let anyone = world.anonymous();
    assert_eq!(anyone.package(&high.name).await.unwrap().summary.version, high.version);
    let low = Package::new("acme/pass", "1.0.0");
    publisher.publish(&low).await.unwrap();
    assert_eq!(anyone.package(&high.name).await.unwrap().summary.version, low.version);
}

#[tokio::test]
async fn what_is_deprecated_is_shown_so_everywhere_until_it_is_taken_back() {
    let world = World::start().await;
    let publisher = Publisher::new(&world, "acme").await;
    let package = Package::new("acme/pass", "1.0.0");
    publisher.publish(&package).await.unwrap();
    publisher.publish(&Package::new("acme/better", "1.0.0")).await.unwrap();
    let (client, name, version) = (&publisher.client, &package.name, &package.version);
    let whole = advice("Not maintained.", Some("acme/better"));
    assert!(client.deprecate(name, None, &whole).await.unwrap().changed);
    assert!(!client.deprecate(name, None, &whole).await.unwrap().changed);
    let one = advice("Slow.", None);
    assert!(client.deprecate(name, Some(version), &one).await.unwrap().changed);

    let anyone = world.anonymous();
    assert_eq!(anyone.package(name).await.unwrap().summary.deprecated, Some(whole.clone()));
    let page = anyone.packages(&PackageQuery::default()).await.unwrap();
    let listed = page.packages.iter().find(|package| package.name == *name).unwrap();
    assert_eq!(listed.deprecated, Some(whole));
    let detail = anyone.version(name, version).await.unwrap();
    assert_eq!(detail.summary.deprecated, Some(one));

    for wrong in [advice("x", Some("acme/nothing")), advice("x", Some("acme/pass"))] {
        let refused = refusal(client.deprecate(name, None, &wrong).await);
        assert_eq!(refused, (400, "request.malformed".into()));
    }
    assert!(client.undeprecate(name, None).await.unwrap().changed);
    assert!(client.undeprecate(name, Some(version)).await.unwrap().changed);
    assert!(!client.undeprecate(name, Some(version)).await.unwrap().changed);
    assert_eq!(anyone.package(name).await.unwrap().summary.deprecated, None);
    assert_eq!(anyone.version(name, version).await.unwrap().summary.deprecated, None);
    assert_eq!(anyone.history(name).await.unwrap().events.len(), 4);
}

#[tokio::test]
async fn a_deleted_package_is_gone_from_everywhere_but_by_digest_and_its_name_stays_taken() {
    let world = World::start().await;
    let publisher = Publisher::new(&world, "acme").await;
    let package = Package::new("acme/pass", "1.0.0");
    publisher.publish(&package).await.unwrap();
    let (client, name) = (&publisher.client, &package.name);
    // A token that publishes lies on build machines: it does not delete for good.
    let refused = refusal(client.tombstone(name, &reason("Unsafe by design.")).await);
    assert_eq!(refused.0, 403, "{refused:?}");
    let admin = world.admin();
    assert!(admin.tombstone(name, &reason("Unsafe by design.")).await.unwrap().changed);
    assert!(!admin.tombstone(name, &reason("Again.")).await.unwrap().changed);

    let anyone = world.anonymous();
    assert_eq!(refusal(anyone.package(name).await), (410, "package.tombstoned".into()));
    assert_eq!(anyone.packages(&PackageQuery::default()).await.unwrap().total, 0);
    assert!(found(&anyone, "pass").await.is_empty());
    assert_eq!(anyone.namespace(&publisher.namespace).await.unwrap().packages, 0);
    for path in ["manifests/1.0.0", "manifests/latest", "tags/list"] {
        let status = get(format!("{}/v2/acme/pass/{path}", world.address)).await.unwrap().status();
        assert_eq!(status, 404, "{path}");
    }
    // Whoever runs it goes on getting it by digest, with the role file that lists it.
    anyone.manifest(name, &package.index(), 1 << 20).await.unwrap();
    let layer = package.blobs.others.iter().find(|b| b.media_type.ends_with("tar+gzip")).unwrap();
    anyone.blob(name, &layer.digest, 1 << 20).await.unwrap();
    let detail = anyone.version(name, &package.version).await.unwrap();
    assert_eq!(detail.tombstoned.as_deref(), Some("Unsafe by design."));
    assert!(anyone.role(&publisher.namespace, 1 << 20).await.unwrap().is_some());

    let next = Package::new("acme/pass", "2.0.0");
    assert_eq!(refusal(publisher.publish(&next).await), (409, "package.tombstoned".into()));
    assert_eq!(refusal(client.yank(name, &package.version, &reason("x")).await).0, 410);
    assert_eq!(anyone.history(name).await.unwrap().events[0].action, LifeAction::Tombstone);
    // Other packages of the namespace go on.
    publisher.publish(&Package::new("acme/other", "1.0.0")).await.unwrap();
    let world = world.restart().await;
    assert_eq!(refusal(world.anonymous().package(name).await).0, 410);
}

#[tokio::test]
async fn only_who_may_publish_a_package_decides_what_becomes_of_it() {
    let world = World::start().await;
    let publisher = Publisher::new(&world, "acme").await;
    let package = Package::new("acme/pass", "1.0.0");
    publisher.publish(&package).await.unwrap();
    let stranger = Publisher::new(&world, "other").await;
    let operator = world.client(Some(&world.token(Scope::Operate, None).await));
    let (name, version) = (&package.name, &package.version);
    for client in [&stranger.client, &operator] {
        let refusals = [
            refusal(client.yank(name, version, &reason("x")).await),
            refusal(client.unyank(name, version).await),
            refusal(client.deprecate(name, None, &advice("x", None)).await),
            refusal(client.undeprecate(name, Some(version)).await),
            refusal(client.tombstone(name, &reason("x")).await),
        ];
        assert!(refusals.iter().all(|(status, _)| *status == 403), "{refusals:?}");
    }
    assert!(world.anonymous().history(name).await.unwrap().events.is_empty());
}

#[tokio::test]
async fn a_reason_is_a_line_of_bounded_length_about_something_that_exists() {
    let world = World::start().await;
    let publisher = Publisher::new(&world, "acme").await;
    let package = Package::new("acme/pass", "1.0.0");
    publisher.publish(&package).await.unwrap();
    let (client, name, version) = (&publisher.client, &package.name, &package.version);
    for message in ["", "  ", "two\nlines", "bell\u{7}", &"x".repeat(LIFE_MESSAGE_CHARS_MAX + 1)] {
        let refused = refusal(client.yank(name, version, &reason(message)).await);
        assert_eq!(refused, (400, "request.malformed".into()), "{message:?}");
    }
    let missing: PackageName = "acme/nothing".parse().unwrap();
    let other: skep_artifact::name::Version = "9.9.9".parse().unwrap();
    assert_eq!(refusal(client.yank(name, &other, &reason("x")).await).0, 404);
    assert_eq!(refusal(client.yank(&missing, version, &reason("x")).await).0, 404);
    assert_eq!(refusal(world.admin().tombstone(&missing, &reason("x")).await).0, 404);
    assert_eq!(refusal(client.history(&missing).await).0, 404);
}

#[tokio::test]
async fn of_two_publishers_of_one_version_one_wins_and_the_other_is_told_what_to_do() {
    let world = World::start().await;
    let publisher = Publisher::new(&world, "acme").await;
    let mine = Package::described("acme/pass", "1.0.0", "Mine");
    let theirs = Package::described("acme/pass", "1.0.0", "Theirs");
    let mut requests = Vec::new();
    for package in [&mine, &theirs] {
        publisher.upload(&package.blobs).await.unwrap();
        let role = publisher.next_role(package).await;
        requests.push(publisher.request(package, &role));
    }
    let calls = requests.iter().map(|request| publisher.client.publish(&mine.name, request));
    let (won, lost): (Vec<_>, Vec<_>) =
        futures::future::join_all(calls).await.into_iter().partition(Result::is_ok);
    assert_eq!((won.len(), lost.len()), (1, 1));
    let Some(Err(ClientError::Refused { status, body })) = lost.into_iter().next() else {
        panic!("the other one was refused");
    };
    // Which of the two checks it met depends on when it came; both say what to do next.
    assert_eq!(status, 409);
    let (code, hint) = (body.code.as_str(), body.hint.unwrap_or_default());
    assert!(
        (code == "package.version_exists" && hint.contains("new version"))
            || (code == "namespace.role_conflict" && hint.contains("newest role file")),
        "{code}: {hint}"
    );
    let shown = world.anonymous().version(&mine.name, &mine.version).await.unwrap();
    assert_eq!(shown.summary.index, won.into_iter().next().unwrap().unwrap().index);
}
