//! What a publisher can get wrong or try: objects, manifests, paths, uploads, tokens, a full disk. Each is refused in
//! words, and nothing of it stays.

#![expect(
    clippy::unwrap_used,
    reason = "what the tests call panics as they do: with what was said"
)]

use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use skep_e2e::process::{self, Finished};
use skep_e2e::stage::Stage;
use skep_e2e::{programs, wait};

/// Lets every packet pass.
const HARMLESS: &str = "
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
SEC(\"xdp\") int probe(struct xdp_md *ctx) { return XDP_PASS; }
char _license[] SEC(\"license\") = \"GPL\";
";

/// Bytes above every limit of the design: an object may have 16 MiB, a package 32 MiB.
const OVERSIZE: u64 = (32 << 20) + 1;

/// A package without a `[build]`, whose object is what somebody put there.
fn bare_package(stage: &Stage, object: &[u8], change: impl Fn(String) -> String) -> PathBuf {
    let folder = stage.world.folder().join("bare");
    std::fs::create_dir_all(&folder).unwrap();
    let manifest = "[package]\nname = \"skep/bare\"\nversion = \"1.0.0\"\nlicense = \"GPL-2.0-only\"\n\
         description = \"Not what it says.\"\n\n[[object]]\npath = \"bare.bpf.o\"\narch = [\"amd64\", \"arm64\"]\n\n\
         [[program]]\nname = \"probe\"\ntype = \"xdp\"\nattach = [\"ingress\"]\n";
    std::fs::write(folder.join("skep.toml"), change(manifest.to_owned())).unwrap();
    std::fs::write(folder.join("bare.bpf.o"), object).unwrap();
    folder
}

/// An object made by clang for one byte order: `bpfel` or `bpfeb`.
pub(crate) fn compile(folder: &Path, source: &str, target: &str) -> Vec<u8> {
    let (input, output) = (folder.join("probe.bpf.c"), folder.join("probe.bpf.o"));
    std::fs::write(&input, source).unwrap();
    let mut clang = Command::new("clang");
    clang.args(["-O2", "-g", "-target", target, "-idirafter", "/usr/include/x86_64-linux-gnu"]);
    clang.args(["-idirafter", "/usr/include/aarch64-linux-gnu", "-c"]).arg(&input);
    process::run(clang.arg("-o").arg(&output)).unwrap().expect_success().unwrap();
    std::fs::read(output).unwrap()
}

fn publish(stage: &Stage, folder: &Path) -> Finished {
    let key = stage.publisher.argument().unwrap();
    stage.world.operator.try_skep(&["publish", folder.to_str().unwrap(), "--key", key]).unwrap()
}

/// How many packages the registry shows.
fn published(stage: &Stage) -> u64 {
    stage.world.operator.skep_json(&["search"]).unwrap()["total"].as_u64().unwrap()
}

#[track_caller]
fn says(said: &str, expected: &[&str]) {
    for words in expected {
        assert!(said.contains(words), "{words:?} is not in:\n{said}");
    }
}

#[test]
fn objects_that_are_no_bpf_objects_of_this_machine_are_refused_and_nothing_is_published() {
    if !crate::can_run(
        "hostile::objects_that_are_no_bpf_objects_of_this_machine_are_refused_and_nothing_is_published",
    ) {
        return;
    }
    let stage = Stage::set().unwrap();
    let good = compile(stage.world.folder(), HARMLESS, "bpfel");
    let foreign = std::fs::read(programs::find("skep").unwrap()).unwrap();
    let cases: [(&str, Vec<u8>, &[&str]); 5] = [
        (
            "truncated",
            good[..good.len() / 2].to_vec(),
            &["bare.bpf.o", "cut short", "build it again"],
        ),
        ("the other byte order", compile(stage.world.folder(), HARMLESS, "bpfeb"), &["big-endian"]),
        ("a program for this machine", foreign[..1 << 20].to_vec(), &["bare.bpf.o", "not for BPF"]),
        ("no ELF", b"#!/bin/sh\necho hello\n".to_vec(), &["bare.bpf.o", "not an ELF"]),
        ("too large", vec![0; (16 << 20) + 1], &["bare.bpf.o", "larger than"]),
    ];
    for (case, object, expected) in cases {
        let folder = bare_package(&stage, &object, |manifest| manifest);
        let refused = publish(&stage, &folder);
        assert!(refused.code == 1 || refused.code == 3, "{case}: {refused}");
        says(&refused.stderr, expected);
        assert!(!refused.stderr.contains("Uploading"), "{case}: {}", refused.stderr);
    }
    assert_eq!(published(&stage), 0);
    let folder = bare_package(&stage, &good, |manifest| manifest);
    publish(&stage, &folder).expect_success().unwrap();
    assert_eq!(published(&stage), 1);
}

#[test]
fn a_manifest_with_an_unknown_key_or_a_path_out_of_its_folder_is_refused_by_name() {
    if !crate::can_run(
        "hostile::a_manifest_with_an_unknown_key_or_a_path_out_of_its_folder_is_refused_by_name",
    ) {
        return;
    }
    let stage = Stage::set().unwrap();
    let object = compile(stage.world.folder(), HARMLESS, "bpfel");
    let secret = stage.publisher.argument().unwrap();
    let cases: [(&str, &str, &[&str]); 5] = [
        ("attach = [", "priorty = 10\nattach = [", &["skep.toml", "priorty", "line 14"]),
        (
            "[[object]]",
            "readme = \"../operator/publisher.key\"\n[[object]]",
            &["package.readme", "without `..`"],
        ),
        (
            "[[object]]",
            &format!("readme = \"{secret}\"\n[[object]]"),
            &["package.readme", "a path inside"],
        ),
        ("\"bare.bpf.o\"", "\"../bare/bare.bpf.o\"", &["path", ".."]),
        ("\"skep/bare\"", "\"skep/../admin\"", &["name", "skep/../admin"]),
    ];
    for (from, to, expected) in cases {
        let folder = bare_package(&stage, &object, |manifest| manifest.replacen(from, to, 1));
        let refused = publish(&stage, &folder);
        assert_eq!(refused.code, 1, "{refused}");
        says(&refused.stderr, expected);
    }
    assert_eq!(published(&stage), 0);
}

#[test]
fn an_oversize_upload_is_refused_and_leaves_nothing() {
    if !crate::can_run("hostile::an_oversize_upload_is_refused_and_leaves_nothing") {
        return;
    }
    let stage = Stage::set().unwrap();
    let registry = &stage.world.registry;
    let file = stage.world.folder().join("oversize");
    std::fs::File::create(&file).unwrap().set_len(OVERSIZE).unwrap();
    let token = std::fs::read_to_string(registry.admin_token()).unwrap();
    let upload = |how: &[&str]| {
        let mut curl = stage.world.hub.command(Path::new("/usr/bin/curl"));
        curl.args([
            "--silent",
            "--show-error",
            "--write-out",
            "\n%{http_code}",
            "--request",
            "PUT",
        ]);
        curl.args(["--header", &format!("authorization: Bearer {}", token.trim())]).args(how);
        curl.arg("--cacert").arg(registry.ca()).arg("--upload-file").arg(&file);
        curl.arg(format!("{}/v1/blobs/sha256:{}", registry.address(), "0".repeat(64)));
        process::run(&mut curl).unwrap()
    };
    // With its length told beforehand, and without.
    for how in [&[][..], &["--header", "transfer-encoding: chunked"]] {
        let answer = upload(how);
        says(&answer.stdout, &["413", "request.too_large"]);
    }
    let data = stage.world.folder().join("registry");
    let mut find = Command::new("find");
    let left = process::run(find.arg(&data).args(["-type", "f", "-size", "+4096k"])).unwrap();
    assert_eq!(left.expect_success().unwrap(), "", "no part of an upload stays");
    stage.publish("firewall").unwrap();
}

#[test]
fn a_wrong_token_opens_nothing_and_says_where_tokens_come_from() {
    if !crate::can_run("hostile::a_wrong_token_opens_nothing_and_says_where_tokens_come_from") {
        return;
    }
    let mut stage = Stage::set().unwrap();
    let wrong = format!("skep_{}", "0".repeat(64));
    let file = stage.world.operator.write("wrong.token", &wrong).unwrap();
    let package = stage.package("firewall");
    let key = stage.publisher.argument().unwrap();
    for words in [
        &["publish", package.to_str().unwrap(), "--key", key][..],
        &["node", "list"],
        &["node", "token", "create", "--label", "role=edge"],
        &["namespace", "claim", "mine", "--key", &stage.publisher.public],
    ] {
        let mut command = stage.world.operator.command(words).unwrap();
        let refused = process::run(command.env("SKEP_TOKEN_FILE", &file)).unwrap();
        let said = refused.expect_code(3).unwrap();
        says(&said, &["needs a token", "SKEP_TOKEN"]);
        assert!(!said.contains(&wrong), "a token is never repeated: {said}");
    }
    assert_eq!(published(&stage), 0);

    let index = stage.world.add_node("edge-1").unwrap();
    let node = &stage.world.nodes[index];
    let refused = node.enrol(&stage.world.registry, &format!("skepn_{}", "0".repeat(64)), &[]);
    let said = format!("{:#}", refused.unwrap_err());
    says(&said, &["node token", "skep node token create"]);
    let fleet = stage.world.operator.skep_json(&["node", "list"]).unwrap();
    assert!(fleet["nodes"].as_array().unwrap().is_empty());
}

/// A file system of a few megabytes over the registry's data folder.
struct SmallDisk {
    at: PathBuf,
}

impl SmallDisk {
    fn over(at: &Path) -> Self {
        mount("tmpfs", at, "tmpfs", MountFlags::empty(), Some(c"size=4m")).unwrap();
        Self { at: at.to_owned() }
    }

    fn filler(&self) -> PathBuf {
        self.at.join("filler")
    }

    /// Fills the disk but for `room` bytes.
    fn fill(&self, room: u64) {
        let page = [0_u8; 4096];
        let mut file = std::fs::File::create(self.filler()).unwrap();
        let mut written = 0;
        while std::io::Write::write_all(&mut file, &page).is_ok() {
            written += page.len() as u64;
        }
        file.set_len(written.saturating_sub(room)).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // The registry may still hold files; the file system goes with it.
        let _ = unmount(&self.at, UnmountFlags::DETACH);
    }
}

#[test]
fn a_disk_that_fills_at_any_moment_of_a_publish_refuses_it_whole_and_loses_nothing() {
    if !crate::can_run(
        "hostile::a_disk_that_fills_at_any_moment_of_a_publish_refuses_it_whole_and_loses_nothing",
    ) {
        return;
    }
    let mut stage = Stage::set().unwrap();
    stage.publish("ratelimit").unwrap();
    let (data, backup) =
        (stage.world.folder().join("registry"), stage.world.folder().join("backup"));
    stage.world.registry.stop().unwrap();
    stage.world.registry.copy_data(&backup).unwrap();
    let disk = SmallDisk::over(&data);
    let mut copy = Command::new("cp");
    let copied = process::run(copy.arg("-a").arg(backup.join(".")).arg(&data)).unwrap();
    copied.expect_success().unwrap();
    stage.world.registry.start_again(&stage.world.hub).unwrap();

    let operator = &stage.world.operator;
    let (mut refusals, folder) = (0, stage.package("firewall"));
    for room in (0..40).map(|step| step * 16 * 1024) {
        disk.fill(room);
        let ended = publish(&stage, &folder);
        let shown = operator.try_skep(&["info", "skep/firewall"]).unwrap();
        if ended.code == 0 {
            shown.expect_success().unwrap();
            break;
        }
        says(&ended.stderr, &["disk is full", "Nothing of this request was stored"]);
        shown.expect_code(4).unwrap();
        operator.skep(&["info", "skep/ratelimit"]).unwrap();
        refusals += 1;
    }
    assert!(refusals > 1, "the disk was full, and once it was not");
    std::fs::remove_file(disk.filler()).unwrap();
    wait::until("it is published once there is room", wait::PATIENCE, || {
        let ended = publish(&stage, &folder);
        Ok((ended.code == 0 || ended.stderr.contains("published already")).then_some(()))
    })
    .unwrap();
    stage.publish_version("firewall", "0.1.1").unwrap();
    assert_eq!(published(&stage), 2);
}

#[test]
fn a_pull_of_a_package_that_was_changed_in_the_registry_is_refused_and_writes_nothing() {
    if !crate::can_run(
        "hostile::a_pull_of_a_package_that_was_changed_in_the_registry_is_refused_and_writes_nothing",
    ) {
        return;
    }
    let stage = Stage::set().unwrap();
    stage.publish("firewall").unwrap();
    let tampered = stage.world.registry.tamper_with_layers().unwrap();
    let operator = &stage.world.operator;
    let key = &stage.publisher.public;
    let words = ["pull", "skep/firewall@0.1.0", "--out", "pulled", "--key", key];
    let said = operator.try_skep(&words).unwrap().expect_code(3).unwrap();
    says(&said, &["other bytes than were asked for", "Nothing was kept"]);
    assert!(!operator.file("pulled").exists());

    tampered.undo().unwrap();
}
