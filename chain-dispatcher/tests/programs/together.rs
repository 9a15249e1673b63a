//! The packages as a fleet would run them: one chain on XDP, one on each side of tc, on a real interface with real
//! traffic. Which member saw what is read from the dispatcher, from the members' metrics and from the receiving socket.

use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use aya::maps::{HashMap, Map, MapData};
use serde_json::json;
use skep_artifact::config::{ConfigValues, encode};
use skep_artifact::{Failure, Hook, Mode, Verdict};
use skep_chain_dispatcher::{Engine, Loadable, Member, MemberCounters};
use skep_trust::LocallyTrusted;

use super::package::Package;
use super::place::{Place, at, chain};

/// Long enough for a loaded machine; a passing test waits microseconds.
const PATIENCE: Duration = Duration::from_secs(10);

/// A member as the manifest asks for it: its priority and its proceed-on.
fn member(name: &str, values: serde_json::Value) -> Member {
    let package = Package::compile(name);
    let values: ConfigValues = serde_json::from_value(values).unwrap();
    let program = &package.manifest.programs[0];
    Member {
        policy: "test".to_owned(),
        name: name.to_owned(),
        program: program.name.clone(),
        object: Loadable::Local(
            LocallyTrusted::by_explicit_consent(package.object.clone()).unwrap(),
        ),
        priority: program.priority,
        proceed_on: program.proceed_on(),
        mode: Mode::Enforce,
        failure: Failure::Closed,
        config: encode(&package.manifest, &package.facts, &values).unwrap(),
        migrations: Default::default(),
    }
}

fn verdicts(engine: &Engine, hook: Hook, name: &str, verdict: Verdict) -> u64 {
    let counters: Vec<MemberCounters> = engine.counters(&at(hook)).unwrap();
    let member = counters.iter().find(|member| member.name == name).unwrap();
    assert_eq!(member.missed, 0);
    member.verdicts.iter().filter(|(which, _)| *which == verdict).map(|(_, count)| count).sum()
}

fn await_that(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "never: {what}");
        std::thread::yield_now();
    }
}

/// Sends from the other end of the cable.
fn from_outside<T: Send>(place: &Place, act: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let sender = scope.spawn(|| {
            place.enter_outer();
            act()
        });
        sender.join().unwrap()
    })
}

#[test]
fn a_firewall_before_a_rate_limit_share_one_hook() {
    Place::run(|place| {
        let engine = place.engine();
        let firewall = json!({ "denied-udp-ports": [7001] });
        let members = vec![
            member("ratelimit", json!({ "rate": 1, "burst": 20 })),
            member("firewall", firewall),
        ];
        let applied = engine.apply(&chain(Hook::Xdp, 1, members)).unwrap();
        let order: Vec<_> = applied.chain.members.iter().map(|member| &member.name).collect();
        assert_eq!(order, ["firewall", "ratelimit"], "by the priorities of their manifests");

        let open = UdpSocket::bind("10.77.0.1:7000").unwrap();
        let denied = UdpSocket::bind("10.77.0.1:7001").unwrap();
        from_outside(place, || {
            let socket = UdpSocket::bind("10.77.0.2:0").unwrap();
            for _ in 0..50 {
                socket.send_to(b"no", "10.77.0.1:7001").unwrap();
            }
            for _ in 0..200 {
                socket.send_to(b"yes", "10.77.0.1:7000").unwrap();
            }
        });
        await_that("all 250 datagrams met the firewall", || {
            let passed = verdicts(&engine, Hook::Xdp, "firewall", Verdict::Pass);
            let dropped = verdicts(&engine, Hook::Xdp, "firewall", Verdict::Drop);
            dropped == 50 && passed >= 200
        });
        await_that("the rate limit dropped what is above its burst", || {
            verdicts(&engine, Hook::Xdp, "ratelimit", Verdict::Drop) >= 150
        });
        open.set_nonblocking(true).unwrap();
        denied.set_nonblocking(true).unwrap();
        let received = std::iter::from_fn(|| open.recv(&mut [0; 8]).ok()).count();
        assert!((1..=50).contains(&received), "{received} of 200 datagrams, burst 20");
        assert!(denied.recv(&mut [0; 8]).is_err(), "nothing of the denied port arrives");
        engine.detach(&at(Hook::Xdp)).unwrap();
    });
}

#[test]
fn flowlog_on_both_sides_sees_both_halves_of_a_connection() {
    const SENT: usize = 300_000;
    Place::run_on(&[Hook::TcIngress, Hook::TcEgress], |place| {
        let engine = place.engine();
        for hook in [Hook::TcIngress, Hook::TcEgress] {
            let log = member("flowlog", json!({}));
            engine.apply(&chain(hook, 1, vec![log])).unwrap();
        }
        let listener = TcpListener::bind("10.77.0.1:7000").unwrap();
        let port = from_outside(place, || {
            let mut stream = TcpStream::connect("10.77.0.1:7000").unwrap();
            std::io::Write::write_all(&mut stream, &vec![0x5a; SENT]).unwrap();
            stream.local_addr().unwrap().port()
        });
        let (mut accepted, _) = listener.accept().unwrap();
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut accepted, &mut bytes).unwrap();
        assert_eq!(bytes.len(), SENT);
        drop(accepted);

        // Offsets as the README has them: destination port 34, protocol 38; bytes 8, ended_ns 32.
        let find = |hook, destination: u16| {
            let path = place.pin(hook, "members/test+flowlog/maps/flows");
            let map = Map::LruHashMap(MapData::from_pin(path).unwrap());
            let flows: HashMap<_, [u8; 40], [u8; 48]> = map.try_into().unwrap();
            flows
                .iter()
                .map(Result::unwrap)
                .find(|(key, _)| key[38] == 6 && key[34..36] == destination.to_be_bytes())
        };
        let ended = |hook, destination| {
            find(hook, destination).is_some_and(|(_, flow)| flow[32..40] != [0; 8])
        };
        await_that("both halves ended", || {
            ended(Hook::TcIngress, 7000) && ended(Hook::TcEgress, port)
        });
        let (key, flow) = find(Hook::TcIngress, 7000).unwrap();
        assert_eq!(key[12..16], Ipv4Addr::new(10, 77, 0, 2).octets());
        let number = |at: usize| u64::from_ne_bytes(flow[at..at + 8].try_into().unwrap());
        let (packets, octets) = (number(0), number(8));
        assert!(octets > u64::try_from(SENT).unwrap(), "{octets} bytes");
        // 1,448 bytes fit a segment: buffers of joined segments are counted as the segments they stand for.
        assert!(packets >= u64::try_from(SENT / 1448).unwrap(), "{packets} packets");
    });
}
