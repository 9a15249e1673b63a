//! Packages that lie on disk: an OCI layout, as a folder or as one tar file, or the folder of their
//! source. Refuses to know whether they may be trusted.

use crate::bundle::{Bundle, ROLE_FILE};
use crate::download::Blobs;
use crate::exit::Ends;
use crate::project::{self, Project, ProjectError};
use anyhow::Context as _;
use serde::Deserialize;
use skep_artifact::digest::Digest;
use skep_artifact::json;
use skep_artifact::layout::{self as artifact, LayoutError, MEDIA_INDEX};
use skep_artifact::limits::{MANIFEST_JSON_BYTES_MAX, PACKAGE_BYTES_MAX};
use skep_trust::{Beside, Wanted};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// The file that names the indexes of an OCI layout.
const LAYOUT_INDEX_FILE: &str = "index.json";

/// Files of an archive that are read: a package has some twenty.
const ARCHIVE_FILES_MAX: usize = 1024;

/// Why a folder holds no package that could be verified.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BundleError {
    #[error(
        "Nothing signs the package in {}: there is no {ROLE_FILE}. If it is yours, `skep sign {} --key FILE` signs it here; a package that was pulled from a registry brings its signature along, and --role FILE names one that lies elsewhere.",
        place.display(), place.display()
    )]
    Unsigned { place: PathBuf },
    #[error("{} names no package of Skep. `skep pull NAME --out DIR` writes a layout that does.", path.display())]
    NoIndex { path: PathBuf },
    #[error("{} names {count} packages; at most one is read. Copy the one you mean into a layout of its own.", path.display())]
    SeveralIndexes { path: PathBuf, count: usize },
    #[error("{} is not the index of an OCI layout.", path.display())]
    Index { path: PathBuf, source: json::JsonError },
    #[error("The package {digest} in {} is refused.", path.display())]
    Refused { path: PathBuf, digest: Digest, source: Box<LayoutError> },
    #[error("{} is neither a BPF object nor an OCI layout in a tar file.", path.display())]
    NoArchive { path: PathBuf, source: io::Error },
    #[error("{} holds more than {ARCHIVE_FILES_MAX} files or more than {PACKAGE_BYTES_MAX} bytes, so it is no package.", path.display())]
    ArchiveTooLarge { path: PathBuf },
    #[error("{} holds no file {name}.", path.display())]
    Missing { path: PathBuf, name: String },
}

/// Where the files of an OCI layout are.
enum Store {
    Folder,
    /// Read whole: a package fits into memory, and nothing of an archive is ever written to disk.
    Archive(BTreeMap<String, Vec<u8>>),
}

/// An OCI layout that is being read.
struct Layout<'a> {
    path: &'a Path,
    store: Store,
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

/// Reads an OCI layout in a folder that holds one package.
///
/// # Errors
/// [`BundleError`], or files that cannot be read.
pub(crate) fn layout(folder: &Path, role: Option<&Path>) -> anyhow::Result<Bundle> {
    Layout { path: folder, store: Store::Folder }.bundle(role)
}

/// Reads an OCI layout in a tar file, as `skopeo copy oci:DIR oci-archive:FILE` makes them.
///
/// # Errors
/// [`BundleError`], or files that cannot be read.
pub(crate) fn archive(path: &Path, role: Option<&Path>) -> anyhow::Result<Bundle> {
    let file =
        std::fs::File::open(path).with_context(|| format!("{} cannot be read.", path.display()))?;
    let no_archive = |source| BundleError::NoArchive { path: path.to_owned(), source };
    let mut files = BTreeMap::new();
    let mut total = 0;
    for entry in tar::Archive::new(file).entries().map_err(no_archive)? {
        let mut entry = entry.map_err(no_archive)?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let name = entry.path().map_err(no_archive)?.to_string_lossy().into_owned();
        total += usize::try_from(entry.size()).unwrap_or(usize::MAX).min(PACKAGE_BYTES_MAX + 1);
        if total > PACKAGE_BYTES_MAX || files.len() >= ARCHIVE_FILES_MAX {
            return Err(BundleError::ArchiveTooLarge { path: path.to_owned() }.into());
        }
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).map_err(no_archive)?;
        files.insert(name.trim_start_matches("./").to_owned(), bytes);
    }
    Layout { path, store: Store::Archive(files) }.bundle(role)
}

