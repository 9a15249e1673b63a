//! Clients that others wrote: skopeo inspects and copies what our publisher pushed.

use std::process::Command;

use skep_e2e::process;
use skep_e2e::stage::Stage;

#[test]
fn skopeo_inspects_and_copies_a_published_package() {
    if !crate::can_run("foreign::skopeo_inspects_and_copies_a_published_package") {
        return;
    }
    let stage = Stage::set().unwrap();
    stage.publish("firewall").unwrap();
    let certificates = stage.world.folder().join("certificates");
    std::fs::create_dir(&certificates).unwrap();
    std::fs::copy(stage.world.registry.ca(), certificates.join("ca.crt")).unwrap();
    let host = stage
        .world
        .registry
        .address()
        .strip_prefix("https://")
        .expect("TLS outside loopback")
        .to_owned();
    let image = format!("docker://{host}/skep/firewall:0.1.0");
    let skopeo = |words: &[&str]| {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", stage.world.hub.path().display())).args([
            "--",
            "skopeo",
            "--insecure-policy",
        ]);
        process::run(command.args(words)).unwrap().expect_success().unwrap()
    };
    let certificates = certificates.to_str().unwrap();

    let inspected = skopeo(&["inspect", "--cert-dir", certificates, &image]);
    let inspected: serde_json::Value = serde_json::from_str(&inspected).unwrap();
    assert_eq!(inspected["Architecture"], "amd64");
    assert!(inspected["RepoTags"].as_array().unwrap().iter().any(|tag| tag == "0.1.0"));

    let copy = stage.world.folder().join("copy");
    let target = format!("oci:{}:0.1.0", copy.display());
    skopeo(&["copy", "--all", "--src-cert-dir", certificates, &image, &target]);
    let raw = skopeo(&["inspect", "--raw", &target]);
    let index: serde_json::Value = serde_json::from_str(&raw).unwrap();
    assert!(!index["manifests"].as_array().unwrap().is_empty());
}
