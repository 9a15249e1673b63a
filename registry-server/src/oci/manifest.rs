//! A pushed manifest, read far enough to know what it names and what refers to what. The bytes themselves
//! are stored as they came. Refuses to know whether what it names is stored.

use super::digest::{OciDigest, OciDigestError};
use oci_spec::image::{Descriptor, ImageIndex, ImageManifest};
use serde::Deserialize;
use std::collections::BTreeMap;

/// Largest manifest in bytes: the specification wants at least 4 MB to be taken.
pub const MANIFEST_BYTES_MAX: usize = 4 << 20;
/// Most things one manifest may name: 127 layers are an image's limit in practice, and an index of every
/// platform of every variant stays below a few hundred.
pub const LINKS_MAX: usize = 1000;
/// Longest media type in characters: RFC 6838 allows 127 on each side of the slash.
const MEDIA_TYPE_CHARS_MAX: usize = 255;

pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub const OCI_IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const DOCKER_IMAGE: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// Layers of these types are fetched from their own addresses and need not be here.
const FOREIGN: [&str; 2] = [
    "application/vnd.oci.image.layer.nondistributable.",
    "application/vnd.docker.image.rootfs.foreign.",
];

/// Why a manifest is not taken.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    #[error("the manifest is not JSON of its kind")]
    Json { source: serde_json::Error },
    #[error("'{found}' is not a kind of manifest this registry takes")]
    Kind { found: String },
    #[error("the manifest says it is '{inside}' and is sent as '{outside}'")]
    TypeMismatch { inside: String, outside: String },
    #[error(
        "the manifest has the parts of an image and of an index: nobody could tell which it is"
    )]
    Ambiguous,
    #[error("the manifest has schema version {found}; only 2 is taken")]
    Schema { found: u32 },
    #[error("the manifest names {found} things; at most {LINKS_MAX} are allowed")]
    TooMany { found: usize },
    #[error("the manifest names '{digest}'")]
    Digest { digest: String, source: OciDigestError },
    #[error("the manifest's artifact type is not a media type")]
    ArtifactType,
}

/// What a manifest says.
#[derive(Debug, PartialEq, Eq)]
pub struct Manifest {
    pub media_type: &'static str,
    /// Manifests that must be in the repository.
    pub manifests: Vec<OciDigest>,
    /// Blobs that must be in the repository.
    pub blobs: Vec<OciDigest>,
    pub subject: Option<OciDigest>,
    pub artifact_type: Option<String>,
    pub annotations: BTreeMap<String, String>,
}

/// The members that tell the kinds apart.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Probe {
    media_type: Option<String>,
    schema_version: u32,
    manifests: Option<serde::de::IgnoredAny>,
    layers: Option<serde::de::IgnoredAny>,
    config: Option<serde::de::IgnoredAny>,
}

impl Manifest {
    /// Reads a manifest that was sent with this content type.
    ///
    /// # Errors
    /// [`ManifestError`] names what is wrong with it.
    pub fn read(content_type: Option<&str>, bytes: &[u8]) -> Result<Self, ManifestError> {
        let json = |source| ManifestError::Json { source };
        let probe: Probe = serde_json::from_slice(bytes).map_err(json)?;
        let media_type = media_type(content_type, &probe)?;
        if probe.schema_version != 2 {
            return Err(ManifestError::Schema { found: probe.schema_version });
        }
        let of_image = probe.layers.is_some() || probe.config.is_some();
        if of_image && probe.manifests.is_some() {
            return Err(ManifestError::Ambiguous);
        }
        if [OCI_INDEX, DOCKER_INDEX].contains(&media_type) {
            from_index(media_type, &serde_json::from_slice(bytes).map_err(json)?)
        } else {
            from_image(media_type, &serde_json::from_slice(bytes).map_err(json)?)
        }
    }

    /// Everything that must be in the repository.
    pub fn links(&self) -> impl Iterator<Item = &OciDigest> {
        self.manifests.iter().chain(&self.blobs)
    }
}

