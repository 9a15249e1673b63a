//! The ways to run N bodies over a packet: by hand, ours with and without looking inside, and tail
//! calls. Each is loaded once and then only run.

use skep_artifact::config::EncodedConfig;
use skep_artifact::hook::{Failure, Hook, Mode, VerdictSet};
use skep_chain_dispatcher::testrun::{Outcome, TestProgram};
use skep_chain_dispatcher::{
    BackendChoice, Chain, Counting, Engine, EngineConfig, HookPoint, Member, Sampling, Until,
};

use crate::place::Place;
use crate::programs::{self, Index, packet};

/// Lengths that every way is measured with.
const LENGTHS: [usize; 5] = [1, 2, 5, 10, 32];
/// Packets of which one is timed, where not all are.
const TIMED_ONE_IN: u32 = 100;
/// Only fused chains are as long.
const LONGEST: usize = 64;

/// One way with one length, and what was measured of it.
pub(crate) struct Way {
    pub(crate) name: String,
    pub(crate) members: usize,
    /// The way that its ratio is taken to.
    pub(crate) base: &'static str,
    pub(crate) samples: Vec<u32>,
    run: Option<Box<dyn Fn(u32) -> Outcome>>,
}

impl Way {
    fn new(name: &str, members: usize, hook: Hook, run: Box<dyn Fn(u32) -> Outcome>) -> Self {
        let (name, base) = if hook.is_tc() {
            (format!("tc {name}"), "tc by-hand")
        } else {
            (name.to_owned(), "by-hand")
        };
        let way = Self { name, members, base, samples: Vec::new(), run: None };
        let code = run(1).code;
        let go_on = if hook.is_tc() { -1 } else { 2 };
        assert_eq!(code, go_on, "{} with {members} members stops a packet", way.name);
        Self { run: Some(run), ..way }
    }

    /// Nanoseconds a packet, over so many packets.
    pub(crate) fn sample(&mut self, times: u32) {
        self.samples.extend(self.run.as_ref().map(|run| run(times).duration_ns));
    }

    /// What was measured, without the program.
    pub(crate) fn unloaded(self) -> Self {
        Self { run: None, ..self }
    }
}

/// A hook and a length: its ways are measured together.
pub(crate) type Group = (Hook, usize);

/// Everything that is measured, in order.
pub(crate) fn groups() -> Vec<Group> {
    let xdp = LENGTHS.iter().chain([&LONGEST]).map(|members| (Hook::Xdp, *members));
    xdp.chain(LENGTHS.iter().map(|members| (Hook::TcIngress, *members))).collect()
}

/// The ways of a group. They are few: beyond 48 XDP programs at once the kernel calls those that came
/// last through a retpoline (`BPF_DISPATCHER_MAX`), and they would look slower than they are.
pub(crate) fn of(place: &Place, (hook, members): Group) -> Vec<Way> {
    let mut ways = vec![by_hand(hook, members)];
    if members == LONGEST {
        let fused = (BackendChoice::Fused, Counting::Off);
        ways.push(Way::new("fused", members, hook, chain(place, hook, members, fused)));
        return ways;
    }
    ways.extend(ours(place, hook, members));
    if hook == Hook::Xdp {
        ways.push(merged(members));
        let returns = programs::returns(members);
        ways.push(Way::new("returns", members, hook, alone(&returns, "by_hand", hook)));
        for (name, index) in
            [("tail-calls", Index::Variable), ("tail-calls-constant", Index::Constant)]
        {
            let object = programs::tail_calls(hook, members, index);
            ways.push(Way::new(name, members, hook, alone(&object, "p0", hook)));
        }
        ways.extend(looked_into(place, members));
    }
    ways
}

fn by_hand(hook: Hook, members: usize) -> Way {
    let object = programs::by_hand(hook, members, "noinline");
    Way::new("by-hand", members, hook, alone(&object, "by_hand", hook))
}

