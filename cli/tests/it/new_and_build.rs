//! From nothing to an object that the kernel takes.

use crate::Desk;
use std::path::Path;
use std::process::Command;

/// Loads an object into the kernel with somebody else's loader, and takes it out again.
#[track_caller]
fn loads(object: &Path, kind: &str) {
    let name = object.file_stem().unwrap().to_str().unwrap().replace(['.', '-'], "_");
    let pin = format!("/sys/fs/bpf/skep_cli_{}_{name}", std::process::id());
    let load = ["prog", "load", object.to_str().unwrap(), &pin, "type", kind];
    let output = Command::new("bpftool").args(load).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    std::fs::remove_file(pin).unwrap();
}

#[test]
fn a_new_package_builds_and_loads_for_every_hook() {
    let desk = Desk::new();
    for (hook, kind) in [("xdp", "xdp"), ("tc-ingress", "classifier"), ("tc-egress", "classifier")]
    {
        let folder = desk.package(&format!("acme/guard-{hook}"), hook);
        assert!(folder.join("tests/blocked_port.toml").is_file());
        loads(&folder.join(format!("guard-{hook}.bpf.o")), kind);
    }
}

#[test]
fn building_says_what_the_object_does() {
    let desk = Desk::new();
    desk.package("acme/guard", "xdp");
    let built = desk.skep(&["--json", "build", "guard"]).json();
    assert_eq!(built["name"], "acme/guard");
    let facts = &built["objects"][0]["facts"];
    assert_eq!(facts["programs"][0]["name"], "xdp_guard");
    assert_eq!(facts["programs"][0]["kind"], "xdp");
    assert_eq!(facts["has_btf"], true);
    assert_eq!(facts["license"], "GPL");

    let text = desk.skep(&["inspect", "guard/guard.bpf.o"]).ok();
    assert!(text.contains("bpfel · BTF · GPL"), "{text}");
    assert!(text.contains("constants  blocked_port u16"), "{text}");
    assert!(!text.contains('\u{1b}'), "a pipe gets no colours: {text}");
    let folder = desk.skep(&["inspect", "guard"]).ok();
    assert!(folder.contains("UDP destination port to drop"), "{folder}");
}

#[test]
fn two_builds_in_two_folders_give_the_same_package() {
    let (here, there) = (Desk::new(), Desk::new());
    let index = |desk: &Desk| {
        desk.package("acme/guard", "xdp");
        desk.skep(&["--json", "build", "guard"]).json()["index"].clone()
    };
    assert_eq!(index(&here), index(&there));
}

#[test]
fn an_existing_folder_is_not_touched() {
    let desk = Desk::new();
    desk.write("guard/notes.txt", "mine");
    desk.skep(&["new", "acme/guard", "--hook", "xdp"]).fails(2, &["exists already", "--dir"]);
    assert!(!desk.path("guard/skep.toml").exists());
}

#[test]
fn a_command_of_the_author_may_build_instead_of_clang() {
    let desk = Desk::new();
    let folder = desk.package("acme/guard", "xdp");
    std::fs::rename(folder.join("guard.bpf.o"), folder.join("made-elsewhere.o")).unwrap();
    crate::edit(
        &folder.join("skep.toml"),
        "source = \"src/guard.bpf.c\"",
        "command = [\"cp\", \"made-elsewhere.o\", \"guard.bpf.o\"]",
    );
    desk.skep(&["build", "guard"]).ok();
}
