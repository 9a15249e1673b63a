//! The slots build: members stay ordinary programs. A slot is an entry of a program array that a function
//! behind the generated walk tail-calls; the member returns to the walk, which decides. Refuses to
//! know how the program is attached and what the walk means (`fuse::walk` does).

use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};

use skep_artifact::Digest;
use skep_artifact::config::EncodedConfig;
use skep_artifact::hook::Hook;

use crate::backend::counting::Counters;
use crate::backend::{Builder, Built, BuiltMember, Job, ending, generated, shared};
use crate::chain::Counting;
use crate::error::{ApplyError, ObserveError};
use crate::execute::{label, refusal};
use crate::fuse::walk::{self, Answers, Ending, Place};
use crate::fuse::{self, Form, License, Main, Part};
use crate::kernel::sys;
use crate::load::{self, As, Frags, LoadError, Loaded, Request, Several};
use crate::observe::{open_pin, program_at};
use crate::pins::GenerationDir;
use crate::record::{ChainRecord, MemberRecord};
use crate::support;

/// Bytes at an address that 8-byte loads may use, as ELF readers want.
#[repr(C, align(8))]
struct Aligned<T: ?Sized>(T);

static XDP: &Aligned<[u8]> = &Aligned(*include_bytes!(concat!(env!("OUT_DIR"), "/xdp_slots.o")));
static TC: &Aligned<[u8]> = &Aligned(*include_bytes!(concat!(env!("OUT_DIR"), "/tc_slots.o")));

/// The map of the object whose entries are the members.
const SLOTS_MAP: &str = "skep_slots";

/// The object with the functions of the slots for a hook.
pub(crate) fn object(hook: Hook) -> &'static [u8] {
    match hook {
        Hook::Xdp => &XDP.0,
        Hook::TcIngress | Hook::TcEgress => &TC.0,
    }
}

/// Members and dispatcher as they are loaded.
#[derive(Debug, Default)]
pub(crate) struct Slots {
    members: Vec<Loaded>,
    /// The functions of the slots.
    slots: Option<Several>,
    counters: Option<Counters>,
    program: Option<OwnedFd>,
}

impl Builder for Slots {
    fn load_member(
        &mut self,
        job: &Job<'_>,
        slot: usize,
        carried: BTreeMap<String, OwnedFd>,
    ) -> Result<(), ApplyError> {
        let Some(member) = job.members.get(slot) else { return Ok(()) };
        let request = Request {
            bytes: member.object.bytes(),
            program: &member.program,
            hook: job.spot.hook,
            config: &member.config,
            carried,
            frags: job.frags,
        };
        self.members.push(load::load(request).map_err(|error| refusal(member, error))?);
        Ok(())
    }

    fn load_dispatcher(&mut self, job: &Job<'_>) -> Result<(), ApplyError> {
        let (hook, frags) = (job.spot.hook, job.frags);
        let steps: Vec<walk::Member> = job.record.members.iter().map(step).collect();
        let place = Place { hook, ending: ending(job.record.backend) };
        let slots = functions(hook, frags, steps.len()).map_err(ApplyError::Dispatcher)?;
        let counters = Counters::prepare(job)?;
        let main = match &counters {
            Some(counters) => {
                let places = counters.places().map_err(ApplyError::Dispatcher)?;
                walk::counted(place, &steps, places)
            }
            None => walk::quiet(place, &steps),
        };
        let counting = counters.iter().flat_map(Counters::parts);
        let parts: Vec<Part<'_>> = parts(&slots).chain(counting).collect();
        let program = called(frags, &parts, &main)?;
        let map = slots.maps.get(SLOTS_MAP).ok_or_else(|| {
            ApplyError::Dispatcher(LoadError::NoSuchMap { map: SLOTS_MAP.to_owned() })
        })?;
        for (slot, (member, loaded)) in (0u32..).zip(job.members.iter().zip(&self.members)) {
            let fd = sys::raw_fd_bytes(loaded.program.as_fd());
            sys::map_update(map.as_fd(), &slot.to_ne_bytes(), &fd)
                .map_err(|source| ApplyError::Slot { member: label(member), source })?;
        }
        (self.slots, self.counters, self.program) = (Some(slots), counters, Some(program));
        Ok(())
    }

