//! Swaps under traffic: numbered packets run through the interface while chains are replaced, by a
//! process that lives and by one that is killed again and again. Every packet meets the old chain or
//! the new one, whole: none neither, none half of each, none twice, and none is lost. The suite swaps
//! some hundred times; `cargo xtask soak` sets the counts of the environment and reads the report.

mod killed;
mod report;
mod traffic;

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use skep_artifact::hook::Hook;
use skep_chain_dispatcher::{Backend, BackendChoice, Chain, Engine, Loadable, Step};

use crate::flood::report::{Report, count};
use crate::flood::traffic::{PORT, Traffic, witnesses};
use crate::place::{Place, at, chain, packet};

/// Swaps in one flood; more are made in several, because the witnesses note every packet.
const SWAPS_PER_ROUND: u32 = 500;

/// What runs on a hook, and how it is asked for.
#[derive(Debug, Clone, Copy)]
struct Way {
    backend: Backend,
    choice: BackendChoice,
    hook: Hook,
}

const fn way(backend: Backend, choice: BackendChoice, hook: Hook) -> Way {
    Way { backend, choice, hook }
}

const SLOTS: Way = way(Backend::Slots, BackendChoice::Slots, Hook::Xdp);
const FUSED: Way = way(Backend::Fused, BackendChoice::Fused, Hook::Xdp);
const LIBXDP: Way = way(Backend::Libxdp, BackendChoice::Libxdp, Hook::Xdp);
const TCX: Way = way(Backend::Tcx, BackendChoice::Tcx, Hook::TcIngress);
const TCX_FUSED: Way = way(Backend::TcxFused, BackendChoice::Fused, Hook::TcIngress);
const TC: Way = way(Backend::Tc, BackendChoice::Tc, Hook::TcIngress);
const TC_FUSED: Way = way(Backend::TcFused, BackendChoice::TcFused, Hook::TcIngress);

/// Every way that there is.
const ALL: [Way; 7] = [SLOTS, FUSED, LIBXDP, TCX, TCX_FUSED, TC, TC_FUSED];

impl Way {
    /// The chain of this version: two witnesses, the first thing and the last that a packet meets.
    fn chain(self, object: &Loadable, version: u32) -> Chain {
        let members = witnesses(self.hook, object, version);
        Chain { backend: self.choice, ..chain(self.hook, version.into(), members) }
    }

    /// Applies a version and makes sure that it went live in one operation, with this backend.
    fn swap(self, engine: &Engine, object: &Loadable, version: u32) {
        let applied = engine.apply(&self.chain(object, version)).unwrap();
        let switches = applied.plan.steps.iter().filter(|step| matches!(step, Step::Switch { .. }));
        assert_eq!(switches.count(), 1, "{:?}", applied.plan);
        assert_eq!(applied.plan.chosen.backend, self.backend);
    }
}

fn swaps_under_flood(way: Way) {
    Place::run_with(way.backend, &[way.hook], |place| {
        let swaps = count("SKEP_SOAK_SWAPS", 200);
        let engine = place.engine();
        let mut report = Report::new("swaps", way.backend);
        while report.swaps() < swaps {
            let round = SWAPS_PER_ROUND.min(swaps - report.swaps());
            let traffic = Traffic::for_swaps(round);
            begin(&engine, way, &traffic);
            let flood = traffic.around(place, || {
                (1..=round).for_each(|version| way.swap(&engine, &traffic.object, version));
            });
            report.add(round, &flood, &traffic.met(place, way.hook, &flood));
            assert!(flood.sent > round, "{} packets for {round} swaps prove nothing", flood.sent);
            let generation = engine.observe_hook(&at(way.hook)).unwrap().generation;
            assert_eq!(generation, u64::from(round));
        }
        report.finish();
    });
}

/// Attaches the first version anew, with no packets met: the attach itself is not counted.
fn begin(engine: &Engine, way: Way, traffic: &Traffic) {
    engine.detach(&at(way.hook)).unwrap();
    engine.apply(&way.chain(&traffic.object, 0)).unwrap();
}

