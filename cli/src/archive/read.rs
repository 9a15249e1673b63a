//! Reading a bundle that anybody may have written. Every entry is bounded before it is read and
//! hashed before it is kept. Refuses to know what signatures say.

use super::{
    Archive, ArchiveError, BLOBS, BUNDLE_BYTES_MAX, BUNDLE_ENTRIES_MAX, CONTENTS,
    CONTENTS_BYTES_MAX, Contents, ENTRY_BYTES_MAX, FORMAT, OCI_INDEX, OCI_LAYOUT, ROLES,
};
use skep_artifact::digest::Digest;
use skep_artifact::json;
use skep_artifact::limits::MANIFEST_JSON_BYTES_MAX;
use skep_artifact::name::Namespace;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read;
use std::path::Path;
use tar::EntryType;

/// What an entry is, by its name.
enum Place {
    Contents,
    /// For other tools; ours go by the list of contents.
    Oci,
    Blob(Digest),
    Role(Namespace),
}

/// Reads a bundle into a folder beside it, which goes when the archive is dropped.
///
/// # Errors
/// [`ArchiveError`]; nothing is left behind then.
pub(crate) fn read(path: &Path) -> Result<Archive, ArchiveError> {
    let failed = |source| ArchiveError::Read { path: path.to_owned(), source };
    let file = fs::File::open(path).map_err(failed)?;
    if file.metadata().map_err(failed)?.len() > BUNDLE_BYTES_MAX {
        return Err(ArchiveError::TooLarge);
    }
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = tempfile::Builder::new()
        .prefix(".skep-bundle-")
        .tempdir_in(parent)
        .map_err(|source| ArchiveError::Unpack { source })?;
    let mut archive =
        Archive { packages: Vec::new(), roles: BTreeMap::new(), blobs: BTreeMap::new(), folder };
    let contents = archive.fill(file.take(BUNDLE_BYTES_MAX))?;
    archive.packages = contents.ok_or_else(|| missing(CONTENTS))?.packages;
    for package in &archive.packages {
        if !archive.blobs.contains_key(&package.index) {
            return Err(missing(&format!("index of {} {}", package.name, package.version)));
        }
        if !archive.roles.contains_key(package.name.namespace()) {
            return Err(missing(&format!("role file of {}", package.name.namespace())));
        }
        let said = package.attestations.iter().map(|attestation| attestation.content);
        if let Some(digest) = said.chain(package.log).find(|d| !archive.blobs.contains_key(d)) {
            return Err(missing(&format!(
                "{} about {} {}",
                digest.short(),
                package.name,
                package.version
            )));
        }
    }
    Ok(archive)
}

fn missing(name: &str) -> ArchiveError {
    ArchiveError::Missing { name: name.to_owned() }
}

impl Archive {
    fn fill(&mut self, file: impl Read) -> Result<Option<Contents>, ArchiveError> {
        let broken = |source| ArchiveError::Tar { source };
        let (mut contents, mut names) = (None, BTreeSet::new());
        // Raw: extensions that would give the next entry another name or size are entries of their
        // own then, and refused like every kind but a file.
        let mut tar = tar::Archive::new(file);
        for entry in tar.entries().map_err(broken)?.raw(true) {
            let mut entry = entry.map_err(broken)?;
            let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            let kind = entry.header().entry_type();
            if kind != EntryType::Regular {
                return Err(ArchiveError::Kind { name, kind: word(kind) });
            }
            let place = place(&name).ok_or_else(|| ArchiveError::Name { name: name.clone() })?;
            if names.len() >= BUNDLE_ENTRIES_MAX {
                return Err(ArchiveError::TooManyEntries);
            }
            if !names.insert(name.clone()) {
                return Err(ArchiveError::Twice { name });
            }
            let (bytes, limit) = (entry.size(), place.limit());
            if bytes > limit {
                return Err(ArchiveError::EntryTooLarge { name, bytes, limit });
            }
            let mut content = Vec::new();
            (&mut entry).take(limit).read_to_end(&mut content).map_err(broken)?;
            if content.len() as u64 != bytes {
                return Err(broken(std::io::ErrorKind::UnexpectedEof.into()));
            }
            match place {
                Place::Contents => contents = Some(read_contents(&content)?),
                Place::Oci => {}
                Place::Blob(digest) => self.keep(digest, &content)?,
                Place::Role(namespace) => drop(self.roles.insert(namespace, content)),
            }
        }
        Ok(contents)
    }

    fn keep(&mut self, wanted: Digest, bytes: &[u8]) -> Result<(), ArchiveError> {
        let found = Digest::of(bytes);
        if found != wanted {
            return Err(ArchiveError::Digest { wanted, found });
        }
        fs::write(self.folder.path().join(wanted.hex()), bytes)
            .map_err(|source| ArchiveError::Unpack { source })?;
        self.blobs.insert(wanted, bytes.len() as u64);
        Ok(())
    }
}

impl Place {
    fn limit(&self) -> u64 {
        match self {
            Self::Contents => CONTENTS_BYTES_MAX as u64,
            Self::Oci | Self::Blob(_) => ENTRY_BYTES_MAX,
            Self::Role(_) => MANIFEST_JSON_BYTES_MAX as u64,
        }
    }
}

/// The whole grammar of names: nothing else gets in, so nothing can lead out.
fn place(name: &str) -> Option<Place> {
    match name {
        CONTENTS => return Some(Place::Contents),
        OCI_LAYOUT | OCI_INDEX => return Some(Place::Oci),
        _ => {}
    }
    if let Some(hex) = name.strip_prefix(BLOBS) {
        let digest = format!("sha256:{hex}").parse::<Digest>().ok()?;
        return (digest.hex() == hex).then_some(Place::Blob(digest));
    }
    let namespace = name.strip_prefix(ROLES)?;
    namespace.strip_suffix(".json")?.parse().ok().map(Place::Role)
}

fn read_contents(bytes: &[u8]) -> Result<Contents, ArchiveError> {
    let form = |reason: String| ArchiveError::Form { name: CONTENTS, reason };
    let contents: Contents =
        json::parse_into(bytes, CONTENTS_BYTES_MAX).map_err(|e| form(e.to_string()))?;
    if contents.format != FORMAT {
        return Err(form(format!("it has form {}, this program reads {FORMAT}", contents.format)));
    }
    Ok(contents)
}

fn word(kind: EntryType) -> &'static str {
    match kind {
        EntryType::Link => "hard link",
        EntryType::Symlink => "symbolic link",
        EntryType::Char | EntryType::Block => "device",
        EntryType::Directory => "folder",
        EntryType::Fifo => "fifo",
        EntryType::XGlobalHeader | EntryType::XHeader => "PAX header",
        EntryType::GNULongName | EntryType::GNULongLink | EntryType::GNUSparse => "GNU extension",
        _ => "thing of an unknown kind",
    }
}
