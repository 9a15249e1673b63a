//! Layers with tricks in them, signed and uploaded as a publisher with a good key would: every digest
//! is right, only what the archive holds is not.

use crate::world::{Package, Publisher, World};
use serde_json::Value;
use skep_api::client::ClientError;
use skep_artifact::digest::Digest;
use std::io::Write;

/// The layer's archive with one entry of this name and kind instead of the object.
fn layer(name: &str, kind: tar::EntryType) -> Vec<u8> {
    let mut header = tar::Header::new_ustar();
    // Written as bytes, because the library refuses the very names this test is about.
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_entry_type(kind);
    header.set_mode(0o644);
    header.set_size(5);
    header.set_cksum();
    let mut archive = header.as_bytes().to_vec();
    archive.extend_from_slice(b"bytes");
    archive.resize(512 * 4, 0);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(&archive).unwrap();
    gzip.finish().unwrap()
}

/// Puts other bytes in place of every layer and mends every digest and size that follows from it.
fn with_layer(mut package: Package, bytes: &[u8]) -> Package {
    let layers: Vec<Digest> = package
        .blobs
        .others
        .iter()
        .filter(|blob| blob.media_type.ends_with("tar+gzip"))
        .map(|blob| blob.digest)
        .collect();
    assert!(!layers.is_empty());
    for layer in layers {
        replace(&mut package, layer, bytes.to_vec());
    }
    package
}

fn replace(package: &mut Package, old: Digest, bytes: Vec<u8>) {
    let new = Digest::of(&bytes);
    let size = bytes.len();
    let blobs = &mut package.blobs;
    let all = blobs.others.iter_mut().chain([&mut blobs.index]).chain(&mut blobs.referrers);
    let mut naming = Vec::new();
    for blob in all {
        if blob.digest == old {
            blob.digest = new;
            blob.bytes.clone_from(&bytes);
        } else if let Ok(mut json) = serde_json::from_slice::<Value>(&blob.bytes)
            && mend(&mut json, &old.to_string(), &new.to_string(), size)
        {
            naming.push((blob.digest, serde_json::to_vec(&json).unwrap()));
        }
    }
    for (digest, bytes) in naming {
        replace(package, digest, bytes);
    }
}

/// Whether a descriptor of the old digest was found and made one of the new.
fn mend(json: &mut Value, old: &str, new: &str, size: usize) -> bool {
    match json {
        Value::Object(fields) if fields.get("digest").is_some_and(|d| d == old) => {
            fields.insert("digest".to_owned(), new.into());
            fields.insert("size".to_owned(), size.into());
            true
        }
        Value::Object(fields) => {
            fields.values_mut().fold(false, |any, field| mend(field, old, new, size) | any)
        }
        Value::Array(items) => {
            items.iter_mut().fold(false, |any, item| mend(item, old, new, size) | any)
        }
        _ => false,
    }
}

#[tokio::test]
async fn an_archive_with_a_trick_is_refused_however_well_it_is_signed() {
    let world = World::start().await;
    let publisher = Publisher::new(&world, "acme").await;
    for (name, kind) in [
        ("../../etc/cron.d/pass.bpf.o", tar::EntryType::Regular),
        ("/etc/pass.bpf.o", tar::EntryType::Regular),
        ("pass.bpf.o", tar::EntryType::Symlink),
        ("pass.bpf.o", tar::EntryType::Link),
        ("pass.bpf.o", tar::EntryType::Directory),
        ("pass.bpf.o", tar::EntryType::Block),
    ] {
        let package = with_layer(Package::new("acme/pass", "1.0.0"), &layer(name, kind));
        let Err(ClientError::Refused { status, body }) = publisher.publish(&package).await else {
            panic!("{name} as {kind:?} was not refused");
        };
        assert_eq!((status, body.code.as_str()), (422, "package.refused"), "{name} {kind:?}");
        assert!(body.message.contains("layer"), "{name} {kind:?}: {}", body.message);
    }
    assert_eq!(world.anonymous().packages(&Default::default()).await.unwrap().total, 0);
    // The same road with an untouched layer ends in a published version, so it was the archive.
    publisher.publish(&Package::new("acme/pass", "1.0.0")).await.unwrap();
}
