//! Attacks on layers: what is in the archive, and what is in the object.

use skep_artifact::Digest;

use crate::clang::compile;
use crate::world::{Attack, check, gzip, tar_of};

fn layer_of(name: &str, kind: tar::EntryType) -> Vec<u8> {
    gzip(&tar_of(name, kind, b"bytes"))
}

const ARCHIVE: &[Attack] = &[
    ("not gzip", |w| w.change_layer(|_| b"\x7fELF".to_vec()), "package.archive_refused"),
    (
        "two gzip streams",
        |w| w.change_layer(|l| [l.clone(), l].concat()),
        "package.archive_refused",
    ),
    (
        "gzip cut off",
        |w| {
            w.change_layer(|mut l| {
                l.truncate(l.len() - 9);
                l
            })
        },
        "package.archive_refused",
    ),
    ("gzip bomb", |w| w.change_layer(|_| gzip(&vec![0; 60 * 1024 * 1024])), "package.bomb"),
    (
        "bomb of 65 MiB in a large layer",
        |w| w.change_layer(|_| gzip(&vec![0; 65 * 1024 * 1024])),
        "package.bomb",
    ),
    ("empty archive", |w| w.change_layer(|_| gzip(&[0; 1024])), "package.archive_refused"),
    (
        "symbolic link",
        |w| w.change_layer(|_| layer_of("limiter.bpf.o", tar::EntryType::Symlink)),
        "package.archive_refused",
    ),
    (
        "hard link",
        |w| w.change_layer(|_| layer_of("limiter.bpf.o", tar::EntryType::Link)),
        "package.archive_refused",
    ),
    (
        "folder",
        |w| w.change_layer(|_| layer_of("limiter.bpf.o", tar::EntryType::Directory)),
        "package.archive_refused",
    ),
    (
        "device",
        |w| w.change_layer(|_| layer_of("limiter.bpf.o", tar::EntryType::Block)),
        "package.archive_refused",
    ),
    (
        "PAX header",
        |w| w.change_layer(|_| layer_of("limiter.bpf.o", tar::EntryType::XHeader)),
        "package.archive_refused",
    ),
    (
        "sparse file",
        |w| w.change_layer(|_| layer_of("limiter.bpf.o", tar::EntryType::GNUSparse)),
        "package.archive_refused",
    ),
    (
        "name that climbs out",
        |w| w.change_layer(|_| layer_of("../../limiter.bpf.o", tar::EntryType::Regular)),
        "package.archive_refused",
    ),
    (
        "absolute name",
        |w| w.change_layer(|_| layer_of("/limiter.bpf.o", tar::EntryType::Regular)),
        "package.archive_refused",
    ),
    (
        "second file",
        |w| {
            w.change_layer(|_| {
                let one = tar_of("limiter.bpf.o", tar::EntryType::Regular, b"x");
                gzip(&[&one[..1024], &one].concat())
            })
        },
        "package.archive_refused",
    ),
    (
        "file of another name",
        |w| {
            let a = tar_of("other.bpf.o", tar::EntryType::Regular, &crate::world::OBJECT);
            let d = Digest::of(&a);
            w.change_layer(|_| gzip(&a));
            w.change_config(|c| c["rootfs"]["diff_ids"][0] = d.to_string().into())
        },
        "package.mix_and_match",
    ),
];

const OBJECT: &[Attack] = &[
    (
        "object that is a script",
        |w| w.change_object(b"#!/bin/sh\nrm -rf /\n"),
        "package.object_refused",
    ),
    (
        "object for another machine",
        |w| {
            let mut o = crate::world::OBJECT.clone();
            o[18] = 62;
            w.change_object(&o)
        },
        "package.object_refused",
    ),
    (
        "executable",
        |w| {
            let mut o = crate::world::OBJECT.clone();
            o[16] = 2;
            w.change_object(&o)
        },
        "package.object_refused",
    ),
    (
        "object cut off",
        |w| {
            let o = &crate::world::OBJECT;
            w.change_object(&o[..o.len() / 2])
        },
        "package.object_refused",
    ),
    (
        "object in the other byte order",
        |w| w.change_object(&compile("limiter.bpf.c", &["-g", "-mbig-endian"])),
        "package.wrong_endianness",
    ),
    (
        "object of another package",
        |w| w.change_object(&compile("legacy.bpf.c", &["-g"])),
        "package.claim_contradicted",
    ),
    (
        "another object for one architecture",
        |w| w.change_object(&compile("limiter.bpf.c", &["-g", "-DOTHER"])),
        "package.mix_and_match",
    ),
];

#[test]
fn archives_with_anything_but_one_file_are_refused_by_name() {
    check(ARCHIVE);
}

#[test]
fn objects_that_are_not_what_was_claimed_are_refused_by_name() {
    check(OBJECT);
}
