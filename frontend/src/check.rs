//! The second program of the front, loaded when something is verified: it fetches a version's role file and blobs and
//! hands them to the checks, one after the other. It refuses to decide what passes (`view::verification` and
//! `skep_artifact` do) and to draw.

use crate::client;
use crate::view::format;
use crate::view::load::Failure;
use crate::view::verification::{self as checks, Mismatch, Report, Step};
use crate::words;
use skep_api::v1::namespaces::NamespaceInfo;
use skep_api::v1::packages::VersionDetail;
use skep_artifact::digest::Digest;
use skep_artifact::layout::{self, LayoutError};
use skep_artifact::limits::{MANIFEST_JSON_BYTES_MAX, PACKAGE_BYTES_MAX, README_BYTES_MAX};
use std::collections::BTreeMap;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::spawn_local;

/// Whom this program hands itself to once it runs: a function the page left there. What it is given is a function, too,
/// of a version as JSON and of who is told how it goes.
pub(crate) const READY: &str = "skepCheckReady";

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

/// Offers what this program does to the page that loaded it.
pub fn offer() {
    console_error_panic_hook::set_once();
    let verify = Closure::<dyn Fn(String, js_sys::Function)>::new(|version: String, tell| {
        spawn_local(verify(version, tell));
    });
    let ready = js_sys::Reflect::get(&js_sys::global(), &READY.into()).ok();
    if let Some(ready) = ready.and_then(|ready| ready.dyn_into::<js_sys::Function>().ok()) {
        // It is there as long as the page is.
        let _ = ready.call1(&JsValue::NULL, &verify.into_js_value());
    }
}

async fn verify(version: String, told: js_sys::Function) {
    let tell = |report: &Report| {
        let text = serde_json::to_string(report).unwrap_or_default();
        // A page that is gone wants to know nothing.
        let _ = told.call1(&JsValue::NULL, &text.into());
    };
    match serde_json::from_str::<VersionDetail>(&version) {
        Ok(version) => {
            if let Err(fault) = run(&version, &tell).await {
                tell(&Report::Failed(fault.to_string()));
            }
        }
        Err(error) => tell(&Report::Failed(error.to_string())),
    }
}

async fn run(version: &VersionDetail, tell: &impl Fn(&Report)) -> Result<(), Fault> {
    let passed = |step, says| tell(&Report::Passed(step, says));
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
