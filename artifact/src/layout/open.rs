//! From an index digest and a source of blobs to a package. Nothing is believed before it is checked.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use serde::de::DeserializeOwned;

use super::wire::{Config, Descriptor, Image, Index, LABEL_MAPS, LABEL_PROGRAMS, labels};
use super::{
    ANNOTATION_MANIFEST, ANNOTATION_PACKAGE, ANNOTATION_README, ANNOTATION_VERSION,
    ImageReferences, LAYER_BYTES_MAX, LayoutError, MEDIA_CONFIG, MEDIA_IMAGE, MEDIA_INDEX,
    MEDIA_LAYER, Package, PackagedObject, README_LIMIT, References, bounded, checked_facts,
    file_name, pack,
};
use crate::digest::Digest;
use crate::json;
use crate::limits::{MANIFEST_JSON_BYTES_MAX, OBJECTS_MAX, PACKAGE_BYTES_MAX};
use crate::manifest::{Arch, Manifest};

/// Opens a package by the digest of its index. `get` returns the bytes of a digest, from wherever: they are checked.
pub fn open(
    index_digest: Digest,
    get: &dyn Fn(&Digest) -> Option<Vec<u8>>,
) -> Result<Package, LayoutError> {
    let mut source = Source { get, total: 0 };
    let index_bytes = source.fetch("the index", index_digest, MANIFEST_JSON_BYTES_MAX)?;
    let index = parse_index(&index_bytes)?;
    let references = index.references()?;

    let bytes = source.fetch("the manifest", references.manifest_json, MANIFEST_JSON_BYTES_MAX)?;
    let manifest = Manifest::from_canonical_json(&bytes).map_err(LayoutError::Manifest)?;
    check_identity(&references, &manifest)?;
    let readme = read_readme(&mut source, &references, &manifest)?;

    let images = images_by_arch(&references, &manifest)?;
    let mut layers = BTreeMap::new();
    let mut objects = Vec::new();
    for claim in &manifest.objects {
        let mut found: Option<PackagedObject> = None;
        for arch in &claim.arch {
            // Every architecture of the manifest has an image: `images_by_arch` compared the two.
            let Some(descriptor) = images.get(arch) else { continue };
            let layer = read_image(&mut source, descriptor, *arch, &mut layers)?;
            let wanted = file_name(&claim.path);
            if layer.name != wanted {
                let (found, wanted) = (layer.name.clone(), wanted.to_owned());
                return Err(LayoutError::ObjectName { arch: *arch, found, wanted });
            }
            let object = match found.take() {
                Some(object) if object.bytes == *layer.bytes => object,
                Some(_) => return Err(LayoutError::ObjectDiffers { path: claim.path.clone() }),
                None => {
                    let facts = checked_facts(&manifest, &claim.path, &claim.arch, layer.bytes)?;
                    PackagedObject { arch: claim.arch.clone(), facts, bytes: layer.bytes.clone() }
                }
            };
            check_labels(&layer.labels, &object)?;
            found = Some(object);
        }
        objects.extend(found);
    }
    Ok(Package { index_digest, manifest, readme, objects })
}

/// What an index names: the first step of a download. The caller has checked the index's digest.
pub fn references(index: &[u8]) -> Result<References, LayoutError> {
    parse_index(index)?.references()
}

/// What an image manifest names: the second step of a download.
pub fn image_references(image: &[u8]) -> Result<ImageReferences, LayoutError> {
    let image: Image = parse("an image manifest", image)?;
    expect_media("an image manifest", &image.media_type, MEDIA_IMAGE)?;
    expect_media("an image config", &image.config.media_type, MEDIA_CONFIG)?;
    let [layer] = image.layers.as_slice() else {
        return Err(LayoutError::Layers { count: image.layers.len() });
    };
    expect_media("the layer", &layer.media_type, MEDIA_LAYER)?;
    within("the layer", layer.size, LAYER_BYTES_MAX)?;
    within("an image config", image.config.size, MANIFEST_JSON_BYTES_MAX)?;
    Ok(ImageReferences { config: image.config, layer: layer.clone() })
}

