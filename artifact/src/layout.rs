//! A package as OCI blobs: an index, one image manifest per architecture, and our own documents as referrers.
//! It refuses to know registries and downloads: bytes come from a function, by digest.
//!
//! Building twice gives the same bytes. Opening trusts nothing but the index digest it is given: every blob is bounded
//! before it is hashed, hashed before it is unpacked, and compared with what the manifest claims.

mod build;
mod open;
mod pack;
mod wire;

use crate::claims::ClaimError;
use crate::digest::Digest;
use crate::json::JsonError;
use crate::limits::{OBJECT_BYTES_MAX, PACKAGE_BYTES_MAX, README_BYTES_MAX};
use crate::manifest::{Arch, Manifest, ManifestError};
use crate::name::{PackageName, Version};
use crate::object::{Endian, ObjectError, ObjectFacts};

pub use build::build;
pub use open::{image_references, open, references};
pub use wire::Descriptor;

/// Media type of an OCI image index.
pub const MEDIA_INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// Media type of an OCI image manifest.
pub const MEDIA_IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
/// Media type of an OCI image config.
pub const MEDIA_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// Media type of the one layer of an image: gzip of a tar of one object. bpfman takes no other.
pub const MEDIA_LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
/// Media type of the config of a referrer, which holds `{}`.
pub const MEDIA_EMPTY: &str = "application/vnd.oci.empty.v1+json";
/// Media type of `skep.toml` as canonical JSON, and artifact type of its referrer.
pub const MEDIA_MANIFEST: &str = "application/vnd.skep.manifest.v1+json";
/// Media type of a README, and artifact type of its referrer.
pub const MEDIA_README: &str = "application/vnd.skep.readme.v1+markdown";

/// Index annotation: the package's name.
pub const ANNOTATION_PACKAGE: &str = "dev.skep.package";
/// Index annotation: the version.
pub const ANNOTATION_VERSION: &str = "org.opencontainers.image.version";
/// Index annotation: digest of the canonical JSON of `skep.toml`.
pub const ANNOTATION_MANIFEST: &str = "dev.skep.manifest.digest";
/// Index annotation: digest of the README, when there is one.
pub const ANNOTATION_README: &str = "dev.skep.readme.digest";

/// One blob of a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blob {
    /// Its media type.
    pub media_type: &'static str,
    /// The digest of its bytes.
    pub digest: Digest,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// Everything a registry must hold for one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageBlobs {
    /// The image index: what the publisher signs.
    pub index: Blob,
    /// `skep.toml` as canonical JSON.
    pub manifest_json: Blob,
    /// The README.
    pub readme: Option<Blob>,
    /// Layers, configs and image manifests, each after those it names.
    pub others: Vec<Blob>,
    /// Small image manifests whose subject is the index, which hang the two documents on it; before them the empty
    /// config they share.
    pub referrers: Vec<Blob>,
}

/// A package that was opened: every digest checked, every claim compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// The digest it was opened by.
    pub index_digest: Digest,
    /// Its manifest.
    pub manifest: Manifest,
    /// Its README, when the caller had the bytes: it changes no behaviour, so a node need not fetch it.
    pub readme: Option<String>,
    /// Its objects, in the manifest's order.
    pub objects: Vec<PackagedObject>,
}

/// One object of a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackagedObject {
    /// Architectures it serves.
    pub arch: Vec<Arch>,
    /// What it is.
    pub facts: ObjectFacts,
    /// Its ELF bytes.
    pub bytes: Vec<u8>,
}

/// What an index names: what to fetch next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct References {
    /// The package's name.
    pub package: PackageName,
    /// Its version.
    pub version: Version,
    /// The image manifests, one per architecture.
    pub images: Vec<Descriptor>,
    /// `skep.toml` as canonical JSON, at most [`crate::limits::MANIFEST_JSON_BYTES_MAX`] bytes.
    pub manifest_json: Digest,
    /// The README, at most [`README_BYTES_MAX`] bytes.
    pub readme: Option<Digest>,
}

/// What an image manifest names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageReferences {
    /// The image config.
    pub config: Descriptor,
    /// The one layer.
    pub layer: Descriptor,
}

