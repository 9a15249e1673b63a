//! Writes a verified package as an OCI layout folder, whole or not at all. Refuses to know how it
//! was verified.

use crate::bundle::{Bundle, ROLE_FILE};
use crate::download::Blobs;
use anyhow::Context as _;
use serde_json::json;
use skep_artifact::layout::MEDIA_INDEX;
use skep_trust::VerifiedPackage;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// Writes `folder`, which must not exist: `oci-layout`, `index.json`, `blobs/`, the role file, and each
/// object under its own name. Returns the object files.
///
/// # Errors
/// When something cannot be written; then nothing is left behind.
pub(crate) fn write(
    folder: &Path,
    package: &VerifiedPackage,
    bundle: &Bundle,
) -> anyhow::Result<Vec<PathBuf>> {
    let blobs = &bundle.blobs;
    let parent = folder.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let failed = || format!("{} cannot be written.", folder.display());
    fs::create_dir_all(parent).with_context(failed)?;
    // Filled beside its place and moved there in one step; dropped when anything fails.
    let draft =
        tempfile::Builder::new().prefix(".skep-pull-").tempdir_in(parent).with_context(failed)?;
    let place = |name: &str| draft.path().join(name);
    put(&place("oci-layout"), br#"{"imageLayoutVersion":"1.0.0"}"#).with_context(failed)?;
    put(&place("index.json"), &index(package, blobs)?).with_context(failed)?;
    for (digest, bytes) in blobs.all() {
        put(&place("blobs/sha256").join(digest.hex()), bytes).with_context(failed)?;
    }
    put(&place(ROLE_FILE), &bundle.role).with_context(failed)?;
    let mut objects = Vec::new();
    for claim in &package.manifest().objects {
        let object = claim.arch.first().and_then(|arch| package.object(arch.as_str()));
        let (Some(object), Some(name)) = (object, Path::new(&claim.path).file_name()) else {
            continue;
        };
        put(&draft.path().join(name), object.bytes()).with_context(failed)?;
        objects.push(folder.join(name));
    }
    fs::set_permissions(draft.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .with_context(failed)?;
    fs::rename(draft.path(), folder).with_context(failed)?;
    // The folder under its new name stays; there is nothing left to remove under the old one.
    let _ = draft.keep();
    Ok(objects)
}

fn index(package: &VerifiedPackage, blobs: &Blobs) -> anyhow::Result<Vec<u8>> {
    let digest = package.index_digest();
    let size = blobs.get(&digest).map_or(0, |bytes| bytes.len());
    let document = json!({
        "schemaVersion": 2,
        "mediaType": MEDIA_INDEX,
        "manifests": [{
            "mediaType": MEDIA_INDEX,
            "digest": digest,
            "size": size,
            "annotations": { "org.opencontainers.image.ref.name": package.version().to_string() },
        }],
    });
    serde_json::to_vec_pretty(&document).context("index.json cannot be put into words.")
}

fn put(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut file = fs::File::create_new(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}
