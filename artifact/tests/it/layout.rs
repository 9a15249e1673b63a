//! Packages built from real objects, and hostile variants of them.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::{Value, json};
use skep_artifact::layout::{self, LayoutError, PackageBlobs};
use skep_artifact::{Digest, Manifest};

use crate::clang::{compile, limiter};

pub(crate) const MANIFEST: &str = r#"
[package]
name = "acme/limiter"
version = "1.4.2"
license = "GPL-2.0-only"
description = "Limits packets a second"
readme = "README.md"
[[object]]
path = "out/limiter.bpf.o"
arch = ["amd64", "arm64"]
[[program]]
name = "xdp_limiter"
type = "xdp"
[[program]]
name = "tc_mirror"
type = "tc"
attach = ["ingress", "egress"]
[config.rate]
global = "rate_per_second"
type = "u32"
default = 1000
[config.blocklist]
map = "blocklist"
key = "cidr"
value = "u8"
[[metric]]
name = "passed"
map = "counters"
key = 1
kind = "counter"
"#;

pub(crate) static OBJECT: LazyLock<Vec<u8>> = LazyLock::new(limiter);

pub(crate) fn good() -> PackageBlobs {
    let manifest = Manifest::parse(MANIFEST).unwrap();
    layout::build(&manifest, &[("out/limiter.bpf.o", &OBJECT)], Some("# Limiter\n")).unwrap()
}

/// The blobs of a package as an attacker holds them: by digest, free to change.
struct Store {
    index: Digest,
    blobs: BTreeMap<Digest, Vec<u8>>,
}

impl Store {
    fn good() -> Self {
        let package = good();
        let blobs =
            package.all().into_iter().map(|blob| (blob.digest, blob.bytes.clone())).collect();
        Self { index: package.index.digest, blobs }
    }

    fn put(&mut self, bytes: Vec<u8>) -> Digest {
        let digest = Digest::of(&bytes);
        self.blobs.insert(digest, bytes);
        digest
    }

    fn json(&self, digest: &Digest) -> Value {
        serde_json::from_slice(&self.blobs[digest]).unwrap()
    }

    /// Changes the index, as somebody with the publisher's key could.
    fn change_index(mut self, change: impl FnOnce(&mut Self, &mut Value)) -> Self {
        let mut index = self.json(&self.index);
        change(&mut self, &mut index);
        self.index = self.put(serde_json::to_vec(&index).unwrap());
        self
    }

    /// Changes the image manifest of the first architecture, and the index with it.
    fn change_image(self, change: impl FnOnce(&mut Self, &mut Value)) -> Self {
        self.change_index(|store, index| {
            let at = &mut index["manifests"][0];
            let mut image = store.json(&at["digest"].as_str().unwrap().parse().unwrap());
            change(store, &mut image);
            let bytes = serde_json::to_vec(&image).unwrap();
            at["size"] = bytes.len().into();
            at["digest"] = store.put(bytes).to_string().into();
        })
    }

    /// Replaces a blob an image manifest names.
    fn change_named(self, part: &'static str, change: impl FnOnce(Vec<u8>) -> Vec<u8>) -> Self {
        self.change_image(|store, image| {
            let at = if part == "layer" { &mut image["layers"][0] } else { &mut image["config"] };
            let old =
                store.blobs[&at["digest"].as_str().unwrap().parse::<Digest>().unwrap()].clone();
            let bytes = change(old);
            at["size"] = bytes.len().into();
            at["digest"] = store.put(bytes).to_string().into();
        })
    }

    fn change_config(self, change: impl FnOnce(&mut Value)) -> Self {
        self.change_named("config", |bytes| {
            let mut config: Value = serde_json::from_slice(&bytes).unwrap();
            change(&mut config);
            serde_json::to_vec(&config).unwrap()
        })
    }

    fn open(&self) -> Result<layout::Package, LayoutError> {
        layout::open(self.index, &|digest| self.blobs.get(digest).cloned())
    }
}

#[test]
fn what_was_built_opens_to_the_same() {
    let package = Store::good().open().unwrap();
    assert_eq!(package.manifest, Manifest::parse(MANIFEST).unwrap());
    assert_eq!(package.readme.as_deref(), Some("# Limiter\n"));
    assert_eq!(package.objects.len(), 1);
    assert_eq!(package.objects[0].bytes, *OBJECT);
    assert_eq!(package.index_digest, good().index.digest);
}

#[test]
fn building_twice_gives_the_same_bytes() {
    assert_eq!(good(), good());
}

