//! Pulling published packages through the OCI API, by hand and by skopeo.

use crate::world::{Package, Publisher, World};
use serde_json::Value;
use skep_artifact::digest::Digest;
use std::process::Command;

async fn published() -> (World, Package) {
    let world = World::start().await;
    let publisher = Publisher::new(&world, "acme").await;
    let package = Package::new("acme/pass", "1.0.0");
    publisher.publish(&package).await.unwrap();
    (world, package)
}

fn url(world: &World, rest: &str) -> String {
    format!("{}/v2/acme/pass/{rest}", world.address)
}

#[tokio::test]
async fn manifests_come_by_tag_and_by_digest_with_their_own_types() {
    let (world, package) = published().await;
    for reference in ["1.0.0".to_owned(), "latest".to_owned(), package.index().to_string()] {
        let answer =
            crate::world::get(url(&world, &format!("manifests/{reference}"))).await.unwrap();
        assert_eq!(answer.status(), 200, "{reference}");
        assert_eq!(answer.headers()["content-type"], "application/vnd.oci.image.index.v1+json");
        assert_eq!(answer.headers()["docker-content-digest"], package.index().to_string());
        assert_eq!(answer.bytes().await.unwrap(), package.blobs.index.bytes);
    }
    let index: Value = serde_json::from_slice(&package.blobs.index.bytes).unwrap();
    let image = index["manifests"][0]["digest"].as_str().unwrap();
    let answer = crate::world::get(url(&world, &format!("manifests/{image}"))).await.unwrap();
    assert_eq!(answer.headers()["content-type"], "application/vnd.oci.image.manifest.v1+json");
    let head = crate::world::http().head(url(&world, "manifests/1.0.0")).send().await.unwrap();
    let length = package.blobs.index.bytes.len().to_string();
    assert_eq!(head.headers()["content-length"], length.as_str());
    assert_eq!(head.bytes().await.unwrap().len(), 0);
}

#[tokio::test]
async fn errors_have_the_envelope_of_the_specification() {
    let (world, _) = published().await;
    let absent = Digest::of(b"absent");
    for (path, status, code) in [
        ("manifests/9.9.9".to_owned(), 404, "MANIFEST_UNKNOWN"),
        (format!("blobs/{absent}"), 404, "BLOB_UNKNOWN"),
        ("blobs/sha256:short".to_owned(), 400, "DIGEST_INVALID"),
        ("blobs/..%2f..%2fadmin.token".to_owned(), 400, "DIGEST_INVALID"),
        ("nothing".to_owned(), 404, "NAME_UNKNOWN"),
    ] {
        let answer = crate::world::get(url(&world, &path)).await.unwrap();
        assert_eq!(answer.status(), status, "{path}");
        let body: Value = answer.json().await.unwrap();
        assert_eq!(body["errors"][0]["code"], code, "{path}");
    }
    let other = format!("{}/v2/acme/other/tags/list", world.address);
    let body: Value = crate::world::get(other).await.unwrap().json().await.unwrap();
    assert_eq!(body["errors"][0]["code"], "NAME_UNKNOWN");
    let push = crate::world::http().post(url(&world, "blobs/uploads/")).send().await.unwrap();
    assert_eq!(push.status(), 401);
}

#[tokio::test]
async fn a_blob_of_another_repository_is_not_served_here() {
    let (world, _) = published().await;
    let publisher = Publisher::new(&world, "other").await;
    let package = Package::new("other/pass", "1.0.0");
    publisher.publish(&package).await.unwrap();
    let foreign = package.blobs.manifest_json.digest;
    let answer = crate::world::get(url(&world, &format!("blobs/{foreign}"))).await.unwrap();
    assert_eq!(answer.status(), 404);
}

#[tokio::test]
async fn ranges_give_the_part_that_was_asked_for() {
    let (world, package) = published().await;
    let layer = package.blobs.others.iter().find(|b| b.media_type.ends_with("tar+gzip")).unwrap();
    let get = |range: &str| {
        let request = crate::world::http().get(url(&world, &format!("blobs/{}", layer.digest)));
        request.header("range", range).send()
    };
    let part = get("bytes=10-19").await.unwrap();
    assert_eq!(part.status(), 206);
    let total = layer.bytes.len();
    assert_eq!(part.headers()["content-range"], format!("bytes 10-19/{total}"));
    assert_eq!(part.bytes().await.unwrap(), layer.bytes[10..20]);
    let tail = get("bytes=-5").await.unwrap();
    assert_eq!(tail.bytes().await.unwrap(), layer.bytes[total - 5..]);
    let beyond = get(&format!("bytes={total}-")).await.unwrap();
    assert_eq!(beyond.status(), 416);
    let whole = get("bytes=0-1,5-6").await.unwrap();
    assert_eq!((whole.status().as_u16(), whole.bytes().await.unwrap().len()), (200, total));
}

