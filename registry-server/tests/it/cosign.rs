//! What foreign tools find of the registry's own signature: cosign's form and a bundle, by referrer and by tag, verified by
//! code that others wrote.

use crate::world::{Package, Publisher, World, get};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::Value;
use skep_artifact::digest::Digest;
use std::path::{Path, PathBuf};
use std::process::Command;

/// openssl, over a signature, a key and bytes.
struct Openssl(tempfile::TempDir);

impl Openssl {
    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    fn verifies(&self, key: &str, signature: &str, bytes: &[u8]) -> bool {
        let key = self.write("cosign.pub", key.as_bytes());
        let signature = self.write("signature", &BASE64.decode(signature).unwrap());
        let mut openssl = Command::new("openssl");
        openssl.args(["dgst", "-sha256", "-verify"]).arg(&key).arg("-signature").arg(&signature);
        openssl.arg(self.write("signed", bytes)).output().unwrap().status.success()
    }
}

async fn json(url: String) -> Value {
    let answer = get(&url).await.unwrap();
    assert_eq!(answer.status(), 200, "{url}");
    answer.json().await.unwrap()
}

/// `DSSEv1 len(type) type len(payload) payload`, written here anew.
fn encoded(kind: &str, payload: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {kind} {} ", kind.len(), payload.len());
    [head.as_bytes(), payload].concat()
}

#[tokio::test]
async fn the_registrys_own_signature_of_an_index_is_verified_by_openssl() {
    let world = World::start().await;
    let publisher = Publisher::new(&world, "acme").await;
    let package = Package::new("acme/pass", "1.0.0");
    publisher.publish(&package).await.unwrap();
    let anyone = world.anonymous();
    let signed = anyone.cosign_signature(&package.name, &package.version).await.unwrap();
    let again = anyone.cosign_signature(&package.name, &package.version).await.unwrap();
    assert_eq!(signed, again, "what was signed once is kept");
    let payload = BASE64.decode(&signed.payload).unwrap();
    let said: Value = serde_json::from_slice(&payload).unwrap();
    let image = &said["critical"]["image"]["docker-manifest-digest"];
    assert_eq!(*image, package.index().to_string());
    assert_eq!(said["critical"]["type"], "cosign container image signature");
    let openssl = Openssl(tempfile::tempdir().unwrap());
    assert!(openssl.verifies(&signed.public_key, &signed.signature, &payload));
    let other = String::from_utf8(payload).unwrap().replace("acme/pass", "acme/pasz");
    assert!(!openssl.verifies(&signed.public_key, &signed.signature, other.as_bytes()));
    let world = world.restart().await;
    let kept = world.anonymous().cosign_signature(&package.name, &package.version).await.unwrap();
    assert_eq!(kept, signed);
}

