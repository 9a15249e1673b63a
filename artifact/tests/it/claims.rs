//! What an author says against what the object is.

use skep_artifact::Manifest;
use skep_artifact::layout::{self, LayoutError};
use skep_artifact::object::ObjectError;

use crate::layout::{MANIFEST, OBJECT};

fn manifest_with(from: &str, to: &str) -> Manifest {
    assert!(MANIFEST.contains(from), "{from}");
    Manifest::parse(&MANIFEST.replace(from, to)).unwrap()
}

#[test]
fn claims_the_object_contradicts_are_refused_when_building() {
    let build = |manifest: &Manifest| {
        let path = manifest.objects[0].path.clone();
        layout::build(manifest, &[(&path, &OBJECT)], Some("x")).map(|_| ()).unwrap_err().to_string()
    };
    for (from, to, wanted) in [
        ("name = \"xdp_limiter\"", "name = \"xdp_missing\"", "claims the program `xdp_missing`"),
        (
            "name = \"tc_mirror\"\ntype = \"tc\"\nattach = [\"ingress\", \"egress\"]",
            "name = \"tc_mirror\"\ntype = \"xdp\"",
            "its section `tc` says otherwise",
        ),
        ("global = \"rate_per_second\"", "global = \"rate\"", "there is no global of that name"),
        ("type = \"u32\"", "type = \"u64\"", "it is a u32"),
        (
            "global = \"rate_per_second\"\ntype = \"u32\"\ndefault = 1000",
            "global = \"seen\"\ntype = \"u64\"",
            "it is not constant",
        ),
        ("map = \"blocklist\"", "map = \"counters\"", "needs lpm_trie"),
        ("key = 1\n", "key = 4\n", "reads key 4"),
        ("\"arm64\"", "\"s390x\"", "s390x is not"),
    ] {
        let error = build(&manifest_with(from, to));
        assert!(error.contains(wanted), "{to}: {error}");
    }
}

#[test]
fn what_is_given_must_be_what_is_named() {
    let manifest = Manifest::parse(MANIFEST).unwrap();
    let path = "out/limiter.bpf.o";
    let build = |objects: &[(&str, &[u8])], readme: Option<&str>| {
        layout::build(&manifest, objects, readme).map(|_| ())
    };
    assert!(matches!(build(&[], Some("x")), Err(LayoutError::ObjectMissing { .. })));
    assert!(matches!(
        build(&[(path, &OBJECT), ("b.o", &OBJECT)], Some("x")),
        Err(LayoutError::ObjectUnnamed { .. })
    ));
    assert!(matches!(build(&[(path, &OBJECT)], None), Err(LayoutError::Readme { named: true })));
    assert!(matches!(
        build(&[(path, b"#!/bin/sh")], Some("x")),
        Err(LayoutError::Object { why: ObjectError::NotElf, .. })
    ));
    let long = "x".repeat(skep_artifact::limits::README_BYTES_MAX + 1);
    assert!(matches!(build(&[(path, &OBJECT)], Some(&long)), Err(LayoutError::TooLarge { .. })));
}

#[test]
fn a_section_of_no_known_name_leaves_the_type_to_the_author() {
    // As L3AF's programs have it; of the same length, so the file stays whole.
    let renamed = |to: &[u8; 9]| {
        let mut object = OBJECT.clone();
        for at in 0..object.len() - 9 {
            if object[at..].starts_with(b"xdp.frags") {
                object[at..at + 9].copy_from_slice(to);
            }
        }
        object
    };
    let manifest = manifest_with("name = \"xdp_limiter\"", "name = \"xdp_plain\"");
    let path = manifest.objects[0].path.clone();
    let build = |object: &[u8]| layout::build(&manifest, &[(&path, object)], Some("x")).map(|_| ());
    build(&renamed(b"own_limit")).unwrap();
    let refused = build(&renamed(b"kprobe/tc")).unwrap_err().to_string();
    assert!(refused.contains("its section `kprobe/tc` says otherwise"), "{refused}");
}
