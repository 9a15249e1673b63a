//! Settings: a manifest that declares them and values that an operator wrote, against a real object.
//! An input is a byte that picks the object, a `skep.toml` (nothing: the package's own), a zero, and
//! the values as JSON.

use std::collections::BTreeSet;

use skep_artifact::config::{ConfigValues, EncodedConfig, check_places, encode};
use skep_artifact::limits::{MANIFEST_JSON_BYTES_MAX, MAP_ENTRIES_MAX};
use skep_artifact::{Manifest, ObjectFacts, json};

use crate::material::Material;

pub(crate) fn run(bytes: &[u8]) {
    let Some((pick, rest)) = bytes.split_first() else { return };
    let packages = &Material::shared().packages;
    let package = &packages[usize::from(*pick) % packages.len()];
    let mut parts = rest.splitn(2, |byte| *byte == 0);
    let text = parts.next().and_then(|text| std::str::from_utf8(text).ok()).unwrap_or_default();
    let values = json::parse_into(parts.next().unwrap_or(b"{}"), MANIFEST_JSON_BYTES_MAX);
    let values: ConfigValues = values.unwrap_or_default();
    let manifest = match text {
        "" => package.manifest.clone(),
        text => match Manifest::parse(text) {
            Ok(manifest) => manifest,
            Err(_) => return,
        },
    };
    let fits = check_places(&manifest, &package.facts).is_ok();
    if let Ok(encoded) = encode(&manifest, &package.facts, &values) {
        assert!(fits, "encoded without a place");
        check(&encoded, &package.facts);
    }
}

/// Nothing is written where it does not fit.
fn check(encoded: &EncodedConfig, facts: &ObjectFacts) {
    for (name, value) in &encoded.globals {
        let global = facts.global(name).unwrap();
        assert!(global.constant && global.size as usize == value.len(), "{name}");
    }
    for (name, entries) in &encoded.maps {
        let map = facts.map(name).unwrap();
        assert!(entries.len() <= MAP_ENTRIES_MAX && entries.len() <= map.max_entries as usize);
        for (key, value) in entries {
            assert_eq!(key.len(), map.key_size as usize, "{name}");
            assert_eq!(value.len(), map.value_size as usize, "{name}");
        }
        let keys: BTreeSet<_> = entries.iter().map(|(key, _)| key).collect();
        assert_eq!(keys.len(), entries.len(), "{name}: a key twice");
    }
}

const VALUES: [&str; 4] = [
    r#"{"default-deny":true,"allowlist":["10.0.0.0/8","fe80::/10"],"blocklist":{"192.0.2.1":1,"2001:db8::/32":0},"denied-tcp-ports":[22,23]}"#,
    r#"{"allowlist":{"::ffff:10.0.0.1/128":255},"denied-udp-ports":{"53":1}}"#,
    r#"{"sample":100,"rate":18446744073709551615,"burst":0}"#,
    "{}",
];

pub(crate) fn seeds(material: &Material) -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for (pick, package) in (0u8..).zip(&material.packages) {
        for values in VALUES {
            seeds.push([&[pick, 0], values.as_bytes()].concat());
        }
        seeds.push([&[pick], package.text.as_bytes(), &[0], VALUES[0].as_bytes()].concat());
    }
    seeds
}
