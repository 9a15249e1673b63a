//! Attacks on the bytes of a package, and packages a node's own policy refuses.

use serde_json::{Value, json};
use skep_artifact::Digest;

use crate::world::{Attack, World, check};

fn flip(world: &mut World, part: &str) {
    let digest = world.digest_of(part);
    let bytes = world.blobs.get_mut(&digest).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
}

fn lose(world: &mut World, part: &str) {
    let digest = world.digest_of(part);
    world.blobs.remove(&digest);
}

const TRANSIT: &[Attack] = &[
    ("index lost", |w| lose(w, "index"), "package.blob_missing"),
    ("manifest lost", |w| lose(w, "manifest"), "package.blob_missing"),
    ("image lost", |w| lose(w, "image"), "package.blob_missing"),
    ("config lost", |w| lose(w, "config"), "package.blob_missing"),
    ("layer lost", |w| lose(w, "layer"), "package.blob_missing"),
    ("index changed", |w| flip(w, "index"), "package.digest_mismatch"),
    ("manifest changed", |w| flip(w, "manifest"), "package.digest_mismatch"),
    ("image changed", |w| flip(w, "image"), "package.digest_mismatch"),
    ("config changed", |w| flip(w, "config"), "package.digest_mismatch"),
    ("layer changed", |w| flip(w, "layer"), "package.digest_mismatch"),
    (
        "index cut off",
        |w| {
            let d = w.digest_of("index");
            w.blobs.get_mut(&d).unwrap().pop();
        },
        "package.length_not_signed",
    ),
    (
        "layer cut off",
        |w| {
            let d = w.digest_of("layer");
            w.blobs.get_mut(&d).unwrap().pop();
        },
        "package.digest_mismatch",
    ),
    (
        "endless index",
        |w| {
            let d = w.digest_of("index");
            w.blobs.insert(d, vec![b' '; 2 * 1024 * 1024]);
        },
        "package.length_not_signed",
    ),
    (
        "endless manifest",
        |w| {
            let d = w.digest_of("manifest");
            w.blobs.insert(d, vec![b' '; 2 * 1024 * 1024]);
        },
        "package.too_large",
    ),
    (
        "endless layer",
        |w| {
            let d = w.digest_of("layer");
            w.blobs.insert(d, vec![0; 17 * 1024 * 1024]);
        },
        "package.too_large",
    ),
    (
        "layers exchanged for the manifest",
        |w| {
            let m = w.blobs[&w.digest_of("manifest")].clone();
            let d = w.digest_of("layer");
            w.blobs.insert(d, m);
        },
        "package.digest_mismatch",
    ),
];

