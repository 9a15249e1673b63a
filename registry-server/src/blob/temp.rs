//! A body on its way: a file that nobody can name yet, hashed while it grows, and gone unless it is kept. Refuses to
//! know where kept bytes go.

use super::{BlobError, io_error};
use crate::faults::{FaultPoint, Faults};
use crate::oci::digest::Algorithm;
use sha2::{Digest as _, Sha256, Sha512};
use skep_artifact::digest::Digest;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// A body that arrived whole and has no name yet.
pub struct Received {
    pub(super) temp: TempFile,
}

/// A file that removes itself unless it is kept.
pub(super) struct TempFile {
    pub(super) path: PathBuf,
    pub(super) file: File,
    pub(super) hasher: Sha256,
    /// Only for those who asked for it: it costs as much again.
    pub(super) other: Option<Sha512>,
    pub(super) bytes: u64,
}

impl TempFile {
    pub(super) fn create(path: PathBuf, algorithm: Algorithm) -> Result<Self, BlobError> {
        let file = File::create_new(&path).map_err(io_error("create", &path))?;
        Ok(Self::of(path, file, algorithm))
    }

    pub(super) fn of(path: PathBuf, file: File, algorithm: Algorithm) -> Self {
        let other = (algorithm == Algorithm::Sha512).then(Sha512::new);
        Self { path, file, hasher: Sha256::new(), other, bytes: 0 }
    }

    pub(super) fn hash(&mut self, chunk: &[u8]) {
        self.hasher.update(chunk);
        if let Some(other) = &mut self.other {
            other.update(chunk);
        }
    }

    pub(super) fn append(mut self, chunk: &[u8]) -> Result<Self, BlobError> {
        self.hash(chunk);
        self.file.write_all(chunk).map_err(io_error("write", &self.path))?;
        self.bytes += chunk.len() as u64;
        Ok(self)
    }

    /// Flush, compare, rename, flush the folder: after this the blob survives a power cut.
    pub(super) fn keep(
        mut self,
        wanted: Digest,
        target: &Path,
        faults: Faults,
    ) -> Result<u64, BlobError> {
        faults.pass(FaultPoint::BlobWritten);
        let found = Digest::from_bytes(std::mem::take(&mut self.hasher).finalize().into());
        if found != wanted {
            return Err(BlobError::WrongDigest { wanted, found });
        }
        self.name(target)?;
        faults.pass(FaultPoint::BlobRenamed);
        sync_folder(target)?;
        Ok(self.bytes)
    }

    /// Flush and rename.
    pub(super) fn name(&self, target: &Path) -> Result<(), BlobError> {
        self.file.sync_all().map_err(io_error("flush", &self.path))?;
        std::fs::rename(&self.path, target).map_err(io_error("name", target))
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        // Gone already when it was kept: the rename took the name.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Flushes the folder of a file, so that its name survives a power cut.
pub(super) fn sync_folder(file: &Path) -> Result<(), BlobError> {
    let Some(folder) = file.parent() else { return Ok(()) };
    let opened = File::open(folder).map_err(io_error("open", folder))?;
    opened.sync_all().map_err(io_error("flush", folder))
}
