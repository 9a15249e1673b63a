//! Keys, settings, policy files, and a registry that is not there.

use crate::Desk;
use std::os::unix::fs::PermissionsExt as _;

#[test]
fn a_key_is_made_once_shown_again_and_never_overwritten() {
    let desk = Desk::new();
    let made = desk.skep(&["--json", "key", "new", "--out", "a.key"]).json();
    assert!(made["public_key"].as_str().unwrap().starts_with("skep-ed25519:"));
    let mode = std::fs::metadata(desk.path("a.key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
    let before = std::fs::read(desk.path("a.key")).unwrap();
    desk.skep(&["key", "new", "--out", "a.key"]).fails(1, &["exists already", "--out"]);
    assert_eq!(std::fs::read(desk.path("a.key")).unwrap(), before);
    assert_eq!(desk.skep(&["--json", "key", "show", "a.key"]).json(), made);
    let public = desk.skep(&["key", "show", "a.key", "--public"]).ok();
    assert_eq!(public.strip_suffix('\n'), made["public_key"].as_str());
    let text = desk.skep(&["key", "show", "a.key"]).ok();
    assert!(!text.contains("skep-ed25519-secret:"), "the secret is never shown: {text}");
}

#[test]
fn without_a_registry_the_settings_are_asked_for() {
    let desk = Desk::new();
    desk.skep(&["search"]).fails(2, &["No registry is set", "skep login"]);
    desk.skep(&["--server", "http://registry.example:7600", "search"]).fails(2, &["https://"]);
}

#[test]
fn a_registry_that_does_not_answer_is_unreachable() {
    let desk = Desk::new();
    // A port that was free a moment ago and that nobody listens on.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let server = format!("http://127.0.0.1:{port}");
    let ended = desk.skep_with(&["search"], &[("SKEP_SERVER", &server)]);
    ended.fails(5, &["could not be reached", "Connection refused"]);
    desk.skep(&["--server", &server, "--json", "node", "list"]).fails(5, &["could not be reached"]);
}

#[test]
fn a_publish_without_a_key_says_how_to_make_one() {
    let desk = Desk::new();
    desk.package("acme/guard", "xdp");
    desk.skep(&["--server", "http://127.0.0.1:1", "publish", "guard"])
        .fails(1, &["No key to sign with", "skep key new"]);
}

#[test]
fn policy_files_are_checked_without_a_registry() {
    let desk = Desk::new();
    let policy = "kind: Policy\nname: edge\nnodes: { matchLabels: { role: edge } }\n\
        attach: { interfaces: { match: [\"eth*\"] }, hook: xdp }\n\
        programs:\n  - { name: guard, package: skep/firewall@^1.4, config: { blocklist: { from: bad.csv } } }\n";
    desk.write("policies/edge.yaml", policy);
    desk.skep(&["policy", "check", "-f", "policies"]).fails(1, &["bad.csv cannot be read"]);
    desk.write("policies/bad.csv", "10.0.0.0/8\n");
    let checked = desk.skep(&["--json", "policy", "check", "-f", "policies"]).json();
    assert_eq!(checked["policies"][0]["name"], "edge");
    desk.write("policies/edge.yaml", policy.replace("hook: xdp", "hook: xpd"));
    desk.skep(&["policy", "check", "-f", "policies"]).fails(1, &["edge.yaml", "xpd"]);
}

#[test]
fn detaching_without_agent_and_without_its_program_says_what_to_run() {
    let desk = Desk::new();
    // The program is copied away from its siblings, so that no agent lies beside it.
    let alone = desk.path("skep");
    std::fs::copy(env!("CARGO_BIN_EXE_skep"), &alone).unwrap();
    let output = std::process::Command::new(&alone)
        .args(["node", "detach", "--all", "--socket", "nobody.sock"])
        .current_dir(desk.folder.path())
        .env("HOME", desk.folder.path())
        .env("PATH", desk.folder.path())
        .output()
        .unwrap();
    crate::ended(output).fails(4, &["No agent answers at nobody.sock", "skep-agent detach --all"]);
}

#[test]
fn completion_scripts_come_for_every_shell() {
    let desk = Desk::new();
    for shell in ["bash", "zsh", "fish"] {
        assert!(desk.skep(&["completion", shell]).ok().contains("skep"));
    }
}

#[cfg(feature = "local")]
#[test]
fn running_and_watching_are_in_the_help_and_complete_in_shells() {
    let desk = Desk::new();
    let help = desk.skep(&["run", "--help"]).ok();
    for words in ["Examples:", "--trust-local-object", "--detach", "SIGKILL"] {
        assert!(help.contains(words), "{words}: {help}");
    }
    assert!(desk.skep(&["top", "--help"]).ok().contains("NO_COLOR"));
    for shell in ["bash", "zsh", "fish"] {
        let script = desk.skep(&["completion", shell]).ok();
        for words in ["trust-local-object", "takeover", "sign"] {
            assert!(script.contains(words), "{shell}: {words}");
        }
    }
}
