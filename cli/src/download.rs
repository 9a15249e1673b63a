//! Brings the blobs of one version here, each bounded and compared with its digest. Refuses to know
//! whether the package may be trusted.

use anyhow::Context as _;
use indicatif::ProgressBar;
use skep_api::client::Client;
use skep_artifact::digest::Digest;
use skep_artifact::layout;
use skep_artifact::limits::{MANIFEST_JSON_BYTES_MAX, PACKAGE_BYTES_MAX, README_BYTES_MAX};
use skep_artifact::name::PackageName;
use std::collections::BTreeMap;

/// Why a download was given up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DownloadError {
    #[error(
        "The registry answered with other bytes than were asked for: {wanted} turned out to be {found}. Nothing was kept."
    )]
    Digest { wanted: Digest, found: Digest },
    #[error("The package is larger than {PACKAGE_BYTES_MAX} bytes. Nothing was kept.")]
    TooLarge,
    #[error("{digest}, which the package names, is not there.")]
    Missing { digest: Digest },
}

/// Blobs by digest. What is in here has the content its digest says.
#[derive(Default)]
pub(crate) struct Blobs(BTreeMap<Digest, Vec<u8>>);

impl Blobs {
    /// The bytes of a digest.
    pub(crate) fn get(&self, digest: &Digest) -> Option<Vec<u8>> {
        self.0.get(digest).cloned()
    }

    /// Every blob.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&Digest, &Vec<u8>)> {
        self.0.iter()
    }

    /// Adds a blob that was made here.
    pub(crate) fn add(&mut self, bytes: Vec<u8>) {
        self.0.insert(Digest::of(&bytes), bytes);
    }

    /// Adds bytes that came from elsewhere under the digest they were asked for by.
    ///
    /// # Errors
    /// [`DownloadError`] when they are others, or too many.
    pub(crate) fn keep(&mut self, wanted: Digest, bytes: &[u8]) -> Result<(), DownloadError> {
        let found = Digest::of(bytes);
        if found != wanted {
            return Err(DownloadError::Digest { wanted, found });
        }
        let total: usize = self.0.values().map(Vec::len).sum();
        if total + bytes.len() > PACKAGE_BYTES_MAX {
            return Err(DownloadError::TooLarge);
        }
        self.0.insert(wanted, bytes.to_vec());
        Ok(())
    }
}

/// Follows the names in an index to every blob of the version, out of a source that lies here.
///
/// # Errors
/// [`DownloadError`], or a document that names what it must not.
pub(crate) fn collect(
    index: Digest,
    get: &dyn Fn(&Digest) -> Option<Vec<u8>>,
) -> anyhow::Result<Blobs> {
    let mut blobs = Blobs::default();
    let mut take = |digest: Digest| {
        let bytes = get(&digest).ok_or(DownloadError::Missing { digest })?;
        blobs.keep(digest, &bytes).map(|()| bytes)
    };
    let named = layout::references(&take(index)?).context("The package's index is refused.")?;
    take(named.manifest_json)?;
    if let Some(readme) = named.readme {
        take(readme)?;
    }
    for image in &named.images {
        let image = layout::image_references(&take(image.digest)?)
            .context("An image manifest is refused.")?;
        take(image.config.digest)?;
        take(image.layer.digest)?;
    }
    Ok(blobs)
}

/// Follows the names in an index to every blob of the version.
///
/// # Errors
/// [`DownloadError`], a document that names what it must not, or a registry that fails.
pub(crate) async fn download(
    client: &Client,
    name: &PackageName,
    index: Digest,
    bar: &ProgressBar,
) -> anyhow::Result<Blobs> {
    let mut blobs = Blobs::default();
    let bytes = client.manifest(name, &index, MANIFEST_JSON_BYTES_MAX).await?;
    blobs.keep(index, &bytes)?;
    let named = layout::references(&bytes).context("The package's index is refused.")?;
    let mut wanted = vec![(named.manifest_json, MANIFEST_JSON_BYTES_MAX)];
    wanted.extend(named.readme.map(|readme| (readme, README_BYTES_MAX)));
    for image in &named.images {
        let bytes = client.manifest(name, &image.digest, MANIFEST_JSON_BYTES_MAX).await?;
        blobs.keep(image.digest, &bytes)?;
        bar.inc(bytes.len() as u64);
        let image = layout::image_references(&bytes).context("An image manifest is refused.")?;
        for part in [image.config, image.layer] {
            wanted.push((part.digest, usize::try_from(part.size).unwrap_or(PACKAGE_BYTES_MAX)));
        }
    }
    for (digest, limit) in wanted {
        if blobs.0.contains_key(&digest) {
            continue;
        }
        let bytes = client.blob(name, &digest, limit.min(PACKAGE_BYTES_MAX)).await?;
        blobs.keep(digest, &bytes)?;
        bar.inc(bytes.len() as u64);
    }
    Ok(blobs)
}
