//! PURE: the two forms in which cosign keeps a signature of an image: its own (a payload, and the signature as an
//! annotation) and a sigstore bundle (a DSSE envelope with an in-toto statement). Refuses to know keys and blobs.

use super::CosignError;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use skep_artifact::digest::Digest;
use skep_artifact::dsse::pre_authentication_encoding;
use skep_artifact::json::canonical;
use skep_artifact::name::{PackageName, Version};

/// The artifact type of cosign's own form.
pub(super) const SIGNATURE_TYPE: &str = "application/vnd.dev.cosign.artifact.sig.v1+json";
/// The artifact type, and the media type, of a bundle.
pub(super) const BUNDLE_TYPE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
const PAYLOAD_TYPE: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
const CONFIG_TYPE: &str = "application/vnd.oci.image.config.v1+json";
const EMPTY_TYPE: &str = "application/vnd.oci.empty.v1+json";
const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX_TYPE: &str = "application/vnd.oci.image.index.v1+json";
const SIGNATURE_ANNOTATION: &str = "dev.cosignproject.cosign/signature";
const STATEMENT_TYPE: &str = "application/vnd.in-toto+json";
/// What cosign calls the statement that an image was signed.
const SIGN_PREDICATE: &str = "https://sigstore.dev/cosign/sign/v1";

/// What is signed.
pub(super) struct About<'a> {
    pub(super) package: &'a PackageName,
    pub(super) version: &'a Version,
    pub(super) index: Digest,
    pub(super) index_bytes: u64,
}

/// A signature as blobs, with their media types: the manifest last.
pub(super) struct Form {
    /// Of the manifest, as JSON.
    pub(super) annotations: String,
    pub(super) blobs: Vec<(Vec<u8>, &'static str)>,
}

/// Signs bytes: ECDSA over sha256, DER, in base64.
type Sign<'a> = dyn Fn(&[u8]) -> Result<String, CosignError> + Sync + 'a;

/// The signature that stands in a manifest of cosign's own form.
pub(super) fn signature_in(manifest: &Value) -> Option<String> {
    manifest["layers"][0]["annotations"][SIGNATURE_ANNOTATION].as_str().map(str::to_owned)
}

/// Cosign's own form.
pub(super) fn signature(about: &About, sign: &Sign) -> Result<Form, CosignError> {
    let payload = canonical(&json!({
        "critical": {
            "identity": { "docker-reference": about.package.to_string() },
            "image": { "docker-manifest-digest": about.index },
            "type": "cosign container image signature",
        },
        "optional": { "version": about.version.to_string() },
    }))?;
    let config = canonical(&json!({
        "architecture": "", "os": "", "config": {},
        "rootfs": { "type": "layers", "diff_ids": [Digest::of(&payload)] },
    }))?;
    let mut layer = descriptor(&payload, PAYLOAD_TYPE);
    layer["annotations"] = json!({ SIGNATURE_ANNOTATION: sign(&payload)? });
    let manifest = canonical(&json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "artifactType": SIGNATURE_TYPE,
        "config": descriptor(&config, CONFIG_TYPE),
        "layers": [layer],
        "subject": subject(about),
    }))?;
    let blobs = vec![(payload, PAYLOAD_TYPE), (config, CONFIG_TYPE), (manifest, MANIFEST_TYPE)];
    Ok(Form { annotations: "{}".to_owned(), blobs })
}

/// A bundle. A plain key has no certificate and needs no entry in a public log: who verifies brings the key.
pub(super) fn bundle(about: &About, hint: &str, sign: &Sign) -> Result<Form, CosignError> {
    let statement = canonical(&json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{
            "name": about.package.to_string(),
            "digest": { "sha256": about.index.hex() },
        }],
        "predicateType": SIGN_PREDICATE,
        "predicate": { "version": about.version.to_string() },
    }))?;
    let signature = sign(&pre_authentication_encoding(STATEMENT_TYPE, &statement))?;
    let bundle = canonical(&json!({
        "mediaType": BUNDLE_TYPE,
        "verificationMaterial": { "publicKey": { "hint": hint }, "tlogEntries": [] },
        "dsseEnvelope": {
            "payload": BASE64.encode(&statement),
            "payloadType": STATEMENT_TYPE,
            "signatures": [{ "sig": signature, "keyid": "" }],
        },
    }))?;
    let config = b"{}".to_vec();
    let mut layer = descriptor(&bundle, BUNDLE_TYPE);
    let title = format!("sha256-{}.sigstore.json", Digest::of(&bundle).hex());
    layer["annotations"] = json!({ "org.opencontainers.image.title": title });
    let annotations = json!({
        "dev.sigstore.bundle.content": "dsse-envelope",
        "dev.sigstore.bundle.predicateType": SIGN_PREDICATE,
    });
    let manifest = canonical(&json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "artifactType": BUNDLE_TYPE,
        "annotations": annotations,
        "config": descriptor(&config, EMPTY_TYPE),
        "layers": [layer],
        "subject": subject(about),
    }))?;
    let blobs = vec![(bundle, BUNDLE_TYPE), (config, EMPTY_TYPE), (manifest, MANIFEST_TYPE)];
    Ok(Form { annotations: annotations.to_string(), blobs })
}

fn descriptor(bytes: &[u8], media_type: &str) -> Value {
    json!({ "mediaType": media_type, "digest": Digest::of(bytes), "size": bytes.len() })
}

fn subject(about: &About) -> Value {
    json!({ "mediaType": INDEX_TYPE, "digest": about.index, "size": about.index_bytes })
}
