//! Bundles as we write them, and as somebody with other intentions would.

use super::write::Filling;
use super::*;
use std::io::Write as _;
use std::path::Path;

fn filling() -> Filling {
    let [index, proof, envelope] =
        [&b"an index"[..], b"a proof", b"an envelope"].map(|bytes| (Digest::of(bytes), bytes));
    let name: PackageName = "acme/pass".parse().unwrap();
    let attestation = ListedAttestation { media_type: "a/b".to_owned(), content: envelope.0 };
    Filling {
        roles: BTreeMap::from([(name.namespace().clone(), b"{}".to_vec())]),
        packages: vec![Listed {
            name,
            version: semver::Version::new(1, 0, 0),
            index: index.0,
            log: Some(proof.0),
            attestations: vec![attestation],
        }],
        blobs: [index, proof, envelope].map(|(digest, bytes)| (digest, bytes.to_vec())).into(),
    }
}

/// One entry with any name, kind and content, its header written by hand: the library would not.
fn entry(name: &str, kind: tar::EntryType, size: u64, content: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_ustar();
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_entry_type(kind);
    header.set_mode(0o644);
    header.set_size(size);
    header.set_cksum();
    let mut bytes = header.as_bytes().to_vec();
    bytes.extend_from_slice(content);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

fn good() -> Vec<u8> {
    let mut bytes = Vec::new();
    filling().pack(&mut bytes).unwrap();
    // Without the two empty blocks that end an archive, so that entries can be added.
    bytes.truncate(bytes.len() - 1024);
    bytes
}

fn read_bytes(bytes: &[u8]) -> Result<Archive, ArchiveError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.tar");
    std::fs::File::create(&path).unwrap().write_all(bytes).unwrap();
    let read = read(&path);
    let left = std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(left, if read.is_ok() { 2 } else { 1 }, "a refused bundle leaves nothing");
    read
}

#[test]
fn what_was_written_is_read_back_and_is_the_same_each_time() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (folder.path().join("one.tar"), folder.path().join("two.tar"));
    write(&one, &filling()).unwrap();
    write(&two, &filling()).unwrap();
    assert_eq!(std::fs::read(&one).unwrap(), std::fs::read(&two).unwrap());
    assert!(matches!(write(&one, &filling()), Err(ArchiveError::Write { .. })));
    let archive = read(&one).unwrap();
    assert_eq!(archive.packages, filling().packages);
    assert_eq!(archive.roles, filling().roles);
    let digest = archive.packages[0].index;
    assert_eq!(archive.get(&digest).unwrap(), b"an index");
    assert_eq!(archive.get(&Digest::of(b"other")), None);
}

#[test]
fn names_that_lead_elsewhere_are_refused() {
    let hex = "A".repeat(64);
    for name in [
        "../../etc/cron.d/x",
        "/etc/passwd",
        "blobs/sha256/../../x",
        &format!("blobs/sha256/{hex}"),
        "blobs/sha256/",
        "blobs/sha512/00",
        "roles/../x.json",
        "roles/UPPER.json",
        "roles/a/b.json",
        "roles/acme",
        "trust/root.json",
        "skep-bundle.json/",
        "",
    ] {
        let bytes = [good(), entry(name, tar::EntryType::Regular, 1, b"x")].concat();
        let refused = read_bytes(&bytes).err();
        assert!(matches!(refused, Some(ArchiveError::Name { .. })), "{name}: {refused:?}");
    }
    assert!(!Path::new("/etc/cron.d/x").exists());
}

#[test]
fn links_devices_and_extensions_are_refused() {
    use tar::EntryType as T;
    for kind in [
        T::Symlink,
        T::Link,
        T::Directory,
        T::Char,
        T::Block,
        T::Fifo,
        T::XHeader,
        T::XGlobalHeader,
        T::GNULongName,
        T::GNULongLink,
        T::GNUSparse,
        T::Continuous,
    ] {
        let bytes = [good(), entry("roles/other.json", kind, 0, b"")].concat();
        let refused = read_bytes(&bytes).err();
        assert!(matches!(refused, Some(ArchiveError::Kind { .. })), "{kind:?}: {refused:?}");
    }
}

#[test]
fn what_is_too_much_is_refused_before_it_is_read() {
    let bytes =
        [good(), entry("roles/other.json", tar::EntryType::Regular, 1 << 40, b"x")].concat();
    let refused = read_bytes(&bytes).err();
    assert!(matches!(refused, Some(ArchiveError::EntryTooLarge { .. })), "{refused:?}");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("large.tar");
    std::fs::File::create(&path).unwrap().set_len(BUNDLE_BYTES_MAX + 1).unwrap();
    assert!(matches!(read(&path).err(), Some(ArchiveError::TooLarge)));
    let mut many = good();
    for number in 0..=BUNDLE_ENTRIES_MAX {
        many.extend(entry(&format!("roles/n{number}.json"), tar::EntryType::Regular, 0, b""));
    }
    assert!(matches!(read_bytes(&many).err(), Some(ArchiveError::TooManyEntries)));
}

#[test]
fn other_bytes_second_entries_and_what_is_missing_are_refused() {
    let digest = Digest::of(b"those").hex();
    let changed = entry(&format!("{BLOBS}{digest}"), tar::EntryType::Regular, 5, b"these");
    let refused = read_bytes(&[good(), changed].concat()).err();
    assert!(matches!(refused, Some(ArchiveError::Digest { .. })), "{refused:?}");
    let twice = entry("roles/acme.json", tar::EntryType::Regular, 2, b"[]");
    let refused = read_bytes(&[good(), twice].concat()).err();
    assert!(matches!(refused, Some(ArchiveError::Twice { .. })), "{refused:?}");
    let cut = good();
    let refused = read_bytes(&cut[..cut.len() - 600]).err();
    assert!(matches!(refused, Some(ArchiveError::Tar { .. })), "{refused:?}");
    assert!(read_bytes(b"PK\x03\x04 is no tar").is_err());
    assert!(matches!(read_bytes(&[0; 1024]).err(), Some(ArchiveError::Missing { .. })));
    for lost in ["role", "an index", "a proof", "an envelope"] {
        let mut part = filling();
        match lost {
            "role" => part.roles.clear(),
            blob => drop(part.blobs.remove(&Digest::of(blob.as_bytes()))),
        }
        let mut bytes = Vec::new();
        part.pack(&mut bytes).unwrap();
        let refused = read_bytes(&bytes).err();
        assert!(matches!(refused, Some(ArchiveError::Missing { .. })), "{lost}: {refused:?}");
    }
}

#[test]
fn a_list_of_another_form_or_with_unknown_words_is_refused() {
    for text in [
        r#"{"format":2,"packages":[]}"#,
        r#"{"format":1,"packages":[],"run":"sh"}"#,
        r#"{"format":1,"format":1,"packages":[]}"#,
        r#"{"format":1,"packages":[{"name":"../x","version":"1.0.0","index":"sha256:00"}]}"#,
        "[]",
    ] {
        let bytes = entry(CONTENTS, tar::EntryType::Regular, text.len() as u64, text.as_bytes());
        let refused = read_bytes(&bytes).err();
        assert!(matches!(refused, Some(ArchiveError::Form { .. })), "{text}: {refused:?}");
    }
}
