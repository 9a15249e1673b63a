//! What happens to chains when their interface is renamed, moved, removed or given another size, in
//! which mode they run, and which traffic they meet.

use skep_artifact::hook::Hook;
use skep_chain_dispatcher::{
    ApplyError, BackendChoice, Chain, Engine, Gap, HookPoint, Member, XdpMode, XdpModeChoice,
};

use crate::packets;
use crate::place::{ANSWER, Place, answering, at, chain, global, ip, member, packet};

fn answer_at(engine: &Engine, at: &HookPoint) -> i32 {
    engine.test_run(at, &packet(), 1).unwrap().unwrap().code
}

/// Runs a test on every hook with every way to attach a chain there, each in a place of its own.
fn everywhere(test: impl Fn(&Place, Hook, BackendChoice) + Sync) {
    on_links(&test);
    for (hook, backend) in [
        (Hook::Xdp, BackendChoice::Libxdp),
        (Hook::TcIngress, BackendChoice::Tc),
        (Hook::TcEgress, BackendChoice::TcFused),
    ] {
        Place::run_choosing(&[backend], hook, |place| test(place, hook, backend));
    }
}

/// As `everywhere`, for chains on links only.
fn on_links(test: &(impl Fn(&Place, Hook, BackendChoice) + Sync)) {
    for (hook, backend) in [
        (Hook::Xdp, BackendChoice::Slots),
        (Hook::Xdp, BackendChoice::Fused),
        (Hook::TcIngress, BackendChoice::Tcx),
        (Hook::TcEgress, BackendChoice::Tcx),
    ] {
        Place::run_choosing(&[backend], hook, |place| test(place, hook, backend));
    }
}

fn dropping(hook: Hook) -> Vec<Member> {
    let (on, drop) = if hook == Hook::Xdp { (2, 1) } else { (-1, 2) };
    vec![answering(hook, "first", 1, on), answering(hook, "last", 2, drop)]
}

fn wanted(interface: &str, hook: Hook, backend: BackendChoice) -> Chain {
    let at = HookPoint { interface: interface.to_owned(), hook };
    Chain { at, backend, ..chain(hook, 1, dropping(hook)) }
}

/// What a member of `dropping` decides.
fn dropped(hook: Hook) -> i32 {
    if hook == Hook::Xdp { 1 } else { 2 }
}

fn rename(from: &str, to: &str) {
    ip(&["link", "set", from, "down"]);
    ip(&["link", "set", from, "name", to]);
    ip(&["link", "set", to, "up"]);
}

#[test]
fn a_chain_stays_on_an_interface_that_is_renamed_and_goes_by_its_new_name() {
    everywhere(|place, hook, backend| {
        let engine = place.engine();
        let before = engine.apply(&wanted("skep0", hook, backend)).unwrap().chain;
        rename("skep0", "other0");
        let other = HookPoint { interface: "other0".to_owned(), hook };
        let observed = engine.observe().unwrap();
        assert_eq!(observed.len(), 1, "{backend:?}");
        assert_eq!(observed[0].at, other);
        assert_eq!(observed[0].dispatcher_id, before.dispatcher_id);
        assert_eq!(observed[0].members, before.members);
        assert_eq!(answer_at(&engine, &other), dropped(hook));
        assert!(engine.plan(&wanted("other0", hook, backend)).unwrap().is_empty());
        let old = engine.apply(&wanted("skep0", hook, backend)).unwrap_err();
        assert_eq!(old.code(), "chain.interface_gone");
        assert_eq!(answer_at(&engine, &other), dropped(hook), "untouched");
        engine.detach(&other).unwrap();
        rename("other0", "skep0");
        assert!(engine.observe().unwrap().is_empty());
    });
}