struct Source<'a> {
    get: &'a dyn Fn(&Digest) -> Option<Vec<u8>>,
    total: u64,
}

struct Layer {
    name: String,
    bytes: Vec<u8>,
    diff_id: Digest,
}

struct ReadLayer<'a> {
    name: &'a String,
    bytes: &'a Vec<u8>,
    labels: BTreeMap<String, String>,
}

impl Source<'_> {
    /// The bytes of a digest: bounded, then hashed.
    fn fetch(
        &mut self,
        what: &'static str,
        digest: Digest,
        limit: usize,
    ) -> Result<Vec<u8>, LayoutError> {
        let bytes = (self.get)(&digest).ok_or(LayoutError::Missing { what, digest })?;
        bounded(what, bytes.len(), limit)?;
        self.total += bytes.len() as u64;
        if self.total > PACKAGE_BYTES_MAX as u64 {
            return Err(LayoutError::PackageTooLarge { bytes: self.total });
        }
        let found = Digest::of(&bytes);
        if found != digest {
            return Err(LayoutError::DigestMismatch { what, wanted: digest, found });
        }
        Ok(bytes)
    }

    fn follow(
        &mut self,
        what: &'static str,
        to: &Descriptor,
        limit: usize,
    ) -> Result<Vec<u8>, LayoutError> {
        within(what, to.size, limit)?;
        let bytes = self.fetch(what, to.digest, limit)?;
        let found = bytes.len() as u64;
        if found != to.size {
            return Err(LayoutError::SizeMismatch { what, stated: to.size, found });
        }
        Ok(bytes)
    }
}

impl Index {
    fn references(self) -> Result<References, LayoutError> {
        let digest = |name: &'static str| {
            let text = self.annotations.get(name).ok_or(LayoutError::Annotation { name })?;
            text.parse::<Digest>().map_err(|_| LayoutError::Annotation { name })
        };
        let text =
            |name: &'static str| self.annotations.get(name).ok_or(LayoutError::Annotation { name });
        let package = text(ANNOTATION_PACKAGE)?;
        let package =
            package.parse().map_err(|_| LayoutError::Annotation { name: ANNOTATION_PACKAGE })?;
        let version = text(ANNOTATION_VERSION)?;
        let version =
            version.parse().map_err(|_| LayoutError::Annotation { name: ANNOTATION_VERSION })?;
        let manifest_json = digest(ANNOTATION_MANIFEST)?;
        let has_readme = self.annotations.contains_key(ANNOTATION_README);
        let readme = if has_readme { Some(digest(ANNOTATION_README)?) } else { None };
        Ok(References { package, version, images: self.manifests, manifest_json, readme })
    }
}

fn parse_index(bytes: &[u8]) -> Result<Index, LayoutError> {
    let index: Index = parse("the index", bytes)?;
    expect_media("the index", &index.media_type, MEDIA_INDEX)?;
    bounded_count(index.manifests.len())?;
    for descriptor in &index.manifests {
        expect_media("an image manifest", &descriptor.media_type, MEDIA_IMAGE)?;
        within("an image manifest", descriptor.size, MANIFEST_JSON_BYTES_MAX)?;
    }
    Ok(index)
}

fn bounded_count(images: usize) -> Result<(), LayoutError> {
    bounded("the list of images", images, OBJECTS_MAX)
}

fn check_identity(references: &References, manifest: &Manifest) -> Result<(), LayoutError> {
    let mismatch = |name, index: String, manifest: String| {
        Err(LayoutError::AnnotationMismatch { name, index, manifest })
    };
    let package = &manifest.package;
    if references.package != package.name {
        return mismatch(
            ANNOTATION_PACKAGE,
            references.package.to_string(),
            package.name.to_string(),
        );
    }
    if references.version != package.version {
        return mismatch(
            ANNOTATION_VERSION,
            references.version.to_string(),
            package.version.to_string(),
        );
    }
    Ok(())
}

