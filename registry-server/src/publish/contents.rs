//! Opening a package from stored blobs, and what each blob is to it. Refuses to know who signed it
//! and what is written of it.

use super::PublishError;
use crate::app::App;
use crate::blob::{BlobError, BlobStore};
use crate::store::publish::{BlobRole, NewBlob};
use bytes::Bytes;
use serde::Deserialize;
use skep_artifact::digest::Digest;
use skep_artifact::layout::{self, Package};
use skep_artifact::limits::{MANIFEST_JSON_BYTES_MAX, PACKAGE_BYTES_MAX};
use skep_artifact::role::Target;
use std::collections::{BTreeMap, BTreeSet};

/// Most blobs one version may name: an index of 16 images with a config and a layer each, and
/// about 80 referrers with their content.
pub const VERSION_BLOBS_MAX: usize = 256;

const INDEX_TYPE: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";

/// A package every byte and claim of which was checked, and its blobs by what they are.
pub(crate) struct OpenedPackage {
    pub(super) package: Package,
    pub(super) blobs: Vec<NewBlob>,
}

/// Opens the package that a signed target names, which re-derives every fact, and finds out what
/// each blob is to it. A blob that is none of its parts is refused.
pub(crate) async fn open_named(
    app: &App,
    target: &Target,
    blobs: &[Digest],
) -> Result<OpenedPackage, PublishError> {
    let named: BTreeSet<Digest> = blobs.iter().copied().chain([target.index]).collect();
    if named.len() > VERSION_BLOBS_MAX {
        return Err(PublishError::TooManyBlobs { found: named.len() });
    }
    let (store, index, length) = (app.blobs.clone(), target.index, target.length);
    let opening = tokio::task::spawn_blocking(move || open_from(&store, index, length, &named));
    let opened = opening.await.map_err(|source| PublishError::Cancelled { source })??;
    let info = &opened.package.manifest.package;
    if (&info.name, &info.version) != (&target.package, &target.version) {
        let found = format!("{} {}", info.name, info.version);
        let asked = format!("{} {}", target.package, target.version);
        return Err(PublishError::OtherName { found, asked });
    }
    Ok(opened)
}

fn open_from(
    store: &BlobStore,
    index: Digest,
    length: u64,
    named: &BTreeSet<Digest>,
) -> Result<OpenedPackage, PublishError> {
    let mut blobs: BTreeMap<Digest, Bytes> = BTreeMap::new();
    let mut left = PACKAGE_BYTES_MAX as u64;
    for digest in named {
        let bytes = store.read_blocking(digest, left).map_err(|error| match error {
            BlobError::Missing { digest } => PublishError::BlobMissing { digest },
            BlobError::TooLarge { .. } => PublishError::TooLarge,
            other => PublishError::Blob(other),
        })?;
        left -= bytes.len() as u64;
        blobs.insert(*digest, bytes);
    }
    if blobs.get(&index).is_some_and(|bytes| bytes.len() as u64 != length) {
        return Err(PublishError::BlobMissing { digest: index });
    }
    let get = |digest: &Digest| blobs.get(digest).map(|bytes| bytes.to_vec());
    let package = layout::open(index, &get).map_err(|source| PublishError::Package { source })?;
    let roles = roles_of(index, &blobs);
    let role_of = |(digest, bytes): (Digest, Bytes)| match roles.get(&digest) {
        None => Err(PublishError::Unrelated { digest }),
        Some((media_type, role)) => Ok(NewBlob {
            digest,
            size_bytes: bytes.len() as u64,
            media_type: media_type.clone(),
            role: role.clone(),
        }),
    };
    let blobs = blobs.into_iter().map(role_of).collect::<Result<_, _>>()?;
    Ok(OpenedPackage { package, blobs })
}

/// The parts of OCI manifests that say what refers to what.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Links {
    manifests: Vec<Link>,
    config: Option<Link>,
    layers: Vec<Link>,
    subject: Option<Link>,
    artifact_type: Option<String>,
    annotations: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Link {
    media_type: String,
    digest: Digest,
}

/// Walks from the index over images and referrers to their content.
fn roles_of(
    index: Digest,
    blobs: &BTreeMap<Digest, Bytes>,
) -> BTreeMap<Digest, (String, BlobRole)> {
    let links_of = |digest: &Digest| -> Option<Links> {
        let bytes = blobs.get(digest).filter(|bytes| bytes.len() <= MANIFEST_JSON_BYTES_MAX)?;
        skep_artifact::json::parse_into(bytes, MANIFEST_JSON_BYTES_MAX).ok()
    };
    let mut roles = BTreeMap::new();
    let content = |links: Links, roles: &mut BTreeMap<_, _>| {
        for link in links.config.into_iter().chain(links.layers) {
            roles.entry(link.digest).or_insert((link.media_type, BlobRole::Content));
        }
    };
    roles.insert(index, (INDEX_TYPE.to_owned(), BlobRole::Manifest));
    for image in links_of(&index).unwrap_or_default().manifests {
        content(links_of(&image.digest).unwrap_or_default(), &mut roles);
        roles.insert(image.digest, (image.media_type, BlobRole::Manifest));
    }
    let known: BTreeSet<Digest> = roles.keys().copied().collect();
    for digest in blobs.keys().filter(|digest| !known.contains(digest)) {
        let Some(mut links) = links_of(digest) else { continue };
        let Some(subject) = links.subject.take().filter(|s| known.contains(&s.digest)) else {
            continue;
        };
        // OCI 1.1: a referrer without an artifact type goes by the media type of its config.
        let config_type = links.config.as_ref().map(|config| config.media_type.clone());
        let artifact_type = links.artifact_type.take().or(config_type).unwrap_or_default();
        let annotations = serde_json::to_string(&links.annotations).unwrap_or_default();
        content(links, &mut roles);
        let referrer = BlobRole::Referrer { subject: subject.digest, artifact_type, annotations };
        roles.insert(*digest, (MANIFEST_TYPE.to_owned(), referrer));
    }
    roles
}