#[test]
fn a_renamed_interface_filters_real_traffic_on() {
    Place::run(|place| {
        let engine = place.engine();
        let no_7001 = member("no7001", 1, NO_7001, "on_xdp", Hook::Xdp);
        engine.apply(&chain(Hook::Xdp, 1, vec![no_7001])).unwrap();
        assert!(!packets::arrives(place, "10.77.0.1", 7001, 7002));
        rename("skep0", "other0");
        assert!(!packets::arrives(place, "10.77.0.1", 7001, 7002));
        engine.detach_all().unwrap();
        assert!(packets::arrives(place, "10.77.0.1", 7001, 7002));
    });
}

#[test]
fn a_chain_goes_with_its_interface_and_its_pins_are_swept_whatever_attached_it() {
    everywhere(|place, hook, backend| {
        let engine = place.engine();
        engine.apply(&wanted("skep0", hook, backend)).unwrap();
        place.remove_pair();
        assert!(engine.observe().unwrap().is_empty());
        assert!(engine.sweep().unwrap() > 0, "{backend:?}");
        assert_eq!(place.hook_folders(), 0, "{backend:?}");
        assert_eq!(engine.sweep().unwrap(), 0);
        place.make_pair();
        assert!(engine.observe().unwrap().is_empty(), "it returns without a chain");
        engine.apply(&wanted("skep0", hook, backend)).unwrap();
        assert_eq!(answer_at(&engine, &at(hook)), dropped(hook));
        engine.detach_all().unwrap();
    });
}

#[test]
fn a_new_interface_with_the_number_of_an_old_one_begins_without_a_chain() {
    everywhere(|place, hook, backend| {
        let engine = place.engine();
        engine.apply(&wanted("skep0", hook, backend)).unwrap();
        let number = place.ifindex("skep0").to_string();
        place.remove_pair();
        ip(&["link", "add", "new0", "index", &number, "type", "veth", "peer", "name", "new1"]);
        assert!(engine.observe().unwrap().is_empty(), "{backend:?}");
        engine.apply(&wanted("new0", hook, backend)).unwrap();
        let new = HookPoint { interface: "new0".to_owned(), hook };
        assert_eq!(answer_at(&engine, &new), dropped(hook));
        assert_eq!(engine.observe().unwrap().len(), 1);
        engine.detach_all().unwrap();
        ip(&["link", "del", "new0"]);
        place.make_pair();
    });
}

#[test]
fn an_interface_that_moved_away_takes_its_chain_along_and_brings_it_back() {
    on_links(&|place: &Place, hook, backend| {
        let engine = place.engine();
        let before = engine.apply(&wanted("skep0", hook, backend)).unwrap().chain;
        ip(&["link", "set", "skep0", "netns", place.outer()]);
        assert!(engine.observe().unwrap().is_empty(), "it is not here");
        assert_eq!(engine.sweep().unwrap(), 0, "it is not gone either");
        let gone = engine.apply(&wanted("skep0", hook, backend)).unwrap_err();
        assert_eq!(gone.code(), "chain.interface_gone");
        std::thread::scope(|scope| {
            scope.spawn(|| {
                place.enter_outer();
                let there = place.engine().observe().unwrap();
                assert_eq!(there.len(), 1, "{backend:?}");
                assert_eq!(there[0].link_id, before.link_id, "an engine in there finds it");
                assert_eq!(there[0].members, before.members);
            });
        });
        ip(&["-n", place.outer(), "link", "set", "skep0", "netns", place.inner()]);
        engine.sweep().unwrap();
        let back = engine.observe().unwrap();
        assert_eq!((back.len(), back[0].dispatcher_id), (1, before.dispatcher_id));
        assert_eq!(answer_at(&engine, &at(hook)), dropped(hook));
        assert!(engine.plan(&wanted("skep0", hook, backend)).unwrap().is_empty());
        engine.detach_all().unwrap();
    });
}

