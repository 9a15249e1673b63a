//! How closely a chain that runs is looked at: sampling, leases, one reader at a time, what outlives an
//! agent and a swap; switched while packets pass.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use skep_artifact::hook::Hook;
use skep_chain_dispatcher::{
    Counting, DropEvent, DropStream, DropsError, Engine, EngineConfig, Member, MemberCounters,
    Sampling, SeeingError, Until,
};

use crate::place::{Place, answering, at, chain, packet};

pub(crate) const PORT: u16 = 7007;
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// Answers of a member that lets a packet go on, and of one that drops it.
pub(crate) fn codes(hook: Hook) -> (i32, i32) {
    if hook == Hook::Xdp { (2, 1) } else { (-1, 2) }
}

/// `pass`, then `guard`, which drops, then `never`, which no packet meets.
pub(crate) fn guarded(hook: Hook) -> Vec<Member> {
    let (go_on, stop) = codes(hook);
    vec![
        answering(hook, "pass", 1, go_on),
        answering(hook, "guard", 2, stop),
        answering(hook, "never", 3, go_on),
    ]
}

pub(crate) fn run(engine: &Engine, hook: Hook, times: u32) -> i32 {
    engine.test_run(&at(hook), &packet(), times).unwrap().unwrap().code
}

/// Reads until `enough` events have come, or fails.
pub(crate) fn read(stream: &mut DropStream, enough: usize) -> (Vec<DropEvent>, u64) {
    let started = Instant::now();
    let (mut events, mut lost) = (Vec::new(), 0);
    while events.len() < enough {
        assert!(started.elapsed() < PATIENCE, "{} of {enough} events came", events.len());
        let drops = stream.read(Duration::from_millis(100)).unwrap();
        events.extend(drops.events);
        lost += drops.lost;
    }
    (events, lost)
}

/// What has come by now.
pub(crate) fn read_rest(stream: &mut DropStream) -> (Vec<DropEvent>, u64) {
    let (mut events, mut lost) = (Vec::new(), 0);
    loop {
        let drops = stream.read(Duration::ZERO).unwrap();
        lost += drops.lost;
        if drops.events.is_empty() {
            return (events, lost);
        }
        events.extend(drops.events);
    }
}

pub(crate) fn counters(engine: &Engine, hook: Hook) -> Vec<MemberCounters> {
    engine.counters(&at(hook)).unwrap()
}

pub(crate) fn every(one_in: u32) -> Sampling {
    Sampling { one_in, until: Until::Changed }
}

#[test]
fn samples_about_one_in_so_many_packets_and_drops() {
    const PACKETS: u32 = 200_000;
    Place::run(|place| {
        let engine = place.engine();
        engine.apply(&chain(Hook::Xdp, 1, guarded(Hook::Xdp))).unwrap();
        run(&engine, Hook::Xdp, 1000);
        assert_eq!(counters(&engine, Hook::Xdp)[0].timed, 0, "off unless asked for");
        engine.set_timing(&at(Hook::Xdp), every(100)).unwrap();
        let mut drops = engine.drops(&at(Hook::Xdp), 1000).unwrap();
        run(&engine, Hook::Xdp, PACKETS);
        let (events, lost) = read_rest(&mut drops);
        // Gaps are uniform between 0 and twice the mean: 200 samples of 1,000 lie within 15 % of
        // 200 but for once in thousands of millions of runs (7 standard deviations of 8).
        let told = events.len() as u64 + lost;
        assert!((140..=260).contains(&told), "{told} of {PACKETS} drops told");
        assert!(events.iter().all(|event| event.one_in == 1000));
        let timed = counters(&engine, Hook::Xdp)[1].timed;
        assert!((1800..=2200).contains(&timed), "{timed} of {PACKETS} packets timed");
        // From one in a million to every one: no long gap is left over.
        engine.set_timing(&at(Hook::Xdp), every(1_000_000)).unwrap();
        run(&engine, Hook::Xdp, 1000);
        engine.set_timing(&at(Hook::Xdp), every(1)).unwrap();
        let before = counters(&engine, Hook::Xdp)[1].timed;
        run(&engine, Hook::Xdp, 1000);
        assert_eq!(counters(&engine, Hook::Xdp)[1].timed - before, 1000);
        engine.set_timing(&at(Hook::Xdp), Sampling::default()).unwrap();
        let before = counters(&engine, Hook::Xdp)[1].timed;
        run(&engine, Hook::Xdp, 1000);
        assert_eq!(counters(&engine, Hook::Xdp)[1].timed, before);
    });
}

