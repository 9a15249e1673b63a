//! Changes of a running chain: which backend it gets and why, from one to another, what becomes of
//! state and order, and what an interface notices.

use std::process::{Command, Stdio};
use std::time::Duration;

use skep_artifact::hook::Hook;
use skep_chain_dispatcher::{
    Backend, BackendChoice, Chain, Crossing, Gap, LostState, Step, Warning, XdpMode, XdpModeChoice,
    features,
};

use crate::chains::{answer_of, first_u64};
use crate::place::{Place, answering, at, chain, ip, member};

#[test]
fn the_choice_and_its_reason_are_planned_recorded_and_observed() {
    Place::run_on(&Hook::ALL, |place| {
        let engine = place.engine();
        for hook in Hook::ALL {
            let members = vec![answering(hook, "a", 1, 2)];
            let wanted = Chain { backend: BackendChoice::Auto, ..chain(hook, 1, members.clone()) };
            let planned = engine.plan(&wanted).unwrap();
            let best = match hook {
                Hook::Xdp if features::offers(Backend::Libxdp).is_ok() => Backend::Libxdp,
                Hook::Xdp => Backend::Slots,
                _ if features::offers(Backend::Tcx).is_ok() => Backend::Tcx,
                _ => Backend::Tc,
            };
            assert_eq!(planned.chosen.backend, best, "{}", planned.chosen.why);
            let first = format!("{}, backend {best} because {}", at(hook), planned.chosen.why);
            assert!(planned.to_string().starts_with(&first), "{planned}");
            let applied = engine.apply(&wanted).unwrap();
            assert_eq!(applied.chain.reason, planned.chosen.why);
            assert_eq!(engine.observe_hook(&at(hook)).unwrap().reason, planned.chosen.why);
            // The reason becomes another one; the chain stays.
            assert!(engine.plan(&wanted).unwrap().is_empty());

            let other = if hook == Hook::Xdp { BackendChoice::Tc } else { BackendChoice::Libxdp };
            let wrong = Chain { backend: other, ..chain(hook, 2, members) };
            let refused = engine.apply(&wrong).unwrap_err();
            assert_eq!(refused.code(), "chain.backend_unavailable");
            assert!(refused.to_string().contains("another kind of hook"), "{refused}");
        }
    });
}

#[test]
fn slots_and_fused_take_each_others_place_in_one_link_update() {
    Place::run_on(&[Hook::Xdp, Hook::TcIngress], |place| {
        let engine = place.engine();
        for (hook, on) in [(Hook::Xdp, 2), (Hook::TcIngress, -1)] {
            let mut before = None;
            for (generation, backend) in (1..).zip([
                BackendChoice::Slots,
                BackendChoice::Fused,
                BackendChoice::Slots,
                BackendChoice::Fused,
            ]) {
                let members = vec![answering(hook, "a", 1, on), answering(hook, "b", 2, on)];
                let wanted = Chain { backend, ..chain(hook, generation, members) };
                let applied = engine.apply(&wanted).unwrap();
                if before.is_some() {
                    let switch = |step: &&Step| matches!(step, Step::Switch { .. });
                    assert_eq!(applied.plan.steps.iter().filter(switch).count(), 1);
                    assert_eq!(applied.chain.link_id, before, "the link is the same");
                }
                before = applied.chain.link_id;
                assert_eq!(answer_of(&engine, hook), on);
            }
            // One run in each of four builds: the state went along.
            let map = place.pin(hook, "members/test+a/maps/seen");
            assert_eq!(first_u64(&map), 4);
        }
    });
}

#[test]
fn generic_mode_is_where_it_was_asked_for_and_leaving_it_is_a_gap() {
    Place::run(|place| {
        let engine = place.engine();
        let wanted = |generation, xdp_mode| Chain {
            xdp_mode,
            ..chain(Hook::Xdp, generation, vec![answering(Hook::Xdp, "a", 1, 1)])
        };
        let generic = engine.apply(&wanted(1, XdpModeChoice::Generic)).unwrap().chain;
        assert_eq!(generic.mode, Some(XdpMode::Generic));
        let planned = engine.plan(&wanted(2, XdpModeChoice::Generic)).unwrap();
        assert!(planned.warnings.is_empty(), "nothing is switched: {planned}");
        assert!(engine.plan(&wanted(1, XdpModeChoice::Auto)).unwrap().is_empty());
        let refused = engine.apply(&wanted(2, XdpModeChoice::Native)).unwrap_err();
        assert_eq!(refused.code(), "chain.gap_refused");
        assert!(refused.to_string().contains("from generic mode to native mode"), "{refused}");
        let allowed = Chain { gap: Gap::Allow, ..wanted(2, XdpModeChoice::Native) };
        let applied = engine.apply(&allowed).unwrap();
        let (from, to) = (XdpMode::Generic, XdpModeChoice::Native);
        let gap = Warning::Gap { crossing: Crossing::Mode { from, to } };
        assert_eq!(applied.plan.warnings, [Warning::FirstAttach, gap]);
        let native = applied.chain;
        assert_eq!(native.mode, Some(XdpMode::Native));
        assert_eq!(answer_of(&engine, Hook::Xdp), 1);
    });
}

