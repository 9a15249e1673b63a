//! An initramfs: files by their path, written in the format `newc` of cpio, which every kernel reads. Pure but for
//! reading and writing files; refuses to know what is inside.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Files and folders by their absolute path.
#[derive(Default)]
pub(super) struct Image {
    entries: BTreeMap<PathBuf, Entry>,
}

enum Entry {
    Folder,
    File { bytes: Vec<u8>, executable: bool },
    Symlink(String),
}

impl Image {
    /// An empty folder, and those above it.
    pub(super) fn folder(&mut self, path: impl AsRef<Path>) {
        for folder in path.as_ref().ancestors().filter(|folder| folder.parent().is_some()) {
            self.entries.entry(folder.to_owned()).or_insert(Entry::Folder);
        }
    }

    fn put(&mut self, path: &Path, entry: Entry) {
        if let Some(parent) = path.parent() {
            self.folder(parent);
        }
        self.entries.insert(path.to_owned(), entry);
    }

    /// A file with this content that may be run.
    pub(super) fn script(&mut self, path: impl AsRef<Path>, text: &str) {
        let entry = Entry::File { bytes: text.as_bytes().to_vec(), executable: true };
        self.put(path.as_ref(), entry);
    }

    /// A file with this content.
    pub(super) fn file(&mut self, path: impl AsRef<Path>, bytes: Vec<u8>) {
        self.put(path.as_ref(), Entry::File { bytes, executable: false });
    }

    pub(super) fn symlink(&mut self, path: impl AsRef<Path>, target: &str) {
        self.put(path.as_ref(), Entry::Symlink(target.to_owned()));
    }

    /// A file of this machine, at another path; links are followed.
    pub(super) fn copy(&mut self, from: &Path, to: impl AsRef<Path>) -> Result<()> {
        let said = || format!("{} could not be read", from.display());
        let mode = std::fs::metadata(from).with_context(said)?.permissions().mode();
        let bytes = std::fs::read(from).with_context(said)?;
        self.put(to.as_ref(), Entry::File { bytes, executable: mode & 0o111 != 0 });
        Ok(())
    }

    /// A folder of this machine with all that is in it, at its own path.
    pub(super) fn copy_folder(&mut self, folder: &Path) -> Result<()> {
        let said = || format!("{} could not be read", folder.display());
        self.folder(folder);
        for entry in std::fs::read_dir(folder).with_context(said)? {
            let path = entry.with_context(said)?.path();
            if path.is_dir() {
                self.copy_folder(&path)?;
            } else {
                self.copy(&path, &path)?;
            }
        }
        Ok(())
    }

    /// Whether something is at this path already.
    pub(super) fn has(&self, path: impl AsRef<Path>) -> bool {
        self.entries.contains_key(path.as_ref())
    }

    pub(super) fn write(&self, path: &Path) -> Result<()> {
        let said = || format!("{} could not be written", path.display());
        let file = std::fs::File::create(path).with_context(said)?;
        let mut out = std::io::BufWriter::new(file);
        for (number, (name, entry)) in (1..).zip(&self.entries) {
            let (mode, bytes): (u32, &[u8]) = match entry {
                Entry::Folder => (0o040_755, &[]),
                Entry::File { bytes, executable: true } => (0o100_755, bytes),
                Entry::File { bytes, executable: false } => (0o100_644, bytes),
                Entry::Symlink(target) => (0o120_777, target.as_bytes()),
            };
            let name = name.strip_prefix("/").unwrap_or(name);
            out.write_all(&record(number, mode, &name.to_string_lossy(), bytes)?)
                .with_context(said)?;
        }
        out.write_all(&record(0, 0, "TRAILER!!!", &[])?).with_context(said)?;
        out.flush().with_context(said)
    }
}

/// One record: 13 numbers in hexadecimal, the name, the content, each filled up to four bytes.
fn record(number: u32, mode: u32, name: &str, bytes: &[u8]) -> Result<Vec<u8>> {
    let size = u32::try_from(bytes.len()).with_context(|| format!("{name} is too large"))?;
    let name_size = u32::try_from(name.len() + 1).with_context(|| format!("{name} is too long"))?;
    let links = 1;
    let numbers = [number, mode, 0, 0, links, 0, size, 0, 0, 0, 0, name_size, 0];
    let mut record = b"070701".to_vec();
    for number in numbers {
        record.extend(format!("{number:08x}").bytes());
    }
    record.extend(name.bytes());
    record.push(0);
    fill(&mut record);
    record.extend(bytes);
    fill(&mut record);
    Ok(record)
}

fn fill(record: &mut Vec<u8>) {
    record.resize(record.len().next_multiple_of(4), 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_filled_up_to_four_bytes_and_says_its_sizes() {
        let record = record(1, 0o100_644, "init", b"hello").unwrap();
        assert_eq!(record.len(), 116 + 8, "110 and 5 are filled up to 116, 5 to 8");
        assert!(record.starts_with(b"07070100000001000081a4"));
        assert_eq!(&record[110..115], b"init\0");
        assert_eq!(&record[116..121], b"hello");
    }

    #[test]
    fn folders_come_before_what_is_in_them() {
        let mut image = Image::default();
        image.file("/a/b/c", Vec::new());
        let names: Vec<_> = image.entries.keys().map(|path| path.to_str().unwrap()).collect();
        assert_eq!(names, ["/a", "/a/b", "/a/b/c"]);
    }
}
