//! Pushing manifests through the OCI API: what they must name, tags, referrers, deletion, and what was
//! published staying as it is.

use crate::registry_client::{IMAGE, INDEX, Repository, answer, descriptor, digest_of, image};
use crate::world::{Package, Publisher, World};
use reqwest::Method;
use serde_json::json;
use sha2::Digest as _;
use skep_artifact::digest::Digest;

#[tokio::test]
async fn a_manifest_is_read_back_byte_for_byte_by_tag_and_digest() {
    let world = World::start().await;
    let repository = Repository::new(&world, "acme/image").await;
    let (config, layer) = (repository.push_blob(b"{}").await, repository.push_blob(b"x").await);
    let text = image(config, layer, 1).to_string().replace(',', " ,\n ");
    let digest = Digest::of(text.as_bytes()).to_string();
    let put = repository.put_bytes("v1", IMAGE, text.clone().into()).await.expect(201);
    assert_eq!(put.header("docker-content-digest"), digest);
    assert_eq!(put.header("location"), format!("/v2/acme/image/manifests/{digest}"));
    for reference in ["v1", &digest] {
        let rest = format!("manifests/{reference}");
        let got = repository.anonymous().get(&rest).await.expect(200);
        assert_eq!(got.body, text.as_bytes());
        assert_eq!(got.header("content-type"), IMAGE);
        assert_eq!(got.header("docker-content-digest"), digest);
        let head = repository.send(Method::HEAD, &rest).await.expect(200);
        assert_eq!(head.header("content-length"), text.len().to_string());
        let again = repository.request(Method::GET, &rest);
        let again = again.header("if-none-match", format!("\"{digest}\""));
        answer(again).await.expect(304);
    }
    assert_eq!(repository.named("acme/other").get("manifests/v1").await.status, 404);
}

#[tokio::test]
async fn a_moved_tag_is_seen_moved_at_once() {
    let world = World::start().await;
    let repository = Repository::new(&world, "acme/image").await;
    for round in 0..20 {
        let image = repository.push_image("moving", format!("layer {round}").as_bytes()).await;
        let got = repository.get("manifests/moving").await.expect(200);
        assert_eq!(got.json(), image, "{round}");
    }
    let last = repository.get("manifests/moving").await.header("docker-content-digest").to_owned();
    repository.send(Method::DELETE, "manifests/moving").await.expect(202);
    assert_eq!(repository.get("manifests/moving").await.status, 404);
    repository.get(&format!("manifests/{last}")).await.expect(200);
    assert_eq!(repository.send(Method::DELETE, "manifests/moving").await.status, 404);
}

#[tokio::test]
async fn several_tags_are_set_with_one_push_by_digest() {
    let world = World::start().await;
    let repository = Repository::new(&world, "acme/image").await;
    let image = repository.push_image("first", b"layer").await;
    let digest = digest_of(&image);
    let put = repository.put(&format!("{digest}?tag=1.2.3&tag=1.2&tag=1"), IMAGE, &image).await;
    let put = put.expect(201);
    let tags: Vec<_> = put.headers.get_all("oci-tag").iter().collect();
    assert_eq!(tags, ["1.2.3", "1.2", "1"]);
    let list = repository.get("tags/list").await.expect(200).json();
    assert_eq!(list, json!({ "name": "acme/image", "tags": ["1", "1.2", "1.2.3", "first"] }));
    let bad = repository.put(&format!("{digest}?tag=.bad"), IMAGE, &image).await;
    assert_eq!(bad.refusal(), (400, "MANIFEST_INVALID".into()));
    // Deleting the manifest takes every tag with it.
    repository.send(Method::DELETE, &format!("manifests/{digest}")).await.expect(202);
    assert_eq!(repository.get("manifests/1.2").await.status, 404);
    let list = repository.get("tags/list").await.expect(200).json();
    assert_eq!(list["tags"], json!([]));
}

