//! Uploading blobs through the OCI API: whole, in parts, resumed, mounted, refused, left.

use crate::registry_client::{Repository, answer};
use crate::world::World;
use reqwest::Method;
use sha2::Digest as _;
use skep_artifact::digest::Digest;

fn with_digest(location: &str, digest: impl std::fmt::Display) -> String {
    format!("{location}?digest={digest}")
}

async fn patch(
    repository: &Repository,
    location: &str,
    range: &str,
    bytes: &[u8],
) -> crate::registry_client::Answer {
    let request = repository.at(Method::PATCH, location).header("content-range", range);
    answer(request.body(bytes.to_vec())).await
}

#[tokio::test]
async fn a_blob_goes_up_in_one_request_in_two_and_streamed() {
    let world = World::start().await;
    let repository = Repository::new(&world, "acme/deep/down/image").await;
    let one = b"in one request";
    let digest = repository.push_blob(one).await;
    let two = b"in two requests";
    let location = repository.start().await;
    assert!(location.starts_with("/v2/acme/deep/down/image/blobs/uploads/"), "{location}");
    let request = repository.at(Method::PUT, &with_digest(&location, Digest::of(two)));
    let put = answer(request.body(two.to_vec())).await.expect(201);
    let place = format!("/v2/acme/deep/down/image/blobs/{}", Digest::of(two));
    assert_eq!(put.header("location"), place);
    assert_eq!(put.header("docker-content-digest"), Digest::of(two).to_string());
    let three = b"streamed without a range";
    let location = repository.start().await;
    let streamed = repository.at(Method::PATCH, &location).body(three.to_vec());
    let streamed = answer(streamed).await.expect(202);
    assert_eq!(streamed.header("range"), format!("0-{}", three.len() - 1));
    let ended = repository.at(Method::PUT, &with_digest(&location, Digest::of(three)));
    answer(ended).await.expect(201);
    for (digest, bytes) in [(digest, &one[..]), (Digest::of(two), two), (Digest::of(three), three)]
    {
        let blob = format!("blobs/{digest}");
        let got = repository.anonymous().get(&blob).await.expect(200);
        assert_eq!(got.body, bytes);
        let head = repository.send(Method::HEAD, &blob).await.expect(200);
        assert_eq!(head.header("content-length"), bytes.len().to_string());
        assert_eq!(head.header("docker-content-digest"), digest.to_string());
    }
    // The empty blob is one, too.
    let empty = repository.push_blob(b"").await;
    let got = repository.get(&format!("blobs/{empty}")).await.expect(200);
    assert_eq!((got.header("content-length"), got.body.len()), ("0", 0));
}

#[tokio::test]
async fn parts_go_up_in_order_only_and_a_client_that_lost_its_way_is_told_where_to_go_on() {
    let world = World::start().await;
    let repository = Repository::new(&world, "acme/image").await;
    let location = repository.start().await;
    let status = answer(repository.at(Method::GET, &location)).await.expect(204);
    assert_eq!(status.header("range"), "0-0");
    patch(&repository, &location, "0-4", b"hello").await.expect(202);
    for wrong in ["6-10", "0-4", "4-8"] {
        let refused = patch(&repository, &location, wrong, b"world").await;
        assert_eq!(refused.refusal(), (416, "BLOB_UPLOAD_INVALID".into()), "{wrong}");
        assert_eq!(refused.header("range"), "0-4");
        assert_eq!(refused.header("location"), location);
    }
    for malformed in ["5", "a-b", "9-5", "-5", "5-", "5-18446744073709551615"] {
        let refused = patch(&repository, &location, malformed, b"world").await;
        assert_eq!(refused.status, 400, "{malformed}");
    }
    let short = patch(&repository, &location, "5-20", b"world").await;
    assert_eq!(short.refusal(), (400, "SIZE_INVALID".into()));
    let status = answer(repository.at(Method::GET, &location)).await.expect(204);
    assert_eq!(status.header("range"), "0-4");

    // An upload goes on after a restart, and ends with its last part.
    let world = world.restart().await;
    let repository = Repository { address: world.address.clone(), ..repository };
    let status = answer(repository.at(Method::GET, &location)).await.expect(204);
    assert_eq!(status.header("range"), "0-4");
    patch(&repository, &location, "5-5", b" ").await.expect(202);
    let whole = b"hello world";
    let early = repository.at(Method::PUT, &with_digest(&location, Digest::of(whole)));
    let refused = answer(early.header("content-range", "9-13").body("world")).await;
    assert_eq!(refused.refusal().0, 416);
    let last = repository.at(Method::PUT, &with_digest(&location, Digest::of(whole)));
    answer(last.header("content-range", "6-10").body("world")).await.expect(201);
    let got = repository.get(&format!("blobs/{}", Digest::of(whole))).await.expect(200);
    assert_eq!(got.body, whole);
    let over = answer(repository.at(Method::GET, &location)).await;
    assert_eq!(over.refusal(), (404, "BLOB_UPLOAD_UNKNOWN".into()));
    assert_eq!(staged(&world), 0);
}