#[test]
fn a_downloader_finds_every_blob_by_walking_the_index() {
    let blobs = good();
    let references = layout::references(&blobs.index.bytes).unwrap();
    assert_eq!(references.package.to_string(), "acme/limiter");
    let mut found = vec![blobs.index.digest, references.manifest_json];
    found.extend(references.readme);
    for image in &references.images {
        let parts = layout::image_references(&blobs.get(&image.digest).unwrap()).unwrap();
        found.extend([image.digest, parts.config.digest, parts.layer.digest]);
    }
    let mut store = Store::good();
    store.blobs.retain(|digest, _| found.contains(digest));
    assert!(store.open().is_ok());
}

#[test]
fn images_are_what_bpfman_demands() {
    let blobs = good();
    let references = layout::references(&blobs.index.bytes).unwrap();
    assert_eq!(references.images.len(), 2);
    let image: Value =
        serde_json::from_slice(&blobs.get(&references.images[0].digest).unwrap()).unwrap();
    assert_eq!(image["layers"].as_array().unwrap().len(), 1);
    assert_eq!(image["layers"][0]["mediaType"], "application/vnd.oci.image.layer.v1.tar+gzip");
    let config = blobs.get(&image["config"]["digest"].as_str().unwrap().parse().unwrap()).unwrap();
    let config: Value = serde_json::from_slice(&config).unwrap();
    let label = |name: &str| -> Value {
        serde_json::from_str(config["config"]["Labels"][name].as_str().unwrap()).unwrap()
    };
    assert_eq!(
        label("io.ebpf.maps"),
        json!({"blocklist": "lpm_trie", "counters": "per_cpu_array"})
    );
    assert_eq!(label("io.ebpf.programs")["xdp_limiter"], "xdp");
    assert_eq!(config["os"], "linux");
    for referrer in blobs.referrers.iter().filter(|blob| blob.media_type == layout::MEDIA_IMAGE) {
        let referrer: Value = serde_json::from_slice(&referrer.bytes).unwrap();
        assert_eq!(referrer["subject"]["digest"], blobs.index.digest.to_string());
    }
}

#[test]
fn a_node_may_leave_the_readme_out_but_nothing_else() {
    let blobs = good();
    for blob in blobs.all() {
        let mut store = Store::good();
        store.blobs.remove(&blob.digest);
        let opened = store.open();
        let needed = !blobs.referrers.contains(blob) && Some(blob) != blobs.readme.as_ref();
        assert_eq!(
            matches!(opened, Err(LayoutError::Missing { .. })),
            needed,
            "{}",
            blob.media_type
        );
    }
}

#[test]
fn every_blob_is_hashed() {
    let blobs = good();
    for blob in blobs.all().into_iter().filter(|blob| !blobs.referrers.contains(blob)) {
        let mut store = Store::good();
        store.blobs.get_mut(&blob.digest).unwrap()[0] ^= 1;
        assert!(
            matches!(store.open(), Err(LayoutError::DigestMismatch { .. })),
            "{}",
            blob.media_type
        );
    }
}