#[tokio::test]
async fn signatures_are_found_by_tag_and_by_referrer_without_asking_for_them_before() {
    let world = World::start().await;
    let publisher = Publisher::new(&world, "acme").await;
    let package = Package::new("acme/pass", "1.0.0");
    publisher.publish(&package).await.unwrap();
    let at = |path: &str| format!("{}/v2/acme/pass/{path}", world.address);
    let openssl = Openssl(tempfile::tempdir().unwrap());
    let key = get(format!("{}/v1/cosign.pub", world.address)).await.unwrap().text().await.unwrap();
    let index = package.index();

    // As cosign 1 and 2 look: a tag made of the index's digest.
    let tagged = json(at(&format!("manifests/sha256-{}.sig", index.hex()))).await;
    let layer = &tagged["layers"][0];
    assert_eq!(layer["mediaType"], "application/vnd.dev.cosign.simplesigning.v1+json");
    let blob = at(&format!("blobs/{}", layer["digest"].as_str().unwrap()));
    let payload = get(blob).await.unwrap().bytes().await.unwrap();
    let signature = layer["annotations"]["dev.cosignproject.cosign/signature"].as_str().unwrap();
    assert!(openssl.verifies(&key, signature, &payload));
    let said: Value = serde_json::from_slice(&payload).unwrap();
    assert_eq!(said["critical"]["image"]["docker-manifest-digest"], index.to_string());
    // Of what is no version there is none.
    for nothing in [
        format!("sha256-{}.sig", Digest::of(b"x").hex()),
        format!("sha256-{}.att", index.hex()),
        "sha256-00.sig".to_owned(),
    ] {
        let answer = get(at(&format!("manifests/{nothing}"))).await.unwrap();
        assert_eq!(answer.status(), 404, "{nothing}");
    }

    // As cosign 3 looks: a bundle among the referrers.
    let bundle_type = "application/vnd.dev.sigstore.bundle.v0.3+json";
    let referrers = json(at(&format!("referrers/{index}"))).await;
    let referrers = referrers["manifests"].as_array().unwrap();
    let of_type = |kind: &str| referrers.iter().find(|m| m["artifactType"] == kind).unwrap();
    of_type("application/vnd.dev.cosign.artifact.sig.v1+json");
    let found = of_type(bundle_type);
    assert_eq!(found["annotations"]["dev.sigstore.bundle.content"], "dsse-envelope");
    let manifest = json(at(&format!("manifests/{}", found["digest"].as_str().unwrap()))).await;
    assert_eq!(manifest["subject"]["digest"], index.to_string());
    let layer = &manifest["layers"][0];
    assert_eq!(layer["mediaType"], bundle_type);
    let blob = at(&format!("blobs/{}", layer["digest"].as_str().unwrap()));
    let bundle = get(blob).await.unwrap().bytes().await.unwrap();
    let read: Value = serde_json::from_slice(&bundle).unwrap();
    let envelope = &read["dsseEnvelope"];
    let payload = BASE64.decode(envelope["payload"].as_str().unwrap()).unwrap();
    let signed = encoded(envelope["payloadType"].as_str().unwrap(), &payload);
    let signature = envelope["signatures"][0]["sig"].as_str().unwrap();
    assert!(openssl.verifies(&key, signature, &signed));
    assert!(!openssl.verifies(&key, signature, &payload));
    let statement: Value = serde_json::from_slice(&payload).unwrap();
    assert_eq!(statement["subject"][0]["digest"]["sha256"], index.hex());
    let answered = world.anonymous().cosign_signature(&package.name, &package.version).await;
    assert_eq!(BASE64.decode(answered.unwrap().bundle).unwrap(), bundle);
    sigstore_reads(&bundle, &key, &index.hex());
}

/// The same bundle through the library of the sigstore project, where the set-up could install it.
fn sigstore_reads(bundle: &[u8], key: &str, index: &str) {
    let name = "cosign::signatures_are_found_by_tag_and_by_referrer_without_asking_for_them_before";
    let tools = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let tools = tools.or_else(|| Some(Path::new(&std::env::var_os("HOME")?).join(".cache")));
    let modules = tools.map(|cache| cache.join("skep/tools/sigstore-js-3.1.0/node_modules"));
    let Some(modules) = modules.filter(|path| path.exists()) else {
        return crate::skip(
            name,
            "@sigstore/verify is not installed; `cargo xtask setup` installs it",
        );
    };
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let verified = |bundle: &[u8]| {
        let mut node = Command::new("node");
        node.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/foreign/bundle.js"));
        node.arg(write("bundle.json", bundle)).arg(write("key.pem", key.as_bytes()));
        node.env("NODE_PATH", &modules).output().unwrap()
    };
    let good = verified(bundle);
    let said = String::from_utf8_lossy(&good.stdout).into_owned();
    assert!(good.status.success(), "{}", String::from_utf8_lossy(&good.stderr));
    assert_eq!(said.trim(), index);
    let mut forged: Value = serde_json::from_slice(bundle).unwrap();
    let payload = BASE64.decode(forged["dsseEnvelope"]["payload"].as_str().unwrap()).unwrap();
    let other = String::from_utf8(payload).unwrap().replace("acme/pass", "acme/pasz");
    forged["dsseEnvelope"]["payload"] = BASE64.encode(other).into();
    assert!(!verified(&serde_json::to_vec(&forged).unwrap()).status.success());
}
