//! `skep run`: one program on one interface, verified or said to be trusted, with real packets through it.

use rustix::process::Signal;
use skep_e2e::kernel;
use skep_e2e::node::{BLOCKED, GOOD, INTERFACE, LISTENS_AT};
use skep_e2e::traffic::{Receiver, send};

use crate::can_run;
use crate::local::{Host, verdicts};

const PACKETS: u64 = 200;

#[test]
fn a_signed_folder_filters_real_packets_until_ctrl_c() {
    if !can_run("run_local::a_signed_folder_filters_real_packets_until_ctrl_c") {
        return;
    }
    let host = Host::new("signed");
    let folder = host.signed("firewall");
    let set = format!("blocklist={BLOCKED}/32");
    let key = host.public.clone();
    let words = ["-i", INTERFACE, "--key", &key, "--set", &set, "--timing", "1"];
    let words: Vec<&str> = [folder.as_str()].into_iter().chain(words).collect();
    let mut run = host.start("run", &words);
    let started = run.event("started", |_| true);
    assert_eq!(started["name"], "firewall");
    assert_eq!(started["what"], "skep/firewall 0.1.0");
    let attached = kernel::attached_xdp(&host.node.namespace, INTERFACE).unwrap().unwrap();
    assert_eq!(attached.mode, "native");

    // From the first reading on, packets are timed as well.
    run.event("sample", |_| true);
    let receiver = Receiver::listen(&host.node.namespace, LISTENS_AT).unwrap();
    send(&host.node.peer, BLOCKED, LISTENS_AT, PACKETS, 2_000).unwrap();
    send(&host.node.peer, GOOD, LISTENS_AT, PACKETS, 2_000).unwrap();
    let heard = receiver.heard_of(GOOD, PACKETS).unwrap();
    assert_eq!(heard.missing(GOOD, PACKETS), None);
    assert_eq!(heard.count(BLOCKED), 0);
    let counted = |kind: &'static str| {
        move |event: &serde_json::Value| verdicts(event, "firewall", kind) == PACKETS
    };
    run.event("sample", counted("drop"));
    let counted = run.event("sample", counted("pass"));
    let cost = counted["chain"]["members"][0]["ns_per_packet"].as_f64().unwrap();
    assert!(cost > 0.0 && cost < 1e6, "{cost} ns a packet");

    let (code, said) = run.end(Signal::INT);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("\"event\":\"ended\",\"why\":\"interrupted\",\"packets\":400"), "{said}");
    assert!(said.contains("Took firewall off eth0 xdp after 400 packets"), "{said}");
    assert_eq!(kernel::attached_xdp(&host.node.namespace, INTERFACE).unwrap(), None);
    assert!(host.is_clean());
}

#[test]
fn sigterm_a_closed_terminal_and_the_end_of_the_time_take_it_off_as_well() {
    if !can_run("run_local::sigterm_a_closed_terminal_and_the_end_of_the_time_take_it_off_as_well")
    {
        return;
    }
    let host = Host::new("ends");
    let folder = host.signed("ratelimit");
    let words = [folder.as_str(), "-i", INTERFACE, "--key", &host.public];
    for (signal, why) in [(Signal::TERM, "terminated"), (Signal::HUP, "hung-up")] {
        let (code, said) = host.start(why, &words).end(signal);
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains(why), "{said}");
        assert!(host.is_clean());
    }
    let words: Vec<&str> = words.iter().chain(&["--for", "1s"]).copied().collect();
    let (code, said) = host.start("time", &words).ended();
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("time-over"), "{said}");
    assert!(host.is_clean());
}

