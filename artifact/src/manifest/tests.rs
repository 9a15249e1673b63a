//! Manifests that are read, and those that are refused by key.

use super::*;

const GOOD: &str = r#"
[package]
name = "acme/ratelimit"
version = "1.4.2"
license = "GPL-2.0-only"
description = "Limits packets a second"
readme = "README.md"
repository = "https://example.com/acme/ratelimit"
keywords = ["ddos", "limit"]
categories = ["network/ddos"]
[build]
source = "src/ratelimit.bpf.c"
include = ["include", "../include"]
[[object]]
path = "ratelimit.bpf.o"
arch = ["amd64", "arm64"]
[[program]]
name = "xdp_ratelimit"
type = "xdp"
attach = ["ingress"]
proceed-on = ["pass", "tx"]
priority = 50
[config.rate]
global = "rate_per_second"
type = "u32"
default = 1000
min = 1
max = 1_000_000
unit = "packets/s"
about = "Packets let through each second"
[config.blocklist]
map = "blocklist"
key = "cidr"
value = "u8"
[[metric]]
name = "dropped"
map = "counters"
key = 1
kind = "counter"
unit = "packets"
[test]
vectors = "tests/*.toml"
[migrate.buckets]
from = "sources"
drop = ["spare", "seen.first"]
"#;

#[test]
fn reads_every_key_of_the_design() {
    let manifest = Manifest::parse(GOOD).unwrap();
    assert_eq!(manifest.package.name.to_string(), "acme/ratelimit");
    assert_eq!(manifest.hooks(), [Hook::Xdp]);
    assert_eq!(manifest.archs(), [Arch::Amd64, Arch::Arm64]);
    assert_eq!(manifest.programs[0].proceed_on().mask(Hook::Xdp), 1 << 2 | 1 << 3);
    assert!(matches!(
        &manifest.config["rate"].target,
        SettingTarget::Global { max: Some(1_000_000), .. }
    ));
    assert!(matches!(
        &manifest.config["blocklist"].target,
        SettingTarget::Map { key: KeyType::Cidr, .. }
    ));
}