#[test]
fn what_nobody_reads_in_time_is_counted_as_lost() {
    const PACKETS: u32 = 5000;
    Place::run(|place| {
        let engine = place.engine();
        engine.apply(&chain(Hook::Xdp, 1, guarded(Hook::Xdp))).unwrap();
        let mut drops = engine.drops(&at(Hook::Xdp), 1).unwrap();
        run(&engine, Hook::Xdp, PACKETS);
        let (events, lost) = read_rest(&mut drops);
        assert!(events.len() > 100, "{} events fit", events.len());
        assert_eq!(events.len() as u64 + lost, u64::from(PACKETS));
        // And it goes on.
        run(&engine, Hook::Xdp, 10);
        let (events, lost) = read_rest(&mut drops);
        assert_eq!((events.len(), lost), (10, 0));
    });
}

#[test]
fn one_reader_at_a_time_and_nothing_is_told_without_one() {
    Place::run(|place| {
        let engine = place.engine();
        let hook = at(Hook::Xdp);
        assert!(matches!(
            engine.drops(&hook, 1),
            Err(DropsError::Seeing(SeeingError::NoChain { .. }))
        ));
        engine.apply(&chain(Hook::Xdp, 1, guarded(Hook::Xdp))).unwrap();
        assert!(matches!(engine.drops(&hook, 0), Err(DropsError::OneInNone)));
        let first = engine.drops(&hook, 7).unwrap();
        assert_eq!(engine.seeing(&hook).unwrap().drops.one_in, 7);
        assert!(
            matches!(engine.seeing(&hook).unwrap().drops.until, Until::After(_)),
            "a lease, which ends when nobody renews it"
        );
        assert!(matches!(engine.drops(&hook, 1), Err(DropsError::Taken { .. })));
        // Another process sees the same: the lock lies with the pins.
        assert!(matches!(place.engine().drops(&hook, 1), Err(DropsError::Taken { .. })));
        drop(first);
        assert_eq!(engine.seeing(&hook).unwrap().drops, Sampling::default());
        run(&engine, Hook::Xdp, 100);
        let mut second = engine.drops(&hook, 1).unwrap();
        assert_eq!(read_rest(&mut second), (Vec::new(), 0), "nothing was told in between");
    });
}

#[test]
fn the_kernel_side_stops_by_itself_when_a_lease_is_over() {
    Place::run(|place| {
        let engine = place.engine();
        engine.apply(&chain(Hook::Xdp, 1, guarded(Hook::Xdp))).unwrap();
        let brief = Sampling { one_in: 1, until: Until::After(Duration::from_millis(50)) };
        engine.set_timing(&at(Hook::Xdp), brief).unwrap();
        let started = Instant::now();
        while engine.seeing(&at(Hook::Xdp)).unwrap().timing.one_in != 0 {
            assert!(started.elapsed() < PATIENCE);
            std::thread::yield_now();
        }
        let before = counters(&engine, Hook::Xdp)[0].timed;
        run(&engine, Hook::Xdp, 1000);
        assert_eq!(counters(&engine, Hook::Xdp)[0].timed, before);
    });
}

#[test]
fn an_agent_that_starts_again_sees_into_the_chain_it_finds() {
    Place::run(|place| {
        let first = place.engine();
        first.apply(&chain(Hook::Xdp, 1, guarded(Hook::Xdp))).unwrap();
        first.set_timing(&at(Hook::Xdp), every(1)).unwrap();
        run(&first, Hook::Xdp, 10);
        drop(first);
        let second = place.engine();
        let counted = counters(&second, Hook::Xdp);
        assert_eq!((counted[1].packets, counted[1].timed), (10, 10), "counters outlive the agent");
        assert_eq!(second.seeing(&at(Hook::Xdp)).unwrap().timing, every(1));
        let mut drops = second.drops(&at(Hook::Xdp), 1).unwrap();
        run(&second, Hook::Xdp, 3);
        let (events, _) = read(&mut drops, 3);
        assert_eq!(events[2].member.as_ref().unwrap().name, "guard");
        // The caller's number changes, the chain does not: nothing begins anew.
        second.apply(&chain(Hook::Xdp, 2, guarded(Hook::Xdp))).unwrap();
        assert_eq!(counters(&second, Hook::Xdp)[1].packets, 13);
    });
}