fn read_readme(
    source: &mut Source<'_>,
    references: &References,
    manifest: &Manifest,
) -> Result<Option<String>, LayoutError> {
    let named = manifest.package.readme.is_some();
    if named != references.readme.is_some() {
        return Err(LayoutError::Readme { named });
    }
    let Some(digest) = references.readme else { return Ok(None) };
    match source.fetch("the README", digest, README_LIMIT) {
        Ok(bytes) => String::from_utf8(bytes).map(Some).map_err(|_| LayoutError::ReadmeText),
        Err(LayoutError::Missing { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The images by architecture: exactly those the manifest claims, each once.
fn images_by_arch<'a>(
    references: &'a References,
    manifest: &Manifest,
) -> Result<BTreeMap<Arch, &'a Descriptor>, LayoutError> {
    let mut served = Vec::new();
    let mut images = BTreeMap::new();
    for descriptor in &references.images {
        let platform = descriptor.platform.as_ref();
        let arch =
            platform.filter(|p| p.os == "linux").and_then(|p| Arch::from_oci_name(&p.architecture));
        let arch = arch.ok_or_else(|| LayoutError::Platform {
            found: platform.map_or_else(
                || "none".to_owned(),
                |p| format!("{}/{}", p.os, p.architecture).chars().take(80).collect(),
            ),
        })?;
        served.push(arch);
        images.insert(arch, descriptor);
    }
    served.sort_unstable();
    let claimed = manifest.archs();
    if served != claimed {
        return Err(LayoutError::Archs { index: served, manifest: claimed });
    }
    Ok(images)
}

fn read_image<'l>(
    source: &mut Source<'_>,
    descriptor: &Descriptor,
    arch: Arch,
    layers: &'l mut BTreeMap<Digest, Layer>,
) -> Result<ReadLayer<'l>, LayoutError> {
    let image = source.follow("an image manifest", descriptor, MANIFEST_JSON_BYTES_MAX)?;
    let references = image_references(&image)?;
    let config = source.follow("an image config", &references.config, MANIFEST_JSON_BYTES_MAX)?;
    let config: Config = parse("an image config", &config)?;
    if config.os != "linux" || config.architecture != arch.as_str() {
        let config = config.architecture.chars().take(40).collect();
        return Err(LayoutError::ArchSwap { index: arch, config });
    }
    let digest = references.layer.digest;
    let layer = match layers.entry(digest) {
        Entry::Occupied(known) => known.into_mut(),
        Entry::Vacant(new) => {
            let packed = source.follow("the layer", &references.layer, LAYER_BYTES_MAX)?;
            let archive = pack::gunzip(&packed)?;
            let (name, bytes) = pack::untar(&archive)?;
            new.insert(Layer { name, bytes, diff_id: Digest::of(&archive) })
        }
    };
    if config.rootfs.diff_ids != [layer.diff_id] {
        return Err(LayoutError::DiffId);
    }
    Ok(ReadLayer { name: &layer.name, bytes: &layer.bytes, labels: config.config.labels })
}

fn check_labels(
    found: &BTreeMap<String, String>,
    object: &PackagedObject,
) -> Result<(), LayoutError> {
    let wanted = labels(&object.facts);
    match [LABEL_PROGRAMS, LABEL_MAPS]
        .into_iter()
        .find(|label| found.get(*label) != wanted.get(*label))
    {
        Some(label) => Err(LayoutError::Labels { label }),
        None => Ok(()),
    }
}

fn parse<T: DeserializeOwned>(what: &'static str, bytes: &[u8]) -> Result<T, LayoutError> {
    json::parse_into(bytes, MANIFEST_JSON_BYTES_MAX).map_err(|why| LayoutError::Json { what, why })
}

fn expect_media(what: &'static str, found: &str, wanted: &'static str) -> Result<(), LayoutError> {
    if found == wanted {
        return Ok(());
    }
    Err(LayoutError::MediaType { what, found: found.chars().take(120).collect(), wanted })
}

fn within(what: &'static str, bytes: u64, limit: usize) -> Result<(), LayoutError> {
    if bytes > limit as u64 {
        return Err(LayoutError::TooLarge { what, bytes, limit: limit as u64 });
    }
    Ok(())
}