#[test]
fn what_was_changed_or_not_signed_by_somebody_trusted_is_refused() {
    if !can_run("run_local::what_was_changed_or_not_signed_by_somebody_trusted_is_refused") {
        return;
    }
    let host = Host::new("refused");
    let folder = host.signed("ratelimit");
    let run = |trust: &[&str], code, said: &[&str]| {
        let words = ["run", &folder, "-i", INTERFACE].into_iter().chain(trust.iter().copied());
        host.fails(&words.collect::<Vec<_>>(), code, said);
    };
    let trusted = ["--key", host.public.as_str()];
    run(&[], 2, &["Nothing says whom to trust for skep/*", "trust.toml"]);
    let stranger = host.json(&["key", "new", "--out", "stranger.key"]);
    let stranger = stranger["public_key"].as_str().unwrap();
    run(
        &["--key", stranger],
        3,
        &["Refused: skep/ratelimit 0.1.0 is signed by", "does not accept"],
    );
    let policy = |hooks: &str| {
        let text = format!(
            "[[namespace]]\nname = \"skep\"\nkeys = [\"{}\"]\nhooks = [{hooks}]\n",
            host.public
        );
        std::fs::write(host.file("policy.toml"), text).unwrap();
    };
    policy("\"tc-ingress\"");
    run(&["--trust", "policy.toml"], 3, &["wants to run on xdp", "does not allow"]);
    run(&[trusted[0], trusted[1], "--threshold", "2"], 1, &["asks for 2 of 1"]);

    // One byte more behind the object changes nothing that it does, and is another object all the same.
    let object = host.file("programs/ratelimit/ratelimit.bpf.o");
    let built = std::fs::read(&object).unwrap();
    std::fs::write(&object, [built.as_slice(), b"!"].concat()).unwrap();
    run(&trusted, 3, &["by its publisher's signature", "skep sign"]);
    std::fs::write(&object, built).unwrap();
    let role = host.file("programs/ratelimit/skep.role.json");
    let signed = std::fs::read_to_string(&role).unwrap();
    std::fs::write(&role, signed.replace("\"release\":1", "\"release\":2")).unwrap();
    run(&trusted, 3, &["signature"]);
    std::fs::remove_file(&role).unwrap();
    run(&trusted, 3, &["Nothing signs the package", "skep sign ./programs/ratelimit"]);
    assert_eq!(kernel::attached_xdp(&host.node.namespace, INTERFACE).unwrap(), None);
    assert!(host.is_clean());

    std::fs::write(&role, signed).unwrap();
    policy("\"xdp\"");
    std::fs::create_dir_all(host.file(".config/skep")).unwrap();
    std::fs::rename(host.file("policy.toml"), host.file(".config/skep/trust.toml")).unwrap();
    host.ok(&["run", &folder, "-i", INTERFACE, "--for", "1s"]);
}

#[test]
fn a_bare_object_runs_only_when_a_person_says_so() {
    if !can_run("run_local::a_bare_object_runs_only_when_a_person_says_so") {
        return;
    }
    let host = Host::new("bare");
    host.signed("ratelimit");
    let object = "./programs/ratelimit/ratelimit.bpf.o";
    let refused = ["nobody signed it", "--trust-local-object"];
    host.fails(&["run", object, "-i", INTERFACE], 3, &refused);
    host.fails(&["run", object, "-i", INTERFACE, "--key", &host.public], 3, &refused);
    let trusted = ["-i", INTERFACE, "--trust-local-object"];
    let words = |more: &[&str]| -> Vec<String> {
        ["run", object].iter().chain(&trusted).chain(more).map(|w| (*w).to_owned()).collect()
    };
    let fails = |more: &[&str], code, said: &[&str]| {
        let words = words(more);
        host.fails(&words.iter().map(String::as_str).collect::<Vec<_>>(), code, said);
    };
    fails(&["--program", "xdp_nothing"], 4, &["has no program xdp_nothing", "xdp_ratelimit"]);
    fails(&["--hook", "tc-ingress"], 2, &["has no program for tc-ingress"]);
    fails(&["--set", "rate=1"], 2, &["no constant integer rate", "rate_per_second"]);
    fails(&["--set", "burst=5000000000"], 2, &["burst", "0 to 4294967295"]);
    host.fails(
        &["run", "./programs/ratelimit", "-i", INTERFACE, "--trust-local-object"],
        2,
        &["is a package"],
    );

    // One packet at once and one a second: of 50, all but the first few are dropped.
    let settings = ["--set", "rate_per_second=1", "--set", "burst=1"];
    let words: Vec<&str> = [object].iter().chain(&trusted).chain(&settings).copied().collect();
    let mut run = host.start("run", &words);
    assert_eq!(run.event("started", |_| true)["name"], "xdp_ratelimit");
    send(&host.node.peer, GOOD, LISTENS_AT, 50, 1_000).unwrap();
    run.event("sample", |event| {
        let of = |verdict| verdicts(event, "xdp_ratelimit", verdict);
        of("drop") + of("pass") == 50 && of("drop") > 40
    });
    assert_eq!(run.end(Signal::INT).0, Some(0));
    assert!(host.is_clean());
}