const SHAPE: &[Attack] = &[
    ("index of nothing", |w| w.publish(b"{}".to_vec()), "package.malformed"),
    ("index signed too large", |w| w.publish(vec![b' '; 1024 * 1024 + 1]), "package.too_large"),
    (
        "index of another media type",
        |w| w.change_index(|_, i| i["mediaType"] = "text/plain".into()),
        "package.malformed",
    ),
    (
        "index without a manifest",
        |w| {
            w.change_index(|_, i| {
                i["annotations"].as_object_mut().unwrap().remove("dev.skep.manifest.digest");
            })
        },
        "package.malformed",
    ),
    (
        "index of another package",
        |w| w.change_index(|_, i| i["annotations"]["dev.skep.package"] = "acme/other".into()),
        "package.mix_and_match",
    ),
    (
        "index of another version",
        |w| {
            w.change_index(|_, i| {
                i["annotations"]["org.opencontainers.image.version"] = "1.4.3".into()
            })
        },
        "package.mix_and_match",
    ),
    (
        "crowd of images",
        |w| {
            w.change_index(|_, i| {
                let m = i["manifests"][0].clone();
                i["manifests"] = Value::Array(vec![m; 100]);
            })
        },
        "package.too_large",
    ),
    (
        "dropped architecture",
        |w| {
            w.change_index(|_, i| {
                i["manifests"].as_array_mut().unwrap().pop();
            })
        },
        "package.arch_mismatch",
    ),
    (
        "architecture twice",
        |w| {
            w.change_index(|_, i| {
                let m = i["manifests"][0].clone();
                i["manifests"][1] = m;
            })
        },
        "package.arch_mismatch",
    ),
    (
        "architectures swapped",
        |w| {
            w.change_index(|_, i| {
                let a = i["manifests"][0]["platform"].clone();
                i["manifests"][0]["platform"] = i["manifests"][1]["platform"].clone();
                i["manifests"][1]["platform"] = a;
            })
        },
        "package.arch_mismatch",
    ),
    (
        "another system",
        |w| w.change_index(|_, i| i["manifests"][0]["platform"]["os"] = "plan9".into()),
        "package.arch_mismatch",
    ),
    (
        "config of another architecture",
        |w| w.change_config(|c| c["architecture"] = "arm64".into()),
        "package.arch_mismatch",
    ),
    (
        "config of another layer",
        |w| w.change_config(|c| c["rootfs"]["diff_ids"][0] = Digest::of(b"x").to_string().into()),
        "package.mix_and_match",
    ),
    (
        "labels that lie",
        |w| {
            w.change_config(|c| {
                c["config"]["Labels"]["io.ebpf.programs"] = r#"{"harmless":"xdp"}"#.into()
            })
        },
        "package.mix_and_match",
    ),
    (
        "no labels",
        |w| w.change_config(|c| c["config"]["Labels"] = json!({})),
        "package.mix_and_match",
    ),
    (
        "two layers",
        |w| {
            w.change_image(|_, i| {
                let l = i["layers"][0].clone();
                i["layers"] = json!([l.clone(), l]);
            })
        },
        "package.layers",
    ),
    ("no layer", |w| w.change_image(|_, i| i["layers"] = json!([])), "package.layers"),
    (
        "layer of another media type",
        |w| w.change_image(|_, i| i["layers"][0]["mediaType"] = "application/octet-stream".into()),
        "package.malformed",
    ),
    (
        "stated size too small",
        |w| w.change_image(|_, i| i["layers"][0]["size"] = 1.into()),
        "package.digest_mismatch",
    ),
    (
        "stated size endless",
        |w| w.change_image(|_, i| i["layers"][0]["size"] = u64::MAX.into()),
        "package.too_large",
    ),
    (
        "manifest in another spelling",
        |w| {
            w.change_index(|w, i| {
                let mut m = w.blobs[&w.digest_of("manifest")].clone();
                m.push(b'\n');
                i["annotations"]["dev.skep.manifest.digest"] = w.put(m).to_string().into();
            })
        },
        "package.manifest_refused",
    ),
    (
        "manifest with an unknown key",
        |w| {
            w.change_index(|w, i| {
                let m = String::from_utf8(w.blobs[&w.digest_of("manifest")].clone())
                    .unwrap()
                    .replacen('{', r#"{"companion":{},"#, 1);
                i["annotations"]["dev.skep.manifest.digest"] =
                    w.put(m.into_bytes()).to_string().into();
            })
        },
        "package.manifest_refused",
    ),
];

const RULES: &[Attack] = &[
    (
        "no hook allowed",
        |w| w.policy = w.policy.replace("\"xdp\", \"tc-egress\"", ""),
        "package.hook_not_allowed",
    ),
    (
        "the other direction allowed",
        |w| w.policy = w.policy.replace("\"xdp\", \"tc-egress\"", "\"tc-ingress\""),
        "package.hook_not_allowed",
    ),
    (
        "helper that is refused",
        |w| w.policy = w.policy.replace("hooks =", "refuse-helpers = [\"bpf_redirect\"]\nhooks ="),
        "package.helper_refused",
    ),
    (
        "helper that is refused, in a called function",
        |w| {
            w.policy =
                w.policy.replace("hooks =", "refuse-helpers = [\"bpf_ktime_get_boot_ns\"]\nhooks =")
        },
        "package.helper_refused",
    ),
    (
        "too many instructions",
        |w| w.policy = w.policy.replace("hooks =", "max-instructions = 20\nhooks ="),
        "package.instructions_over_limit",
    ),
    (
        "too much map memory",
        |w| w.policy = w.policy.replace("hooks =", "max-map-bytes = 1000\nhooks ="),
        "package.map_memory_over_limit",
    ),
];

#[test]
fn bytes_lost_or_changed_on_the_way_are_refused_by_name() {
    check(TRANSIT);
}

#[test]
fn packages_of_a_bad_shape_are_refused_by_name() {
    check(SHAPE);
}

#[test]
fn what_the_nodes_own_policy_forbids_is_refused_by_name() {
    check(RULES);
}
