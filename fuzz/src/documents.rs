//! Documents that people and registries send: manifests of packages, policies of nodes and fleets.
//! Whatever is read survives being written and read again.

use skep_artifact::limits::MANIFEST_JSON_BYTES_MAX;
use skep_artifact::{Manifest, dsse, json};
use skep_fleet::PolicyRevision;
use skep_trust::NodePolicy;

use crate::material::Material;

pub(crate) fn run_manifest(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(manifest) = Manifest::parse(text)
    {
        let canonical = manifest.canonical_json();
        assert_eq!(Manifest::from_canonical_json(&canonical).as_ref(), Ok(&manifest));
    }
    if let Ok(manifest) = Manifest::from_canonical_json(bytes) {
        assert_eq!(manifest.canonical_json(), bytes);
    }
}

pub(crate) fn manifest_seeds(material: &Material) -> Vec<Vec<u8>> {
    let packages = &material.packages;
    let texts = packages.iter().map(|package| package.text.clone().into_bytes());
    texts.chain(packages.iter().map(|package| package.manifest.canonical_json())).collect()
}

pub(crate) fn run_policy(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        let first = NodePolicy::parse(text).ok();
        assert_eq!(first, NodePolicy::parse(text).ok());
    }
    if let Ok(revision) = PolicyRevision::from_json(bytes)
        && let Ok(written) = revision.to_json()
    {
        assert_eq!(PolicyRevision::from_json(&written).unwrap(), revision);
    }
    if let Ok(value) = json::parse(bytes, MANIFEST_JSON_BYTES_MAX)
        && let Ok(canonical) = json::canonical(&value)
    {
        let again = json::parse(&canonical, usize::MAX).unwrap();
        assert_eq!(json::canonical(&again).unwrap(), canonical, "canonical is not stable");
    }
    if let Ok(envelope) = dsse::Envelope::parse(bytes) {
        assert!(envelope.unverified_payload().len() <= bytes.len());
    }
}

const NODE_POLICY: &str = r#"
[[namespace]]
name = "skep"
keys = ["ed25519:0000000000000000000000000000000000000000000000000000000000000000"]
threshold = 1
hooks = ["xdp", "tc-ingress"]

[operator]
keys = []
"#;

const REVISION: &str = r#"{"name":"edge","revision":3,"removed":false,"nodes":{"matchLabels":{"role":"edge"}},"attach":{"interfaces":{"match":["eth*","!eth9"]},"hook":"xdp"},"programs":[]}"#;

const ENVELOPE: &str = r#"{"payload":"e30=","payloadType":"application/vnd.skep.policy+json","signatures":[{"keyid":"00","sig":"AAAA"}]}"#;

pub(crate) fn policy_seeds(_: &Material) -> Vec<Vec<u8>> {
    [NODE_POLICY, REVISION, ENVELOPE].iter().map(|text| text.as_bytes().to_vec()).collect()
}
