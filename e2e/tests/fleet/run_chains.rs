//! Several `skep run` on one interface: they share a chain, each takes only itself off, and what a killed
//! one leaves over is known as such.

use rustix::process::Signal;
use skep_e2e::kernel;
use skep_e2e::node::{GOOD, INTERFACE, LISTENS_AT};
use skep_e2e::traffic::send;

use crate::can_run;
use crate::local::{Host, verdicts};

fn attached(host: &Host) -> bool {
    kernel::attached_xdp(&host.node.namespace, INTERFACE).unwrap().is_some()
}

/// Names and states of what runs, in order of name.
fn states(host: &Host) -> Vec<(String, String)> {
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    host.list().iter().map(|run| (text(&run["name"]), text(&run["state"]))).collect()
}

fn state(name: &str, state: &str) -> (String, String) {
    (name.to_owned(), state.to_owned())
}

#[test]
fn a_detached_run_stays_until_it_is_stopped() {
    if !can_run("run_chains::a_detached_run_stays_until_it_is_stopped") {
        return;
    }
    let host = Host::new("detach");
    let folder = host.signed("ratelimit");
    let said = host.ok(&["run", &folder, "-i", INTERFACE, "--key", &host.public, "--detach"]);
    assert!(said.contains("skep run --stop eth0 --hook xdp --name ratelimit"), "{said}");
    assert!(attached(&host));
    assert_eq!(states(&host), [state("ratelimit", "detached")]);
    let listed = host.ok(&["run", "--list"]);
    assert!(listed.contains("skep/ratelimit 0.1.0"), "{listed}");
    host.fails(&["run", "--stop", INTERFACE, "--name", "other"], 4, &["No other of `skep run`"]);
    host.fails(&["run", "--stop", INTERFACE, "--hook", "tc-ingress"], 4, &["--list"]);
    let said = host.ok(&["run", "--stop", INTERFACE]);
    assert!(said.contains("Taken off eth0 xdp: ratelimit"), "{said}");
    assert!(!attached(&host));
    assert!(host.is_clean());
}

