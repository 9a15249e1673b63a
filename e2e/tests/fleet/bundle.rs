//! Packages carried in a file to a registry that no network reaches: everything is verified on the way in, and what
//! arrives is what left.

use skep_e2e::stage::Stage;
use skep_e2e::world::World;

#[test]
fn a_bundle_carries_packages_to_another_registry_and_nothing_changed_gets_in() {
    if !crate::can_run(
        "bundle::a_bundle_carries_packages_to_another_registry_and_nothing_changed_gets_in",
    ) {
        return;
    }
    let stage = Stage::set().unwrap();
    let here = &stage.world.operator;
    stage.publish("firewall").unwrap();
    stage.publish("flowlog").unwrap();
    let key = stage.publisher.public.as_str();
    let sbom = here.write("sbom.json", r#"{"spdxVersion":"SPDX-2.3","name":"firewall"}"#).unwrap();
    let signer = stage.publisher.argument().unwrap();
    let attest = ["attest", "add", "skep/firewall", "--sbom", sbom.to_str().unwrap()];
    here.skep(&[&attest[..], &["--key", signer]].concat()).unwrap();
    let file = here.file("bundle.tar");
    let path = file.to_str().unwrap();
    let packages = ["skep/firewall", "skep/flowlog@^0.1"];
    let create = ["bundle", "create", packages[0], packages[1], "--key", key, "--out", path];
    assert!(here.skep(&create).unwrap().starts_with("Bundled"));
    // The same packages are the same bytes, and a file that is there is not overwritten.
    here.try_skep(&create).unwrap().expect_code(2).unwrap();
    let again = here.file("again.tar");
    let mut second = create;
    second[7] = again.to_str().unwrap();
    here.skep(&second).unwrap();
    assert_eq!(std::fs::read(&again).unwrap(), std::fs::read(&file).unwrap());

    let elsewhere = World::create().unwrap();
    let there = &elsewhere.operator;
    let shown = there.skep_json(&["bundle", "verify", path, "--key", key]).unwrap();
    assert_eq!(shown["packages"].as_array().unwrap().len(), 2);
    // A policy that asks for the log is satisfied by the proofs that came along, and by those of no other log.
    let log = here.skep(&["log", "key"]).unwrap();
    for (log, code) in [(log.as_str(), 0), (there.skep(&["log", "key"]).unwrap().as_str(), 3)] {
        let policy = format!(
            "require-log = true\n{}\n[log]\nkey = \"{}\"\n",
            stage.trusting_policy(),
            log.trim()
        );
        let policy = there.write("policy.toml", &policy).unwrap();
        let verify = ["bundle", "verify", path, "--policy", policy.to_str().unwrap()];
        let said = there.try_skep(&verify).unwrap().expect_code(code).unwrap();
        assert_eq!(code == 3, said.contains("transparency log"), "{said}");
    }
    let said = there.try_skep(&["bundle", "load", path, "--key", key]).unwrap();
    assert!(said.expect_code(4).unwrap().contains("--claim"));

    // One changed byte, wherever it is, and nothing is stored.
    let whole = std::fs::read(&file).unwrap();
    let changed = here.file("changed.tar");
    let at = whole.len() / 2;
    let mut bytes = whole.clone();
    bytes[at] ^= 1;
    std::fs::write(&changed, &bytes).unwrap();
    let load = ["bundle", "load", changed.to_str().unwrap(), "--key", key, "--claim"];
    there.try_skep(&load).unwrap().expect_code(3).unwrap();
    std::fs::write(&changed, &whole[..whole.len() - 4096]).unwrap();
    there.try_skep(&load).unwrap().expect_code(3).unwrap();
    let stranger = stage.stranger().unwrap();
    let theirs = ["bundle", "load", path, "--key", &stranger.public, "--claim"];
    there.try_skep(&theirs).unwrap().expect_code(3).unwrap();
    assert_eq!(there.skep_json(&["search"]).unwrap()["total"], 0);

    let receipts = there.skep_json(&["bundle", "load", path, "--key", key, "--claim"]).unwrap();
    assert_eq!(receipts[0]["added"].as_array().unwrap().len(), 2, "{receipts}");
    assert_eq!(receipts[0]["attestations"], 2, "the document and the signed statement: {receipts}");
    let receipts = there.skep_json(&["bundle", "load", path, "--key", key]).unwrap();
    assert_eq!(receipts[0]["present"].as_array().unwrap().len(), 2, "{receipts}");
    assert_eq!(receipts[0]["attestations"], 0, "{receipts}");
    let verify = ["attest", "verify", "skep/firewall", "--type", "sbom", "--signer", key];
    there.skep(&verify).unwrap();

    // What came along can be narrowed and counted there.
    let found = |words: &[&str]| there.skep_json(&[&["search"], words].concat()).unwrap();
    assert_eq!(found(&["--facets"])["packages"], 2);
    assert!(there.skep(&["search", "--facets"]).unwrap().contains("--program-type"));
    assert_eq!(found(&["--namespace", "skep", "--kernel", "6.18"])["total"], 2);
    assert_eq!(found(&["--namespace", "skep", "--kernel", "3.1"])["total"], 0);
    assert_eq!(
        found(&["firewall", "--program-type", "xdp"])["packages"][0]["name"],
        "skep/firewall"
    );
    assert_eq!(found(&["--arch", "s390x"])["total"], 0);

    let pull = |operator: &skep_e2e::operator::Operator, out: &str| {
        operator.skep(&["pull", "skep/firewall@0.1.0", "--out", out, "--key", key]).unwrap();
        std::fs::read(operator.file(&format!("{out}/index.json"))).unwrap()
    };
    assert_eq!(pull(here, "here"), pull(there, "there"));
}
