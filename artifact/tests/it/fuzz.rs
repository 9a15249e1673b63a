//! No bytes make a reader panic, and every reader answers the same question the same way.

use proptest::prelude::*;
use skep_artifact::dsse::Envelope;
use skep_artifact::role::Role;
use skep_artifact::{Digest, Manifest, SecretKey, layout};

use crate::layout::{MANIFEST, good};

/// A document with some bytes replaced: closer to what readers accept than random bytes are.
fn damaged(document: Vec<u8>) -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6).prop_map(
        move |changes| {
            let mut bytes = document.clone();
            for (at, byte) in changes {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            bytes
        },
    )
}

fn signed_role() -> Vec<u8> {
    let role = Role::new("acme".parse().unwrap(), 3, "2027-05-01T00:00:00Z").unwrap();
    role.sign(&[SecretKey::from_seed([1; 32])]).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn a_damaged_manifest_is_refused_or_reads_back_canonically(bytes in damaged(MANIFEST.as_bytes().to_vec())) {
        if let Ok(manifest) = Manifest::parse(&String::from_utf8_lossy(&bytes)) {
            let json = manifest.canonical_json();
            prop_assert_eq!(Manifest::from_canonical_json(&json).unwrap(), manifest);
        }
    }

    #[test]
    fn a_damaged_role_is_refused_unless_it_means_the_same(bytes in damaged(signed_role())) {
        let key = SecretKey::from_seed([1; 32]).public();
        if let Ok(verified) = Role::verify(&bytes, &"acme".parse().unwrap(), &[key], 1) {
            prop_assert_eq!(verified.role().version(), 3);
            prop_assert_eq!(verified.role().targets().count(), 0);
        }
    }

    #[test]
    fn a_damaged_index_is_refused_or_names_what_to_fetch(bytes in damaged(good().index.bytes)) {
        let _ = layout::references(&bytes);
        let _ = layout::image_references(&bytes);
        let _ = layout::open(Digest::of(&bytes), &|_| Some(bytes.clone()));
    }

    #[test]
    fn random_bytes_are_no_envelope(bytes in proptest::collection::vec(any::<u8>(), 0..500)) {
        prop_assert!(Envelope::parse(&bytes).is_err());
    }

    #[test]
    fn what_is_built_opens_to_the_same(
        description in "[a-zA-Z0-9 ,.äöüß€]{1,80}",
        priority in 0u32..=1000,
        rate in 0u32..,
        patch in 0u64..1_000_000,
        readme in "\\PC{0,200}",
    ) {
        let text = MANIFEST
            .replace("Limits packets a second", &description)
            .replace("name = \"xdp_limiter\"", &format!("name = \"xdp_limiter\"\npriority = {priority}"))
            .replace("default = 1000", &format!("default = {rate}"))
            .replace("1.4.2", &format!("1.4.{patch}"));
        let manifest = Manifest::parse(&text).unwrap();
        let object = crate::layout::OBJECT.clone();
        let build = || layout::build(&manifest, &[("out/limiter.bpf.o", &object)], Some(&readme)).unwrap();
        let blobs = build();
        prop_assert_eq!(&build(), &blobs);
        let package = layout::open(blobs.index.digest, &|digest| blobs.get(digest)).unwrap();
        prop_assert_eq!(&package.manifest, &manifest);
        prop_assert_eq!(package.readme.as_deref(), Some(readme.as_str()));
        prop_assert_eq!(&package.objects[0].bytes, &object);
    }
}
