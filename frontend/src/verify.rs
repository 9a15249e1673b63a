//! Fetches a version's role file and blobs and hands them to the checks, one after the other.
//! It refuses to decide what passes: `view::verification` and `skep_artifact` do.

use crate::client;
use crate::view::format;
use crate::view::load::Failure;
use crate::view::verification::{self as checks, Mismatch, Outcome, Step, Verification};
use crate::words;
use leptos::prelude::*;
use leptos::task::spawn_local;
use skep_api::v1::namespaces::NamespaceInfo;
use skep_api::v1::packages::VersionDetail;
use skep_artifact::digest::Digest;
use skep_artifact::layout::{self, LayoutError};
use skep_artifact::limits::{MANIFEST_JSON_BYTES_MAX, PACKAGE_BYTES_MAX, README_BYTES_MAX};
use std::collections::BTreeMap;
use std::rc::Rc;

/// Versions up to this many bytes are verified without being asked: less than one photograph.
const LIGHT_BYTES_MAX: u64 = 2 << 20;

/// Why a check could not be made or did not pass.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error("{}", .0.notice().text)]
    Fetch(Failure),
    #[error("{0}")]
    Mismatch(#[from] Mismatch),
    #[error("The package is refused: {0}.")]
    Layout(#[from] LayoutError),
    #[error("{}", words::BLOBS_TOO_LARGE)]
    TooLarge,
}

impl From<Failure> for Fault {
    fn from(failure: Failure) -> Self {
        Self::Fetch(failure)
    }
}

/// Starts the checks of one version, as often as the reader likes.
#[derive(Clone, Copy)]
pub(crate) struct Runner {
    version: StoredValue<Rc<VersionDetail>, LocalStorage>,
    state: RwSignal<Verification>,
    light: bool,
}

/// Prepares the checks of a version; their state goes to `state`.
pub(crate) fn runner(version: VersionDetail, state: RwSignal<Verification>) -> Runner {
    let light = version.summary.size_bytes <= LIGHT_BYTES_MAX;
    Runner { version: StoredValue::new_local(Rc::new(version)), state, light }
}

impl Runner {
    /// Whether the version is small enough to be verified without being asked.
    pub(crate) fn is_light(self) -> bool {
        self.light
    }

    /// Makes all checks from the beginning.
    pub(crate) fn start(self) {
        let (version, state) = (self.version.get_value(), self.state);
        let mut fresh = Verification::default();
        fresh.set(Step::Signatures, Outcome::Running);
        state.set(fresh);
        spawn_local(async move {
            if let Err(fault) = run(&version, state).await {
                // The page may be gone by now; then nobody wants to know.
                state.try_update(|s| s.failed(fault.to_string()));
            }
        });
    }
}

async fn run(version: &VersionDetail, state: RwSignal<Verification>) -> Result<(), Fault> {
    let passed = |step, says| {
        state.try_update(|s| s.passed(step, says));
    };
    let namespace = version.name.namespace();
    let info: NamespaceInfo = client::json(&format!("/v1/namespaces/{namespace}"), None).await?;
    let path = format!("/v1/namespaces/{namespace}/role");
    let role = client::bytes(&path, MANIFEST_JSON_BYTES_MAX).await?;
    let role = checks::check_signatures(&info, &role)?;
    passed(Step::Signatures, role.says(&info));

    let index = version.summary.index;
    role.check_named(&version.name, &version.summary.version, index)?;
    passed(Step::Named, words::CHECK_NAMED_PASSED.to_owned());

    let mut blobs = Blobs::of(version);
    blobs.fetch_package(index).await?;
    passed(Step::Digests, blobs.says());

    let package = layout::open(index, &|digest| blobs.found.get(digest).cloned())?;
    let read: Vec<_> = package.objects.into_iter().map(|object| object.facts).collect();
    checks::check_facts(&read, &version.facts)?;
    let count = u64::try_from(read.len()).unwrap_or(u64::MAX);
    passed(Step::Facts, words::check_facts_passed(&format::counted(count, "object", "objects")));
    Ok(())
}

/// The blobs of a package as they come in, each checked against its digest.
struct Blobs {
    base: String,
    found: BTreeMap<Digest, Vec<u8>>,
    bytes: usize,
}

impl Blobs {
    fn of(version: &VersionDetail) -> Self {
        Self { base: format!("/v2/{}", version.name), found: BTreeMap::new(), bytes: 0 }
    }

    /// Walks index, image manifests, configs, layers, `skep.toml` and README.
    async fn fetch_package(&mut self, index: Digest) -> Result<(), Fault> {
        let bytes = self.fetch("manifests", index, MANIFEST_JSON_BYTES_MAX).await?;
        let references = layout::references(&bytes)?;
        self.fetch("blobs", references.manifest_json, MANIFEST_JSON_BYTES_MAX).await?;
        if let Some(readme) = references.readme {
            self.fetch("blobs", readme, README_BYTES_MAX).await?;
        }
        for image in references.images {
            let bytes = self.fetch("manifests", image.digest, MANIFEST_JSON_BYTES_MAX).await?;
            let parts = layout::image_references(&bytes)?;
            self.fetch("blobs", parts.config.digest, MANIFEST_JSON_BYTES_MAX).await?;
            self.fetch("blobs", parts.layer.digest, PACKAGE_BYTES_MAX).await?;
        }
        Ok(())
    }

    async fn fetch(&mut self, kind: &str, digest: Digest, limit: usize) -> Result<Vec<u8>, Fault> {
        if let Some(bytes) = self.found.get(&digest) {
            return Ok(bytes.clone());
        }
        let bytes = client::bytes(&format!("{}/{kind}/{digest}", self.base), limit).await?;
        checks::check_bytes(digest, &bytes)?;
        self.bytes += bytes.len();
        if self.bytes > PACKAGE_BYTES_MAX {
            return Err(Fault::TooLarge);
        }
        self.found.insert(digest, bytes.clone());
        Ok(bytes)
    }

    fn says(&self) -> String {
        let number = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        let blobs = format::counted(number(self.found.len()), "blob", "blobs");
        words::check_digests_passed(&blobs, &format::bytes(number(self.bytes)))
    }
}