#[test]
fn state_of_the_same_size_and_another_meaning_starts_empty_and_the_plan_says_why() {
    const FLOWS: &str = r#"
        #include <linux/bpf.h>
        #include <bpf/bpf_helpers.h>
        struct %NAME% { __u32 %FIRST%; __u32 %SECOND%; };
        struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 1);
                 __type(key, __u32); __type(value, struct %NAME%); } flows SEC(".maps");
        SEC("xdp") int note(struct xdp_md *ctx) {
            __u32 zero = 0;
            struct %NAME% *flow = bpf_map_lookup_elem(&flows, &zero);
            if (flow) flow->src++;
            return XDP_PASS;
        }
        char _license[] SEC("license") = "GPL";"#;
    let source = |name: &str, first: &str, second: &str| {
        FLOWS.replace("%NAME%", name).replace("%FIRST%", first).replace("%SECOND%", second)
    };
    Place::run(|place| {
        let engine = place.engine();
        let apply = |generation, source: &str| {
            let members = vec![member("m", 1, source, "note", Hook::Xdp)];
            let wanted = chain(Hook::Xdp, generation, members);
            let wanted = Chain { lost_state: LostState::Allow, ..wanted };
            let applied = engine.apply(&wanted).unwrap();
            answer_of(&engine, Hook::Xdp);
            let text = applied.plan.to_string();
            let value = first_u64(&place.pin(Hook::Xdp, "members/test+m/maps/flows"));
            (text, value)
        };
        let (_, value) = apply(1, &source("flow", "src", "dst"));
        assert_eq!(value, 1);
        // Another name of the type and other text, the same meaning.
        let (text, value) = apply(2, &source("flow_v2", "src", "dst"));
        assert!(text.contains("keeping the content of flows"), "{text}");
        assert_eq!(value, 2);
        let (text, value) = apply(3, &source("flow", "dst", "src"));
        let why = "flows starts empty because its value was {src @0 u32, dst @32 u32, } of 8 \
                   and is {dst @0 u32, src @32 u32, } of 8";
        assert!(text.contains(why), "{text}");
        assert_eq!(value, 1 << 32);
    });
}

#[test]
fn members_are_put_in_taken_out_and_reordered_and_keep_their_state() {
    for backend in [BackendChoice::Slots, BackendChoice::Fused] {
        Place::run(|place| {
            let engine = place.engine();
            let named = |name: &str, priority| answering(Hook::Xdp, name, priority, 2);
            // (names in order of priority, how often each has run after one more packet)
            let changes: [(&[&str], &[u64]); 6] = [
                (&["b"], &[1]),
                (&["a", "b", "c"], &[1, 2, 1]),
                (&["c", "b", "a"], &[2, 3, 2]),
                (&["c", "a"], &[3, 3]),
                (&["c", "b", "a"], &[4, 1, 4]),
                (&["b", "x", "c", "a"], &[2, 1, 5, 5]),
            ];
            let mut link = None;
            for (generation, (names, counts)) in (1..).zip(changes) {
                let members = (1..).zip(names).map(|(p, name)| named(name, p)).collect();
                let wanted = Chain { backend, ..chain(Hook::Xdp, generation, members) };
                let applied = engine.apply(&wanted).unwrap();
                let order: Vec<&str> =
                    applied.chain.members.iter().map(|m| m.name.as_str()).collect();
                assert_eq!(order, names);
                assert!(link.is_none_or(|link| link == applied.chain.link_id));
                link = Some(applied.chain.link_id);
                assert_eq!(answer_of(&engine, Hook::Xdp), 2);
                for (name, count) in names.iter().zip(counts) {
                    let seen = place.pin(Hook::Xdp, &format!("members/test+{name}/maps/seen"));
                    assert_eq!(first_u64(&seen), *count, "{name} in {names:?}");
                }
            }
        });
    }
}

/// `ip monitor` tells every time that an interface goes down, comes up, or changes its program by
/// netlink.
#[test]
fn an_interface_in_native_mode_does_not_notice_twenty_swaps() {
    Place::run(|place| {
        let engine = place.engine();
        let wanted = |generation: u64| {
            let answer = if generation.is_multiple_of(2) { 2 } else { 1 };
            let backend = [BackendChoice::Slots, BackendChoice::Fused][usize::from(answer == 1)];
            let members = vec![answering(Hook::Xdp, "a", 1, answer)];
            Chain { backend, ..chain(Hook::Xdp, generation, members) }
        };
        let first = engine.apply(&wanted(0)).unwrap();
        assert_eq!(first.plan.warnings, [Warning::FirstAttach]);
        let mut monitor = Command::new("ip")
            .args(["monitor", "link", "dev", "skep0"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut told = monitor.stdout.take().unwrap();
        let (send, lines) = std::sync::mpsc::channel();
        let reader = std::thread::spawn(move || {
            use std::io::BufRead as _;
            for line in std::io::BufReader::new(&mut told).lines() {
                if send.send(line.unwrap()).is_err() {
                    return;
                }
            }
        });
        let (moment, patience) = (Duration::from_millis(300), Duration::from_secs(20));
        // The interface's group is a mark that it tells and that changes nothing else.
        let mark = |group: u32| {
            ip(&["link", "set", "skep0", "group", &group.to_string()]);
            format!("group {group}")
        };
        let mut marks = 700;
        while lines.recv_timeout(moment).is_err() {
            marks += 1;
            assert!(marks < 800, "ip monitor tells nothing");
            mark(marks);
        }
        // What it still has to tell of the marks.
        while lines.recv_timeout(moment).is_ok() {}
        for generation in 1..=20 {
            let applied = engine.apply(&wanted(generation)).unwrap();
            assert!(applied.plan.warnings.is_empty(), "{}", applied.plan);
            assert_eq!(applied.chain.mode, Some(XdpMode::Native));
        }
        let end = mark(800);
        let first = lines.recv_timeout(patience).unwrap();
        assert!(first.contains(&end), "something was told of the swaps: {first}");
        monitor.kill().unwrap();
        monitor.wait().unwrap();
        drop(lines);
        reader.join().unwrap();
    });
}