#[tokio::test]
async fn tags_come_in_pages_and_referrers_by_type() {
    let world = World::start().await;
    let publisher = Publisher::new(&world, "acme").await;
    for version in ["1.0.0", "1.1.0", "1.2.0"] {
        publisher.publish(&Package::new("acme/pass", version)).await.unwrap();
    }
    let first = crate::world::get(url(&world, "tags/list?n=2")).await.unwrap();
    let link = first.headers()["link"].to_str().unwrap().to_owned();
    assert!(link.contains("last=1.1.0"), "{link}");
    let body: Value = first.json().await.unwrap();
    assert_eq!(body["tags"], serde_json::json!(["1.0.0", "1.1.0"]));
    let rest = crate::world::get(url(&world, "tags/list?n=2&last=1.1.0")).await.unwrap();
    let body: Value = rest.json().await.unwrap();
    assert_eq!(body["tags"], serde_json::json!(["1.2.0"]));
    let answer = crate::world::get(url(&world, "manifests/1.2.0")).await.unwrap();
    assert_eq!(answer.status(), 200);

    let index = Package::new("acme/pass", "1.0.0").index();
    let all: Value = crate::world::get(url(&world, &format!("referrers/{index}")))
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    // Manifest, facts, and the registry's own signatures in two forms.
    assert_eq!(all["manifests"].as_array().unwrap().len(), 4);
    let wanted = "application%2Fvnd.skep.manifest.v1%2Bjson";
    let filtered =
        crate::world::get(url(&world, &format!("referrers/{index}?artifactType={wanted}")));
    let filtered = filtered.await.unwrap();
    assert_eq!(filtered.headers()["oci-filters-applied"], "artifactType");
    let filtered: Value = filtered.json().await.unwrap();
    let one = filtered["manifests"].as_array().unwrap();
    assert_eq!(one.len(), 1);
    // The whole referrer can be fetched, its empty config included.
    let digest = one[0]["digest"].as_str().unwrap();
    let image = crate::world::get(url(&world, &format!("manifests/{digest}"))).await.unwrap();
    let image: Value = image.json().await.unwrap();
    for part in [&image["config"], &image["layers"][0]] {
        let blob = format!("blobs/{}", part["digest"].as_str().unwrap());
        let bytes = crate::world::get(url(&world, &blob)).await.unwrap().bytes().await.unwrap();
        assert_eq!(Digest::of(&bytes).to_string(), part["digest"].as_str().unwrap());
    }
    let none =
        crate::world::get(url(&world, &format!("referrers/{}", Digest::of(b"x")))).await.unwrap();
    assert_eq!(none.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn skopeo_inspects_and_copies() {
    let (world, package) = published().await;
    let host = world.address.strip_prefix("http://").unwrap();
    let source = format!("docker://{host}/acme/pass:1.0.0");
    let skopeo = |arguments: &[&str]| {
        let output = Command::new("skopeo").args(arguments).output().expect("skopeo runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    };
    let raw = skopeo(&["inspect", "--tls-verify=false", "--raw", &source]);
    assert_eq!(raw, package.blobs.index.bytes);
    for arch in ["amd64", "arm64"] {
        let seen = skopeo(&[
            "--override-arch",
            arch,
            "--override-os",
            "linux",
            "inspect",
            "--tls-verify=false",
            &source,
        ]);
        let seen: Value = serde_json::from_slice(&seen).unwrap();
        assert_eq!(seen["Architecture"], arch);
        assert_eq!(seen["Layers"].as_array().unwrap().len(), 1);
        assert!(seen["Labels"]["io.ebpf.programs"].as_str().unwrap().contains("pass_all"));
    }
    let tags = skopeo(&["list-tags", "--tls-verify=false", &format!("docker://{host}/acme/pass")]);
    let tags: Value = serde_json::from_slice(&tags).unwrap();
    assert_eq!(tags["Tags"], serde_json::json!(["1.0.0"]));
    let folder = tempfile::tempdir().unwrap();
    let target = format!("oci:{}:pass", folder.path().join("copy").display());
    skopeo(&["--insecure-policy", "copy", "--all", "--src-tls-verify=false", &source, &target]);
    let copied = folder.path().join("copy/blobs/sha256").join(package.index().hex());
    assert_eq!(std::fs::read(copied).unwrap(), package.blobs.index.bytes);
}