#[test]
fn the_chain_of_an_interface_that_moved_away_is_not_taken_for_one_of_its_number() {
    on_links(&|place: &Place, hook, backend| {
        let engine = place.engine();
        engine.apply(&wanted("skep0", hook, backend)).unwrap();
        let number = place.ifindex("skep0").to_string();
        ip(&["link", "set", "skep0", "netns", place.outer()]);
        ip(&["link", "add", "new0", "index", &number, "type", "veth", "peer", "name", "new1"]);
        let new = HookPoint { interface: "new0".to_owned(), hook };
        assert!(engine.observe().unwrap().is_empty(), "{backend:?}");
        let applied = engine.apply(&wanted("new0", hook, backend)).unwrap();
        assert_eq!(applied.chain.at, new);
        assert_eq!(answer_at(&engine, &new), dropped(hook));
        let told = ip_shows("new0");
        assert!(hook != Hook::Xdp || told.contains("prog/xdp"), "{told}");
        engine.detach_all().unwrap();
        ip(&["link", "del", "new0"]);
        ip(&["-n", place.outer(), "link", "del", "skep0"]);
        place.make_pair();
    });
}

fn ip_shows(interface: &str) -> String {
    crate::place::ip_says(&["-d", "link", "show", interface])
}

/// Stops UDP to port 7001 over IPv4 and IPv6, with and without a VLAN tag in the packet.
const NO_7001: &str = r#"
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
static __always_inline int stops(const unsigned char *p, const unsigned char *end) {
    int at = 12;
    if (p + 62 > end) return 0;
    if (p[12] == 0x81 && p[13] == 0) at = 16;
    if (at == 16 ? p[16] == 8 && p[17] == 0 : p[12] == 8 && p[13] == 0) at += 2 + 20;
    else if (at == 16 ? p[16] == 0x86 : p[12] == 0x86) at += 2 + 40;
    else return 0;
    if (p + at + 4 > end) return 0;
    return p[at + 2] == 7001 >> 8 && p[at + 3] == (7001 & 255);
}
SEC("xdp") int on_xdp(struct xdp_md *ctx)
{ return stops((void *)(long)ctx->data, (void *)(long)ctx->data_end) ? XDP_DROP : XDP_PASS; }
SEC("tc") int on_tc(struct __sk_buff *ctx) {
    if (bpf_skb_pull_data(ctx, 66) && bpf_skb_pull_data(ctx, 62)) return -1;
    return stops((void *)(long)ctx->data, (void *)(long)ctx->data_end) ? 2 : -1;
}
char _license[] SEC("license") = "GPL";
"#;

/// Puts VLAN tags on, and takes all off: the first is carried beside the packet, more inside of it.
const TAGS: &str = r#"
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>
const volatile __u32 tags = 0;
SEC("tc") int puts_on(struct __sk_buff *ctx) {
    if (tags > 0 && bpf_skb_vlan_push(ctx, bpf_htons(0x8100), 7)) return 2;
    if (tags > 1 && bpf_skb_vlan_push(ctx, bpf_htons(0x8100), 8)) return 2;
    return -1;
}
SEC("tc") int takes_off(struct __sk_buff *ctx) {
    if (ctx->vlan_present && bpf_skb_vlan_pop(ctx)) return 2;
    if (ctx->vlan_present && bpf_skb_vlan_pop(ctx)) return 2;
    return -1;
}
char _license[] SEC("license") = "GPL";
"#;

/// Every packet leaves the outer namespace with so many VLAN tags.
fn tag(place: &Place, tags: u32) {
    std::thread::scope(|scope| {
        scope.spawn(|| {
            place.enter_outer();
            let mut puts_on = member("tags", 1, TAGS, "puts_on", Hook::TcEgress);
            puts_on.config = global("tags", &tags.to_le_bytes());
            let at = HookPoint { interface: "peer0".to_owned(), hook: Hook::TcEgress };
            let wanted = Chain { at, ..chain(Hook::TcEgress, tags.into(), vec![puts_on]) };
            place.engine().apply(&wanted).unwrap();
        });
    });
}

