//! From a manifest and objects to blobs. The same input gives the same bytes.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::wire::{Config, ConfigDetails, Descriptor, Image, Index, RootFs, labels};
use super::{
    ANNOTATION_MANIFEST, ANNOTATION_PACKAGE, ANNOTATION_README, ANNOTATION_VERSION, Blob,
    LayoutError, MEDIA_CONFIG, MEDIA_EMPTY, MEDIA_IMAGE, MEDIA_INDEX, MEDIA_LAYER, MEDIA_MANIFEST,
    MEDIA_README, PackageBlobs, README_LIMIT, bounded, checked_facts, file_name, pack,
};
use crate::digest::Digest;
use crate::json;
use crate::limits::PACKAGE_BYTES_MAX;
use crate::manifest::{Manifest, ObjectClaim};
use crate::object::ObjectFacts;

/// Builds a package. `objects` are the bytes of each `[[object]]` by its path; facts are read from them again,
/// and a claim they contradict is refused.
pub fn build(
    manifest: &Manifest,
    objects: &[(&str, &[u8])],
    readme: Option<&str>,
) -> Result<PackageBlobs, LayoutError> {
    if let Some((path, _)) =
        objects.iter().find(|(path, _)| manifest.objects.iter().all(|claim| claim.path != *path))
    {
        return Err(LayoutError::ObjectUnnamed { path: (*path).to_owned() });
    }
    let readme = readme_blob(manifest, readme)?;
    let manifest_json = Blob::new(MEDIA_MANIFEST, manifest.canonical_json());
    // The manifest's fields are open; what was changed after parsing is checked again.
    Manifest::from_canonical_json(&manifest_json.bytes).map_err(LayoutError::Manifest)?;

    let mut others = Vec::new();
    let mut images = BTreeMap::new();
    for claim in &manifest.objects {
        let bytes = objects.iter().find(|(path, _)| *path == claim.path).map(|(_, bytes)| *bytes);
        let bytes = bytes.ok_or_else(|| LayoutError::ObjectMissing { path: claim.path.clone() })?;
        let facts = checked_facts(manifest, &claim.path, &claim.arch, bytes)?;
        add_images(manifest, claim, bytes, &facts, &mut others, &mut images)?;
    }

    let mut annotations = image_annotations(manifest);
    annotations.insert(ANNOTATION_PACKAGE.to_owned(), manifest.package.name.to_string());
    annotations.insert(ANNOTATION_MANIFEST.to_owned(), manifest_json.digest.to_string());
    if let Some(readme) = &readme {
        annotations.insert(ANNOTATION_README.to_owned(), readme.digest.to_string());
    }
    let index = Index {
        schema_version: 2,
        media_type: MEDIA_INDEX.to_owned(),
        manifests: images.into_values().collect(),
        annotations,
    };
    let index = document("the index", MEDIA_INDEX, &index)?;

    // The same layer may serve several architectures; it is one blob.
    let mut seen = BTreeSet::new();
    others.retain(|blob| seen.insert(blob.digest));
    let referrers =
        std::iter::once(&manifest_json).chain(&readme).map(|blob| referrer(blob, &index));
    let referrers = referrers.collect::<Result<_, _>>()?;
    let blobs = PackageBlobs { index, manifest_json, readme, others, referrers };
    let total: usize = blobs.all().iter().map(|blob| blob.bytes.len()).sum();
    if total > PACKAGE_BYTES_MAX {
        return Err(LayoutError::PackageTooLarge { bytes: total as u64 });
    }
    Ok(blobs)
}

fn readme_blob(manifest: &Manifest, readme: Option<&str>) -> Result<Option<Blob>, LayoutError> {
    match (manifest.package.readme.is_some(), readme) {
        (true, Some(text)) => {
            bounded("the README", text.len(), README_LIMIT)?;
            Ok(Some(Blob::new(MEDIA_README, text.as_bytes().to_vec())))
        }
        (false, None) => Ok(None),
        (named, _) => Err(LayoutError::Readme { named }),
    }
}

fn add_images(
    manifest: &Manifest,
    claim: &ObjectClaim,
    bytes: &[u8],
    facts: &ObjectFacts,
    others: &mut Vec<Blob>,
    images: &mut BTreeMap<crate::manifest::Arch, Descriptor>,
) -> Result<(), LayoutError> {
    let archive = pack::tar_of(file_name(&claim.path), bytes)?;
    let diff_id = Digest::of(&archive);
    let layer = Blob::new(MEDIA_LAYER, pack::gzip(&archive));
    // What would be refused when opened is refused now, while the author is looking.
    pack::gunzip(&layer.bytes)?;
    for arch in &claim.arch {
        let config = Config {
            architecture: arch.to_string(),
            os: "linux".to_owned(),
            created: "1970-01-01T00:00:00Z".to_owned(),
            rootfs: RootFs { kind: "layers".to_owned(), diff_ids: vec![diff_id] },
            config: ConfigDetails { labels: labels(facts) },
        };
        let config = document("an image config", MEDIA_CONFIG, &config)?;
        let image = Image {
            schema_version: 2,
            media_type: MEDIA_IMAGE.to_owned(),
            artifact_type: None,
            config: Descriptor::of(&config),
            layers: vec![Descriptor::of(&layer)],
            subject: None,
            annotations: image_annotations(manifest),
        };
        let image = document("an image manifest", MEDIA_IMAGE, &image)?;
        images.insert(*arch, Descriptor::of(&image).on(*arch));
        others.extend([layer.clone(), config, image]);
    }
    Ok(())
}

fn image_annotations(manifest: &Manifest) -> BTreeMap<String, String> {
    let package = &manifest.package;
    let mut annotations = BTreeMap::from([
        (ANNOTATION_VERSION.to_owned(), package.version.to_string()),
        ("org.opencontainers.image.licenses".to_owned(), package.license.clone()),
    ]);
    if let Some(repository) = &package.repository {
        annotations.insert("org.opencontainers.image.source".to_owned(), repository.clone());
    }
    annotations
}

/// A small image manifest whose subject is the index: how OCI 1.1 hangs a document on another.
fn referrer(blob: &Blob, index: &Blob) -> Result<Blob, LayoutError> {
    let empty = Blob::new(MEDIA_EMPTY, b"{}".to_vec());
    let image = Image {
        schema_version: 2,
        media_type: MEDIA_IMAGE.to_owned(),
        artifact_type: Some(blob.media_type.to_owned()),
        config: Descriptor::of(&empty),
        layers: vec![Descriptor::of(blob)],
        subject: Some(Descriptor::of(index)),
        annotations: BTreeMap::new(),
    };
    document("a referrer", MEDIA_IMAGE, &image)
}

fn document<T: Serialize>(
    what: &'static str,
    media_type: &'static str,
    value: &T,
) -> Result<Blob, LayoutError> {
    let bytes = json::canonical(value).map_err(|why| LayoutError::Json { what, why })?;
    Ok(Blob::new(media_type, bytes))
}