fn staged(world: &World) -> usize {
    std::fs::read_dir(world.data.join("blobs/uploads")).map_or(0, Iterator::count)
}

#[tokio::test]
async fn of_two_parts_for_one_place_one_gets_through() {
    let world = World::start().await;
    let repository = Repository::new(&world, "acme/image").await;
    let location = repository.start().await;
    let parts = (0..6u8).map(|i| {
        let (repository, location) = (repository.clone(), location.clone());
        async move { patch(&repository, &location, "0-3", &[i; 4]).await.status }
    });
    let mut statuses = futures::future::join_all(parts).await;
    statuses.sort_unstable();
    assert_eq!(statuses, [202, 416, 416, 416, 416, 416]);
    let status = answer(repository.at(Method::GET, &location)).await.expect(204);
    assert_eq!(status.header("range"), "0-3");
}

#[tokio::test]
async fn what_arrived_of_a_part_that_broke_off_is_kept() {
    use tokio::io::AsyncWriteExt as _;
    let world = World::start().await;
    let repository = Repository::new(&world, "acme/image").await;
    let location = repository.start().await;
    let host = world.address.strip_prefix("http://").unwrap();
    let mut line = tokio::net::TcpStream::connect(host).await.unwrap();
    let token = repository.token.clone().unwrap();
    let request = format!(
        "PATCH {location} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n\
         Content-Length: 11\r\n\r\nhello"
    );
    line.write_all(request.as_bytes()).await.unwrap();
    line.shutdown().await.unwrap();
    let range = crate::world::eventually("the half is kept", async || {
        let status = answer(repository.at(Method::GET, &location)).await.expect(204);
        let range = status.header("range").to_owned();
        (range != "0-0").then_some(range)
    });
    assert_eq!(range.await, "0-4");
    patch(&repository, &location, "5-10", b" world").await.expect(202);
    let ended = repository.at(Method::PUT, &with_digest(&location, Digest::of(b"hello world")));
    answer(ended).await.expect(201);
}

#[tokio::test]
async fn a_wrong_digest_is_refused_whichever_way_the_blob_comes_and_leaves_nothing() {
    let world = World::start().await;
    let repository = Repository::new(&world, "acme/image").await;
    let wrong = Digest::of(b"these");
    let invalid = (400, "DIGEST_INVALID".to_owned());
    let post = repository.request(Method::POST, &format!("blobs/uploads/?digest={wrong}"));
    assert_eq!(answer(post.body("those")).await.refusal(), invalid);
    let location = repository.start().await;
    let put = repository.at(Method::PUT, &with_digest(&location, wrong)).body("those");
    assert_eq!(answer(put).await.refusal(), invalid);
    let location = repository.start().await;
    patch(&repository, &location, "0-4", b"those").await.expect(202);
    let put = repository.at(Method::PUT, &with_digest(&location, wrong));
    assert_eq!(answer(put).await.refusal(), invalid);
    for text in ["sha256:short", "md5:00", "none", ""] {
        let location = repository.start().await;
        let put = repository.at(Method::PUT, &with_digest(&location, text));
        assert_eq!(answer(put).await.refusal(), invalid, "{text}");
    }
    let location = repository.start().await;
    let none = answer(repository.at(Method::PUT, &location)).await;
    assert_eq!(none.refusal(), (400, "BLOB_UPLOAD_INVALID".into()));
    assert_eq!(repository.get(&format!("blobs/{wrong}")).await.status, 404);
    assert_eq!(staged(&world), 0);
    let left = std::fs::read_dir(world.data.join("blobs/tmp")).unwrap().count();
    assert_eq!(left, 0);
}

#[tokio::test]
async fn an_upload_is_cancelled_by_its_repository_only() {
    let world = World::start().await;
    let repository = Repository::new(&world, "acme/image").await;
    let location = repository.start().await;
    patch(&repository, &location, "0-4", b"hello").await.expect(202);
    let elsewhere = location.replace("/acme/image/", "/acme/other/");
    for method in [Method::GET, Method::PATCH, Method::PUT, Method::DELETE] {
        let place = with_digest(&elsewhere, Digest::of(b"hello"));
        let refused = answer(repository.at(method.clone(), &place)).await;
        assert_eq!(refused.refusal(), (404, "BLOB_UPLOAD_UNKNOWN".into()), "{method}");
    }
    answer(repository.at(Method::DELETE, &location)).await.expect(204);
    assert_eq!(answer(repository.at(Method::DELETE, &location)).await.status, 404);
    assert_eq!(patch(&repository, &location, "5-9", b"world").await.status, 404);
    assert_eq!(staged(&world), 0);
}