/// Why a package cannot be built or is refused. `what` names the blob.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// A blob nobody has.
    #[error("{what} {digest} is missing")]
    Missing {
        /// The blob.
        what: &'static str,
        /// Its digest.
        digest: Digest,
    },
    /// A blob larger than its kind may be.
    #[error("{what} has {bytes} bytes; at most {limit} are accepted")]
    TooLarge {
        /// The blob.
        what: &'static str,
        /// Its size in bytes.
        bytes: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// All blobs together are larger than a package may be.
    #[error("the package has {bytes} bytes; at most {PACKAGE_BYTES_MAX} are accepted")]
    PackageTooLarge {
        /// Their size in bytes.
        bytes: u64,
    },
    /// A blob of another length than its descriptor says.
    #[error("{what} has {found} bytes; its descriptor says {stated}")]
    SizeMismatch {
        /// The blob.
        what: &'static str,
        /// Bytes the descriptor states.
        stated: u64,
        /// Bytes there are.
        found: u64,
    },
    /// A blob of other content than its digest.
    #[error("{what} should be {wanted} and is {found}")]
    DigestMismatch {
        /// The blob.
        what: &'static str,
        /// The digest that was asked for.
        wanted: Digest,
        /// The digest of what came.
        found: Digest,
    },
    /// A document that is not strict JSON of the right shape.
    #[error("{what} cannot be read: {why}")]
    Json {
        /// The blob.
        what: &'static str,
        /// Why.
        why: JsonError,
    },
    /// Another media type than the one that must stand there.
    #[error("{what} is of type `{found}`; it must be `{wanted}`")]
    MediaType {
        /// The blob.
        what: &'static str,
        /// Its type.
        found: String,
        /// The type it must have.
        wanted: &'static str,
    },
    /// An image with another number of layers than one.
    #[error("an image has {count} layers; a package's image has exactly one")]
    Layers {
        /// How many there are.
        count: usize,
    },
    /// An annotation the index must carry is missing or unreadable.
    #[error("the index has no readable annotation `{name}`")]
    Annotation {
        /// Its name.
        name: &'static str,
    },
    /// The index says it is another package or version than its manifest does.
    #[error("the index says `{name}` is {index}; its manifest says {manifest}")]
    AnnotationMismatch {
        /// The annotation.
        name: &'static str,
        /// What the index says.
        index: String,
        /// What the manifest says.
        manifest: String,
    },
    /// The manifest is refused.
    #[error("the package's manifest is refused: {0}")]
    Manifest(ManifestError),
    /// An image without a platform of ours.
    #[error(
        "an image is for the platform `{found}`; a package's images are for linux and an architecture we know"
    )]
    Platform {
        /// What it is for.
        found: String,
    },
    /// The images do not serve the architectures the manifest claims, each once.
    #[error("the index serves {index:?}; the manifest claims {manifest:?}")]
    Archs {
        /// Architectures of the images.
        index: Vec<Arch>,
        /// Architectures of the manifest.
        manifest: Vec<Arch>,
    },
    /// An image whose config names another architecture.
    #[error("the image for {index} has a config for `{config}`")]
    ArchSwap {
        /// What the index says.
        index: Arch,
        /// What the config says.
        config: String,
    },
    /// A layer that is not one gzip stream.
    #[error("the layer is not exactly one gzip stream")]
    Gzip,
    /// A layer that grows more than layers may.
    #[error("the layer unpacks from {packed} bytes to more than {limit}")]
    Bomb {
        /// Its packed size in bytes.
        packed: usize,
        /// The most it may unpack to, in bytes.
        limit: usize,
    },
    /// Bytes that are not a tar archive with an entry.
    #[error("the layer does not hold a tar archive")]
    Tar,
    /// An entry that is not a regular file.
    #[error("the layer holds a tar entry of type `{kind}`; only one regular file is accepted")]
    TarEntry {
        /// The entry's type as a word.
        kind: &'static str,
    },
    /// More than one entry, or bytes after the first.
    #[error("the layer holds more than one tar entry")]
    TarEntries,
    /// A name that is not a plain file name.
    #[error("the layer holds a file named {path:?}; a plain name that ends in .o is accepted")]
    TarPath {
        /// The name, shortened.
        path: String,
    },
    /// A tar header other than the one we write, so that equal objects would have different layers.
    #[error("the layer's tar header is not the reproducible one (mode 0644, owner 0, time 0)")]
    TarHeader,
    /// The config names another tar than the layer holds.
    #[error("the image's config names another layer content than its layer has")]
    DiffId,
    /// The config's labels are not what the object is.
    #[error("the image's label `{label}` does not say what the object is")]
    Labels {
        /// The label.
        label: &'static str,
    },
    /// An object file of another name than the manifest gives.
    #[error("the image for {arch} holds `{found}`; the manifest names `{wanted}`")]
    ObjectName {
        /// The architecture.
        arch: Arch,
        /// The name in the layer.
        found: String,
        /// The name in the manifest.
        wanted: String,
    },
    /// One `[[object]]` for several architectures, and images that hold different bytes for them.
    #[error("the images that `{path}` serves do not hold the same object")]
    ObjectDiffers {
        /// Its path.
        path: String,
    },
    /// The manifest names an object that was not given.
    #[error("skep.toml names the object `{path}`, which was not given; build it first")]
    ObjectMissing {
        /// Its path.
        path: String,
    },
    /// An object was given that the manifest does not name.
    #[error("the object `{path}` is not named in skep.toml")]
    ObjectUnnamed {
        /// Its path.
        path: String,
    },
    /// An object that cannot be read.
    #[error("the object `{path}` is refused: {why}")]
    Object {
        /// Its path.
        path: String,
        /// Why.
        why: ObjectError,
    },
    /// An object in the wrong byte order.
    #[error(
        "the object `{path}` is {found}; {arch} is not. Build it for the other byte order, or name other architectures"
    )]
    Endianness {
        /// Its path.
        path: String,
        /// An architecture it claims to serve.
        arch: Arch,
        /// Its byte order.
        found: Endian,
    },
    /// A claim the object contradicts.
    #[error("the object `{path}` contradicts the manifest: {why}")]
    Claim {
        /// Its path.
        path: String,
        /// The claim.
        why: ClaimError,
    },
    /// A README that the manifest does not name, or the other way round.
    #[error("skep.toml {}", if *named { "names a README, which was not given" } else { "names no README, and one was given" })]
    Readme {
        /// Whether the manifest names one.
        named: bool,
    },
    /// A README that is not text.
    #[error("the README is not UTF-8 text")]
    ReadmeText,
}