    fn built(&self) -> Built<'_> {
        let slots = self.slots.iter().flat_map(|slots| shared(&slots.maps));
        let members = self.members.iter();
        Built {
            dispatcher: self.program.as_ref(),
            members: members
                .map(|loaded| BuiltMember { program: Some(&loaded.program), maps: &loaded.maps })
                .collect(),
            shared: slots.chain(self.counters.iter().flat_map(Counters::shared)).collect(),
            notes: Vec::new(),
        }
    }
}

/// A program with one slot, which is empty: whether the kernel has what such chains are made of.
pub(crate) fn probe(hook: Hook) -> Result<(), LoadError> {
    let slots = functions(hook, Frags::Without, 1)?;
    let member = walk::Member {
        proceed_on: skep_artifact::hook::VerdictSet::default_for(hook),
        mode: skep_artifact::hook::Mode::Enforce,
        failure: skep_artifact::hook::Failure::Closed,
        keeps_length: false,
        answers: Answers::Itself,
    };
    let main = walk::quiet(Place { hook, ending: Ending::AsItIs }, &[member]);
    let parts: Vec<Part<'_>> = parts(&slots).collect();
    match called(Frags::Without, &parts, &main) {
        Ok(_) => Ok(()),
        Err(ApplyError::Dispatcher(error)) => Err(error),
        Err(_) => Err(LoadError::Damaged),
    }
}

/// The functions of the first slots, with their map.
fn functions(hook: Hook, frags: Frags, slots: usize) -> Result<Several, LoadError> {
    let names: Vec<String> = (0..slots).map(|slot| format!("skep_slot_{slot}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let config = EncodedConfig::default();
    let carried = BTreeMap::new();
    let bytes = object(hook);
    load::prepare_each(
        Request { bytes, program: "", hook, config: &config, carried, frags },
        &names,
    )
}

fn parts(slots: &Several) -> impl Iterator<Item = Part<'_>> {
    slots.functions.iter().map(|function| Part {
        label: "slot",
        license: License::Any,
        instructions: &function.instructions,
        func_info: &function.func_info,
        btf: slots.types.as_ref().map(|types| types.bytes.as_slice()),
        stacks: &[],
    })
}

/// A slot of the walk. Its function answers for it, with what the verifier cannot know.
fn step(member: &MemberRecord) -> walk::Member {
    let MemberRecord { proceed_on, mode, failure, keeps_length, .. } = *member;
    walk::Member { proceed_on, mode, failure, keeps_length, answers: Answers::Itself }
}

/// Loads a walk that calls these functions.
fn called(frags: Frags, parts: &[Part<'_>], main: &Main) -> Result<OwnedFd, ApplyError> {
    let joined = fuse::fuse(parts, main, Form::Called).map_err(ApplyError::Fuse)?;
    let prepared = generated(main.hook, frags, main.name.clone(), joined);
    let program = prepared.and_then(|prepared| load::finish(&prepared, As::OnHook));
    program.map_err(ApplyError::Dispatcher)
}

/// What tells one version of what is generated from another.
pub(crate) fn identity(hook: Hook) -> Digest {
    Digest::of(&[b"slots", walk::VERSION, object(hook), support::object(hook)].concat())
}

/// Whether every slot holds the program pinned for its member: somebody may have emptied a slot, or
/// removed a pin and with it the array's entries.
pub(crate) fn intact(dir: &GenerationDir, record: &ChainRecord) -> Result<bool, ObserveError> {
    let Some(slots) = open_pin(&dir.slots())? else { return Ok(false) };
    if record.counting == Counting::On && open_pin(&dir.counters())?.is_none() {
        return Ok(false);
    }
    for (slot, member) in (0u32..).zip(&record.members) {
        let holds = sys::map_lookup(slots.as_fd(), &slot.to_ne_bytes())
            .map_err(|source| ObserveError::Kernel { what: "the chain's slots", source })?;
        let pinned = program_at(&dir.program(&member.policy, &member.name))?;
        if holds.is_none() || holds != pinned.map(|info| info.id.to_ne_bytes().to_vec()) {
            return Ok(false);
        }
    }
    Ok(true)
}
