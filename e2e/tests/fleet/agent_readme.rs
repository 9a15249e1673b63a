//! The README's blocks of commands, run as they are written.

use std::process::Command;

use skep_e2e::namespace::Namespace;
use skep_e2e::{packages, process, programs};

/// What stands before the README's block, in a folder and a network namespace of our own: the first command that fails
/// ends it, and with it what it started.
const PREAMBLE: &str =
    "set -eu\nexport HOME=\"$PWD\"\ntrap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n";

#[test]
fn every_command_of_the_readme_works_as_written() {
    if !crate::can_run("agent_readme::every_command_of_the_readme_works_as_written") {
        return;
    }
    let block = block_under("## Five minutes by hand");
    let (first, commands) = block.split_once('\n').unwrap();
    assert!(first.contains("cargo xtask build"), "the first line builds: {first}");
    let said = said_by("readme", commands);
    for words in [
        "Published skep/firewall",
        "Runs on edge-07.",
        "guard  skep/firewall 0.1.0",
        "edge0 xdp: detached.",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
}

#[test]
fn one_program_runs_on_this_machine_as_the_readme_says() {
    if !crate::can_run("agent_readme::one_program_runs_on_this_machine_as_the_readme_says") {
        return;
    }
    let said = said_by("one-program", &block_under("## One program on this machine"));
    for words in [
        "Signed skep/ratelimit",
        "skep run --stop run0",
        "xdp_ratelimit  detached",
        "20 ratelimit",
        "Taken off run0 xdp: ratelimit",
        "xdp_ratelimit  0 packets",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
}

/// The first block of shell commands under a heading of the README.
fn block_under(heading: &str) -> String {
    let readme = std::fs::read_to_string(programs::checkout().join("README.md")).unwrap();
    let (_, section) = readme.split_once(heading).unwrap();
    let (_, block) = section.split_once("```sh\n").unwrap();
    block.split_once("```").unwrap().0.to_owned()
}

/// What commands of the README print, in a checkout and a network of their own; all of them succeed.
fn said_by(story: &str, commands: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path().to_str().unwrap();
    let script = commands.replace("/tmp/", &format!("{here}/"));
    packages::copy_all(folder.path()).unwrap();
    let examples = programs::checkout().join("examples");
    process::run(Command::new("cp").arg("-a").arg(examples).arg(folder.path()))
        .unwrap()
        .expect_success()
        .unwrap();

    let namespace = Namespace::create(&format!("skep-e2e-{}-{story}", std::process::id())).unwrap();
    let file = folder.path().join("readme.sh");
    std::fs::write(&file, format!("{PREAMBLE}{script}")).unwrap();
    let path = std::env::var("PATH").unwrap_or_default();
    let skep = programs::find("skep").unwrap();
    // `ip netns exec` gives the script a /sys of its own, so that the pins of the README are nobody else's.
    let mut bash = Command::new("timeout");
    bash.args(["120", "ip", "netns", "exec", namespace.name(), "bash"]).arg(&file);
    bash.current_dir(folder.path());
    bash.env("PATH", format!("{}:{path}", skep.parent().unwrap().display()));
    bash.env("SKEP_RUN_STATE", folder.path().join("run-state"));
    for name in ["SKEP_SERVER", "SKEP_TOKEN", "SKEP_KEY", "SKEP_CA", "XDG_CONFIG_HOME"] {
        bash.env_remove(name);
    }
    process::run(&mut bash).unwrap().expect_success().unwrap()
}