/// The kind of a manifest: what its header and its own member say, which must not differ.
fn media_type(content_type: Option<&str>, probe: &Probe) -> Result<&'static str, ManifestError> {
    let essence =
        |text: &str| text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let outside = content_type.map(essence).filter(|text| !text.is_empty());
    let shown = |text: &str| text.chars().take(MEDIA_TYPE_CHARS_MAX).collect::<String>();
    let said = match (&probe.media_type, outside) {
        (Some(inside), Some(outside)) if *inside != outside => {
            let (inside, outside) = (shown(inside), shown(&outside));
            return Err(ManifestError::TypeMismatch { inside, outside });
        }
        (Some(inside), _) => inside.clone(),
        (None, Some(outside)) => outside,
        (None, None) if probe.manifests.is_some() => OCI_INDEX.to_owned(),
        (None, None) => OCI_IMAGE.to_owned(),
    };
    [OCI_INDEX, OCI_IMAGE, DOCKER_INDEX, DOCKER_IMAGE]
        .into_iter()
        .find(|known| *known == said)
        .ok_or_else(|| ManifestError::Kind { found: shown(&said) })
}

fn from_index(media_type: &'static str, index: &ImageIndex) -> Result<Manifest, ManifestError> {
    Ok(Manifest {
        media_type,
        manifests: digests(index.manifests().iter())?,
        blobs: Vec::new(),
        subject: index.subject().as_ref().map(digest).transpose()?,
        artifact_type: artifact_type(index.artifact_type().as_ref().map(ToString::to_string))?,
        annotations: index.annotations().iter().flatten().map(owned).collect(),
    })
}

fn from_image(media_type: &'static str, image: &ImageManifest) -> Result<Manifest, ManifestError> {
    let config = image.config();
    let layers = image.layers().iter().filter(|layer| !is_foreign(layer));
    // The specification: without an artifact type, a referrer goes by the type of its config.
    let said = image.artifact_type().as_ref().map(ToString::to_string);
    let kind = said.filter(|said| !said.is_empty());
    Ok(Manifest {
        media_type,
        manifests: Vec::new(),
        blobs: digests(std::iter::once(config).chain(layers))?,
        subject: image.subject().as_ref().map(digest).transpose()?,
        artifact_type: artifact_type(Some(
            kind.unwrap_or_else(|| config.media_type().to_string()),
        ))?,
        annotations: image.annotations().iter().flatten().map(owned).collect(),
    })
}

fn owned((name, value): (&String, &String)) -> (String, String) {
    (name.clone(), value.clone())
}

fn is_foreign(layer: &Descriptor) -> bool {
    let kind = layer.media_type().to_string();
    FOREIGN.iter().any(|foreign| kind.starts_with(foreign))
}

fn artifact_type(text: Option<String>) -> Result<Option<String>, ManifestError> {
    let text = text.filter(|text| !text.is_empty());
    let fits = |text: &String| {
        text.len() <= MEDIA_TYPE_CHARS_MAX
            && text.bytes().all(|b| b.is_ascii_graphic() || b == b' ')
    };
    if text.as_ref().is_some_and(|text| !fits(text)) {
        return Err(ManifestError::ArtifactType);
    }
    Ok(text)
}

fn digest(descriptor: &Descriptor) -> Result<OciDigest, ManifestError> {
    let text = descriptor.digest().to_string();
    text.parse().map_err(|source| ManifestError::Digest {
        digest: text.chars().take(100).collect(),
        source,
    })
}

/// Each once: an image may have the same layer twice.
fn digests<'a>(
    descriptors: impl Iterator<Item = &'a Descriptor>,
) -> Result<Vec<OciDigest>, ManifestError> {
    let all: Result<std::collections::BTreeSet<OciDigest>, _> = descriptors.map(digest).collect();
    let all = all?;
    if all.len() > LINKS_MAX {
        return Err(ManifestError::TooMany { found: all.len() });
    }
    Ok(all.into_iter().collect())
}

#[cfg(test)]
mod tests;
