//! Tools that others wrote, from Debian packages: what they do to our chains, and we to theirs.

use std::process::{Command, Output};

use skep_artifact::hook::Hook;
use skep_chain_dispatcher::{BackendChoice, Chain, Foreign};

use super::answer_of;
use crate::packets;
use crate::place::{ANSWER, Place, answering, at, chain, compile, ip_says};

/// Runs a tool where the machine's BPF file system is one of this place's own.
fn run(place: &Place, program: &str, arguments: &[&str]) -> Output {
    let bpffs = place.root.with_file_name("bpffs");
    if !bpffs.is_dir() {
        std::fs::create_dir(&bpffs).unwrap();
        let mounted = Command::new("mount").args(["-t", "bpf", "bpf"]).arg(&bpffs).status();
        assert!(mounted.unwrap().success());
    }
    let inside = r#"mount --bind "$1" /sys/fs/bpf && shift && exec "$@""#;
    Command::new("unshare")
        .args(["--mount", "--propagation", "private", "sh", "-c", inside, "sh"])
        .arg(&bpffs)
        .arg(program)
        .args(arguments)
        .output()
        .expect("util-linux is installed")
}

fn said(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text)).concat()
}

#[test]
fn xdp_loader_shows_a_chain_on_a_link_and_cannot_take_its_place() {
    Place::run(|place| {
        let folder = tempfile::tempdir().unwrap();
        let object = folder.path().join("theirs.o");
        std::fs::write(&object, compile(ANSWER).bytes()).unwrap();
        for backend in [BackendChoice::Slots, BackendChoice::Fused] {
            let engine = place.engine();
            let members = vec![answering(Hook::Xdp, "a", 1, 1), answering(Hook::Xdp, "b", 2, 1)];
            let wanted = Chain { backend, ..chain(Hook::Xdp, 1, members) };
            let applied = engine.apply(&wanted).unwrap();
            let number = applied.chain.dispatcher_id.unwrap().to_string();
            let status = run(place, "xdp-loader", &["status", "skep0"]);
            assert!(said(&status).contains(&number), "{backend}: {}", said(&status));
            for attempt in [
                &["load", "-m", "native", "-s", "xdp", "skep0", object.to_str().unwrap()][..],
                &["load", "-m", "skb", "-s", "xdp", "skep0", object.to_str().unwrap()],
                &["unload", "--all", "skep0"],
                &["unload", "--id", &number, "skep0"],
            ] {
                let tried = run(place, "xdp-loader", attempt);
                let text = format!("{backend} {attempt:?}: {}", said(&tried));
                assert!(engine.plan(&wanted).unwrap().is_empty(), "{text}");
                assert!(engine.observe_hook(&at(Hook::Xdp)).unwrap().foreign.is_empty(), "{text}");
                assert_eq!(answer_of(&engine, Hook::Xdp), 1, "{text}");
            }
            engine.detach_all().unwrap();
        }
    });
}

#[test]
fn what_xdp_filter_put_on_an_interface_is_told_left_alone_and_taken_on_request() {
    Place::run(|place| {
        let engine = place.engine();
        let loaded = run(place, "xdp-filter", &["load", "-m", "skb", "-f", "udp", "skep0"]);
        assert!(loaded.status.success(), "{}", said(&loaded));
        let listed = run(place, "xdp-filter", &["port", "-m", "dst", "-p", "udp", "7001"]);
        assert!(listed.status.success(), "{}", said(&listed));
        let mut wanted = chain(Hook::Xdp, 1, vec![answering(Hook::Xdp, "a", 1, 2)]);
        wanted.backend = BackendChoice::Slots;
        assert_eq!(engine.apply(&wanted).unwrap_err().code(), "chain.foreign_program");
        assert!(!packets::arrives(place, "10.77.0.1", 7001, 7002), "theirs filters on");
        wanted.foreign = Foreign::TakeOver;
        engine.apply(&wanted).unwrap();
        assert!(packets::arrives(place, "10.77.0.1", 7001, 7002));
        assert!(ip_says(&["-d", "link", "show", "skep0"]).contains("skep_xdp"));
        let _ = run(place, "xdp-filter", &["unload", "--all"]);
    });
}
