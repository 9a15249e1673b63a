//! One object in a layer and back: gzip(tar(one file)). It refuses to know what the object is.

use std::io::Read as _;

use flate2::Crc;
use flate2::bufread::GzDecoder;

use super::{LayoutError, bounded};
use crate::limits::{OBJECT_BYTES_MAX, UNPACK_BYTES_MAX, UNPACK_FLOOR_BYTES, UNPACK_RATIO_MAX};

const BLOCK: usize = 512;

/// Effort of the compressor: the highest of the usual nine; packages are packed once and fetched often.
const EFFORT: u8 = 9;

/// A file in a tar archive, always the same bytes for the same file.
pub(super) fn tar_of(name: &str, bytes: &[u8]) -> Result<Vec<u8>, LayoutError> {
    if !is_plain(name) {
        return Err(LayoutError::TarPath { path: name.chars().take(100).collect() });
    }
    let mut header = tar::Header::new_ustar();
    header.set_path(name).map_err(|_| LayoutError::TarPath { path: name.to_owned() })?;
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(bytes.len() as u64);
    header.set_entry_type(tar::EntryType::Regular);
    header.set_cksum();
    let mut archive = header.as_bytes().to_vec();
    archive.extend_from_slice(bytes);
    archive.resize(archive.len().next_multiple_of(BLOCK) + 2 * BLOCK, 0);
    Ok(archive)
}

/// One gzip stream. The compressor is named rather than left to flate2's features, which the rest of a
/// build may switch: the same object must give the same layer in every one of our programs.
pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    // RFC 1952: magic, deflate, no flags, no time, best compression, unknown system.
    let mut stream = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 255];
    stream.extend(miniz_oxide::deflate::compress_to_vec(bytes, EFFORT));
    let mut crc = Crc::new();
    crc.update(bytes);
    stream.extend(crc.sum().to_le_bytes());
    stream.extend(crc.amount().to_le_bytes());
    stream
}

/// Unpacks a layer to at most the allowed multiple of its size.
pub(super) fn gunzip(layer: &[u8]) -> Result<Vec<u8>, LayoutError> {
    let limit =
        layer.len().saturating_mul(UNPACK_RATIO_MAX).clamp(UNPACK_FLOOR_BYTES, UNPACK_BYTES_MAX);
    let mut rest = layer;
    let mut bytes = Vec::new();
    let mut decoder = GzDecoder::new(&mut rest).take(limit as u64 + 1);
    decoder.read_to_end(&mut bytes).map_err(|_| LayoutError::Gzip)?;
    if bytes.len() > limit {
        return Err(LayoutError::Bomb { packed: layer.len(), limit });
    }
    if rest.is_empty() { Ok(bytes) } else { Err(LayoutError::Gzip) }
}

/// The one file of a tar archive. The archive must be, to the byte, what [`tar_of`] writes: no link, folder, PAX
/// or GNU entry, no second entry, no path, no owner or time.
pub(super) fn untar(archive: &[u8]) -> Result<(String, Vec<u8>), LayoutError> {
    let head = archive.get(..BLOCK).ok_or(LayoutError::Tar)?;
    if head.iter().all(|byte| *byte == 0) {
        return Err(LayoutError::Tar);
    }
    let header = tar::Header::from_byte_slice(head);
    let kind = header.entry_type();
    if kind != tar::EntryType::Regular {
        return Err(LayoutError::TarEntry { kind: entry_word(kind) });
    }
    let path = header.path_bytes();
    let name = std::str::from_utf8(&path).ok().filter(|name| is_plain(name));
    let name = name.ok_or_else(|| LayoutError::TarPath {
        path: String::from_utf8_lossy(&path).chars().take(100).collect(),
    })?;
    let size = header
        .entry_size()
        .ok()
        .and_then(|size| usize::try_from(size).ok())
        .ok_or(LayoutError::Tar)?;
    bounded("the object in the layer", size, OBJECT_BYTES_MAX)?;
    let bytes = archive.get(BLOCK..BLOCK + size).ok_or(LayoutError::Tar)?;
    if archive[BLOCK + size..].iter().any(|byte| *byte != 0) {
        return Err(LayoutError::TarEntries);
    }
    if tar_of(name, bytes)? != archive {
        return Err(LayoutError::TarHeader);
    }
    Ok((name.to_owned(), bytes.to_vec()))
}

/// A file name of letters, digits, `.`, `_`, `-` and `+` that ends in `.o` and is not hidden.
fn is_plain(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '+');
    name.len() <= 100
        && name.ends_with(".o")
        && !name.starts_with(['.', '-'])
        && name.chars().all(fits)
}