#[tokio::test]
async fn a_blob_is_mounted_from_a_repository_that_has_it_and_from_no_other() {
    let world = World::start().await;
    let source = Repository::new(&world, "acme/source").await;
    let target = Repository::new(&world, "other/target").await;
    let digest = source.push_blob(b"shared").await;
    let mount = |query: String| {
        let target = target.clone();
        async move { target.send(Method::POST, &format!("blobs/uploads/?{query}")).await }
    };
    // Nobody says who has it, or who is named has it not: an ordinary upload begins.
    for query in [
        format!("mount={digest}"),
        format!("mount={digest}&from=acme/nothing"),
        format!("mount={}&from=acme/source", Digest::of(b"absent")),
    ] {
        let begun = mount(query.clone()).await.expect(202);
        assert!(begun.header("location").contains("/blobs/uploads/"), "{query}");
        assert_eq!(target.get(&format!("blobs/{digest}")).await.status, 404);
    }
    let mounted = mount(format!("mount={digest}&from=acme/source")).await.expect(201);
    assert_eq!(mounted.header("location"), format!("/v2/other/target/blobs/{digest}"));
    assert_eq!(target.get(&format!("blobs/{digest}")).await.expect(200).body, b"shared");
    assert_eq!(mount("mount=sha256:short&from=acme/source".into()).await.status, 400);
    // What the source does with its own name is its own affair.
    source.send(Method::DELETE, &format!("blobs/{digest}")).await.expect(202);
    assert_eq!(source.get(&format!("blobs/{digest}")).await.status, 404);
    assert_eq!(target.get(&format!("blobs/{digest}")).await.status, 200);
}

#[tokio::test]
async fn sha512_names_the_same_bytes() {
    let world = World::start().await;
    let repository = Repository::new(&world, "acme/image").await;
    let bytes = b"two names for these";
    let digest = format!("sha512:{}", hex::encode(sha2::Sha512::digest(bytes)));
    let begun = repository.send(Method::POST, "blobs/uploads/?digest-algorithm=sha512").await;
    let location = begun.expect(202).header("location").to_owned();
    patch(&repository, &location, "0-3", &bytes[..4]).await.expect(202);
    let put = repository.at(Method::PUT, &with_digest(&location, &digest));
    let put = answer(put.body(bytes[4..].to_vec())).await.expect(201);
    assert_eq!(put.header("docker-content-digest"), digest);
    let got = repository.get(&format!("blobs/{digest}")).await.expect(200);
    assert_eq!((got.header("docker-content-digest"), &got.body[..]), (&*digest, &bytes[..]));
    // The repository was given one name, and answers to no other.
    assert_eq!(repository.get(&format!("blobs/{}", Digest::of(bytes))).await.status, 404);
    let wrong = repository.send(Method::POST, "blobs/uploads/?digest-algorithm=md5").await;
    assert_eq!(wrong.refusal(), (400, "DIGEST_INVALID".into()));
}

#[tokio::test]
async fn left_uploads_and_blobs_that_nothing_names_go_after_a_day_and_what_is_named_stays() {
    use skep_registry_server::clock;
    use skep_registry_server::jobs::{collect_blobs, scrub};
    let world = World::start().await;
    let repository = Repository::new(&world, "acme/image").await;
    let image = repository.push_image("1", b"a layer").await;
    repository.push_blob(b"named by nothing").await;
    let location = repository.start().await;
    patch(&repository, &location, "0-4", b"hello").await.expect(202);
    let stopped = world.stop().await;
    let app = crate::world::open_app(&stopped).await;
    let progress = Default::default();
    let now = clock::now();
    assert_eq!(collect_blobs::run(&app, now, &progress).await.unwrap(), 0);
    assert_eq!(app.blobs.staged_uploads().await.unwrap().len(), 1);
    let later = now + collect_blobs::UNUSED_SECS + 1;
    assert_eq!(collect_blobs::run(&app, later, &progress).await.unwrap(), 1);
    assert_eq!(app.blobs.staged_uploads().await.unwrap().len(), 0);
    assert!(app.store.abandoned_uploads(later, 10).await.unwrap().is_empty());
    for part in [&image["config"], &image["layers"][0]] {
        let digest: Digest = part["digest"].as_str().unwrap().parse().unwrap();
        assert!(app.blobs.has(&digest).await.unwrap());
    }
    let found = scrub::run(&app.store, &app.blobs, None, &progress).await.unwrap();
    assert!(found.intact == 3 && found.changed.is_empty() && found.missing.is_empty(), "{found:?}");
    // Once its manifest is gone, the layer is named by nothing, too.
    let digest = crate::registry_client::digest_of(&image).to_string();
    let name = "acme/image".parse().unwrap();
    app.store.delete_oci_manifest(&name, &digest.parse().unwrap()).await.unwrap();
    assert_eq!(collect_blobs::run(&app, later, &progress).await.unwrap(), 3);
}