#[test]
fn chains_meet_ipv4_and_ipv6_with_and_without_vlan_tags_in_every_mode() {
    for (hook, backend, xdp_mode) in [
        (Hook::Xdp, BackendChoice::Slots, XdpModeChoice::Native),
        (Hook::Xdp, BackendChoice::Slots, XdpModeChoice::Generic),
        (Hook::TcIngress, BackendChoice::Tcx, XdpModeChoice::Auto),
        (Hook::TcIngress, BackendChoice::Tc, XdpModeChoice::Auto),
    ] {
        Place::run_choosing(&[backend], hook, |place| {
            packets::with_ipv6(place);
            let engine = place.engine();
            let program = if hook == Hook::Xdp { "on_xdp" } else { "on_tc" };
            let takes_off = || member("tags", 2, TAGS, "takes_off", Hook::TcIngress);
            let mut members = vec![member("no7001", 1, NO_7001, program, hook)];
            if hook == Hook::Xdp {
                engine.apply(&chain(Hook::TcIngress, 1, vec![takes_off()])).unwrap();
            } else {
                members.push(takes_off());
            }
            for (generation, tags) in (1..).zip([0, 1, 2]) {
                tag(place, tags);
                let members = members.clone();
                let wanted = Chain { backend, xdp_mode, ..chain(hook, generation, members) };
                engine.apply(&wanted).unwrap();
                for host in ["10.77.0.1", "[fd77::1]"] {
                    let arrived = packets::arrives(place, host, 7001, 7002);
                    assert!(!arrived, "{host} {tags} {backend:?} {xdp_mode:?}");
                    let arrived = packets::arrives(place, host, 7003, 7002);
                    assert!(arrived, "{host} {tags} {backend:?} {xdp_mode:?}");
                }
            }
            engine.detach_all().unwrap();
            tag(place, 0);
            assert!(packets::arrives(place, "10.77.0.1", 7001, 7002));
        });
    }
}

#[test]
fn xdp_runs_in_the_mode_asked_for_and_says_which() {
    Place::run(|place| {
        let engine = place.engine();
        let wanted =
            |xdp_mode, gap| Chain { xdp_mode, gap, ..chain(Hook::Xdp, 1, dropping(Hook::Xdp)) };
        let mode = || engine.observe_hook(&at(Hook::Xdp)).unwrap().mode;
        engine.apply(&wanted(XdpModeChoice::Auto, Gap::Refuse)).unwrap();
        assert_eq!(mode(), Some(XdpMode::Native), "veth has a native mode");
        assert!(engine.plan(&wanted(XdpModeChoice::Native, Gap::Refuse)).unwrap().is_empty());
        let refused = engine.apply(&wanted(XdpModeChoice::Generic, Gap::Refuse)).unwrap_err();
        assert!(matches!(refused, ApplyError::GapRefused { .. }), "{refused:?}");
        assert_eq!(mode(), Some(XdpMode::Native));
        engine.apply(&wanted(XdpModeChoice::Generic, Gap::Allow)).unwrap();
        assert_eq!(mode(), Some(XdpMode::Generic));
        engine.apply(&wanted(XdpModeChoice::Auto, Gap::Refuse)).unwrap();
        assert_eq!(mode(), Some(XdpMode::Generic), "auto leaves a mode that runs");
    });
}

#[test]
fn a_driver_without_a_native_mode_runs_chains_in_the_generic_one() {
    Place::run(|place| {
        let engine = place.engine();
        let loopback = HookPoint { interface: "lo".to_owned(), hook: Hook::Xdp };
        let wanted = |xdp_mode| Chain {
            at: loopback.clone(),
            xdp_mode,
            ..chain(Hook::Xdp, 1, dropping(Hook::Xdp))
        };
        let refused = engine.apply(&wanted(XdpModeChoice::Native)).unwrap_err();
        assert_eq!(refused.code(), "chain.no_native_mode", "{refused:?}");
        assert!(refused.to_string().contains("generic"), "{refused}");
        assert!(engine.observe().unwrap().is_empty());
        let applied = engine.apply(&wanted(XdpModeChoice::Auto)).unwrap();
        assert_eq!(applied.chain.mode, Some(XdpMode::Generic));
        assert_eq!(answer_at(&engine, &loopback), 1);
    });
}

