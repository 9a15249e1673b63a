//! Writing a bundle: the same contents give the same bytes. Refuses to know where they come from.

use super::{
    ArchiveError, BLOBS, CONTENTS, Contents, FORMAT, Listed, OCI_INDEX, OCI_LAYOUT, ROLES,
};
use serde_json::{Value, json};
use skep_artifact::digest::Digest;
use skep_artifact::layout::MEDIA_INDEX;
use skep_artifact::name::Namespace;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;

/// What goes into a bundle. Everything was verified by whoever made this.
#[derive(Default)]
pub(crate) struct Filling {
    pub packages: Vec<Listed>,
    pub roles: BTreeMap<Namespace, Vec<u8>>,
    pub blobs: BTreeMap<Digest, Vec<u8>>,
}

/// Writes a file that must not exist, whole or not at all.
///
/// # Errors
/// [`ArchiveError::Write`].
pub(crate) fn write(path: &Path, filling: &Filling) -> Result<(), ArchiveError> {
    let failed = |source| ArchiveError::Write { path: path.to_owned(), source };
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut draft =
        tempfile::Builder::new().prefix(".skep-bundle-").tempfile_in(parent).map_err(failed)?;
    filling.pack(draft.as_file_mut()).map_err(failed)?;
    draft.as_file().sync_all().map_err(failed)?;
    draft.persist_noclobber(path).map_err(|error| failed(error.error))?;
    Ok(())
}

impl Filling {
    /// The archive: the list first, so that a reader of a stream knows what comes.
    pub(crate) fn pack(&self, into: impl Write) -> io::Result<()> {
        let mut packages = self.packages.clone();
        packages.sort();
        let contents = serde_json::to_vec_pretty(&Contents { format: FORMAT, packages })?;
        let mut tar = tar::Builder::new(into);
        put(&mut tar, CONTENTS, &contents)?;
        put(&mut tar, OCI_LAYOUT, br#"{"imageLayoutVersion":"1.0.0"}"#)?;
        put(&mut tar, OCI_INDEX, &serde_json::to_vec_pretty(&self.index())?)?;
        for (namespace, role) in &self.roles {
            put(&mut tar, &format!("{ROLES}{namespace}.json"), role)?;
        }
        for (digest, bytes) in &self.blobs {
            put(&mut tar, &format!("{BLOBS}{}", digest.hex()), bytes)?;
        }
        tar.into_inner()?.flush()
    }

    /// The index of an OCI layout, by which `skopeo` and `oras` find each package.
    fn index(&self) -> Value {
        let manifest = |listed: &Listed| {
            let size = self.blobs.get(&listed.index).map_or(0, Vec::len);
            json!({
                "mediaType": MEDIA_INDEX, "digest": listed.index, "size": size,
                "annotations": { "org.opencontainers.image.ref.name":
                    format!("{}:{}", listed.name, listed.version) },
            })
        };
        let manifests: Vec<Value> = self.packages.iter().map(manifest).collect();
        json!({ "schemaVersion": 2, "mediaType": MEDIA_INDEX, "manifests": manifests })
    }
}

fn put(tar: &mut tar::Builder<impl Write>, name: &str, bytes: &[u8]) -> io::Result<()> {
    let mut header = tar::Header::new_ustar();
    header.set_path(name)?;
    header.set_size(bytes.len() as u64);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_entry_type(tar::EntryType::Regular);
    header.set_cksum();
    tar.append(&header, bytes)
}
