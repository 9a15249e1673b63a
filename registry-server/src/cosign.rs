//! What foreign tools can check: the registry's own ECDSA key signs the digest of an index as cosign does, as manifests
//! that refer to it. They say that this registry serves these bytes, and no more: who made them says the publisher's
//! own signature. Refuses to know HTTP.

mod forms;

use crate::app::App;
use crate::blob::BlobError;
use crate::clock;
use crate::oci::name::Repository;
use crate::shared_keys::SharedKey;
use crate::store::StoreError;
use crate::store::cosign::{NewSignature, SignatureBlob};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use forms::{About, Form};
use openssl::ec::{EcGroup, EcKey};
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::sign::Signer;
use skep_api::v1::attestations::CosignSignature;
use skep_artifact::digest::Digest;
use skep_artifact::json::JsonError;
use skep_artifact::limits::MANIFEST_JSON_BYTES_MAX;
use skep_artifact::name::{PackageName, Version};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// The secret key (PEM), beside the other secrets.
const SECRET_FILE: &str = "cosign.key";
/// The artifact types by which tools find signatures among referrers: cosign's own form, and bundles.
pub const ARTIFACT_TYPES: [&str; 2] = [forms::SIGNATURE_TYPE, forms::BUNDLE_TYPE];

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

    pub(crate) fn shared(&self) -> Result<SharedKey, CosignError> {
        let public = Digest::of(&self.0.public_key_to_der()?).to_string();
        Ok(SharedKey { name: "cosign", file: SECRET_FILE, public: vec![public] })
    }

    fn sign(&self, payload: &[u8]) -> Result<String, CosignError> {
        let mut signer = Signer::new(MessageDigest::sha256(), &self.0)?;
        Ok(BASE64.encode(signer.sign_oneshot_to_vec(payload)?))
    }

    /// What a bundle calls the key by: sha256 of its DER, in base64, as cosign has it.
    fn hint(&self) -> Result<String, CosignError> {
        Ok(BASE64.encode(Digest::of(&self.0.public_key_to_der()?).as_bytes()))
    }
}

/// The manifests by which this registry signs an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Manifests {
    /// Cosign's own form.
    pub signature: Digest,
    /// A sigstore bundle.
    pub bundle: Digest,
}

/// The signatures of an index; made and kept when they are asked for the first time.
///
/// # Errors
/// [`CosignError`].
async fn manifests(
    app: &App,
    package: &PackageName,
    version: &Version,
    index: Digest,
) -> Result<Manifests, CosignError> {
    let mut found = [None; 2];
    for (manifest, artifact_type) in found.iter_mut().zip(ARTIFACT_TYPES) {
        *manifest = app.store.cosign_manifest(package, &index, artifact_type).await?;
        if manifest.is_none() {
            make(app, package, version, index, artifact_type).await?;
            // Whoever was faster, what is stored is what everybody gets.
            *manifest = app.store.cosign_manifest(package, &index, artifact_type).await?;
        }
    }
    match found {
        [Some(signature), Some(bundle)] => Ok(Manifests { signature, bundle }),
        _ => Err(CosignError::Stored),
    }
}

/// The signatures of what a repository calls by this digest; `None` when that is no version's index.
///
/// # Errors
/// [`CosignError`].
pub async fn of_index(
    app: &App,
    repository: &Repository,
    index: Digest,
) -> Result<Option<Manifests>, CosignError> {
    let Ok(package) = repository.as_str().parse::<PackageName>() else { return Ok(None) };
    match app.store.version_with_index(&package, &index).await? {
        Some(version) => manifests(app, &package, &version, index).await.map(Some),
        None => Ok(None),
    }
}

/// The signatures of a version's index.
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
    let manifests = manifests(app, &package, &version, index).await?;
    read(app, index, manifests).await
}

async fn read(
    app: &App,
    index: Digest,
    manifests: Manifests,
) -> Result<CosignSignature, CosignError> {
    let (manifest, payload) = layer_of(app, &manifests.signature).await?;
    let (_, bundle) = layer_of(app, &manifests.bundle).await?;
    Ok(CosignSignature {
        index,
        manifest: manifests.signature,
        payload: BASE64.encode(payload),
        signature: forms::signature_in(&manifest).ok_or(CosignError::Stored)?,
        bundle_manifest: manifests.bundle,
        bundle: BASE64.encode(bundle),
        public_key: app.cosign.public_pem()?,
    })
}

/// A manifest and the bytes of its first layer.
async fn layer_of(app: &App, manifest: &Digest) -> Result<(serde_json::Value, Bytes), CosignError> {
    let limit = MANIFEST_JSON_BYTES_MAX as u64;
    let bytes = app.blobs.read(manifest, limit).await?;
    let value: serde_json::Value =
        serde_json::from_slice(&bytes).map_err(|_| CosignError::Stored)?;
    let digest = value["layers"][0]["digest"].as_str().and_then(|text| text.parse().ok());
    let content = app.blobs.read(&digest.ok_or(CosignError::Stored)?, limit).await?;
    Ok((value, content))
}

async fn make(
    app: &App,
    package: &PackageName,
    version: &Version,
    index: Digest,
    artifact_type: &'static str,
) -> Result<(), CosignError> {
    let index_bytes = app.store.published_size(package, &index).await?.unwrap_or_default();
    let about = About { package, version, index, index_bytes };
    let Form { annotations, blobs: made } = match artifact_type {
        forms::SIGNATURE_TYPE => forms::signature(&about, &|bytes| app.cosign.sign(bytes))?,
        _ => forms::bundle(&about, &app.cosign.hint()?, &|bytes| app.cosign.sign(bytes))?,
    };
    let _kept = app.collecting.read().await;
    let mut blobs = Vec::new();
    for (bytes, media_type) in made {
        let (digest, length) = (Digest::of(&bytes), bytes.len() as u64);
        let body = futures::stream::iter([Ok::<_, axum::Error>(Bytes::from(bytes))]);
        let received = app.blobs.receive(length, body).await?;
        let size_bytes = app.blobs.keep(received, digest).await?;
        app.store.note_blob(&digest, size_bytes, clock::now()).await?;
        blobs.push(SignatureBlob { digest, media_type, size_bytes });
    }
    let new = NewSignature { package, version, index, artifact_type, annotations, blobs };
    app.store.put_cosign_signature(&new).await?;
    Ok(())
}
