//! Chains beside programs of others on the same hook: everybody keeps their place, nothing is taken
//! without being asked, and what others' tools say about ours is true.

mod attached;
mod tools;

use aya::programs::tc::{SchedClassifierLink, TcAttachOptions};
use aya::programs::{LinkOrder, SchedClassifier, TcAttachType, Xdp, XdpMode as AyaMode};
use skep_artifact::hook::Hook;
use skep_chain_dispatcher::Engine;

use crate::place::{ANSWER, at, compile, packet};

/// A program that somebody else loaded: it counts and answers what it was told to.
struct Theirs {
    object: aya::Ebpf,
}

impl Theirs {
    fn answering(answer: i32) -> Self {
        let bytes = compile(&ANSWER.replace("SEC(\"tc\")", "SEC(\"classifier\")"));
        let answer = answer.cast_unsigned();
        let mut loader = aya::EbpfLoader::new();
        let object = loader.override_global("answer", &answer, true).load(bytes.bytes()).unwrap();
        Self { object }
    }

    /// Packets that it met.
    fn met(&self) -> u64 {
        let seen: aya::maps::Array<_, u64> = self.object.map("seen").unwrap().try_into().unwrap();
        seen.get(&0, 0).unwrap()
    }

    fn on_tc(&mut self) -> &mut SchedClassifier {
        let program: &mut SchedClassifier =
            self.object.program_mut("on_tc").unwrap().try_into().unwrap();
        if program.fd().is_err() {
            program.load().unwrap();
        }
        program
    }

    /// Attaches to the tcx hook and gives the program's number.
    fn join(&mut self, place: LinkOrder) -> u32 {
        let program = self.on_tc();
        let options = TcAttachOptions::TcxOrder(place);
        program.attach_with_options("skep0", TcAttachType::Ingress, options).unwrap();
        program.info().unwrap().id()
    }

    /// Attaches as a clsact filter.
    fn filter(&mut self, preference: u16) -> SchedClassifierLink {
        let _ = aya::programs::tc::qdisc_add_clsact("skep0");
        let program = self.on_tc();
        let options = aya::programs::tc::NlOptions { priority: preference, ..Default::default() };
        let options = TcAttachOptions::Netlink(options);
        let id = program.attach_with_options("skep0", TcAttachType::Ingress, options).unwrap();
        program.take_link(id).unwrap()
    }

    /// Attaches to XDP by a link and gives the program's number.
    fn on_xdp(&mut self, mode: AyaMode) -> u32 {
        let program: &mut Xdp = self.object.program_mut("on_xdp").unwrap().try_into().unwrap();
        program.load().unwrap();
        program.attach("skep0", mode).unwrap();
        program.info().unwrap().id()
    }
}

fn answer_of(engine: &Engine, hook: Hook) -> i32 {
    engine.test_run(&at(hook), &packet(), 1).unwrap().unwrap().code
}
