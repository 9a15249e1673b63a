//! A publisher, an operator, a node and one good package; and the tools of those who want to break in.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::{Value, json};
use skep_artifact::layout::{self, PackageBlobs};
use skep_artifact::role::{Role, Target};
use skep_artifact::{Digest, Manifest, SecretKey};
use skep_trust::{
    Beside, Floors, NodePolicy, Refusal, UnixSeconds, VerifiedPackage, Wanted, verify_package,
};

use crate::clang;

pub(crate) const NOW: UnixSeconds = 1_800_000_000; // 2027-01-15T08:00:00Z
pub(crate) const EXPIRES: &str = "2027-05-01T00:00:00Z";

const MANIFEST: &str = r#"
object = [{ path = "limiter.bpf.o", arch = ["amd64", "arm64"] }]
program = [{ name = "xdp_limiter", type = "xdp" }, { name = "tc_mirror", type = "tc", attach = ["egress"] }]
[package]
name = "acme/limiter"
version = "1.4.2"
license = "GPL-2.0-only"
description = "Limits packets a second"
[config.rate]
global = "rate_per_second"
type = "u32"
"#;

pub(crate) static OBJECT: LazyLock<Vec<u8>> = LazyLock::new(clang::limiter);

/// Everything a verification looks at. Fields are open: an attack changes them.
pub(crate) struct World {
    pub(crate) policy: String,
    pub(crate) role: Vec<u8>,
    pub(crate) blobs: BTreeMap<Digest, Vec<u8>>,
    pub(crate) wanted: Wanted,
    pub(crate) floors: Floors,
    pub(crate) now: UnixSeconds,
    pub(crate) beside: Beside,
}

/// Keys: 1 and 2 are the publisher's, 7 is the operator's, 9 is Mallory's.
pub(crate) fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed([seed; 32])
}

pub(crate) fn package(name: &str, version: &str) -> PackageBlobs {
    let text = MANIFEST.replace("acme/limiter", name).replace("1.4.2", version);
    let manifest = Manifest::parse(&text).unwrap();
    layout::build(&manifest, &[("limiter.bpf.o", &OBJECT)], None).unwrap()
}

pub(crate) fn target(name: &str, version: &str, release: u64, index: &[u8]) -> Target {
    let manifest = Manifest::parse(MANIFEST).unwrap();
    Target {
        package: name.parse().unwrap(),
        version: version.parse().unwrap(),
        index: Digest::of(index),
        length: index.len() as u64,
        release,
        hooks: manifest.hooks(),
        arch: manifest.archs(),
    }
}

pub(crate) fn policy_text(keys: &[u8], threshold: usize) -> String {
    let keys: Vec<_> = keys.iter().map(|seed| format!("\"{}\"", key(*seed).public())).collect();
    format!(
        "[[namespace]]\nname = \"acme\"\nkeys = [{}]\nthreshold = {threshold}\nhooks = [\"xdp\", \"tc-egress\"]\n\
         [operator]\nkeys = [\"{}\"]\n",
        keys.join(", "),
        key(7).public()
    )
}

impl World {
    pub(crate) fn good() -> Self {
        let blobs = package("acme/limiter", "1.4.2");
        let index = &blobs.index;
        let mut role = Role::new("acme".parse().unwrap(), 5, EXPIRES).unwrap();
        role.add(target("acme/limiter", "1.4.1", 8, b"an older index")).unwrap();
        role.add(target("acme/limiter", "1.4.2", 9, &index.bytes)).unwrap();
        Self {
            policy: policy_text(&[1, 2], 1),
            role: role.sign(&[key(1)]).unwrap(),
            wanted: Wanted {
                name: "acme/limiter".parse().unwrap(),
                version: "1.4.2".parse().unwrap(),
                index: index.digest,
            },
            blobs: blobs.all().into_iter().map(|blob| (blob.digest, blob.bytes.clone())).collect(),
            floors: Floors { roles: [("acme".parse().unwrap(), 5)].into(), ..Floors::default() },
            now: NOW,
            beside: Beside::default(),
        }
    }

    pub(crate) fn verify(&self) -> Result<VerifiedPackage, Refusal> {
        let policy = NodePolicy::parse(&self.policy).unwrap();
        let get = |digest: &Digest| self.blobs.get(digest).cloned();
        let (floors, beside) = (&self.floors, &self.beside);
        verify_package(&policy, &self.role, &get, &self.wanted, floors, self.now, beside)
    }

    /// The role's `signed` part as it is.
    pub(crate) fn signed(&self) -> Value {
        serde_json::from_slice::<Value>(&self.role).unwrap()["signed"].take()
    }

    /// Changes the role and signs it with the publisher's key: what a malicious or robbed publisher can do.
    pub(crate) fn forge(&mut self, change: impl FnOnce(&mut Value)) {
        let mut signed = self.signed();
        change(&mut signed);
        self.sign(&signed, &[1]);
    }

    /// Signs a role's `signed` part with some keys.
    pub(crate) fn sign(&mut self, signed: &Value, seeds: &[u8]) {
        let message = skep_artifact::json::canonical(signed).unwrap();
        let signature = |seed: &u8| {
            let key = key(*seed);
            json!({ "keyid": key.public().key_id(), "sig": hex(&key.sign(&message)) })
        };
        let signatures: Vec<_> = seeds.iter().map(signature).collect();
        self.role =
            serde_json::to_vec(&json!({ "signed": signed, "signatures": signatures })).unwrap();
    }

    /// Changes the role's text after it was signed.
    pub(crate) fn edit_role(&mut self, from: &str, to: &str) {
        let text = String::from_utf8(self.role.clone()).unwrap();
        assert!(text.contains(from), "{from}");
        self.role = text.replacen(from, to, 1).into_bytes();
    }

