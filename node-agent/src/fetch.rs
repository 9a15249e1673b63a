//! Downloads packages into the cache: role file, index, images, layers, each hashed before it is
//! kept. Refuses to judge them: `trust` does, when they are used.

use crate::backoff::Backoff;
use crate::cache::{Cache, CacheError};
use crate::explain::explain;
use crate::facts::chance;
use crate::prepare::FetchResult;
use skep_api::client::{Client, ClientError};
use skep_api::v1::attestations::DSSE_TYPE;
use skep_api::v1::log::{CheckpointQuery, LogProof};
use skep_api::v1::nodes::Refused;
use skep_api::v1::sync::Have;
use skep_artifact::digest::Digest;
use skep_artifact::dsse::ENVELOPE_BYTES_MAX;
use skep_artifact::layout::{LayoutError, image_references, references};
use skep_artifact::limits::{MANIFEST_JSON_BYTES_MAX, PACKAGE_BYTES_MAX, README_BYTES_MAX};
use skep_artifact::name::{Namespace, PackageName};
use skep_fleet::plan::NeededPackage;
use skep_trust::attestation::ATTESTATIONS_MAX;
use std::collections::BTreeSet;
use tokio::sync::{mpsc, watch};

/// Why a package could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    #[error("{what} of {package} could not be downloaded. {}", explain(.source.as_ref()))]
    Download { what: &'static str, package: PackageName, source: Box<ClientError> },
    #[error(
        "The registry has no role file for the namespace {namespace}, so nothing in it can be verified. Publish the package first."
    )]
    NoRole { namespace: Namespace },
    #[error(
        "The registry delivered other bytes for {what} of {package} than were signed: {found} instead of {digest}. They were thrown away."
    )]
    Digest { what: &'static str, package: PackageName, digest: Box<Digest>, found: Box<Digest> },
    #[error("What the registry delivered for {package} is not a package. {source}")]
    Layout { package: PackageName, source: Box<LayoutError> },
    #[error("{source}")]
    Keep { source: CacheError },
}

impl FetchError {
    /// The stable reason code.
    #[must_use]
    pub fn code(&self) -> &str {
        match self {
            Self::Download { source, .. } => match &**source {
                ClientError::Unreachable { .. } => "fetch.unreachable",
                other => other.code().unwrap_or("fetch.failed"),
            },
            Self::NoRole { .. } => "fetch.no_role",
            Self::Digest { .. } => "package.digest_mismatch",
            Self::Layout { .. } => "package.malformed",
            Self::Keep { .. } => "node.storage",
        }
    }
}

/// What came of fetching one package.
pub struct Fetched {
    pub package: NeededPackage,
    /// The namespace's role file, now in the cache, not verified.
    pub role: Option<(Namespace, Digest)>,
    pub beside: FetchedBeside,
    pub result: FetchResult,
}

/// What came beside a package, now in the cache, not verified.
#[derive(Default)]
pub struct FetchedBeside {
    /// The proof, and how many entries of the log were known when it was asked for.
    pub log: Option<(LogProof, u64)>,
    /// Where the proof is in the cache.
    pub log_blob: Option<Digest>,
    /// Envelopes in the cache.
    pub attestations: Vec<Digest>,
}

/// What the node's policy asks for beside packages.
#[derive(Clone)]
pub struct AskedBeside {
    /// Witnesses of a proof in the log; `None` when no log is followed.
    pub log_witnesses: Option<u64>,
    /// Entries of the log the node knows.
    pub log_known: watch::Receiver<u64>,
    /// Namespaces whose packages must be attested.
    pub attested: BTreeSet<Namespace>,
}

/// What the node waits for. Another state asks anew, also for what was refused before: it may be there now.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Needed {
    pub for_state: Option<Have>,
    pub packages: BTreeSet<NeededPackage>,
    /// Changes when a revocation came whose signers are not known: the trust metadata is read anew at once.
    pub revocations_waiting: u64,
}

/// Fetches whatever is needed, again and again until it is no longer asked for.
pub struct Fetcher {
    pub client: Client,
    pub cache: Cache,
    pub needed: watch::Receiver<Needed>,
    pub fetched: mpsc::Sender<Fetched>,
    pub asked: AskedBeside,
}

impl Fetcher {
    /// Runs until the agent stops.
    pub async fn run(mut self) {
        let mut backoff = Backoff::default();
        let mut tried = Needed::default();
        loop {
            let needed = self.needed.borrow_and_update().clone();
            if needed.for_state != tried.for_state || needed.packages.is_empty() {
                backoff.succeeded();
                tried = Needed { for_state: needed.for_state, ..Needed::default() };
            }
            let fresh: Vec<_> = needed.packages.difference(&tried.packages).cloned().collect();
            for package in &fresh {
                if self.fetched.send(self.fetch(package).await).await.is_err() {
                    return;
                }
            }
            tried.packages.extend(fresh);
            let wait = backoff.failed(chance());
            tokio::select! {
                () = tokio::time::sleep(wait), if !needed.packages.is_empty() => {
                    tried.packages.clear();
                }
                changed = self.needed.changed() => if changed.is_err() { return },
            }
        }
    }