#[test]
fn a_slip_in_a_word_is_named_and_nothing_is_attached() {
    if !can_run("run_local::a_slip_in_a_word_is_named_and_nothing_is_attached") {
        return;
    }
    let host = Host::new("slips");
    let folder = host.signed("ratelimit");
    let fails = |words: &[&str], code, said: &[&str]| {
        let always = ["run", folder.as_str(), "--key", host.public.as_str()];
        host.fails(&always.iter().chain(words).copied().collect::<Vec<_>>(), code, said);
    };
    fails(&["-i", "eht0"], 4, &["no interface eht0", "Did you mean eth0?"]);
    fails(&["-i", INTERFACE, "--set", "rat=5"], 2, &["no setting `rat`", "rate"]);
    fails(&["-i", INTERFACE, "--set", "rate=0"], 2, &["`rate` is 0; it must be 1 to 10000000"]);
    fails(&["-i", INTERFACE, "--set", "rate=fast"], 2, &["`rate` needs a whole number"]);
    fails(&["-i", INTERFACE, "--set", "exempt=10.0.0.0/33"], 2, &["10.0.0.0/33"]);
    fails(&["-i", INTERFACE, "--hook", "tc-egress"], 2, &["no program for tc-egress"]);
    fails(&["-i", INTERFACE, "--proceed-on", "ok"], 2, &["`ok` is not a verdict of xdp"]);
    fails(&["-i", INTERFACE, "--backend", "tcx"], 1, &["tcx", "another kind of hook"]);
    fails(&["-i", INTERFACE, "--mode", "fast"], 2, &["native"]);
    fails(&["-i", INTERFACE, "--for", "soon"], 2, &["length of time"]);
    fails(&[], 2, &["--interface"]);
    host.fails(&["run", "./nothing", "-i", INTERFACE], 4, &["no file or folder ./nothing"]);
    host.fails(&["run", "--stop", INTERFACE], 4, &["Nothing of `skep run` is on eth0"]);
    assert_eq!(host.list(), [serde_json::Value::Null; 0]);
    assert_eq!(kernel::attached_xdp(&host.node.namespace, INTERFACE).unwrap(), None);
    assert!(host.is_clean());
}

#[test]
fn a_process_without_the_rights_is_told_which_ones() {
    if !can_run("run_local::a_process_without_the_rights_is_told_which_ones") {
        return;
    }
    let host = Host::new("rights");
    let folder = host.signed("ratelimit");
    let within = |dropped: &[&str], words: &[&str]| {
        let setpriv = std::path::Path::new("setpriv");
        let mut command = host.node.namespace.command(setpriv);
        command.args(dropped).arg("--").arg(skep_e2e::programs::find("skep").unwrap()).args(words);
        host.dress(&mut command);
        skep_e2e::process::run(&mut command).unwrap().expect_code(1).unwrap()
    };
    let run = ["run", &folder, "-i", INTERFACE, "--key", &host.public];
    let said = within(&["--bounding-set=-net_admin"], &run);
    assert!(
        said.contains("does not have: CAP_NET_ADMIN (attaching them to an interface)."),
        "{said}"
    );
    let nobody = ["--reuid=65534", "--regid=65534", "--clear-groups"];
    let said = within(&nobody, &run);
    for right in ["CAP_BPF", "CAP_NET_ADMIN", "CAP_PERFMON", "CAP_SYS_ADMIN", "sudo"] {
        assert!(said.contains(right), "{right}: {said}");
    }
    assert!(within(&nobody, &["run", "--list"]).contains("CAP_BPF"));
    assert!(within(&nobody, &["top"]).contains("--socket FILE"));
}

#[test]
fn every_backend_and_mode_of_this_kernel_can_be_asked_for() {
    if !can_run("run_local::every_backend_and_mode_of_this_kernel_can_be_asked_for") {
        return;
    }
    let host = Host::new("backends");
    let limiter = host.signed("ratelimit");
    let flows = host.signed("flowlog");
    let cases: [(&str, &[&str], &str, &str); 6] = [
        (&limiter, &["--backend", "slots"], "slots", "native"),
        (&limiter, &["--backend", "fused"], "fused", "native"),
        (&limiter, &["--backend", "slots", "--mode", "generic"], "slots", "generic"),
        (&flows, &["--hook", "tc-ingress", "--backend", "tcx"], "tcx", ""),
        (&flows, &["--hook", "tc-egress", "--backend", "fused"], "tcx-fused", ""),
        (&flows, &["--hook", "tc-ingress", "--backend", "tc"], "tc", ""),
    ];
    for (folder, words, backend, mode) in cases {
        let always = [folder, "-i", INTERFACE, "--key", host.public.as_str()];
        let words: Vec<&str> = always.iter().chain(words).copied().collect();
        let mut run = host.start(&words[5..].join(""), &words);
        assert_eq!(run.event("started", |_| true)["backend"], backend, "{words:?}");
        let sample = run.event("sample", |_| true);
        assert_eq!(sample["chain"]["xdp_mode"], mode, "{words:?}");
        let (code, said) = run.end(Signal::INT);
        assert_eq!(code, Some(0), "{said}");
        assert!(host.is_clean(), "{words:?}");
    }
    let tc = ["run", &flows, "-i", INTERFACE, "--key", &host.public, "--mode", "native"];
    host.fails(&tc, 2, &["--mode is for XDP"]);
}
