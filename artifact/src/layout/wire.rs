//! The OCI documents we read and write (image-spec 1.1): index, image manifest, config. Maps are sorted, so that what we write is always the same.
//! Fields we do not know are tolerated when reading: their bytes are covered by the digest all the same.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::manifest::Arch;
use crate::object::{ObjectFacts, ProgramKind};

/// Label bpfman reads: program name to type.
pub(super) const LABEL_PROGRAMS: &str = "io.ebpf.programs";
/// Label bpfman reads: map name to type.
pub(super) const LABEL_MAPS: &str = "io.ebpf.maps";

/// A typed, sized and hashed reference to a blob.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// Media type of the blob.
    pub media_type: String,
    /// Its digest.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// Inside an index: the platform it serves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) platform: Option<Platform>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Platform {
    pub(super) architecture: String,
    pub(super) os: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Index {
    pub(super) schema_version: u32,
    pub(super) media_type: String,
    pub(super) manifests: Vec<Descriptor>,
    #[serde(default)]
    pub(super) annotations: BTreeMap<String, String>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Image {
    pub(super) schema_version: u32,
    pub(super) media_type: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) artifact_type: Option<String>,
    pub(super) config: Descriptor,
    pub(super) layers: Vec<Descriptor>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) subject: Option<Descriptor>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) annotations: BTreeMap<String, String>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct Config {
    pub(super) architecture: String,
    pub(super) os: String,
    #[serde(default)]
    pub(super) created: String,
    pub(super) rootfs: RootFs,
    pub(super) config: ConfigDetails,
}

#[derive(Serialize, Deserialize)]
pub(super) struct RootFs {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) diff_ids: Vec<Digest>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct ConfigDetails {
    #[serde(rename = "Labels", default)]
    pub(super) labels: BTreeMap<String, String>,
}

impl Descriptor {
    pub(super) fn of(blob: &super::Blob) -> Self {
        let size = blob.bytes.len() as u64;
        Self { media_type: blob.media_type.to_owned(), digest: blob.digest, size, platform: None }
    }

    pub(super) fn on(mut self, arch: Arch) -> Self {
        self.platform = Some(Platform { architecture: arch.to_string(), os: "linux".to_owned() });
        self
    }
}

/// The two labels bpfman reads, always both present, as texts that hold JSON.
pub(super) fn labels(facts: &ObjectFacts) -> BTreeMap<String, String> {
    let programs =
        facts.programs.iter().filter_map(|p| Some((p.name.as_str(), bpfman_type(p.kind)?)));
    let maps = facts.maps.iter().map(|map| (map.name.as_str(), map.kind.as_str()));
    [(LABEL_PROGRAMS, json_object(programs)), (LABEL_MAPS, json_object(maps))]
        .map(|(label, text)| (label.to_owned(), text))
        .into()
}

fn json_object<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let map: serde_json::Map<String, serde_json::Value> = pairs
        .collect::<BTreeMap<_, _>>()
        .into_iter()
        .map(|(name, kind)| (name.to_owned(), kind.into()))
        .collect();
    serde_json::Value::Object(map).to_string()
}

/// bpfman's word for a program type; `None` for types it does not load.
const fn bpfman_type(kind: ProgramKind) -> Option<&'static str> {
    Some(match kind {
        ProgramKind::Xdp => "xdp",
        ProgramKind::Tc => "tc",
        ProgramKind::Tracepoint => "tracepoint",
        ProgramKind::Kprobe | ProgramKind::Kretprobe => "kprobe",
        ProgramKind::Uprobe | ProgramKind::Uretprobe => "uprobe",
        ProgramKind::Fentry => "fentry",
        ProgramKind::Fexit => "fexit",
        ProgramKind::Lsm => "lsm",
        _ => return None,
    })
}
