//! Tools that others wrote, from Debian packages: what they do to our chains, and we to theirs.

use std::process::{Command, Output};

use skep_artifact::hook::Hook;
use skep_chain_dispatcher::{Backend, BackendChoice, Chain, Engine, Foreign};

use super::answer_of;
use crate::packets;
use crate::place::{ANSWER, Place, alone, answering, at, chain, compile, ip_says};

/// Runs a tool where the machine's BPF file system is one of this place's own.
fn run(place: &Place, program: &str, arguments: &[&str]) -> Output {
    let bpffs = place.libxdp_bpffs();
    if !bpffs.is_dir() {
        std::fs::create_dir(&bpffs).unwrap();
        let mounted = Command::new("mount").args(["-t", "bpf", "bpf"]).arg(&bpffs).status();
        assert!(mounted.unwrap().success());
    }
    let inside = r#"mount --bind "$1" /sys/fs/bpf && shift && exec "$@""#;
    let mut tool = Command::new("unshare");
    tool.args(["--mount", "--propagation", "private", "sh", "-c", inside, "sh"]);
    tool.arg(&bpffs).arg(program).args(arguments);
    alone(|| tool.output()).expect("util-linux is installed")
}

/// Runs xdp-filter, which must succeed.
fn xdp_filter(place: &Place, arguments: &[&str]) {
    let output = run(place, "xdp-filter", arguments);
    assert!(output.status.success(), "xdp-filter {arguments:?}: {}", said(&output));
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

fn passing(generation: u64, members: &[(&str, u32)], backend: BackendChoice) -> Chain {
    let members = members.iter().map(|(name, p)| answering(Hook::Xdp, name, *p, 2)).collect();
    Chain { backend, ..chain(Hook::Xdp, generation, members) }
}

/// How many packets each of our members met.
fn met(engine: &Engine) -> Vec<u64> {
    engine.counters(&at(Hook::Xdp)).unwrap().iter().map(|member| member.packets).collect()
}

#[test]
fn xdp_filter_loads_into_our_chain_and_filters_while_our_members_count() {
    Place::run_with(Backend::Libxdp, &[Hook::Xdp], |place| {
        let engine = place.engine();
        let two = [("first", 5), ("last", 50)];
        engine.apply(&passing(1, &two, BackendChoice::Libxdp)).unwrap();
        xdp_filter(place, &["load", "-f", "udp", "skep0"]);
        xdp_filter(place, &["port", "-m", "dst", "-p", "udp", "7001"]);
        assert!(!packets::arrives(place, "10.77.0.1", 7001, 7002), "it filters");
        let counted = met(&engine);
        assert!(counted[0] >= 2 && counted[0] > counted[1], "it stands between: {counted:?}");

        // Our chain changes around it: one more, one less, another order.
        for (generation, members) in (2..).zip([
            &[("first", 5), ("middle", 20), ("last", 50)][..],
            &[("last", 50)],
            &[("last", 4), ("first", 50)],
        ]) {
            engine.apply(&passing(generation, members, BackendChoice::Libxdp)).unwrap();
            assert!(!packets::arrives(place, "10.77.0.1", 7001, 7002), "{members:?}");
            let status = run(place, "xdp-filter", &["status"]);
            assert!(said(&status).contains("7001"), "{}", said(&status));
        }
        let before = met(&engine);
        xdp_filter(place, &["unload", "skep0"]);
        assert!(packets::arrives(place, "10.77.0.1", 7001, 7002), "it is gone");
        let after = met(&engine);
        assert!(after[0] >= before[0] + 2 && after[1] >= before[1] + 2, "ours go on");
        engine.detach_all().unwrap();
        assert!(!ip_says(&["-d", "link", "show", "skep0"]).contains("prog/xdp"));
    });
}

#[test]
fn we_join_the_chain_that_xdp_filter_made_and_leave_it_filtering() {
    Place::run_with(Backend::Libxdp, &[Hook::Xdp], |place| {
        let engine = place.engine();
        xdp_filter(place, &["load", "-f", "udp", "skep0"]);
        xdp_filter(place, &["port", "-m", "dst", "-p", "udp", "7001"]);
        let wanted = passing(1, &[("first", 5), ("last", 50)], BackendChoice::Auto);
        let applied = engine.apply(&wanted).unwrap();
        assert_eq!(applied.chain.backend, Some(Backend::Libxdp), "{}", applied.plan);
        assert!(!packets::arrives(place, "10.77.0.1", 7001, 7002));
        let counted = met(&engine);
        assert!(counted[0] >= 2 && counted[0] > counted[1], "{counted:?}");
        assert!(engine.plan(&wanted).unwrap().is_empty());
        engine.detach_all().unwrap();
        assert!(!packets::arrives(place, "10.77.0.1", 7001, 7002), "it filters on without us");
        xdp_filter(place, &["unload", "skep0"]);
        assert!(packets::arrives(place, "10.77.0.1", 7001, 7002));
        assert!(!ip_says(&["-d", "link", "show", "skep0"]).contains("prog/xdp"));
    });
}

#[test]
fn xdp_filter_and_ours_are_not_in_each_others_way_on_different_interfaces() {
    Place::run_with(Backend::Libxdp, &[Hook::Xdp], |place| {
        let engine = place.engine();
        ip_says(&["link", "add", "side0", "type", "veth", "peer", "name", "side1"]);
        engine.apply(&passing(1, &[("only", 5)], BackendChoice::Libxdp)).unwrap();
        xdp_filter(place, &["load", "-f", "udp", "side0"]);
        xdp_filter(place, &["unload", "--all"]);
        assert!(
            engine.plan(&passing(1, &[("only", 5)], BackendChoice::Libxdp)).unwrap().is_empty()
        );
        assert_eq!(answer_of(&engine, Hook::Xdp), 2);
    });
}