impl Layout<'_> {
    fn bundle(&self, role: Option<&Path>) -> anyhow::Result<Bundle> {
        let index = self.index()?;
        let role = match role {
            Some(path) => named_role(path)?,
            None if self.has(ROLE_FILE) => self.read(ROLE_FILE, MANIFEST_JSON_BYTES_MAX)?,
            None => return Err(unsigned(self.path)),
        };
        let refused = |source: LayoutError| {
            let path = self.path.to_owned();
            let error = BundleError::Refused { path, digest: index, source: source.into() };
            Ends::refused("Nothing was run.", error)
        };
        let blob = |digest: &Digest, limit: usize| {
            self.read(&format!("blobs/sha256/{}", digest.hex()), limit)
        };
        let document = blob(&index, MANIFEST_JSON_BYTES_MAX)?;
        let named = artifact::references(&document).map_err(refused)?;
        let wanted = Wanted { name: named.package, version: named.version, index };
        // What opening asks for is what verifying will ask for; each blob is bounded, and so are all.
        let kept = RefCell::new(Blobs::default());
        let given = |digest: &Digest| {
            let bytes = blob(digest, PACKAGE_BYTES_MAX).ok()?;
            // Bytes that are not what their digest says are not kept; opening names them.
            let _ = kept.borrow_mut().keep(*digest, &bytes);
            Some(bytes)
        };
        artifact::open(index, &given).map_err(refused)?;
        Ok(Bundle { wanted, role, blobs: kept.into_inner(), beside: Beside::default() })
    }

    /// The digest of the one package that is listed.
    fn index(&self) -> anyhow::Result<Digest> {
        let path = || self.path.join(LAYOUT_INDEX_FILE);
        let bytes = self.read(LAYOUT_INDEX_FILE, MANIFEST_JSON_BYTES_MAX)?;
        let listed: LayoutIndex = json::parse_into(&bytes, MANIFEST_JSON_BYTES_MAX)
            .map_err(|source| BundleError::Index { path: path(), source })?;
        let entries = listed.manifests.iter().filter(|entry| entry.media_type == MEDIA_INDEX);
        let mut indexes: Vec<Digest> = entries.map(|entry| entry.digest).collect();
        indexes.dedup();
        match indexes.as_slice() {
            [index] => Ok(*index),
            [] => Err(BundleError::NoIndex { path: path() }.into()),
            several => {
                Err(BundleError::SeveralIndexes { path: path(), count: several.len() }.into())
            }
        }
    }

    fn has(&self, name: &str) -> bool {
        match &self.store {
            Store::Folder => self.path.join(name).is_file(),
            Store::Archive(files) => files.contains_key(name),
        }
    }

    fn read(&self, name: &str, limit: usize) -> anyhow::Result<Vec<u8>> {
        let path = self.path.join(name);
        match &self.store {
            Store::Folder => Ok(project::read_bytes(&path, limit)?),
            Store::Archive(files) => match files.get(name) {
                Some(bytes) if bytes.len() <= limit => Ok(bytes.clone()),
                Some(_) => Err(ProjectError::TooLarge { path, limit }.into()),
                None => {
                    let path = self.path.to_owned();
                    Err(BundleError::Missing { path, name: name.to_owned() }.into())
                }
            },
        }
    }
}

/// Puts the package in a folder of source together from what was built there.
///
/// # Errors
/// [`BundleError::Unsigned`], or what is wrong with manifest and objects.
pub(crate) fn project(folder: &Path, role: Option<&Path>) -> anyhow::Result<Bundle> {
    let project = Project::open(folder)?;
    let packed = project.pack(&project.objects()?)?;
    let beside = folder.join(ROLE_FILE);
    let role = match role {
        Some(path) => named_role(path)?,
        None if beside.is_file() => named_role(&beside)?,
        None => return Err(unsigned(folder)),
    };
    let package = &project.manifest.package;
    let (name, version) = (package.name.clone(), package.version.clone());
    let wanted = Wanted { name, version, index: packed.index.digest };
    let mut blobs = Blobs::default();
    for blob in packed.all() {
        blobs.add(blob.bytes.clone());
    }
    Ok(Bundle { wanted, role, blobs, beside: Beside::default() })
}

/// Whether a folder is an OCI layout.
pub(crate) fn is_layout(folder: &Path) -> bool {
    folder.join(LAYOUT_INDEX_FILE).is_file() && folder.join("oci-layout").is_file()
}

fn named_role(path: &Path) -> anyhow::Result<Vec<u8>> {
    project::read_bytes(path, MANIFEST_JSON_BYTES_MAX)
        .with_context(|| format!("The role file {} is of no use.", path.display()))
}

fn unsigned(place: &Path) -> anyhow::Error {
    let unsigned = BundleError::Unsigned { place: place.to_owned() };
    Ends::refused("Nothing was run.", unsigned).into()
}