#[test]
fn canonical_json_reads_back_and_no_other_spelling_does() {
    let manifest = Manifest::parse(GOOD).unwrap();
    let bytes = manifest.canonical_json();
    assert_eq!(Manifest::from_canonical_json(&bytes), Ok(manifest));
    let spaced = [b" ".as_slice(), &bytes].concat();
    assert_eq!(Manifest::from_canonical_json(&spaced), Err(ManifestError::NotCanonical));
    let text = String::from_utf8(bytes).unwrap();
    let without_default = text.replace(r#","priority":50"#, "");
    assert_ne!(without_default, text);
    assert_eq!(
        Manifest::from_canonical_json(without_default.as_bytes()),
        Err(ManifestError::NotCanonical)
    );
}

#[test]
fn text_is_normalised_so_that_both_forms_are_one() {
    let decomposed = GOOD.replace("Limits packets", "Limite\u{301}");
    let manifest = Manifest::parse(&decomposed).unwrap();
    assert_eq!(manifest.package.description, "Limit\u{e9} a second");
    assert_eq!(Manifest::from_canonical_json(&manifest.canonical_json()), Ok(manifest));
}

#[test]
fn defaults_are_those_of_the_design() {
    let short = r#"
        package = { name = "a/b", version = "0.1.0", license = "MIT", description = "x" }
        object = [{ path = "b.o" }]
        program = [{ name = "f", type = "tc" }]
    "#;
    let manifest = Manifest::parse(short).unwrap();
    assert_eq!(manifest.archs(), [Arch::Amd64, Arch::Arm64, Arch::Riscv64]);
    assert_eq!(manifest.hooks(), [Hook::TcIngress]);
    assert_eq!(manifest.programs[0].priority, 50);
    assert_eq!(
        manifest.programs[0].proceed_on(),
        crate::hook::VerdictSet::default_for(Hook::TcIngress)
    );
}

#[test]
fn each_bad_manifest_is_refused_and_the_key_is_named() {
    for (from, to, wanted) in [
        ("license =", "licence =", "line 5: unknown field `licence`"),
        ("priority = 50", "priorty = 50", "unknown field `priorty`"),
        ("unit = \"packets/s\"", "units = \"x\"", "unknown field `units`"),
        ("key = 1\n", "key = 1.5\n", "floating point"),
        ("priority = 50", "priority = 1001", "program[0].priority: a priority is"),
        ("acme/ratelimit\"\nversion", "Acme/r\"\nversion", "a name is made of a-z"),
        ("version = \"1.4.2\"", "version = \"1.4\"", "line 4"),
        ("version = \"1.4.2\"", "version = \"1.4.2+x\"", "package.version: build metadata"),
        ("GPL-2.0-only", "GPLv2 or so", "package.license: not an SPDX"),
        ("https://example", "http://example", "package.repository"),
        ("\"../include\"", "\"-O3\"", "build.include: write a folder"),
        ("path = \"ratelimit.bpf.o\"", "path = \"../x.o\"", "object[0].path: write a path inside"),
        ("path = \"ratelimit.bpf.o\"", "path = \"/x.o\"", "object[0].path: write a path inside"),
        ("arch = [\"amd64\", \"arm64\"]", "arch = [\"amd64\", \"amd64\"]", "amd64 is served twice"),
        ("arch = [\"amd64\", \"arm64\"]", "arch = [\"i386\"]", "unknown variant `i386`"),
        ("attach = [\"ingress\"]", "attach = [\"egress\"]", "program[0].attach: xdp sees"),
        ("attach = [\"ingress\"]", "attach = []", "program[0].attach"),
        (
            "\"pass\", \"tx\"",
            "\"pass\", \"shot\"",
            "program[0].proceed-on: `shot` is not a verdict",
        ),
        ("default = 1000", "default = 0", "config.rate.default: 0 is outside 1 to 1000000"),
        ("default = 1000", "default = true", "config.rate.default: a u32 is a whole number"),
        ("max = 1_000_000", "max = 4294967296", "config.rate.max"),
        ("global = \"rate_per_second\"\n", "", "either `global` and `type`, or `map`"),
        ("value = \"u8\"", "value = \"u8\"\nmin = 1", "a setting of a map has no `min`"),
        (
            "map = \"blocklist\"\nkey",
            "global = \"a\"\ntype = \"u8\"\nkey",
            "a setting of a global has no `key`",
        ),
        ("[config.rate]", "[config.\"Rate\"]", "a setting's name begins with"),
        (
            "name = \"xdp_ratelimit\"",
            "name = \"xdp ratelimit\"",
            "program[0].name: write a C identifier",
        ),
        ("Limits packets", "Limits\\u0007packets", "package.description: write one line"),
        ("keywords = [\"ddos\", \"limit\"]", "keywords = [\"DDoS\"]", "package.keywords"),
        ("[test]", "[tests]", "unknown field `tests`"),
        ("[migrate.buckets]", "[migrate.blocklist]", "migrate.blocklist: a setting fills this map"),
        ("[migrate.buckets]", "[migrate.\"a b\"]", "migrate.a b: write a C identifier"),
        ("from = \"sources\"", "from = \"\"", "migrate.buckets.from: write a C identifier"),
        ("\"seen.first\"", "\"seen..first\"", "migrate.buckets.drop: write a C identifier"),
    ] {
        assert!(GOOD.contains(from), "{from}");
        let error = Manifest::parse(&GOOD.replacen(from, to, 1))
            .map_or_else(|e| e.to_string(), |_| "accepted".into());
        assert!(error.contains(wanted), "{to}: {error}");
    }
}

#[test]
fn arch_names_include_those_of_uname() {
    assert_eq!(Arch::from_name("x86_64"), Some(Arch::Amd64));
    assert_eq!(Arch::from_name("arm64"), Some(Arch::Arm64));
    assert_eq!(Arch::from_name("vax"), None);
}