#[tokio::test]
async fn manifests_that_name_what_is_not_here_or_are_none_are_refused() {
    let world = World::start().await;
    let repository = Repository::new(&world, "acme/image").await;
    let config = repository.push_blob(b"{}").await;
    let absent = Digest::of(b"absent");
    let lacking = repository.put("v1", IMAGE, &image(config, absent, 6)).await;
    assert_eq!(lacking.refusal(), (404, "MANIFEST_BLOB_UNKNOWN".into()));
    assert!(lacking.json()["errors"][0]["message"].as_str().unwrap().contains(&absent.to_string()));
    // A blob of another repository is not here, and a blob is no manifest.
    let elsewhere = repository.named("acme/elsewhere").push_blob(b"layer").await;
    let lacking = repository.put("v1", IMAGE, &image(config, elsewhere, 5)).await;
    assert_eq!(lacking.refusal(), (404, "MANIFEST_BLOB_UNKNOWN".into()));
    let child = json!({ "mediaType": IMAGE, "digest": config, "size": 2 });
    let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [child] });
    assert_eq!(repository.put("v1", INDEX, &index).await.refusal().0, 404);
    for (kind, text) in [
        (IMAGE, "no json"),
        (IMAGE, "{}"),
        ("text/plain", "{\"schemaVersion\":2}"),
        (INDEX, &*image(config, config, 2).to_string()),
    ] {
        let refused = repository.put_bytes("v1", kind, text.as_bytes().to_vec()).await;
        assert_eq!(refused.refusal(), (400, "MANIFEST_INVALID".into()), "{text}");
    }
    let whole = image(config, config, 2);
    let other = repository.put(&absent.to_string(), IMAGE, &whole).await;
    assert_eq!(other.refusal(), (400, "DIGEST_INVALID".into()));
    let malformed = repository.put("sha256:baddigeststring", IMAGE, &whole).await;
    assert_eq!(malformed.refusal(), (400, "DIGEST_INVALID".into()));
    assert_eq!(repository.get("manifests/v1").await.status, 404);
    assert_eq!(repository.get("tags/list").await.json()["tags"], json!([]));
}

#[tokio::test]
async fn a_manifest_of_four_megabytes_is_taken_and_a_larger_one_is_not() {
    let world = World::start().await;
    let repository = Repository::new(&world, "acme/image").await;
    let config = repository.push_blob(b"{}").await;
    let mut large = image(config, config, 2);
    large["annotations"] = json!({ "long": "a".repeat(4_000_000) });
    repository.put("large", IMAGE, &large).await.expect(201);
    let got = repository.get("manifests/large").await.expect(200);
    assert_eq!(got.body, large.to_string().as_bytes());
    large["annotations"]["long"] = json!("a".repeat(4 << 20));
    let refused = repository.put("larger", IMAGE, &large).await;
    assert_eq!(refused.refusal(), (413, "MANIFEST_INVALID".into()));
}

#[tokio::test]
async fn referrers_are_listed_by_subject_and_type_before_and_after_the_subject_comes() {
    let world = World::start().await;
    let repository = Repository::new(&world, "acme/image").await;
    let (config, layer) = (repository.push_blob(b"{}").await, repository.push_blob(b"x").await);
    let subject = image(config, layer, 1);
    let about = |kind: Option<&str>, note: &str| {
        let mut referrer = image(config, layer, 1);
        referrer["subject"] = descriptor(&subject);
        referrer["annotations"] = json!({ "org.example.note": note });
        if let Some(kind) = kind {
            referrer["artifactType"] = json!(kind);
        }
        referrer
    };
    let (one, two) = (about(Some("application/vnd.example.sbom"), "one"), about(None, "two"));
    let mut index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [] });
    index["subject"] = descriptor(&subject);
    for (manifest, kind) in [(&one, IMAGE), (&two, IMAGE), (&index, INDEX)] {
        let put = repository.put(&digest_of(manifest).to_string(), kind, manifest).await;
        assert_eq!(put.expect(201).header("oci-subject"), digest_of(&subject).to_string());
    }
    let rest = format!("referrers/{}", digest_of(&subject));
    let all = repository.anonymous().get(&rest).await.expect(200);
    assert_eq!(all.header("content-type"), INDEX);
    let found = all.json()["manifests"].as_array().unwrap().clone();
    assert_eq!(found.len(), 3);
    let mut expected = descriptor(&one);
    expected["artifactType"] = json!("application/vnd.example.sbom");
    expected["annotations"] = json!({ "org.example.note": "one" });
    assert!(found.contains(&expected), "{found:?}");
    let of = |manifest| {
        let digest = digest_of(manifest).to_string();
        found.iter().find(|found| found["digest"] == digest.as_str()).unwrap()
    };
    assert_eq!(of(&two)["artifactType"], "application/vnd.oci.empty.v1+json");
    assert!(of(&index).get("artifactType").is_none());
    let wanted = format!("{rest}?artifactType=application%2Fvnd.example.sbom");
    let filtered = repository.get(&wanted).await.expect(200);
    assert_eq!(filtered.header("oci-filters-applied"), "artifactType");
    assert_eq!(filtered.json()["manifests"], json!([expected]));
    repository.put("subject", IMAGE, &subject).await.expect(201);
    repository.send(Method::DELETE, &format!("manifests/{}", digest_of(&one))).await.expect(202);
    let left = repository.get(&rest).await.expect(200).json();
    assert_eq!(left["manifests"].as_array().unwrap().len(), 2);
    let none = repository.named("nowhere/at/all").get(&rest).await.expect(200);
    assert_eq!(none.json()["manifests"], json!([]));
    assert_eq!(repository.get("referrers/sha256:short").await.refusal().0, 400);
}