    /// Changes the first signature's hexadecimal text.
    pub(crate) fn edit_signature(&mut self, change: impl FnOnce(String) -> String) {
        let mut role: Value = serde_json::from_slice(&self.role).unwrap();
        let old = role["signatures"][0]["sig"].as_str().unwrap().to_owned();
        role["signatures"][0]["sig"] = change(old).into();
        self.role = serde_json::to_vec(&role).unwrap();
    }

    pub(crate) fn put(&mut self, bytes: Vec<u8>) -> Digest {
        let digest = Digest::of(&bytes);
        self.blobs.insert(digest, bytes);
        digest
    }

    pub(crate) fn json(&self, digest: &Digest) -> Value {
        serde_json::from_slice(&self.blobs[digest]).unwrap()
    }

    /// Changes the index, has the publisher sign the new one and the operator want it.
    pub(crate) fn change_index(&mut self, change: impl FnOnce(&mut Self, &mut Value)) {
        let mut index = self.json(&self.wanted.index);
        change(self, &mut index);
        let bytes = serde_json::to_vec(&index).unwrap();
        self.publish(bytes);
    }

    /// Has the publisher sign these bytes as the index of the wanted version.
    pub(crate) fn publish(&mut self, index: Vec<u8>) {
        let length = index.len();
        let digest = self.put(index);
        self.wanted.index = digest;
        self.forge(|signed| {
            let target = &mut signed["targets"]["acme/limiter/1.4.2"];
            target["hashes"]["sha256"] = digest.hex().into();
            target["length"] = length.into();
        });
    }

    /// Changes the image manifest of the first architecture, and all that names it.
    pub(crate) fn change_image(&mut self, change: impl FnOnce(&mut Self, &mut Value)) {
        self.change_index(|world, index| {
            let at = &mut index["manifests"][0];
            let mut image = world.json(&digest_in(at));
            change(world, &mut image);
            let bytes = serde_json::to_vec(&image).unwrap();
            at["size"] = bytes.len().into();
            at["digest"] = world.put(bytes).to_string().into();
        });
    }

    /// Replaces the layer of the first architecture, and all that names it.
    pub(crate) fn change_layer(&mut self, change: impl FnOnce(Vec<u8>) -> Vec<u8>) {
        self.change_image(|world, image| {
            let at = &mut image["layers"][0];
            let bytes = change(world.blobs[&digest_in(at)].clone());
            at["size"] = bytes.len().into();
            at["digest"] = world.put(bytes).to_string().into();
        });
    }

    /// Replaces the config of the first architecture, and all that names it.
    pub(crate) fn change_config(&mut self, change: impl FnOnce(&mut Value)) {
        self.change_image(|world, image| {
            let at = &mut image["config"];
            let mut config = world.json(&digest_in(at));
            change(&mut config);
            let bytes = serde_json::to_vec(&config).unwrap();
            at["size"] = bytes.len().into();
            at["digest"] = world.put(bytes).to_string().into();
        });
    }

    /// Replaces the object of the first architecture in a well-formed layer whose config agrees with it.
    pub(crate) fn change_object(&mut self, object: &[u8]) {
        let archive = tar_of("limiter.bpf.o", tar::EntryType::Regular, object);
        let diff_id = Digest::of(&archive);
        self.change_layer(|_| gzip(&archive));
        self.change_config(|config| config["rootfs"]["diff_ids"][0] = diff_id.to_string().into());
    }

    /// The digest of a layer, config or image of the first architecture.
    pub(crate) fn digest_of(&self, part: &str) -> Digest {
        let index = self.json(&self.wanted.index);
        let image = digest_in(&index["manifests"][0]);
        match part {
            "index" => self.wanted.index,
            "image" => image,
            "config" => digest_in(&self.json(&image)["config"]),
            "layer" => digest_in(&self.json(&image)["layers"][0]),
            "manifest" => {
                index["annotations"]["dev.skep.manifest.digest"].as_str().unwrap().parse().unwrap()
            }
            other => panic!("no part {other}"),
        }
    }
}

pub(crate) fn digest_in(descriptor: &Value) -> Digest {
    descriptor["digest"].as_str().unwrap().parse().unwrap()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn tar_of(name: &str, kind: tar::EntryType, bytes: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_ustar();
    let raw = &mut header.as_old_mut().name;
    raw[..name.len()].copy_from_slice(name.as_bytes());
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(bytes.len() as u64);
    header.set_entry_type(kind);
    header.set_cksum();
    let mut archive = [header.as_bytes().as_slice(), bytes].concat();
    archive.resize(archive.len().next_multiple_of(512) + 1024, 0);
    archive
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// One attack: its name, what it changes, the code it must be refused with.
pub(crate) type Attack = (&'static str, fn(&mut World), &'static str);

/// Runs a table of attacks and collects every surprise.
pub(crate) fn check(attacks: &[Attack]) {
    assert!(World::good().verify().is_ok(), "{:?}", World::good().verify());
    let surprises: Vec<_> = attacks
        .iter()
        .filter_map(|(name, attack, wanted)| {
            let mut world = World::good();
            attack(&mut world);
            match world.verify() {
                Err(refusal) if refusal.code() == *wanted => {
                    assert!(refusal.to_string().starts_with("Refused: "), "{refusal}");
                    None
                }
                Err(refusal) => {
                    Some(format!("{name}: {} instead of {wanted}: {refusal}", refusal.code()))
                }
                Ok(_) => Some(format!("{name}: accepted instead of {wanted}")),
            }
        })
        .collect();
    assert!(surprises.is_empty(), "{}", surprises.join("\n"));
}
