//! libxdp's names in its BPF file system, and its lock: where its tools look for the members of a
//! chain. Knows names and folders; refuses to know what is pinned there.
//!
//! `<root>/dispatch-<ifindex>-<dispatcher's program id>/prog<n>-{link,prog}`; the dispatcher itself is
//! not pinned. The lock is on the folder `<root>`, held while pins are read or changed and no longer.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;

use crate::pins::remove_folder;

/// libxdp's folder in its BPF file system.
const FOLDER: &str = "xdp";

/// libxdp's folder on this host or, in a test, a private one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Root {
    path: PathBuf,
}

/// The folder of one chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ChainDir {
    path: PathBuf,
}

/// libxdp's lock; let go of when dropped.
#[derive(Debug)]
pub(crate) struct Lock {
    _folder: File,
}

/// The folder that libxdp's users keep their pins in, under the BPF file system that they use: the
/// one that their environment variable `LIBXDP_BPFFS` names, else `/sys/fs/bpf`.
pub fn libxdp_root(bpffs: &Path) -> PathBuf {
    bpffs.join(FOLDER)
}

impl Root {
    pub(crate) fn at(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn chain(&self, ifindex: u32, dispatcher: u32) -> ChainDir {
        ChainDir { path: self.path.join(format!("dispatch-{ifindex}-{dispatcher}")) }
    }

    /// Makes the folder and a BPF file system for it where they are missing.
    pub(crate) fn prepare(&self) -> io::Result<()> {
        match self.path.parent() {
            Some(bpffs) => crate::pins::prepare_root(bpffs)?,
            None => return Err(io::ErrorKind::InvalidInput.into()),
        }
        std::fs::create_dir_all(&self.path)
    }

    /// Waits for the lock: its holders only read and write pins. None where there is no folder, and
    /// so nothing to lock.
    pub(crate) fn lock(&self) -> io::Result<Option<Lock>> {
        let folder = match File::open(&self.path) {
            Ok(folder) => folder,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        rustix::fs::flock(&folder, FlockOperation::LockExclusive)?;
        Ok(Some(Lock { _folder: folder }))
    }
}

impl ChainDir {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn program(&self, slot: usize) -> PathBuf {
        self.path.join(format!("prog{slot}-prog"))
    }

    pub(crate) fn link(&self, slot: usize) -> PathBuf {
        self.path.join(format!("prog{slot}-link"))
    }

    /// Removes it; the caller holds the lock. Fine where it is gone.
    pub(crate) fn remove(&self, _held: Option<&Lock>) -> io::Result<()> {
        remove_folder(&self.path)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Root, libxdp_root};

    #[test]
    fn names_are_those_of_libxdp() {
        let chain = Root::at(&libxdp_root(Path::new("/sys/fs/bpf"))).chain(2, 77);
        assert_eq!(chain.program(0), Path::new("/sys/fs/bpf/xdp/dispatch-2-77/prog0-prog"));
        assert_eq!(chain.link(9), Path::new("/sys/fs/bpf/xdp/dispatch-2-77/prog9-link"));
    }
}
