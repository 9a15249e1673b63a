//! What foreign tools can check: the registry's own ECDSA key signs the digest of an index as cosign does, as a manifest
//! that refers to it. It says that this registry serves these bytes, and no more: who made them says the publisher's
//! own signature. Refuses to know HTTP.

use crate::app::App;
use crate::blob::BlobError;
use crate::clock;
use crate::store::StoreError;
use crate::store::cosign::{NewSignature, SignatureBlob};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use openssl::ec::{EcGroup, EcKey};
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::sign::Signer;
use serde_json::json;
use skep_api::v1::attestations::CosignSignature;
use skep_artifact::digest::Digest;
use skep_artifact::json::{JsonError, canonical};
use skep_artifact::limits::MANIFEST_JSON_BYTES_MAX;
use skep_artifact::name::{PackageName, Version};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// The secret key (PEM), beside the other secrets.
const SECRET_FILE: &str = "cosign.key";
/// The artifact type by which cosign finds signatures among referrers.
pub const ARTIFACT_TYPE: &str = "application/vnd.dev.cosign.artifact.sig.v1+json";
const PAYLOAD_TYPE: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
const CONFIG_TYPE: &str = "application/vnd.oci.image.config.v1+json";
const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX_TYPE: &str = "application/vnd.oci.image.index.v1+json";
const SIGNATURE_ANNOTATION: &str = "dev.cosignproject.cosign/signature";

/// Why nothing was signed.
#[derive(Debug, thiserror::Error)]
pub enum CosignError {
    #[error("cannot {what} {}", path.display())]
    File { what: &'static str, path: PathBuf, source: std::io::Error },
    #[error("OpenSSL refused")]
    Crypto(#[from] ErrorStack),
    #[error("there is no {package} {version}")]
    NoVersion { package: PackageName, version: Version },
    #[error("the stored signature cannot be read")]
    Stored,
    #[error("a manifest cannot be written")]
    Manifest(#[from] JsonError),
    #[error(transparent)]
    Blob(#[from] BlobError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The registry's managed ECDSA P-256 key.
pub struct CosignKey(PKey<Private>);

impl CosignKey {
    /// Reads the key, or makes it at the first start.
    ///
    /// # Errors
    /// [`CosignError`].
    pub fn open(data: &Path) -> Result<Self, CosignError> {
        let path = data.join(SECRET_FILE);
        match std::fs::read(&path) {
            Ok(pem) => Ok(Self(PKey::private_key_from_pem(&pem)?)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Self::make(&path),
            Err(source) => Err(CosignError::File { what: "read", path, source }),
        }
    }

    fn make(path: &Path) -> Result<Self, CosignError> {
        let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?;
        let key = PKey::from_ec_key(EcKey::generate(&group)?)?;
        let failed = |source| CosignError::File { what: "write", path: path.to_owned(), source };
        let beside = path.with_extension("key.new");
        let mut options = std::fs::OpenOptions::new();
        let options = options.write(true).create(true).truncate(true).mode(0o600);
        let mut file = options.open(&beside).map_err(failed)?;
        file.write_all(&key.private_key_to_pem_pkcs8()?).map_err(failed)?;
        file.sync_all().map_err(failed)?;
        std::fs::rename(&beside, path).map_err(failed)?;
        Ok(Self(key))
    }

    /// The public key (PEM), as `cosign verify --key` takes it.
    ///
    /// # Errors
    /// [`CosignError::Crypto`].
    pub fn public_pem(&self) -> Result<String, CosignError> {
        Ok(String::from_utf8_lossy(&self.0.public_key_to_pem()?).into_owned())
    }

    fn sign(&self, payload: &[u8]) -> Result<String, CosignError> {
        let mut signer = Signer::new(MessageDigest::sha256(), &self.0)?;
        Ok(BASE64.encode(signer.sign_oneshot_to_vec(payload)?))
    }
}

/// The signature of a version's index; made and kept when it is asked for the first time.
///
/// # Errors
/// [`CosignError`].
pub async fn signature(
    app: &App,
    package: PackageName,
    version: Version,
) -> Result<CosignSignature, CosignError> {
    let found = app.store.version(&package, &version).await?;
    let Some(found) = found else { return Err(CosignError::NoVersion { package, version }) };
    let index = found.summary.index;
    if app.store.cosign_manifest(&package, &index).await?.is_none() {
        make(app, &package, &version, index).await?;
    }
    // Whoever was faster, what is stored is what everybody gets.
    let manifest = app.store.cosign_manifest(&package, &index).await?.ok_or(CosignError::Stored)?;
    read(app, index, manifest)
}

fn read(app: &App, index: Digest, manifest: Digest) -> Result<CosignSignature, CosignError> {
    let limit = MANIFEST_JSON_BYTES_MAX as u64;
    let bytes = app.blobs.read_blocking(&manifest, limit)?;
    let value: serde_json::Value =
        serde_json::from_slice(&bytes).map_err(|_| CosignError::Stored)?;
    let layer = &value["layers"][0];
    let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
    let payload = text(&layer["digest"]).and_then(|digest| digest.parse().ok());
    let payload = app.blobs.read_blocking(&payload.ok_or(CosignError::Stored)?, limit)?;
    let signature = text(&layer["annotations"][SIGNATURE_ANNOTATION]);
    Ok(CosignSignature {
        index,
        manifest,
        payload: BASE64.encode(payload),
        signature: signature.ok_or(CosignError::Stored)?,
        public_key: app.cosign.public_pem()?,
    })
}

async fn make(
    app: &App,
    package: &PackageName,
    version: &Version,
    index: Digest,
) -> Result<(), CosignError> {
    let payload = canonical(&json!({
        "critical": {
            "identity": { "docker-reference": package.to_string() },
            "image": { "docker-manifest-digest": index },
            "type": "cosign container image signature",
        },
        "optional": { "version": version.to_string() },
    }))?;
    let config = canonical(&json!({
        "architecture": "", "os": "", "config": {},
        "rootfs": { "type": "layers", "diff_ids": [Digest::of(&payload)] },
    }))?;
    let size = app.store.published_size(package, &index).await?.unwrap_or_default();
    let manifest = canonical(&json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "artifactType": ARTIFACT_TYPE,
        "config": { "mediaType": CONFIG_TYPE, "digest": Digest::of(&config), "size": config.len() },
        "layers": [{
            "mediaType": PAYLOAD_TYPE, "digest": Digest::of(&payload), "size": payload.len(),
            "annotations": { SIGNATURE_ANNOTATION: app.cosign.sign(&payload)? },
        }],
        "subject": { "mediaType": INDEX_TYPE, "digest": index, "size": size },
    }))?;
    let _kept = app.collecting.read().await;
    let mut blobs = Vec::new();
    for (bytes, media_type) in
        [(&payload, PAYLOAD_TYPE), (&config, CONFIG_TYPE), (&manifest, MANIFEST_TYPE)]
    {
        let digest = Digest::of(bytes);
        let body = futures::stream::iter([Ok::<_, axum::Error>(Bytes::copy_from_slice(bytes))]);
        let received = app.blobs.receive(bytes.len() as u64, body).await?;
        let size_bytes = app.blobs.keep(received, digest).await?;
        app.store.note_blob(&digest, size_bytes, clock::now()).await?;
        blobs.push(SignatureBlob { digest, media_type, size_bytes });
    }
    let new = NewSignature { package, version, index, artifact_type: ARTIFACT_TYPE, blobs };
    app.store.put_cosign_signature(&new).await?;
    Ok(())
}