fn entry_word(kind: tar::EntryType) -> &'static str {
    match kind {
        tar::EntryType::Regular => "regular file",
        tar::EntryType::Link => "hard link",
        tar::EntryType::Symlink => "symbolic link",
        tar::EntryType::Char | tar::EntryType::Block => "device",
        tar::EntryType::Directory => "folder",
        tar::EntryType::Fifo => "fifo",
        tar::EntryType::XGlobalHeader | tar::EntryType::XHeader => "PAX header",
        tar::EntryType::GNULongName | tar::EntryType::GNULongLink | tar::EntryType::GNUSparse => {
            "GNU extension"
        }
        _ => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_header(change: impl Fn(&mut tar::Header)) -> Result<(String, Vec<u8>), LayoutError> {
        let mut archive = tar_of("a.o", b"bytes").unwrap();
        let mut header = tar::Header::from_byte_slice(&archive[..BLOCK]).clone();
        change(&mut header);
        header.set_cksum();
        archive[..BLOCK].copy_from_slice(header.as_bytes());
        untar(&archive)
    }

    #[test]
    fn a_file_comes_back() {
        let archive = tar_of("a.o", b"bytes").unwrap();
        assert_eq!(gunzip(&gzip(&archive)), Ok(archive.clone()));
        assert_eq!(untar(&archive), Ok(("a.o".to_owned(), b"bytes".to_vec())));
    }

    #[test]
    fn links_folders_and_extensions_are_named_and_refused() {
        use tar::EntryType as T;
        for (kind, word) in [
            (T::Symlink, "symbolic link"),
            (T::Link, "hard link"),
            (T::Directory, "folder"),
            (T::XHeader, "PAX header"),
            (T::XGlobalHeader, "PAX header"),
            (T::GNULongName, "GNU extension"),
            (T::Char, "device"),
            (T::Fifo, "fifo"),
        ] {
            let refused = with_header(|header| header.set_entry_type(kind));
            assert_eq!(refused, Err(LayoutError::TarEntry { kind: word }));
        }
    }

    #[test]
    fn paths_that_lead_elsewhere_are_refused() {
        for path in ["../a.o", "/a.o", "a/b.o", "..", ".a.o", "a.o/", "a", "-a.o", "a\\b.o"] {
            let refused = with_header(|header| {
                let name = &mut header.as_old_mut().name;
                name.fill(0);
                name[..path.len()].copy_from_slice(path.as_bytes());
            });
            assert!(matches!(refused, Err(LayoutError::TarPath { .. })), "{path}: {refused:?}");
            assert!(matches!(tar_of(path, b""), Err(LayoutError::TarPath { .. })), "{path}");
        }
    }

    #[test]
    fn other_headers_second_entries_and_hidden_bytes_are_refused() {
        assert_eq!(with_header(|header| header.set_mtime(1)), Err(LayoutError::TarHeader));
        assert_eq!(with_header(|header| header.set_mode(0o4755)), Err(LayoutError::TarHeader));
        let one = tar_of("a.o", b"bytes").unwrap();
        let two = [&one[..2 * BLOCK], &one].concat();
        assert_eq!(untar(&two), Err(LayoutError::TarEntries));
        let mut hidden = one.clone();
        hidden[BLOCK + 10] = 1;
        assert_eq!(untar(&hidden), Err(LayoutError::TarEntries));
        assert_eq!(untar(&one[..2 * BLOCK]), Err(LayoutError::TarHeader));
        assert_eq!(untar(&one[..BLOCK]), Err(LayoutError::Tar));
        assert_eq!(untar(&[0; 2 * BLOCK]), Err(LayoutError::Tar));
        assert_eq!(untar(&[]), Err(LayoutError::Tar));
        let mut sum = one;
        sum[148] ^= 1;
        assert_eq!(untar(&sum), Err(LayoutError::TarHeader));
    }

    #[test]
    fn bombs_and_joined_streams_are_refused() {
        let bomb = gzip(&vec![0; 10 * 1024 * 1024]);
        assert!(matches!(gunzip(&bomb), Err(LayoutError::Bomb { .. })));
        let joined = [gzip(b"a"), gzip(b"b")].concat();
        assert_eq!(gunzip(&joined), Err(LayoutError::Gzip));
        let mut wrong = gzip(b"a");
        let crc = wrong.len() - 5;
        wrong[crc] ^= 1;
        assert_eq!(gunzip(&wrong), Err(LayoutError::Gzip));
        assert_eq!(gunzip(b"PK"), Err(LayoutError::Gzip));
    }
}