    async fn fetch(&self, package: &NeededPackage) -> Fetched {
        let (name, version) = (&package.package, &package.version);
        tracing::info!("Fetching {name} {version}.");
        let role = self.role(name).await;
        let (role, outcome) = match role {
            Ok(role) => (Some(role), self.blobs(package).await),
            Err(error) => (None, Err(error)),
        };
        let outcome = match outcome {
            Ok(()) => self.beside(package).await,
            Err(error) => Err(error),
        };
        let (beside, outcome) = match outcome {
            Ok(beside) => (beside, Ok(())),
            Err(error) => (FetchedBeside::default(), Err(error)),
        };
        let result = outcome.map_err(|error| {
            tracing::warn!(code = error.code(), "{error}");
            Refused { code: error.code().to_owned(), message: error.to_string() }
        });
        Fetched { package: package.clone(), role, beside, result }
    }

    /// Brings the proof and the envelopes. A registry that has none is no failure here: whether they are needed is the
    /// policy's to say.
    async fn beside(&self, package: &NeededPackage) -> Result<FetchedBeside, FetchError> {
        let (name, version) = (&package.package, &package.version);
        let mut beside = FetchedBeside::default();
        if let Some(witnesses) = self.asked.log_witnesses {
            let from = *self.asked.log_known.borrow();
            let query = CheckpointQuery { from, witnesses };
            match self.client.log_proof(name, version, &query).await {
                Ok(proof) => {
                    let bytes = serde_json::to_vec(&proof).unwrap_or_default();
                    let digest = Digest::of(&bytes);
                    self.keep("the log proof", name, &digest, &bytes)?;
                    beside.log_blob = Some(digest);
                    beside.log = Some((proof, from));
                }
                Err(ClientError::Refused { status: 404, .. }) => {}
                Err(error) => return Err(download("The log proof", name, error)),
            }
        }
        if self.asked.attested.contains(name.namespace()) {
            let failed = |source| download("The list of attestations", name, source);
            let list = self.client.attestations(name, version).await.map_err(failed)?.attestations;
            let dsse = list.into_iter().filter(|attestation| attestation.media_type == DSSE_TYPE);
            for attestation in dsse.take(ATTESTATIONS_MAX) {
                let digest = attestation.content;
                self.blob("an attestation", name, &digest, ENVELOPE_BYTES_MAX).await?;
                beside.attestations.push(digest);
            }
        }
        Ok(beside)
    }

    async fn role(&self, name: &PackageName) -> Result<(Namespace, Digest), FetchError> {
        let namespace = name.namespace();
        let failed = |source| download("The role file", name, source);
        let bytes = self.client.role(namespace, MANIFEST_JSON_BYTES_MAX).await.map_err(failed)?;
        let bytes = bytes.ok_or_else(|| FetchError::NoRole { namespace: namespace.clone() })?;
        let digest = Digest::of(&bytes);
        self.cache.put(&digest, &bytes).map_err(|source| FetchError::Keep { source })?;
        Ok((namespace.clone(), digest))
    }

    /// Walks from the index to everything it names.
    async fn blobs(&self, package: &NeededPackage) -> Result<(), FetchError> {
        let name = &package.package;
        let layout =
            |source| FetchError::Layout { package: name.clone(), source: Box::new(source) };
        let index = self.manifest("the index", name, &package.index).await?;
        let named = references(&index).map_err(layout)?;
        self.blob("the manifest", name, &named.manifest_json, MANIFEST_JSON_BYTES_MAX).await?;
        if let Some(readme) = &named.readme {
            self.blob("the README", name, readme, README_BYTES_MAX).await?;
        }
        for image in &named.images {
            let bytes = self.manifest("an image manifest", name, &image.digest).await?;
            let image = image_references(&bytes).map_err(layout)?;
            self.blob("an image config", name, &image.config.digest, MANIFEST_JSON_BYTES_MAX)
                .await?;
            self.blob("a layer", name, &image.layer.digest, PACKAGE_BYTES_MAX).await?;
        }
        Ok(())
    }

    async fn manifest(
        &self,
        what: &'static str,
        name: &PackageName,
        digest: &Digest,
    ) -> Result<Vec<u8>, FetchError> {
        if let Some(bytes) = self.cache.get(digest) {
            return Ok(bytes);
        }
        let failed = |source| download(what, name, source);
        let answer = self.client.manifest(name, digest, MANIFEST_JSON_BYTES_MAX).await;
        let bytes = answer.map_err(failed)?;
        self.keep(what, name, digest, &bytes)?;
        Ok(bytes.to_vec())
    }

    async fn blob(
        &self,
        what: &'static str,
        name: &PackageName,
        digest: &Digest,
        limit: usize,
    ) -> Result<(), FetchError> {
        if self.cache.get(digest).is_some() {
            return Ok(());
        }
        let failed = |source| download(what, name, source);
        let bytes = self.client.blob(name, digest, limit).await.map_err(failed)?;
        self.keep(what, name, digest, &bytes)
    }

    fn keep(
        &self,
        what: &'static str,
        package: &PackageName,
        digest: &Digest,
        bytes: &[u8],
    ) -> Result<(), FetchError> {
        self.cache.put(digest, bytes).map_err(|error| match error {
            CacheError::Digest { digest, found } => {
                let (digest, found) = (Box::new(digest), Box::new(found));
                FetchError::Digest { what, package: package.clone(), digest, found }
            }
            source @ CacheError::File { .. } => FetchError::Keep { source },
        })
    }
}

fn download(what: &'static str, package: &PackageName, source: ClientError) -> FetchError {
    FetchError::Download { what, package: package.clone(), source: Box::new(source) }
}