/// Members that cope with packets in several buffers.
fn with_frags() -> Vec<Member> {
    let source = ANSWER.replace("SEC(\"xdp\")", "SEC(\"xdp.frags\")");
    vec![member("a", 1, &source, "on_xdp", Hook::Xdp), member("b", 2, &source, "on_xdp", Hook::Xdp)]
}

fn mtu(place: &Place, mtu: &str) -> bool {
    [(place.inner(), "skep0"), (place.outer(), "peer0")].iter().all(|(namespace, interface)| {
        let arguments = ["-n", namespace, "link", "set", interface, "mtu", mtu];
        std::process::Command::new("ip").args(arguments).output().unwrap().status.success()
    })
}

#[test]
fn packets_too_large_for_one_buffer_need_members_that_cope_with_several() {
    Place::run(|place| {
        let engine = place.engine();
        assert!(mtu(place, "9000"));
        let plain = |xdp_mode| Chain { xdp_mode, ..chain(Hook::Xdp, 1, dropping(Hook::Xdp)) };
        let refused = engine.apply(&plain(XdpModeChoice::Native)).unwrap_err();
        assert_eq!(refused.code(), "chain.mtu_too_large", "{refused:?}");
        let words = refused.to_string();
        assert!(words.contains("9000") && words.contains("xdp.frags"), "{words}");
        assert!(words.contains("generic"), "{words}");
        assert!(engine.observe().unwrap().is_empty());
        engine.sweep().unwrap();
        assert_eq!(place.hook_folders(), 0, "nothing is left behind");

        let applied = engine.apply(&chain(Hook::Xdp, 2, with_frags())).unwrap();
        assert_eq!(applied.chain.mode, Some(XdpMode::Native));
        let mut mixed = with_frags();
        mixed.push(answering(Hook::Xdp, "plain", 3, 2));
        let refused = engine.apply(&chain(Hook::Xdp, 3, mixed)).unwrap_err();
        assert_eq!(refused.code(), "chain.mtu_too_large", "{refused:?}");
        assert_eq!(engine.observe_hook(&at(Hook::Xdp)).unwrap(), applied.chain, "runs on");

        let generic = Chain { gap: Gap::Allow, ..plain(XdpModeChoice::Generic) };
        let applied = engine.apply(&generic).unwrap();
        assert_eq!(applied.chain.mode, Some(XdpMode::Generic));
        assert_eq!(answer_at(&engine, &at(Hook::Xdp)), 1);
    });
}

#[test]
fn a_running_chain_without_frags_keeps_the_mtu_in_bounds_and_one_with_them_does_not() {
    Place::run(|place| {
        let engine = place.engine();
        engine.apply(&chain(Hook::Xdp, 1, dropping(Hook::Xdp))).unwrap();
        assert!(!mtu(place, "9000"), "the kernel refuses, and the chain runs on");
        assert_eq!(answer_at(&engine, &at(Hook::Xdp)), 1);
        assert!(mtu(place, "1400"));
        // veth keeps the bound of the first chain until it comes off.
        engine.detach(&at(Hook::Xdp)).unwrap();
        engine.apply(&chain(Hook::Xdp, 2, with_frags())).unwrap();
        assert!(mtu(place, "9000"));
        assert_eq!(answer_at(&engine, &at(Hook::Xdp)), 2);
        assert!(packets::arrives(place, "10.77.0.1", 7001, 7002));
    });
}