/// XDP only: of a tc context clang makes pointers that the verifier refuses.
fn merged(members: usize) -> Way {
    let object = programs::by_hand(Hook::Xdp, members, "always_inline");
    Way::new("by-hand-merged", members, Hook::Xdp, alone(&object, "by_hand", Hook::Xdp))
}

/// Our chains, that count nothing and that count.
fn ours(place: &Place, hook: Hook, members: usize) -> Vec<Way> {
    let way = |name, choice, counting| {
        Way::new(name, members, hook, chain(place, hook, members, (choice, counting)))
    };
    vec![
        way("fused", BackendChoice::Fused, Counting::Off),
        way("slots", BackendChoice::Slots, Counting::Off),
        way("fused+counts", BackendChoice::Fused, Counting::On),
        way("slots+counts", BackendChoice::Slots, Counting::On),
    ]
}

/// Our chains with the time of every packet taken, and with a reader of drops.
fn looked_into(place: &Place, members: usize) -> Vec<Way> {
    let mut ways = Vec::new();
    for (name, choice) in [("fused", BackendChoice::Fused), ("slots", BackendChoice::Slots)] {
        for (timing, one_in) in [("timing", TIMED_ONE_IN), ("timing-all", 1)] {
            let (engine, at) = attached(place, Hook::Xdp, members, (choice, Counting::On));
            engine.set_timing(&at, Sampling { one_in, until: Until::Changed }).unwrap();
            let run =
                Box::new(move |times| engine.test_run(&at, &packet(), times).unwrap().unwrap());
            ways.push(Way::new(&format!("{name}+{timing}"), members, Hook::Xdp, run));
        }
        let (engine, at) = attached(place, Hook::Xdp, members, (choice, Counting::On));
        let stream = engine.drops(&at, 1).unwrap();
        let run = Box::new(move |times| {
            let _reader = &stream;
            engine.test_run(&at, &packet(), times).unwrap().unwrap()
        });
        ways.push(Way::new(&format!("{name}+drops"), members, Hook::Xdp, run));
    }
    ways
}

/// A program that is attached to nothing.
fn alone(
    object: &skep_chain_dispatcher::Loadable,
    program: &str,
    hook: Hook,
) -> Box<dyn Fn(u32) -> Outcome> {
    let program = TestProgram::load(object, program, hook, &EncodedConfig::default()).unwrap();
    Box::new(move |times| program.repeat(&packet(), times).unwrap())
}

fn chain(
    place: &Place,
    hook: Hook,
    members: usize,
    how: (BackendChoice, Counting),
) -> Box<dyn Fn(u32) -> Outcome> {
    let (engine, at) = attached(place, hook, members, how);
    Box::new(move |times| engine.test_run(&at, &packet(), times).unwrap().unwrap())
}

/// A chain of ours on an interface of its own.
fn attached(
    place: &Place,
    hook: Hook,
    members: usize,
    (choice, counting): (BackendChoice, Counting),
) -> (Engine, HookPoint) {
    let at = HookPoint { interface: place.interface(), hook };
    let libxdp_root = place.root.with_file_name("xdp");
    let config = EngineConfig { counting, libxdp_root, ..EngineConfig::new(&place.root) };
    let engine = Engine::open(config).unwrap();
    let object = programs::member(hook);
    let members = (0..members)
        .map(|number| Member {
            policy: "bench".to_owned(),
            name: format!("m{number:02}"),
            program: "member".to_owned(),
            object: object.clone(),
            priority: 1,
            proceed_on: VerdictSet::default_for(hook),
            mode: Mode::Enforce,
            failure: Failure::Closed,
            config: EncodedConfig::default(),
            migrations: Default::default(),
        })
        .collect();
    let chain = Chain { backend: choice, ..Chain::new(at.clone(), 1, members) };
    engine.apply(&chain).unwrap();
    (engine, at)
}
