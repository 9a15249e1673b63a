//! Manifests as clients send them, and as they should not.

use super::*;
use crate::oci::digest::Algorithm;
use serde_json::{Value, json};

fn sha(text: &str) -> OciDigest {
    OciDigest::of(Algorithm::Sha256, text.as_bytes())
}

fn link(text: &str, kind: &str) -> Value {
    json!({ "mediaType": kind, "digest": sha(text).to_string(), "size": text.len() })
}

fn image() -> Value {
    json!({
        "schemaVersion": 2,
        "mediaType": OCI_IMAGE,
        "config": link("config", "application/vnd.example.config+json"),
        "layers": [link("a", "application/vnd.oci.image.layer.v1.tar+gzip"), link("a", "x/y")],
    })
}

fn read(content_type: Option<&str>, value: &Value) -> Result<Manifest, ManifestError> {
    Manifest::read(content_type, value.to_string().as_bytes())
}

#[test]
fn an_image_names_its_config_and_each_layer_once() {
    let manifest = read(Some(OCI_IMAGE), &image()).unwrap();
    let mut expected = vec![sha("config"), sha("a")];
    expected.sort();
    assert_eq!(manifest.blobs, expected);
    assert_eq!(manifest.manifests, []);
    assert_eq!(manifest.artifact_type.as_deref(), Some("application/vnd.example.config+json"));
    assert_eq!(manifest.subject, None);
}

#[test]
fn an_index_names_its_manifests_and_has_no_artifact_type_of_its_own() {
    let mut index = json!({
        "schemaVersion": 2, "mediaType": OCI_INDEX,
        "manifests": [link("one", OCI_IMAGE), link("two", OCI_INDEX)],
        "subject": link("what it is about", OCI_IMAGE),
        "annotations": { "key": "value" },
        "org.example.unknown": [1, 2],
    });
    let manifest = read(Some(OCI_INDEX), &index).unwrap();
    let mut expected = vec![sha("one"), sha("two")];
    expected.sort();
    assert_eq!(manifest.manifests, expected);
    assert_eq!(manifest.subject, Some(sha("what it is about")));
    assert_eq!(manifest.artifact_type, None);
    assert_eq!(manifest.annotations["key"], "value");
    index["artifactType"] = json!("application/vnd.example");
    let manifest = read(Some(OCI_INDEX), &index).unwrap();
    assert_eq!(manifest.artifact_type.as_deref(), Some("application/vnd.example"));
}

#[test]
fn docker_kinds_are_taken_and_parameters_of_the_content_type_ignored() {
    let mut docker = image();
    docker["mediaType"] = json!(DOCKER_IMAGE);
    let manifest = read(Some(&format!("{DOCKER_IMAGE}; charset=utf-8")), &docker).unwrap();
    assert_eq!(manifest.media_type, DOCKER_IMAGE);
    let list = json!({ "schemaVersion": 2, "mediaType": DOCKER_INDEX, "manifests": [
        { "mediaType": DOCKER_IMAGE, "digest": sha("x").to_string(), "size": 1,
          "platform": { "architecture": "amd64", "os": "linux", "features": ["sse4"] } } ] });
    assert_eq!(read(Some(DOCKER_INDEX), &list).unwrap().manifests, [sha("x")]);
}

#[test]
fn without_a_content_type_the_manifest_says_what_it_is() {
    assert_eq!(read(None, &image()).unwrap().media_type, OCI_IMAGE);
    let mut silent = image();
    silent.as_object_mut().unwrap().remove("mediaType");
    assert_eq!(read(None, &silent).unwrap().media_type, OCI_IMAGE);
    let silent = json!({ "schemaVersion": 2, "manifests": [] });
    assert_eq!(read(None, &silent).unwrap().media_type, OCI_INDEX);
}

#[test]
fn layers_that_are_not_distributed_need_not_be_here() {
    let mut image = image();
    let layers = image["layers"].as_array_mut().unwrap();
    layers.push(link("far", "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"));
    layers.push(link("away", "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"));
    assert_eq!(read(None, &image).unwrap().blobs.len(), 2);
}

#[test]
fn hostile_and_broken_manifests_are_refused_and_named() {
    use ManifestError as E;
    type Fits = fn(&E) -> bool;
    let with = |change: fn(&mut Value)| {
        let mut value = image();
        change(&mut value);
        value
    };
    let sha1 = json!({ "mediaType": "a/b", "digest": "sha1:0000", "size": 1 });
    let cases: [(&str, Option<&str>, Value, Fits); 10] = [
        ("text", None, json!("text"), |e| matches!(e, E::Json { .. })),
        ("no config", None, with(|v| drop(v.as_object_mut().unwrap().remove("config"))), |e| {
            matches!(e, E::Json { .. })
        }),
        ("both", None, with(|v| v["manifests"] = json!([])), |e| matches!(e, E::Ambiguous)),
        ("schema 1", None, with(|v| v["schemaVersion"] = json!(1)), |e| {
            matches!(e, E::Schema { found: 1 })
        }),
        ("two types", Some(OCI_INDEX), image(), |e| matches!(e, E::TypeMismatch { .. })),
        ("unknown", Some("text/html"), json!({ "schemaVersion": 2 }), |e| {
            matches!(e, E::Kind { .. })
        }),
        (
            "signed 1",
            None,
            with(|v| {
                v["mediaType"] = json!("application/vnd.docker.distribution.manifest.v1+json")
            }),
            |e| matches!(e, E::Kind { .. }),
        ),
        ("sha1", None, json!({ "schemaVersion": 2, "manifests": [sha1] }), |e| {
            matches!(e, E::Digest { .. })
        }),
        ("header", None, with(|v| v["artifactType"] = json!("a/b\r\nx: y")), |e| {
            matches!(e, E::ArtifactType)
        }),
        (
            "many",
            None,
            json!({ "schemaVersion": 2, "manifests": (0..=LINKS_MAX)
            .map(|i| link(&i.to_string(), OCI_IMAGE)).collect::<Vec<_>>() }),
            |e| matches!(e, E::TooMany { found } if *found == LINKS_MAX + 1),
        ),
    ];
    for (name, content_type, value, fits) in cases {
        match read(content_type, &value) {
            Err(error) => assert!(fits(&error), "{name}: {error:?}"),
            Ok(_) => panic!("{name} was taken"),
        }
    }
}
