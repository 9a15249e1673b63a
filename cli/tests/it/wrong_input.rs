//! What is wrong is named, with the exit code the documentation promises, and nothing is half done.

use crate::{Desk, edit};
use std::process::Command;

#[test]
fn a_truncated_object_is_refused_at_every_length() {
    let desk = Desk::new();
    let folder = desk.package("acme/guard", "xdp");
    let whole = std::fs::read(folder.join("guard.bpf.o")).unwrap();
    for len in [0, 3, 16, 63, 64, 200, whole.len() / 2, whole.len() - 1] {
        desk.write("cut.o", &whole[..len]);
        desk.skep(&["inspect", "cut.o"]).fails(1, &["cut.o is not a BPF object that can be used"]);
    }
}

#[test]
fn an_object_of_the_other_byte_order_is_refused_for_this_architecture() {
    let desk = Desk::new();
    let folder = desk.package("acme/guard", "xdp");
    let manifest = folder.join("skep.toml");
    edit(&manifest, "arch = [\"amd64\", \"arm64\", \"riscv64\"]", "arch = [\"s390x\"]");
    desk.skep(&["build", "guard"]).ok();
    let text = desk.skep(&["inspect", "guard/guard.bpf.o"]).ok();
    assert!(text.contains("bpfeb"), "{text}");

    edit(&manifest, "arch = [\"s390x\"]", "arch = [\"amd64\"]");
    edit(&manifest, "[build]\nsource = \"src/guard.bpf.c\"\n", "");
    desk.skep(&["build", "guard"]).fails(1, &["guard.bpf.o", "amd64", "big-endian"]);
}

#[test]
fn an_elf_file_that_is_no_bpf_object_is_named_as_such() {
    let desk = Desk::new();
    let source = desk.write("host.c", "int main(void) { return 0; }");
    let object = desk.path("host.o");
    let compiled = Command::new("clang").arg("-c").arg(source).arg("-o").arg(&object).status();
    assert!(compiled.unwrap().success());
    desk.skep(&["inspect", "host.o"]).fails(1, &["host.o is not a BPF object", "because:"]);
    desk.write(
        "text.o",
        "#!/bin/sh\necho no ELF at all, but long enough to hold a header of one\n",
    );
    desk.skep(&["inspect", "text.o"]).fails(1, &["text.o is not a BPF object"]);
}

#[test]
fn an_unknown_key_of_the_manifest_is_named_with_its_line() {
    let desk = Desk::new();
    let folder = desk.package("acme/guard", "xdp");
    edit(&folder.join("skep.toml"), "readme = ", "reedme = ");
    desk.skep(&["build", "guard"]).fails(1, &["skep.toml", "line 6", "reedme"]);
}

#[test]
fn a_claim_that_the_object_contradicts_is_refused() {
    let desk = Desk::new();
    let folder = desk.package("acme/guard", "xdp");
    edit(&folder.join("skep.toml"), "global = \"blocked_port\"", "global = \"other_port\"");
    desk.skep(&["build", "guard"]).fails(1, &["cannot be put together", "other_port"]);
}

#[test]
fn what_the_compiler_says_is_shown() {
    let desk = Desk::new();
    let folder = desk.package("acme/guard", "xdp");
    edit(&folder.join("src/guard.bpf.c"), "XDP_DROP", "XDP_DORP");
    desk.skep(&["build", "guard"]).fails(1, &["clang refused the source", "XDP_DORP"]);
}

#[test]
fn a_missing_compiler_is_named_with_what_to_install() {
    let desk = Desk::new();
    desk.package("acme/guard", "xdp");
    desk.skep(&["build", "guard", "--clang", "clang-that-is-nowhere"])
        .fails(1, &["clang-that-is-nowhere is not installed", "apt install clang"]);
}

#[test]
fn a_package_that_was_not_built_and_a_folder_without_one_say_what_to_run() {
    let desk = Desk::new();
    desk.skep(&["new", "acme/guard", "--hook", "xdp"]).ok();
    desk.skep(&["inspect", "guard"]).fails(1, &["skep build guard"]);
    std::fs::create_dir(desk.path("empty")).unwrap();
    desk.skep(&["build", "empty"]).fails(1, &["no skep.toml", "skep new"]);
    desk.skep(&["inspect", "nothing.o"]).fails(4, &["no file or folder nothing.o"]);
}

#[test]
fn wrong_words_end_with_the_code_for_usage() {
    let desk = Desk::new();
    desk.skep(&["new", "acme/guard", "--hook", "tcp"]).fails(2, &["xdp, tc-ingress and tc-egress"]);
    desk.skep(&["new", "guard", "--hook", "xdp"]).fails(2, &["namespace/name"]);
    desk.skep(&["fly"]).fails(2, &["fly"]);
    desk.skep(&["node", "detach"]).fails(2, &["--all"]);
}
