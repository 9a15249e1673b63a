//! Packages that lie on disk: an OCI layout, or the folder of their source. Refuses to know whether
//! they may be trusted.

use crate::bundle::{Bundle, ROLE_FILE};
use crate::download::Blobs;
use crate::exit::Ends;
use crate::project::{self, Project};
use anyhow::Context as _;
use serde::Deserialize;
use skep_artifact::digest::Digest;
use skep_artifact::json;
use skep_artifact::layout::{self as artifact, LayoutError, MEDIA_INDEX};
use skep_artifact::limits::{MANIFEST_JSON_BYTES_MAX, PACKAGE_BYTES_MAX};
use skep_trust::Wanted;
use std::cell::RefCell;
use std::path::{Path, PathBuf};

/// The file that names the indexes of an OCI layout.
const LAYOUT_INDEX_FILE: &str = "index.json";

/// Why a folder holds no package that could be verified.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BundleError {
    #[error(
        "Nothing signs the package in {}: there is no {ROLE_FILE}. If it is yours, `skep sign {} --key FILE` signs it here; a package that was pulled from a registry brings its signature along, and --role FILE names one that lies elsewhere.",
        folder.display(), folder.display()
    )]
    Unsigned { folder: PathBuf },
    #[error("{} names no package of Skep. `skep pull NAME --out DIR` writes a layout that does.", path.display())]
    NoIndex { path: PathBuf },
    #[error("{} names {count} packages; at most one is read. Copy the one you mean into a layout of its own.", path.display())]
    SeveralIndexes { path: PathBuf, count: usize },
    #[error("{} is not the index of an OCI layout.", path.display())]
    Index { path: PathBuf, source: json::JsonError },
    #[error("The package's index {digest} in {} is refused.", folder.display())]
    Refused { folder: PathBuf, digest: Digest, source: Box<LayoutError> },
}

/// The part of an OCI layout's `index.json` that is read.
#[derive(Deserialize)]
struct LayoutIndex {
    manifests: Vec<LayoutEntry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LayoutEntry {
    media_type: String,
    digest: Digest,
}

/// Reads an OCI layout that holds one package.
///
/// # Errors
/// [`BundleError`], or files that cannot be read.
pub(crate) fn layout(folder: &Path, role: Option<&Path>) -> anyhow::Result<Bundle> {
    let path = folder.join(LAYOUT_INDEX_FILE);
    let bytes = project::read_bytes(&path, MANIFEST_JSON_BYTES_MAX)?;
    let listed: LayoutIndex = json::parse_into(&bytes, MANIFEST_JSON_BYTES_MAX)
        .map_err(|source| BundleError::Index { path: path.clone(), source })?;
    let mut indexes: Vec<Digest> = listed
        .manifests
        .iter()
        .filter(|entry| entry.media_type == MEDIA_INDEX)
        .map(|entry| entry.digest)
        .collect();
    indexes.dedup();
    let index = match indexes.as_slice() {
        [index] => *index,
        [] => return Err(BundleError::NoIndex { path }.into()),
        several => {
            let count = several.len();
            return Err(BundleError::SeveralIndexes { path, count }.into());
        }
    };
    let role = read_role(folder, role)?;
    let blob = |digest: &Digest, limit: usize| {
        project::read_bytes(&folder.join("blobs/sha256").join(digest.hex()), limit)
    };
    let document = blob(&index, MANIFEST_JSON_BYTES_MAX)?;
    let named = artifact::references(&document).map_err(|source| {
        let error = BundleError::Refused {
            folder: folder.to_owned(),
            digest: index,
            source: source.into(),
        };
        Ends::refused("Nothing was run.", error)
    })?;
    let wanted = Wanted { name: named.package, version: named.version, index };
    // What opening asks for is what verifying will ask for; each blob is bounded, and so are all.
    let read = RefCell::new(Blobs::default());
    let _ = artifact::open(index, &|digest| {
        let bytes = blob(digest, PACKAGE_BYTES_MAX).ok()?;
        read.borrow_mut().keep(*digest, &bytes).ok()?;
        Some(bytes)
    });
    Ok(Bundle { wanted, role, blobs: read.into_inner() })
}

/// Puts the package in a folder of source together from what was built there.
///
/// # Errors
/// [`BundleError::Unsigned`], or what is wrong with manifest and objects.
pub(crate) fn project(folder: &Path, role: Option<&Path>) -> anyhow::Result<Bundle> {
    let project = Project::open(folder)?;
    let packed = project.pack(&project.objects()?)?;
    let role = read_role(folder, role)?;
    let package = &project.manifest.package;
    let (name, version) = (package.name.clone(), package.version.clone());
    let wanted = Wanted { name, version, index: packed.index.digest };
    let mut blobs = Blobs::default();
    for blob in packed.all() {
        blobs.add(blob.bytes.clone());
    }
    Ok(Bundle { wanted, role, blobs })
}

/// Whether a folder is an OCI layout.
pub(crate) fn is_layout(folder: &Path) -> bool {
    folder.join(LAYOUT_INDEX_FILE).is_file() && folder.join("oci-layout").is_file()
}

fn read_role(folder: &Path, named: Option<&Path>) -> anyhow::Result<Vec<u8>> {
    let beside = folder.join(ROLE_FILE);
    let path = match named {
        Some(path) => path,
        None if beside.is_file() => &beside,
        None => {
            let unsigned = BundleError::Unsigned { folder: folder.to_owned() };
            return Err(Ends::refused("Nothing was run.", unsigned).into());
        }
    };
    project::read_bytes(path, MANIFEST_JSON_BYTES_MAX)
        .with_context(|| format!("The role file {} is of no use.", path.display()))
}