#[test]
fn a_reader_reads_on_when_the_chain_is_replaced_and_every_event_names_its_own_chain() {
    Place::run(|place| {
        let engine = place.engine();
        engine.apply(&chain(Hook::Xdp, 1, guarded(Hook::Xdp))).unwrap();
        engine.set_timing(&at(Hook::Xdp), every(1)).unwrap();
        let mut drops = engine.drops(&at(Hook::Xdp), 1).unwrap();
        run(&engine, Hook::Xdp, 2);
        // Now the second place is another member's.
        let members = vec![answering(Hook::Xdp, "new", 1, 2), answering(Hook::Xdp, "strict", 2, 1)];
        engine.apply(&chain(Hook::Xdp, 2, members)).unwrap();
        run(&engine, Hook::Xdp, 2);
        let (events, lost) = read(&mut drops, 4);
        let names: Vec<&str> =
            events.iter().map(|event| event.member.as_ref().unwrap().name.as_str()).collect();
        assert_eq!(names, ["guard", "guard", "strict", "strict"]);
        assert_eq!(lost, 0);
        let seeing = engine.seeing(&at(Hook::Xdp)).unwrap();
        assert_eq!(seeing.timing, every(1), "settings stay");
        let counted = counters(&engine, Hook::Xdp);
        assert_eq!((counted[1].packets, counted[1].timed), (2, 2), "a new chain counts from zero");
        engine.detach(&at(Hook::Xdp)).unwrap();
        drop(drops);
        engine.apply(&chain(Hook::Xdp, 3, guarded(Hook::Xdp))).unwrap();
        assert_eq!(engine.seeing(&at(Hook::Xdp)).unwrap().timing, Sampling::default());
    });
}

#[test]
fn switching_on_and_off_loses_no_packet() {
    const PACKETS: usize = 4000;
    Place::run_on(&[Hook::Xdp, Hook::TcIngress], |place| {
        let engine = place.engine();
        for hook in [Hook::Xdp, Hook::TcIngress] {
            let (go_on, _) = codes(hook);
            engine.apply(&chain(hook, 1, vec![answering(hook, "pass", 1, go_on)])).unwrap();
        }
        let socket = UdpSocket::bind(("10.77.0.1", PORT)).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        std::thread::scope(|scope| {
            let sender = scope.spawn(|| {
                place.enter_outer();
                let sender = UdpSocket::bind("10.77.0.2:0").unwrap();
                sender.connect(("10.77.0.1", PORT)).unwrap();
                let mut answer = [0; 4];
                sender.set_read_timeout(Some(PATIENCE)).unwrap();
                for number in 0..u32::try_from(PACKETS).unwrap() {
                    sender.send(&number.to_le_bytes()).unwrap();
                    // Each is answered before the next is sent: a lost one ends the test.
                    sender.recv(&mut answer).unwrap();
                    assert_eq!(answer, number.to_le_bytes());
                }
            });
            let echo = scope.spawn(|| {
                let mut buffer = [0; 4];
                for _ in 0..PACKETS {
                    let (_, from) = socket.recv_from(&mut buffer).unwrap();
                    socket.send_to(&buffer, from).unwrap();
                }
            });
            let mut switches = 0;
            while !sender.is_finished() {
                for hook in [Hook::Xdp, Hook::TcIngress] {
                    engine.set_timing(&at(hook), every(1 + switches % 3)).unwrap();
                    let stream = engine.drops(&at(hook), 1).unwrap();
                    engine.set_timing(&at(hook), Sampling::default()).unwrap();
                    drop(stream);
                }
                switches += 1;
            }
            sender.join().unwrap();
            echo.join().unwrap();
            assert!(switches > 3, "{switches} switches prove little");
        });
    });
}

#[test]
fn a_chain_built_without_counters_says_that_it_cannot_be_looked_into() {
    Place::run(|place| {
        let engine =
            Engine::open(EngineConfig { counting: Counting::Off, ..place.config() }).unwrap();
        engine.apply(&chain(Hook::Xdp, 1, guarded(Hook::Xdp))).unwrap();
        run(&engine, Hook::Xdp, 10);
        assert_eq!(counters(&engine, Hook::Xdp), []);
        // It is as it was built: there is nothing to do.
        assert!(engine.plan(&chain(Hook::Xdp, 1, guarded(Hook::Xdp))).unwrap().steps.is_empty());
        let refused = engine.set_timing(&at(Hook::Xdp), every(1)).unwrap_err();
        assert!(matches!(refused, SeeingError::NotBuiltIn { .. }), "{refused:?}");
        let refused = engine.drops(&at(Hook::Xdp), 1).unwrap_err();
        assert!(
            matches!(refused, DropsError::Seeing(SeeingError::NotBuiltIn { .. })),
            "{refused:?}"
        );
    });
}
