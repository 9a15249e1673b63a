//! Which version of the protocol the libxdp of this host speaks: its tools add to chains of their own
//! version only, so a new chain should have it. Reads one file; knows no kernel.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use object::{Object as _, ObjectSection as _};

use super::config::Version;
use super::metadata;

/// Where distributions keep libxdp's own dispatcher.
const FOLDERS: [&str; 5] = [
    "/usr/lib/bpf",
    "/usr/lib64/bpf",
    "/usr/lib/x86_64-linux-gnu/bpf",
    "/usr/lib/aarch64-linux-gnu/bpf",
    "/usr/local/lib/bpf",
];
const DISPATCHER: &str = "xdp-dispatcher.o";
/// Theirs has 20 KiB; a file of another size class is none.
const DISPATCHER_BYTES_MAX: u64 = 1 << 20;

impl Version {
    /// What the libxdp that is installed here speaks, as its own dispatcher says; none where there is
    /// no libxdp, or one older than 1.3.0.
    pub fn installed() -> Option<Self> {
        FOLDERS.iter().find_map(|folder| spoken_by(&Path::new(folder).join(DISPATCHER)))
    }
}

fn spoken_by(dispatcher: &Path) -> Option<Version> {
    let mut bytes = Vec::new();
    File::open(dispatcher).ok()?.take(DISPATCHER_BYTES_MAX).read_to_end(&mut bytes).ok()?;
    spoken(&bytes)
}

fn spoken(elf: &[u8]) -> Option<Version> {
    let file = object::File::parse(elf).ok()?;
    let section = file.section_by_name(".BTF")?;
    match metadata::dispatcher_version(section.data().ok()?)? {
        0 | 1 => None,
        2 => Some(Version::V2),
        _ => Some(Version::V3),
    }
}

#[cfg(test)]
mod tests {
    use super::spoken;
    use crate::libxdp::dispatcher;

    #[test]
    fn a_file_that_does_not_say_its_version_says_none() {
        // Ours has the version in its map only, as the protocol allows since version 2.
        assert_eq!(spoken(dispatcher::object(super::Version::V2)), None);
        assert_eq!(spoken(b"no object"), None);
        assert_eq!(spoken(&[]), None);
    }
}
