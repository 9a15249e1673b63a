//! Attestations of versions: checked, kept, served as OCI referrers, logged.

use crate::log::whole_log;
use crate::world::{Package, Publisher, World, refusal};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use skep_api::v1::attestations::{
    AddAttestation, Attestation, CYCLONEDX_TYPE, DSSE_TYPE, SPDX_TYPE,
};
use skep_api::v1::tokens::Scope;
use skep_artifact::digest::Digest;
use skep_artifact::dsse::{self, ENVELOPE_BYTES_MAX};
use skep_artifact::key::SecretKey;
use skep_artifact::log::Event;
use skep_trust::Wanted;
use skep_trust::attestation::{PROVENANCE, STATEMENT_PAYLOAD_TYPE, statement};

fn wanted(package: &Package) -> Wanted {
    Wanted { name: package.name.clone(), version: package.version.clone(), index: package.index() }
}

fn sealed(wanted: &Wanted, predicate: Value, key: &SecretKey) -> Vec<u8> {
    let payload = statement(wanted, PROVENANCE, predicate).unwrap();
    dsse::sign(STATEMENT_PAYLOAD_TYPE, &payload, std::slice::from_ref(key)).unwrap()
}

fn new(media_type: &str, content: &[u8]) -> AddAttestation {
    AddAttestation { media_type: media_type.to_owned(), content: BASE64.encode(content) }
}

#[tokio::test]
async fn an_attestation_is_a_referrer_of_the_index_and_an_entry_of_the_log() {
    let world = World::start().await;
    let publisher = Publisher::new(&world, "acme").await;
    let package = Package::new("acme/pass", "1.0.0");
    publisher.publish(&package).await.unwrap();
    let stranger = SecretKey::from_seed([44; 32]);
    let envelope = sealed(&wanted(&package), json!({ "by": "a stranger" }), &stranger);
    let add = |kind: &str, content: &[u8]| {
        let (client, package) = (publisher.client.clone(), &package);
        let new = new(kind, content);
        async move { client.add_attestation(&package.name, &package.version, &new).await }
    };
    let added: Attestation = add(DSSE_TYPE, &envelope).await.unwrap();
    assert_eq!(added.content, Digest::of(&envelope));
    assert_eq!(added.predicate_type, PROVENANCE);
    assert_eq!(added.signed_by, [stranger.public().key_id().to_string()]);
    let sbom = br#"{"spdxVersion":"SPDX-2.3","packages":[]}"#;
    add(SPDX_TYPE, sbom).await.unwrap();
    let twice = refusal(add(DSSE_TYPE, &envelope).await);
    assert_eq!(twice, (409, "attestation.exists".to_owned()));

    let anyone = world.anonymous();
    let list = anyone.attestations(&package.name, &package.version).await.unwrap().attestations;
    assert_eq!(list.len(), 2);
    assert_eq!(list[0], added);
    let bytes = anyone.blob(&package.name, &added.content, ENVELOPE_BYTES_MAX).await.unwrap();
    assert_eq!(bytes, envelope);
    let referrers = anyone.referrers(&package.name, &package.index(), 1 << 20).await.unwrap();
    let referrers: Value = serde_json::from_slice(&referrers).unwrap();
    let ours: Vec<&Value> = referrers["manifests"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|manifest| manifest["digest"] == added.manifest.to_string())
        .collect();
    assert_eq!(ours.len(), 1, "{referrers}");
    assert_eq!(ours[0]["artifactType"], STATEMENT_PAYLOAD_TYPE);
    assert_eq!(ours[0]["annotations"]["dev.skep.predicate.type"], PROVENANCE);
    let manifest = anyone.manifest(&package.name, &added.manifest, 1 << 20).await.unwrap();
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    assert_eq!(manifest["subject"]["digest"], package.index().to_string());
    assert_eq!(manifest["subject"]["size"], package.blobs.index.bytes.len());
    assert_eq!(manifest["layers"][0]["digest"], added.content.to_string());

    let (_, entries) = whole_log(&anyone).await;
    let Event::Attestation { content, index, .. } =
        &entries[usize::try_from(added.log_index).unwrap()].event
    else {
        panic!("{entries:?}")
    };
    assert_eq!((*content, *index), (added.content, package.index()));
}

#[tokio::test]
async fn what_is_no_statement_about_the_version_is_refused_by_name() {
    let world = World::start().await;
    let publisher = Publisher::new(&world, "acme").await;
    let package = Package::new("acme/pass", "1.0.0");
    publisher.publish(&package).await.unwrap();
    let add = |kind: &str, content: &[u8]| {
        let (client, package) = (publisher.client.clone(), &package);
        let new = new(kind, content);
        async move { client.add_attestation(&package.name, &package.version, &new).await }
    };
    let good = sealed(&wanted(&package), json!({}), &publisher.key);
    let mut other = wanted(&package);
    other.index = Digest::of(b"other");
    let other = sealed(&other, json!({}), &publisher.key);
    assert_eq!(refusal(add(DSSE_TYPE, &other).await), (422, "attestation.other_subject".into()));
    // A signature that claims to be the publisher's own must hold.
    let text = String::from_utf8(good).unwrap();
    let stranger = SecretKey::from_seed([44; 32]);
    let forged = String::from_utf8(sealed(&wanted(&package), json!({}), &stranger)).unwrap();
    let forged = forged.replace(
        &stranger.public().key_id().to_string(),
        &publisher.key.public().key_id().to_string(),
    );
    let code = |answer| refusal(answer).1;
    assert_eq!(code(add(DSSE_TYPE, forged.as_bytes()).await), "attestation.signature_invalid");
    let mistyped = text.replace(STATEMENT_PAYLOAD_TYPE, "text/plain");
    let mistyped = code(add(DSSE_TYPE, mistyped.as_bytes()).await);
    assert_eq!(mistyped, "attestation.payload_of_other_type");
    assert_eq!(code(add(DSSE_TYPE, b"{}").await), "attestation.malformed");
    assert_eq!(code(add("text/plain", b"{}").await), "attestation.media_type");
    assert_eq!(code(add(SPDX_TYPE, b"{}").await), "attestation.malformed");
    assert_eq!(code(add(CYCLONEDX_TYPE, br#"{"bomFormat":"x"}"#).await), "attestation.malformed");
    let large = vec![b' '; ENVELOPE_BYTES_MAX + 1];
    assert_eq!(refusal(add(DSSE_TYPE, &large).await).0, 413);
    let anyone = world.anonymous();
    let list = anyone.attestations(&package.name, &package.version).await.unwrap();
    assert!(list.attestations.is_empty());

    // Only who publishes in the namespace may add, and only to what is there.
    let secret = world.token(Scope::Publish, Some("acme")).await;
    let missing = "9.9.9".parse().unwrap();
    let request = new(DSSE_TYPE, text.as_bytes());
    let client = world.client(Some(&secret));
    assert_eq!(refusal(client.add_attestation(&package.name, &missing, &request).await).0, 404);
    Publisher::new(&world, "other").await;
    let secret = world.token(Scope::Publish, Some("other")).await;
    let client = world.client(Some(&secret));
    let foreign = client.add_attestation(&package.name, &package.version, &request).await;
    assert_eq!(refusal(foreign).0, 403);
    assert_eq!(refusal(anyone.attestations(&package.name, &missing).await).0, 404);
}
