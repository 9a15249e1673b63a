//! Role files that verify, and what even an accepted key may not say.

use super::*;

const EXPIRES: &str = "2027-05-01T00:00:00Z";

fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed([seed; 32])
}

fn acme() -> Namespace {
    "acme".parse().unwrap()
}

fn target(package: &str, version: &str, release: u64) -> Target {
    Target {
        package: package.parse().unwrap(),
        version: version.parse().unwrap(),
        index: Digest::of(version.as_bytes()),
        length: 1234,
        release,
        hooks: vec![Hook::Xdp],
        arch: vec![Arch::Amd64],
    }
}

fn role() -> Role {
    let mut role = Role::new(acme(), 7, EXPIRES).unwrap();
    role.add(target("acme/ratelimit", "1.4.2", 9)).unwrap();
    role.add(target("acme/ratelimit", "1.4.3", 10)).unwrap();
    role
}

/// Signs any `signed` value, as a malicious holder of an accepted key could.
fn forge(signed: &Value, keys: &[SecretKey]) -> Vec<u8> {
    let message = json::canonical(signed).unwrap();
    let signatures: Vec<_> = keys
        .iter()
        .map(|key| SignatureJson {
            keyid: key.public().key_id(),
            sig: hex::encode(key.sign(&message)),
        })
        .collect();
    serde_json::to_vec(&RoleFile { signed: signed.clone(), signatures }).unwrap()
}

#[test]
fn a_signed_role_verifies_and_reads_back() {
    let bytes = role().sign(&[key(1), key(2)]).unwrap();
    let verified =
        Role::verify(&bytes, &acme(), &[key(1).public(), key(2).public(), key(3).public()], 2)
            .unwrap();
    assert_eq!(verified.role(), &role());
    assert_eq!(verified.signed_by().len(), 2);
    let found =
        role().target(&"acme/ratelimit".parse().unwrap(), &"1.4.2".parse().unwrap()).cloned();
    assert_eq!(found, Some(target("acme/ratelimit", "1.4.2", 9)));
    assert_eq!(role().next_release(&"acme/ratelimit".parse().unwrap()), 11);
    assert_eq!(role().next_release(&"acme/other".parse().unwrap()), 1);
    assert_eq!(role().next(EXPIRES).unwrap().version(), 8);
    assert_eq!(Role::read_unverified(&bytes, &acme()), Ok(role()));
}

#[test]
fn signatures_are_judged_before_the_content() {
    let bytes = role().sign(&[key(1)]).unwrap();
    let one = [key(1).public()];
    let two = [key(1).public(), key(2).public()];
    let verify =
        |bytes: &[u8], keys: &[PublicKey], threshold| Role::verify(bytes, &acme(), keys, threshold);
    assert!(matches!(
        verify(&bytes, &two, 2),
        Err(RoleError::Threshold { valid: 1, threshold: 2, .. })
    ));
    assert!(matches!(verify(&bytes, &two[1..], 1), Err(RoleError::Threshold { valid: 0, .. })));
    assert!(matches!(verify(&bytes, &one, 0), Err(RoleError::Unverifiable { .. })));
    let doubled = role().sign(&[key(1), key(1)]).unwrap();
    assert!(matches!(verify(&doubled, &two, 2), Err(RoleError::DuplicateKey { .. })));
    let changed =
        String::from_utf8(bytes.clone()).unwrap().replace("\"version\":7", "\"version\":8");
    assert!(matches!(verify(changed.as_bytes(), &one, 1), Err(RoleError::BadSignature { .. })));
    let twice =
        String::from_utf8(bytes).unwrap().replace("\"version\":7", "\"version\":7,\"version\":7");
    assert!(matches!(
        verify(twice.as_bytes(), &one, 1),
        Err(RoleError::Json(JsonError::Syntax { .. }))
    ));
    assert!(matches!(
        verify(&vec![b' '; MANIFEST_JSON_BYTES_MAX + 1], &one, 1),
        Err(RoleError::Json(JsonError::TooLong { .. }))
    ));
}

#[test]
fn what_an_accepted_key_may_not_say_is_refused_by_name() {
    let good = serde_json::to_value(role().to_json()).unwrap();
    let refusal = |change: &dyn Fn(&mut Value)| {
        let mut signed = good.clone();
        change(&mut signed);
        Role::verify(&forge(&signed, &[key(1)]), &acme(), &[key(1).public()], 1).map(|_| ())
    };
    assert_eq!(refusal(&|_| ()), Ok(()));
    assert_eq!(refusal(&|s| s["x-unknown"] = "tolerated".into()), Ok(()));
    let path = "acme/ratelimit/1.4.2";
    let moved = |to: &'static str| {
        refusal(&move |s| {
            let target = s["targets"][path].clone();
            s["targets"] = serde_json::json!({ to: target });
        })
    };
    assert!(matches!(refusal(&|s| s["_type"] = "root".into()), Err(RoleError::Type { .. })));
    assert!(matches!(
        refusal(&|s| s["spec_version"] = "2.0".into()),
        Err(RoleError::SpecVersion { .. })
    ));
    assert!(matches!(refusal(&|s| s["version"] = 0.into()), Err(RoleError::VersionZero)));
    assert!(matches!(refusal(&|s| s["version"] = (-1).into()), Err(RoleError::Json(_))));
    assert!(matches!(refusal(&|s| s["expires"] = "never".into()), Err(RoleError::Expires { .. })));
    assert!(matches!(
        refusal(&|s| s["delegations"] = serde_json::json!({})),
        Err(RoleError::Delegates)
    ));
    for outside in [
        "other/ratelimit/1.4.2",
        "acme/1.4.2",
        "acme/ratelimit",
        "acme/../x/1.4.2",
        "acme/a/b/1.0.0",
    ] {
        assert!(matches!(moved(outside), Err(RoleError::Path { .. })), "{outside}");
    }
    assert!(matches!(moved("acme/ratelimit/1.4.4"), Err(RoleError::VersionMismatch { .. })));
    let release = |s: &mut Value| s["targets"][path]["custom"]["release"] = 10.into();
    assert!(matches!(refusal(&release), Err(RoleError::ReleaseTwice { release: 10, .. })));
    let hash = |s: &mut Value| s["targets"][path]["hashes"]["sha256"] = "00".into();
    assert!(matches!(refusal(&hash), Err(RoleError::Hash { .. })));
    let many = |s: &mut Value| {
        let target = s["targets"][path].clone();
        let paths = (0..=TARGETS_MAX).map(|n| (format!("acme/x/0.0.{n}"), target.clone()));
        s["targets"] = Value::Object(paths.collect());
    };
    assert!(matches!(refusal(&many), Err(RoleError::TooManyTargets { .. } | RoleError::Json(_))));
}

#[test]
fn a_publisher_cannot_write_outside_the_namespace() {
    let mut role = role();
    assert!(matches!(role.add(target("other/x", "1.0.0", 1)), Err(RoleError::Path { .. })));
    assert!(matches!(
        role.add(target("acme/ratelimit", "2.0.0", 10)),
        Err(RoleError::ReleaseTwice { .. })
    ));
    assert!(matches!(Role::new(acme(), 0, EXPIRES), Err(RoleError::VersionZero)));
    assert!(matches!(Role::new(acme(), 1, "2027-05-01"), Err(RoleError::Expires { .. })));
}