#[tokio::test]
async fn many_referrers_come_in_pages() {
    let world = World::start().await;
    let repository = Repository::new(&world, "acme/image").await;
    let config = repository.push_blob(b"{}").await;
    let subject = descriptor(&image(config, config, 2));
    for i in 0..105 {
        let mut referrer = image(config, config, 2);
        referrer["subject"] = subject.clone();
        referrer["annotations"] = json!({ "number": i.to_string() });
        let reference = digest_of(&referrer).to_string();
        repository.put(&reference, IMAGE, &referrer).await.expect(201);
    }
    let rest = format!("referrers/{}", subject["digest"].as_str().unwrap());
    let first = repository.get(&rest).await.expect(200);
    let link = first.header("link");
    let next = link.strip_prefix('<').unwrap().strip_suffix(">; rel=\"next\"").unwrap();
    let second = answer(repository.at(Method::GET, next)).await.expect(200);
    assert!(!second.headers.contains_key("link"));
    let digests = |answer: &crate::registry_client::Answer| {
        let all = answer.json()["manifests"].as_array().unwrap().clone();
        all.iter().map(|m| m["digest"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let mut all = digests(&first);
    all.extend(digests(&second));
    let distinct: std::collections::BTreeSet<&String> = all.iter().collect();
    assert_eq!((all.len(), distinct.len()), (105, 105));
}

#[tokio::test]
async fn tags_come_in_order_and_in_pages() {
    let world = World::start().await;
    let repository = Repository::new(&world, "acme/image").await;
    assert_eq!(repository.get("tags/list").await.refusal(), (404, "NAME_UNKNOWN".into()));
    let image = repository.push_image("b", b"layer").await;
    let digest = digest_of(&image);
    repository.put(&format!("{digest}?tag=a&tag=_c&tag=B&tag=10&tag=9"), IMAGE, &image).await;
    let list = |query: &'static str| {
        let repository = repository.clone();
        async move { repository.get(&format!("tags/list{query}")).await.expect(200) }
    };
    let tags = |answer: &crate::registry_client::Answer| answer.json()["tags"].clone();
    assert_eq!(tags(&list("").await), json!(["10", "9", "B", "_c", "a", "b"]));
    let page = list("?n=4").await;
    assert_eq!(tags(&page), json!(["10", "9", "B", "_c"]));
    assert_eq!(page.header("link"), "</v2/acme/image/tags/list?n=4&last=_c>; rel=\"next\"");
    let rest = list("?n=4&last=_c").await;
    assert_eq!(tags(&rest), json!(["a", "b"]));
    assert!(!rest.headers.contains_key("link"));
    assert_eq!(tags(&list("?last=B").await), json!(["_c", "a", "b"]));
    let none = list("?n=0").await;
    assert_eq!(tags(&none), json!([]));
    assert!(!none.headers.contains_key("link"));
    assert_eq!(repository.get("tags/list?n=many").await.status, 400);
}

#[tokio::test]
async fn a_blob_that_a_manifest_names_stays_until_the_manifest_goes() {
    let world = World::start().await;
    let repository = Repository::new(&world, "acme/image").await;
    let image = repository.push_image("v1", b"layer").await;
    let layer = format!("blobs/{}", image["layers"][0]["digest"].as_str().unwrap());
    let refused = repository.send(Method::DELETE, &layer).await;
    assert_eq!(refused.refusal(), (405, "DENIED".into()));
    repository.get(&layer).await.expect(200);
    repository.send(Method::DELETE, &format!("manifests/{}", digest_of(&image))).await.expect(202);
    repository.send(Method::DELETE, &layer).await.expect(202);
    assert_eq!(repository.get(&layer).await.status, 404);
    assert_eq!(repository.send(Method::DELETE, &layer).await.refusal().1, "BLOB_UNKNOWN");
}

#[tokio::test]
async fn sha512_manifests_name_sha512_blobs() {
    let world = World::start().await;
    let repository = Repository::new(&world, "acme/image").await;
    let sha512 = |bytes: &[u8]| format!("sha512:{}", hex::encode(sha2::Sha512::digest(bytes)));
    let digest = sha512(b"{}");
    let post = repository.request(Method::POST, &format!("blobs/uploads/?digest={digest}"));
    answer(post.body("{}")).await.expect(201);
    let link =
        json!({ "mediaType": "application/vnd.oci.empty.v1+json", "digest": digest, "size": 2 });
    let image = json!({ "schemaVersion": 2, "mediaType": IMAGE, "config": link, "layers": [link] });
    let name = sha512(image.to_string().as_bytes());
    let put = repository.put(&format!("{name}?tag=v1"), IMAGE, &image).await.expect(201);
    assert_eq!(put.header("docker-content-digest"), name);
    for reference in ["v1", &name] {
        let got = repository.get(&format!("manifests/{reference}")).await.expect(200);
        assert_eq!(got.header("docker-content-digest"), name);
    }
    assert_eq!(repository.get(&format!("manifests/{}", digest_of(&image))).await.status, 404);
}

#[tokio::test]
async fn what_was_published_is_not_moved_replaced_or_deleted_and_what_is_pushed_is_no_package() {
    let world = World::start().await;
    let publisher = Publisher::new(&world, "acme").await;
    let package = Package::new("acme/pass", "1.0.0");
    publisher.publish(&package).await.unwrap();
    let repository = Repository::of(&world, "acme/pass", &publisher.secret);
    let other = repository.push_image("nightly", b"not a package").await;
    for tag in ["1.0.0", "latest"] {
        let refused = repository.put(tag, IMAGE, &other).await;
        assert_eq!(refused.refusal(), (403, "DENIED".into()), "{tag}");
        let refused = repository.send(Method::DELETE, &format!("manifests/{tag}")).await;
        assert_eq!(refused.refusal(), (405, "DENIED".into()), "{tag}");
        let got = repository.get(&format!("manifests/{tag}")).await.expect(200);
        assert_eq!(got.body, package.blobs.index.bytes);
    }
    for blob in package.blobs.all() {
        for kind in ["manifests", "blobs"] {
            let refused = repository.send(Method::DELETE, &format!("{kind}/{}", blob.digest)).await;
            assert_eq!(refused.refusal(), (405, "DENIED".into()), "{kind} {}", blob.media_type);
        }
    }
    // Pushing exactly what was published changes nothing, as a mirror does it.
    let same = package.blobs.index.bytes.clone();
    repository.put_bytes("1.0.0", INDEX, same).await.expect(201);
    // Both kinds of tags are listed, and referrers of both kinds.
    let list = repository.get("tags/list").await.expect(200).json();
    assert_eq!(list["tags"], json!(["1.0.0", "nightly"]));
    let mut signature = other.clone();
    signature["subject"] = json!({ "mediaType": INDEX, "digest": package.index(), "size": 1 });
    let reference = digest_of(&signature).to_string();
    repository.put(&reference, IMAGE, &signature).await.expect(201);
    let referrers = repository.get(&format!("referrers/{}", package.index())).await.expect(200);
    assert_eq!(referrers.json()["manifests"].as_array().unwrap().len(), 5);

    // The same package under another name is content there, and nothing that can be installed.
    let mirror = repository.named("acme/mirror");
    for blob in package.blobs.others.iter() {
        mirror.push_blob(&blob.bytes).await;
    }
    let index: serde_json::Value = serde_json::from_slice(&package.blobs.index.bytes).unwrap();
    for child in index["manifests"].as_array().unwrap() {
        let digest = child["digest"].as_str().unwrap();
        let blob = package.blobs.others.iter().find(|b| b.digest.to_string() == digest).unwrap();
        mirror.put_bytes(digest, blob.media_type, blob.bytes.clone()).await.expect(201);
    }
    mirror.put_bytes("1.0.0", INDEX, package.blobs.index.bytes.clone()).await.expect(201);
    let anyone = world.anonymous();
    let name = "acme/mirror".parse().unwrap();
    assert!(anyone.version(&name, &package.version).await.is_err());
    assert_eq!(anyone.packages(&Default::default()).await.unwrap().total, 1);
}