#[test]
fn two_runs_share_a_chain_in_order_and_each_takes_only_itself_off() {
    if !can_run("run_chains::two_runs_share_a_chain_in_order_and_each_takes_only_itself_off") {
        return;
    }
    let host = Host::new("share");
    let limiter = host.signed("ratelimit");
    let firewall = host.signed("firewall");
    let key = ["--key", host.public.as_str(), "-i", INTERFACE];
    let words = |folder: &str, more: &[&str]| -> Vec<String> {
        [folder].iter().chain(&key).chain(more).map(|w| (*w).to_owned()).collect()
    };
    let start = |name: &str, folder: &str, more: &[&str]| {
        let words = words(folder, more);
        host.start(name, &words.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let mut first = start("first", &limiter, &[]);
    let mut second = start("second", &firewall, &["--priority", "5"]);
    let twin = start("twin", &limiter, &["--observe"]);
    assert_eq!(
        states(&host),
        [
            state("firewall", "foreground"),
            state("ratelimit", "foreground"),
            state("ratelimit-2", "foreground")
        ]
    );
    let in_order = |event: &serde_json::Value| {
        let members = event["chain"]["members"].as_array().unwrap().iter();
        members.map(|m| m["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
            == ["firewall", "ratelimit", "ratelimit-2"]
    };
    first.event("sample", in_order);
    second.event("sample", in_order);
    send(&host.node.peer, GOOD, LISTENS_AT, 50, 1_000).unwrap();
    first.event("sample", |e| {
        verdicts(e, "ratelimit", "pass") == 50 && verdicts(e, "firewall", "pass") == 50
    });

    let (code, said) = first.end(Signal::INT);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("2 other members run on"), "{said}");
    assert_eq!(states(&host).len(), 2);
    assert!(attached(&host));
    let (code, said) = twin.end(Signal::INT);
    assert_eq!(code, Some(0), "{said}");

    // Another terminal may stop it: the run in the foreground notices.
    host.ok(&["run", "--stop", INTERFACE, "--name", "firewall"]);
    let (code, said) = second.ended();
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("was taken off eth0 xdp by `skep run --stop`"), "{said}");
    assert!(!attached(&host));
    assert!(host.is_clean());
}

#[test]
fn the_map_of_one_member_is_kept_while_others_come_and_go() {
    if !can_run("run_chains::the_map_of_one_member_is_kept_while_others_come_and_go") {
        return;
    }
    let host = Host::new("state");
    let limiter = host.signed("ratelimit");
    let firewall = host.signed("firewall");
    let key = host.public.clone();
    // A bucket of 20 that gets one back a second: what was used up stays used up when the chain changes.
    let mut run = host.start(
        "limiter",
        &[&limiter, "-i", INTERFACE, "--key", &key, "--set", "rate=1", "--set", "burst=20"],
    );
    send(&host.node.peer, GOOD, LISTENS_AT, 20, 1_000).unwrap();
    run.event("sample", |e| verdicts(e, "ratelimit", "pass") >= 20);
    host.ok(&["run", &firewall, "-i", INTERFACE, "--key", &key, "--detach"]);
    send(&host.node.peer, GOOD, LISTENS_AT, 100, 1_000).unwrap();
    run.event("sample", |e| e["chain"]["generation"] == 2 && verdicts(e, "ratelimit", "drop") > 60);
    assert_eq!(run.end(Signal::INT).0, Some(0));
    assert_eq!(states(&host), [state("firewall", "detached")]);
    host.ok(&["run", "--stop", INTERFACE]);
    assert!(host.is_clean());
}

#[test]
fn what_a_killed_run_left_over_is_named_and_goes_with_the_next_one() {
    if !can_run("run_chains::what_a_killed_run_left_over_is_named_and_goes_with_the_next_one") {
        return;
    }
    let host = Host::new("killed");
    let folder = host.signed("ratelimit");
    let words = [folder.as_str(), "-i", INTERFACE, "--key", &host.public];
    host.start("first", &words).process.kill().unwrap();
    assert!(attached(&host), "a filter does not vanish because its terminal did");
    assert_eq!(states(&host), [state("ratelimit", "left-over")]);
    let listed = host.ok(&["run", "--list"]);
    assert!(listed.contains("left over from process"), "{listed}");

    let second = host.start("second", &words);
    let said = second.said();
    assert!(said.contains("Removed ratelimit, which a killed `skep run` had left over"), "{said}");
    assert_eq!(states(&host), [state("ratelimit", "foreground")]);
    second.process.kill().unwrap();
    host.ok(&["run", "--stop", INTERFACE]);
    assert!(!attached(&host));
    assert!(host.is_clean());
}

#[test]
fn an_interface_that_vanishes_ends_the_run_and_leaves_nothing() {
    if !can_run("run_chains::an_interface_that_vanishes_ends_the_run_and_leaves_nothing") {
        return;
    }
    let host = Host::new("vanish");
    let folder = host.signed("ratelimit");
    let run = host.start("run", &[&folder, "-i", INTERFACE, "--key", &host.public]);
    host.node.namespace.ip(&["link", "delete", INTERFACE]).unwrap();
    let (code, said) = run.ended();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("no longer runs on eth0 xdp"), "{said}");
    assert!(host.is_clean());
}

#[test]
fn a_program_that_somebody_else_attached_is_taken_off_only_when_asked() {
    if !can_run("run_chains::a_program_that_somebody_else_attached_is_taken_off_only_when_asked") {
        return;
    }
    let host = Host::new("foreign");
    let folder = host.signed("ratelimit");
    let object = host.file("programs/ratelimit/ratelimit.bpf.o");
    let object = object.to_str().unwrap();
    host.node
        .namespace
        .ip(&["link", "set", "dev", INTERFACE, "xdp", "object", object, "program", "xdp_ratelimit"])
        .unwrap();
    let words = ["run", &folder, "-i", INTERFACE, "--key", &host.public, "--for", "1s"];
    host.fails(&words, 3, &["which Skep did not attach", "--takeover"]);
    assert!(attached(&host));
    host.ok(&words.iter().chain(&["--takeover"]).copied().collect::<Vec<_>>());
    assert!(!attached(&host));
    assert!(host.is_clean());
}

#[test]
fn what_nothing_remembers_any_more_is_listed_and_can_be_stopped() {
    if !can_run("run_chains::what_nothing_remembers_any_more_is_listed_and_can_be_stopped") {
        return;
    }
    let host = Host::new("lost");
    let limiter = host.signed("ratelimit");
    let firewall = host.signed("firewall");
    let detach = |folder: &str| {
        host.ok(&["run", folder, "-i", INTERFACE, "--key", &host.public, "--detach"]);
    };
    detach(&limiter);
    std::fs::remove_dir_all(host.file("run-state")).unwrap();
    assert!(attached(&host));
    assert_eq!(states(&host), [state("ratelimit", "left-over")]);
    // The next run takes its place in one switch, and stopping clears away what cannot be read, too.
    detach(&firewall);
    assert_eq!(states(&host), [state("firewall", "detached")]);
    let hooks = std::fs::read_dir(host.file("run-state")).unwrap();
    let seat = hooks.flatten().next().unwrap().path().join("firewall/seat.json");
    std::fs::write(seat, "{}").unwrap();
    host.fails(&["run", "--list"], 1, &["firewall is damaged", "--stop"]);
    host.ok(&["run", "--stop", INTERFACE]);
    assert!(!attached(&host));
    assert!(host.is_clean());
}

#[test]
fn a_run_whose_hook_was_taken_over_says_so_and_ends() {
    if !can_run("run_chains::a_run_whose_hook_was_taken_over_says_so_and_ends") {
        return;
    }
    let host = Host::new("taken");
    let folder = host.signed("ratelimit");
    let words = [folder.as_str(), "-i", INTERFACE, "--key", &host.public];
    let run = host.start("run", &words);
    // Another Skep, with pins of its own: for this one it is somebody else.
    let other = |words: &[&str]| {
        let mut command = host.command(words);
        command.env("SKEP_RUN_PIN_ROOT", host.file("run-pins/other"));
        command.env("SKEP_RUN_STATE", host.file("other-state"));
        skep_e2e::process::run(&mut command).unwrap().expect_success().unwrap()
    };
    let takeover: Vec<&str> =
        ["run"].iter().chain(&words).chain(&["--takeover", "--detach"]).copied().collect();
    other(&takeover);
    let (code, said) = run.ended();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("ratelimit no longer runs on eth0 xdp"), "{said}");
    assert!(attached(&host), "the other's chain was not touched");
    other(&["run", "--stop", INTERFACE]);
    assert!(!attached(&host));
}

