//! A package's folder: its manifest, its objects, its README. Refuses to know compilers and
//! registries.

use skep_artifact::layout::{self, LayoutError, PackageBlobs};
use skep_artifact::limits::{MANIFEST_JSON_BYTES_MAX, OBJECT_BYTES_MAX, README_BYTES_MAX};
use skep_artifact::manifest::{Manifest, ManifestError};
use skep_artifact::object::{ObjectError, ObjectFacts};
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// The manifest's file name.
pub(crate) const MANIFEST_FILE: &str = "skep.toml";

/// Why a folder is no package that can be worked with.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProjectError {
    #[error("There is no {MANIFEST_FILE} in {}. `skep new NAMESPACE/NAME --hook xdp` makes a package.", folder.display())]
    NoManifest { folder: PathBuf },
    #[error("{} cannot be read.", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} is larger than {limit} bytes.", path.display())]
    TooLarge { path: PathBuf, limit: usize },
    #[error("{} is not text (UTF-8).", path.display())]
    NotText { path: PathBuf },
    #[error("{} is not a manifest that can be used.", path.display())]
    Manifest { path: PathBuf, source: ManifestError },
    #[error("There is no {} yet. Run `skep build {}` first.", path.display(), folder.display())]
    NotBuilt { path: PathBuf, folder: PathBuf },
    #[error("{} is not a BPF object that can be used.", path.display())]
    Object { path: PathBuf, source: ObjectError },
    #[error("The package in {} cannot be put together.", folder.display())]
    Layout { folder: PathBuf, source: Box<LayoutError> },
}

/// A folder whose manifest was read and found right.
pub(crate) struct Project {
    pub folder: PathBuf,
    pub manifest: Manifest,
}

/// One object file of a project.
pub(crate) struct ObjectFile {
    /// As the manifest names it.
    pub name: String,
    pub bytes: Vec<u8>,
    pub facts: ObjectFacts,
}

impl Project {
    /// Reads the manifest in a folder.
    ///
    /// # Errors
    /// [`ProjectError`] when there is none, or when it is refused.
    pub(crate) fn open(folder: &Path) -> Result<Self, ProjectError> {
        let path = folder.join(MANIFEST_FILE);
        let text = match read_text(&path, MANIFEST_JSON_BYTES_MAX) {
            Err(ProjectError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                return Err(ProjectError::NoManifest { folder: folder.to_owned() });
            }
            read => read?,
        };
        let manifest =
            Manifest::parse(&text).map_err(|source| ProjectError::Manifest { path, source })?;
        Ok(Self { folder: folder.to_owned(), manifest })
    }

    /// Reads the built objects and what they do.
    ///
    /// # Errors
    /// [`ProjectError::NotBuilt`] when one is missing, [`ProjectError::Object`] when one is refused.
    pub(crate) fn objects(&self) -> Result<Vec<ObjectFile>, ProjectError> {
        let read = |name: &String| {
            let path = self.folder.join(name);
            let bytes = match read_bytes(&path, OBJECT_BYTES_MAX) {
                Err(ProjectError::Read { source, .. })
                    if source.kind() == io::ErrorKind::NotFound =>
                {
                    return Err(ProjectError::NotBuilt { path, folder: self.folder.clone() });
                }
                read => read?,
            };
            let facts = ObjectFacts::read(&bytes)
                .map_err(|source| ProjectError::Object { path, source })?;
            Ok(ObjectFile { name: name.clone(), bytes, facts })
        };
        self.manifest.objects.iter().map(|object| read(&object.path)).collect()
    }

    /// Puts the package together as it travels; what the manifest claims is compared with the facts.
    ///
    /// # Errors
    /// [`ProjectError::Layout`] names the claim that contradicts the objects.
    pub(crate) fn pack(&self, objects: &[ObjectFile]) -> Result<PackageBlobs, ProjectError> {
        let readme = match &self.manifest.package.readme {
            Some(name) => Some(read_text(&self.folder.join(name), README_BYTES_MAX)?),
            None => None,
        };
        let objects: Vec<(&str, &[u8])> =
            objects.iter().map(|object| (object.name.as_str(), object.bytes.as_slice())).collect();
        layout::build(&self.manifest, &objects, readme.as_deref())
            .map_err(|e| ProjectError::Layout { folder: self.folder.clone(), source: Box::new(e) })
    }
}

/// A file of at most `limit` bytes.
///
/// # Errors
/// [`ProjectError::Read`] or [`ProjectError::TooLarge`].
pub(crate) fn read_bytes(path: &Path, limit: usize) -> Result<Vec<u8>, ProjectError> {
    let unreadable = |source| ProjectError::Read { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(unreadable)?;
    file.take(limit as u64 + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() > limit {
        return Err(ProjectError::TooLarge { path: path.to_owned(), limit });
    }
    Ok(bytes)
}

fn read_text(path: &Path, limit: usize) -> Result<String, ProjectError> {
    let bytes = read_bytes(path, limit)?;
    String::from_utf8(bytes).map_err(|_| ProjectError::NotText { path: path.to_owned() })
}