/// What the pace of the flood loses by itself, which must be nothing.
fn control(way: Way) {
    Place::run_with(way.backend, &[way.hook], |place| {
        let seconds = count("SKEP_SOAK_CONTROL_SECONDS", 2);
        let engine = place.engine();
        let mut report = Report::new("control", way.backend);
        let traffic = Traffic::for_seconds(seconds);
        begin(&engine, way, &traffic);
        let until = Instant::now() + Duration::from_secs(seconds.into());
        let flood = traffic.around(place, || {
            while let Some(left) = until.checked_duration_since(Instant::now()) {
                std::thread::park_timeout(left);
            }
        });
        report.add(0, &flood, &traffic.met(place, way.hook, &flood));
        assert!(flood.sent > 0);
        report.finish();
    });
}

#[test]
fn the_flood_alone_loses_nothing_on_xdp() {
    control(SLOTS);
}

#[test]
fn the_flood_alone_loses_nothing_on_tc() {
    control(TCX);
}

#[test]
fn no_packet_escapes_hundreds_of_swaps_in_slots() {
    swaps_under_flood(SLOTS);
}

#[test]
fn no_packet_escapes_hundreds_of_swaps_of_a_fused_chain() {
    swaps_under_flood(FUSED);
}

#[test]
fn no_packet_escapes_hundreds_of_swaps_of_a_libxdp_chain() {
    swaps_under_flood(LIBXDP);
}

#[test]
fn no_packet_escapes_swaps_of_a_libxdp_chain_by_a_process_that_is_killed() {
    killed::swaps_under_flood(LIBXDP);
}

#[test]
fn no_packet_escapes_hundreds_of_swaps_on_tcx() {
    swaps_under_flood(TCX);
}

#[test]
fn no_packet_escapes_hundreds_of_swaps_of_a_fused_chain_on_tcx() {
    swaps_under_flood(TCX_FUSED);
}

#[test]
fn no_packet_escapes_hundreds_of_swaps_on_clsact() {
    swaps_under_flood(TC);
}

#[test]
fn no_packet_escapes_hundreds_of_swaps_of_a_fused_chain_on_clsact() {
    swaps_under_flood(TC_FUSED);
}

#[test]
fn no_packet_escapes_swaps_in_slots_by_a_process_that_is_killed() {
    killed::swaps_under_flood(SLOTS);
}

#[test]
fn no_packet_escapes_swaps_of_a_fused_chain_by_a_process_that_is_killed() {
    killed::swaps_under_flood(FUSED);
}

#[test]
fn no_packet_escapes_swaps_on_tcx_by_a_process_that_is_killed() {
    killed::swaps_under_flood(TCX);
}

#[test]
fn no_packet_escapes_swaps_of_a_fused_chain_on_tcx_by_a_process_that_is_killed() {
    killed::swaps_under_flood(TCX_FUSED);
}

#[test]
fn no_packet_escapes_swaps_on_clsact_by_a_process_that_is_killed() {
    killed::swaps_under_flood(TC);
}

#[test]
fn no_packet_escapes_swaps_of_a_fused_chain_on_clsact_by_a_process_that_is_killed() {
    killed::swaps_under_flood(TC_FUSED);
}

#[test]
fn a_dropping_chain_stops_real_traffic_and_a_passing_one_lets_it_through() {
    Place::run_on(&[Hook::Xdp, Hook::TcIngress], |place| {
        let engine = place.engine();
        let reaches = || {
            let socket = UdpSocket::bind(("10.77.0.1", PORT)).unwrap();
            socket.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    place.enter_outer();
                    let sender = UdpSocket::bind("10.77.0.2:0").unwrap();
                    sender.send_to(&packet(), ("10.77.0.1", PORT)).unwrap();
                });
            });
            socket.recv(&mut [0; 64]).is_ok()
        };
        assert!(reaches());
        for (hook, go_on, stop) in [(Hook::Xdp, 2, 1), (Hook::TcIngress, -1, 2)] {
            let answering = |generation, answer| {
                let members = vec![
                    crate::place::answering(hook, "first", 1, go_on),
                    crate::place::answering(hook, "second", 2, answer),
                ];
                engine.apply(&chain(hook, generation, members)).unwrap();
            };
            answering(1, go_on);
            assert!(reaches(), "{hook}");
            answering(2, stop);
            assert!(!reaches(), "{hook}");
            let counters = engine.counters(&at(hook)).unwrap();
            assert_eq!(counters[0].packets, counters[1].packets);
            assert!(counters[1].packets > 0);
            engine.detach(&at(hook)).unwrap();
            assert!(reaches(), "{hook}");
        }
    });
}