#[test]
fn a_reader_that_goes_away_and_an_interface_that_is_renamed_leave_nothing_behind() {
    if !can_run(
        "run_chains::a_reader_that_goes_away_and_an_interface_that_is_renamed_leave_nothing_behind",
    ) {
        return;
    }
    let host = Host::new("pipe");
    let folder = host.signed("ratelimit");
    let key = host.public.clone();
    let skep = skep_e2e::programs::find("skep").unwrap();
    let mut piped = host.node.namespace.command(std::path::Path::new("bash"));
    let line = format!("{} run {folder} -i {INTERFACE} --key {key} | head -n 1", skep.display());
    piped.args(["-o", "pipefail", "-c", &line]);
    host.dress(&mut piped);
    skep_e2e::process::run(&mut piped).unwrap().expect_success().unwrap();
    assert!(host.is_clean());

    let mut run = host.start("run", &[&folder, "-i", INTERFACE, "--key", &key]);
    host.node.namespace.ip(&["link", "set", INTERFACE, "down"]).unwrap();
    host.node.namespace.ip(&["link", "set", INTERFACE, "name", "uplink0"]).unwrap();
    run.event("sample", |event| event["chain"]["interface"] == "uplink0");
    let (code, said) = run.end(Signal::INT);
    assert_eq!(code, Some(0), "{said}");
    assert!(host.is_clean());
}
