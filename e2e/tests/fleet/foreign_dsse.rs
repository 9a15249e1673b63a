//! What is signed here is verified by a library that others wrote: every kind of DSSE envelope a registry serves.

use std::process::Command;

use skep_e2e::stage::{self, Stage};
use skep_e2e::{process, programs};

const NAME: &str = "foreign_dsse::securesystemslib_verifies_every_kind_of_envelope_we_sign";

#[test]
fn securesystemslib_verifies_every_kind_of_envelope_we_sign() {
    if !crate::can_run(NAME) {
        return;
    }
    let Some(python) = crate::trust::tool("python-tuf-7.0.0/bin/python") else {
        crate::skip(NAME, "securesystemslib is not installed; `cargo xtask setup` installs it");
        return;
    };
    let stage = Stage::set().unwrap();
    let (publisher, operator) =
        (stage.publisher.argument().unwrap(), stage.operator.argument().unwrap());
    let skep = |words: &[&str]| stage.world.operator.skep(words).unwrap();
    let folder = stage.package("firewall");
    skep(&["publish", folder.to_str().unwrap(), "--key", publisher, "--provenance"]);
    let members = [stage::guard("skep/firewall@=0.1.0", "enforce")];
    let policy = stage::policy("guard", "role=edge", "xdp", &members)
        .replace("programs:", "approval: { before: [canary], by: 1 }\nprograms:");
    stage.apply("guard.yaml", &policy).unwrap();
    skep(&["approve", "guard", "--wave", "canary", "--key", operator]);
    let words = ["revoke", "skep/firewall@0.1.0", "--reason", "it was bad"];
    let revoked = [&words[..], &["--key", publisher]].concat();
    let revoked = stage.world.operator.skep_json(&revoked).unwrap();
    let lift = ["--lift", revoked["digest"].as_str().unwrap(), "--key", operator];
    skep(&[&words[..], &lift].concat());

    let mut check = Command::new("nsenter");
    check
        .arg(format!("--net={}", stage.world.hub.path().display()))
        .arg("--")
        .arg(python)
        .arg(programs::checkout().join("e2e/foreign/dsse_check.py"))
        .arg(stage.world.registry.address())
        .arg(stage.world.registry.admin_token())
        .args(["skep/firewall", "0.1.0", &stage.publisher.public, &stage.operator.public])
        .env("SSL_CERT_FILE", stage.world.registry.ca());
    let said = process::run(&mut check).unwrap().expect_success().unwrap();
    let mut kinds: Vec<&str> = said.lines().filter_map(|line| line.split(' ').next()).collect();
    kinds.sort_unstable();
    assert_eq!(kinds, ["approval", "attestation", "lift", "policy", "revocation", "set"], "{said}");
}
