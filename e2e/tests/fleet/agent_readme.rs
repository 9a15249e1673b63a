//! The README's five minutes by hand, run as they are written.

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
    let folder = tempfile::tempdir().unwrap();
    let readme = std::fs::read_to_string(programs::checkout().join("README.md")).unwrap();
    let (_, section) = readme.split_once("## Five minutes by hand").unwrap();
    let (_, block) = section.split_once("```sh\n").unwrap();
    let (block, _) = block.split_once("```").unwrap();
    let (first, commands) = block.split_once('\n').unwrap();
    assert!(first.contains("cargo xtask build"), "the first line builds: {first}");
    let here = folder.path().to_str().unwrap();
    let script = commands.replace("/tmp/", &format!("{here}/"));
    packages::copy_all(folder.path()).unwrap();
    let examples = programs::checkout().join("examples");
    process::run(Command::new("cp").arg("-a").arg(examples).arg(folder.path()))
        .unwrap()
        .expect_success()
        .unwrap();

    let namespace = Namespace::create(&format!("skep-e2e-{}-readme", std::process::id())).unwrap();
    let file = folder.path().join("readme.sh");
    std::fs::write(&file, format!("{PREAMBLE}{script}")).unwrap();
    let path = std::env::var("PATH").unwrap_or_default();
    let skep = programs::find("skep").unwrap();
    // `ip netns exec` gives the script a /sys of its own, so that the pins of the README are nobody else's.
    let mut bash = Command::new("timeout");
    bash.args(["120", "ip", "netns", "exec", namespace.name(), "bash"]).arg(&file);
    bash.current_dir(folder.path());
    bash.env("PATH", format!("{}:{path}", skep.parent().unwrap().display()));
    for name in ["SKEP_SERVER", "SKEP_TOKEN", "SKEP_KEY", "SKEP_CA", "XDG_CONFIG_HOME"] {
        bash.env_remove(name);
    }
    let ended = process::run(&mut bash).unwrap();

    let said = ended.expect_success().unwrap();
    for words in [
        "Published skep/firewall",
        "Runs on edge-07.",
        "guard  skep/firewall 0.1.0",
        "edge0 xdp: detached.",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
}