#[test]
fn each_hostile_package_is_refused_by_name() {
    type Attack = (&'static str, fn(Store) -> Store, fn(&LayoutError) -> bool);
    let attacks: &[Attack] = &[
        (
            "two layers",
            |s| {
                s.change_image(|_, i| {
                    let l = i["layers"][0].clone();
                    i["layers"].as_array_mut().unwrap().push(l);
                })
            },
            |e| matches!(e, LayoutError::Layers { count: 2 }),
        ),
        (
            "no layer",
            |s| s.change_image(|_, i| i["layers"] = json!([])),
            |e| matches!(e, LayoutError::Layers { count: 0 }),
        ),
        (
            "foreign layer type",
            |s| s.change_image(|_, i| i["layers"][0]["mediaType"] = "application/x-tar".into()),
            |e| matches!(e, LayoutError::MediaType { .. }),
        ),
        (
            "stated size",
            |s| s.change_image(|_, i| i["layers"][0]["size"] = 7.into()),
            |e| matches!(e, LayoutError::SizeMismatch { stated: 7, .. }),
        ),
        (
            "endless layer",
            |s| s.change_image(|_, i| i["layers"][0]["size"] = u64::MAX.into()),
            |e| matches!(e, LayoutError::TooLarge { .. }),
        ),
        (
            "duplicate key",
            |s| s.change_named("config", |b| [b"{\"os\":\"linux\",".as_slice(), &b[1..]].concat()),
            |e| matches!(e, LayoutError::Json { .. }),
        ),
        (
            "not gzip",
            |s| s.change_named("layer", |_| b"\x7fELF".to_vec()),
            |e| matches!(e, LayoutError::Gzip),
        ),
        (
            "architecture swap",
            |s| s.change_config(|c| c["architecture"] = "arm64".into()),
            |e| matches!(e, LayoutError::ArchSwap { .. }),
        ),
        (
            "other diff id",
            |s| {
                s.change_config(|c| {
                    c["rootfs"]["diff_ids"][0] = Digest::of(b"x").to_string().into()
                })
            },
            |e| matches!(e, LayoutError::DiffId),
        ),
        (
            "lying label",
            |s| s.change_config(|c| c["config"]["Labels"]["io.ebpf.programs"] = "{}".into()),
            |e| matches!(e, LayoutError::Labels { .. }),
        ),
        (
            "missing label",
            |s| s.change_config(|c| c["config"]["Labels"] = json!({})),
            |e| matches!(e, LayoutError::Labels { .. }),
        ),
        (
            "dropped architecture",
            |s| {
                s.change_index(|_, i| {
                    i["manifests"].as_array_mut().unwrap().pop();
                })
            },
            |e| matches!(e, LayoutError::Archs { .. }),
        ),
        (
            "repeated architecture",
            |s| {
                s.change_index(|_, i| {
                    let m = i["manifests"][0].clone();
                    i["manifests"][1] = m;
                })
            },
            |e| matches!(e, LayoutError::Archs { .. }),
        ),
        (
            "foreign platform",
            |s| s.change_index(|_, i| i["manifests"][0]["platform"]["os"] = "windows".into()),
            |e| matches!(e, LayoutError::Platform { .. }),
        ),
        (
            "alias architecture",
            |s| {
                s.change_index(|_, i| {
                    i["manifests"][0]["platform"]["architecture"] = "x86_64".into()
                })
            },
            |e| matches!(e, LayoutError::Platform { .. }),
        ),
        (
            "other name",
            |s| s.change_index(|_, i| i["annotations"]["dev.skep.package"] = "acme/other".into()),
            |e| matches!(e, LayoutError::AnnotationMismatch { .. }),
        ),
        (
            "other version",
            |s| {
                s.change_index(|_, i| {
                    i["annotations"]["org.opencontainers.image.version"] = "9.0.0".into()
                })
            },
            |e| matches!(e, LayoutError::AnnotationMismatch { .. }),
        ),
        (
            "no manifest annotation",
            |s| {
                s.change_index(|_, i| {
                    i["annotations"].as_object_mut().unwrap().remove("dev.skep.manifest.digest");
                })
            },
            |e| matches!(e, LayoutError::Annotation { .. }),
        ),
        (
            "no readme annotation",
            |s| {
                s.change_index(|_, i| {
                    i["annotations"].as_object_mut().unwrap().remove("dev.skep.readme.digest");
                })
            },
            |e| matches!(e, LayoutError::Readme { named: true }),
        ),
        (
            "manifest of another form",
            |s| {
                s.change_index(|s, i| {
                    let d = s.put(b" {}".to_vec());
                    i["annotations"]["dev.skep.manifest.digest"] = d.to_string().into();
                })
            },
            |e| matches!(e, LayoutError::Manifest(_)),
        ),
        (
            "index of another type",
            |s| {
                s.change_index(|_, i| {
                    i["mediaType"] = "application/vnd.oci.image.manifest.v1+json".into()
                })
            },
            |e| matches!(e, LayoutError::MediaType { .. }),
        ),
        (
            "crowd of images",
            |s| {
                s.change_index(|_, i| {
                    let m = i["manifests"][0].clone();
                    i["manifests"] = Value::Array(vec![m; 17]);
                })
            },
            |e| matches!(e, LayoutError::TooLarge { .. }),
        ),
        (
            "endless index",
            |mut s| {
                s.index = s.put(vec![b' '; 1024 * 1024 + 1]);
                s
            },
            |e| matches!(e, LayoutError::TooLarge { .. }),
        ),
    ];
    for (name, attack, expected) in attacks {
        let refused = attack(Store::good()).open().map(|_| "opened");
        assert!(refused.as_ref().is_err_and(expected), "{name}: {refused:?}");
    }
}

#[test]
fn one_object_cannot_be_two() {
    // The first architecture's image gets a wholly consistent layer and config of another object.
    let other = {
        let manifest = Manifest::parse(MANIFEST).unwrap();
        let source = compile("limiter.bpf.c", &["-g", "-DOTHER"]);
        assert_ne!(source, *OBJECT, "the two objects must differ");
        layout::build(&manifest, &[("out/limiter.bpf.o", &source)], Some("# Limiter\n")).unwrap()
    };
    let store = Store::good().change_index(|store, index| {
        store.blobs.extend(other.all().into_iter().map(|blob| (blob.digest, blob.bytes.clone())));
        let other: Value = serde_json::from_slice(&other.index.bytes).unwrap();
        index["manifests"][0] = other["manifests"][0].clone();
    });
    assert!(matches!(store.open(), Err(LayoutError::ObjectDiffers { .. })));
}