impl Blob {
    fn new(media_type: &'static str, bytes: Vec<u8>) -> Self {
        Self { media_type, digest: Digest::of(&bytes), bytes }
    }
}

impl PackageBlobs {
    /// Every blob. Each stands after those it names, so that uploading in this order never leaves a dangling name.
    pub fn all(&self) -> Vec<&Blob> {
        let documents = std::iter::once(&self.manifest_json).chain(&self.readme);
        self.others.iter().chain(documents).chain([&self.index]).chain(&self.referrers).collect()
    }

    /// The bytes of a blob by digest: what [`open`] asks for.
    pub fn get(&self, digest: &Digest) -> Option<Vec<u8>> {
        self.all().into_iter().find(|blob| &blob.digest == digest).map(|blob| blob.bytes.clone())
    }
}

/// Facts of an object, after everything the manifest claims about it was compared.
fn checked_facts(
    manifest: &Manifest,
    path: &str,
    arch: &[Arch],
    bytes: &[u8],
) -> Result<ObjectFacts, LayoutError> {
    let facts = ObjectFacts::read(bytes)
        .map_err(|why| LayoutError::Object { path: path.to_owned(), why })?;
    if let Some(arch) = arch.iter().find(|arch| arch.endian() != facts.endian) {
        return Err(LayoutError::Endianness {
            path: path.to_owned(),
            arch: *arch,
            found: facts.endian,
        });
    }
    crate::claims::check(manifest, &facts)
        .map_err(|why| LayoutError::Claim { path: path.to_owned(), why })?;
    Ok(facts)
}

fn file_name(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}

fn bounded(what: &'static str, bytes: usize, limit: usize) -> Result<(), LayoutError> {
    if bytes > limit {
        return Err(LayoutError::TooLarge { what, bytes: bytes as u64, limit: limit as u64 });
    }
    Ok(())
}

/// The most a layer may have: an object that does not compress at all, and its tar and gzip frame.
const LAYER_BYTES_MAX: usize = OBJECT_BYTES_MAX + 16 * 1024;

const README_LIMIT: usize = README_BYTES_MAX;
