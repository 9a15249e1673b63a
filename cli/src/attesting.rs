//! Statements about packages: made and signed here, handed in, fetched. Refuses to know what is printed.

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use skep_api::client::Client;
use skep_api::v1::attestations::{AddAttestation, Attestation, DSSE_TYPE};
use skep_artifact::digest::Digest;
use skep_artifact::dsse::{self, ENVELOPE_BYTES_MAX};
use skep_artifact::key::SecretKey;
use skep_artifact::manifest::Manifest;
use skep_trust::Wanted;
use skep_trust::attestation::{
    ATTESTATIONS_MAX, AttestationRefusal, PROVENANCE, STATEMENT_PAYLOAD_TYPE, read_unverified,
    statement,
};

/// What kind of build the provenance describes: the documentation says what its parameters mean.
const BUILD_TYPE: &str = "https://skep.dev/builds/package/v1";
const BUILDER: &str = concat!("https://skep.dev/cli@", env!("CARGO_PKG_VERSION"));

/// Signs a statement about a version and hands it in.
///
/// # Errors
/// When it cannot be signed, or the registry refuses it.
pub(crate) async fn add(
    client: &Client,
    wanted: &Wanted,
    predicate_type: &str,
    predicate: Value,
    keys: &[SecretKey],
) -> anyhow::Result<Attestation> {
    let payload = statement(wanted, predicate_type, predicate).context("writing a statement")?;
    let envelope = dsse::sign(STATEMENT_PAYLOAD_TYPE, &payload, keys)?;
    hand_in(client, wanted, DSSE_TYPE, &envelope).await
}

/// Hands in an envelope or document as it is.
///
/// # Errors
/// When the registry refuses it.
pub(crate) async fn hand_in(
    client: &Client,
    wanted: &Wanted,
    media_type: &str,
    content: &[u8],
) -> anyhow::Result<Attestation> {
    let new = AddAttestation { media_type: media_type.to_owned(), content: BASE64.encode(content) };
    let added = client.add_attestation(&wanted.name, &wanted.version, &new).await;
    added.with_context(|| format!("{wanted} was not attested."))
}

/// An envelope or document about a version, as its registry keeps it.
pub(crate) struct Said {
    pub media_type: String,
    pub content: Vec<u8>,
}

impl Said {
    /// An envelope must hold a statement about the version; who signed it is for readers to judge.
    ///
    /// # Errors
    /// [`AttestationRefusal`].
    pub(crate) fn check(&self, wanted: &Wanted) -> Result<(), AttestationRefusal> {
        if self.media_type != DSSE_TYPE || read_unverified(&self.content)?.is_about(&wanted.index) {
            return Ok(());
        }
        Err(AttestationRefusal::OtherSubject)
    }
}

/// The envelopes of a version, each compared with its digest; nothing in them is verified.
///
/// # Errors
/// A registry that fails, or delivers other bytes.
pub(crate) async fn envelopes(client: &Client, wanted: &Wanted) -> anyhow::Result<Vec<Vec<u8>>> {
    let said = fetch(client, wanted, &|media_type| media_type == DSSE_TYPE).await?;
    Ok(said.into_iter().map(|said| said.content).collect())
}

/// The same, and documents that are no envelopes.
///
/// # Errors
/// A registry that fails, or delivers other bytes.
pub(crate) async fn all(client: &Client, wanted: &Wanted) -> anyhow::Result<Vec<Said>> {
    fetch(client, wanted, &|_| true).await
}

async fn fetch(
    client: &Client,
    wanted: &Wanted,
    kinds: &(dyn Fn(&str) -> bool + Sync),
) -> anyhow::Result<Vec<Said>> {
    let list = client.attestations(&wanted.name, &wanted.version).await?.attestations;
    let mut fetched = Vec::new();
    let chosen = list.into_iter().filter(|attestation| kinds(&attestation.media_type));
    for attestation in chosen.take(ATTESTATIONS_MAX) {
        let digest = attestation.content;
        let bytes = client.blob(&wanted.name, &digest, ENVELOPE_BYTES_MAX).await?;
        let found = Digest::of(&bytes);
        if found != digest {
            return Err(crate::download::DownloadError::Digest { wanted: digest, found }.into());
        }
        fetched.push(Said { media_type: attestation.media_type, content: bytes.to_vec() });
    }
    Ok(fetched)
}

/// What is known of a build that this program made: the predicate of SLSA provenance v1.
pub(crate) struct Built<'a> {
    pub manifest: &'a Manifest,
    /// Files that went in: path below the package's folder, digest.
    pub materials: Vec<(String, Digest)>,
    /// What compiled it, as it calls itself.
    pub compiler: String,
    pub began: i64,
    pub ended: i64,
}

impl Built<'_> {
    /// The predicate.
    ///
    /// # Errors
    /// When a time cannot be written.
    pub(crate) fn predicate(&self) -> anyhow::Result<Value> {
        let package = &self.manifest.package;
        let materials: Vec<Value> = self
            .materials
            .iter()
            .map(|(path, digest)| {
                json!({ "uri": format!("file:{path}"), "digest": { "sha256": digest.hex() } })
            })
            .collect();
        let build = self.manifest.build.as_ref();
        Ok(json!({
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": {
                    "package": package.name.to_string(),
                    "version": package.version.to_string(),
                    "repository": package.repository,
                    "source": build.and_then(|build| build.source.clone()),
                    "command": build.map(|build| build.command.clone()).unwrap_or_default(),
                },
                "internalParameters": { "compiler": self.compiler },
                "resolvedDependencies": materials,
            },
            "runDetails": {
                "builder": { "id": BUILDER },
                "metadata": {
                    "startedOn": crate::publishing::expiry(self.began, 0)?,
                    "finishedOn": crate::publishing::expiry(self.ended, 0)?,
                },
            },
        }))
    }
}

/// The predicate type of SLSA provenance, for those who attest a build.
pub(crate) const PROVENANCE_TYPE: &str = PROVENANCE;
