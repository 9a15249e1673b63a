//! Building: the dispatcher first, because an extension is verified against the function that it
//! replaces; then our members, wrapped; then everybody's place in the chain.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::{REPLACED_PIN, actions, find, fit, own_programs};
use skep_artifact::hook::Hook;

use crate::backend::counting::Counters;
use crate::backend::{Builder, Built, BuiltMember, Job, fused, generated};
use crate::choice::Unfit;
use crate::error::ApplyError;
use crate::execute::refusal;
use crate::fuse::walk::{self, Ending};
use crate::fuse::{self, Form, License, Part};
use crate::kinds::Backend;
use crate::libxdp::chain::Member;
use crate::libxdp::config::{Config, FLAG_FRAGS, MEMBERS_MAX, Slot, Version};
use crate::libxdp::dispatcher::{self, Dispatcher};
use crate::libxdp::order::{self, Place};
use crate::libxdp::pins::Root;
use crate::load::{self, Frags, LoadError, Loaded, Prepared, Request};

/// The generated function around a member. The program has the member's own name, which libxdp's
/// tools show and sort by.
const MAIN: &str = "skep_wrapped";
const PLACE: walk::Place = walk::Place { hook: Hook::Xdp, ending: Ending::AsItIs };

/// The dispatcher and its extensions as they are loaded.
#[derive(Debug, Default)]
pub(crate) struct Libxdp {
    chain: Option<Building>,
}

#[derive(Debug)]
struct Building {
    dispatcher: Dispatcher,
    places: Vec<Place>,
    /// None where nothing is counted.
    counters: Option<Counters>,
    /// Ours, in order.
    members: Vec<Loaded>,
    /// The others', in order.
    theirs: Vec<Member>,
    /// The dispatcher whose place this one takes.
    replaced: Option<OwnedFd>,
}

impl Builder for Libxdp {
    fn load_member(
        &mut self,
        job: &Job<'_>,
        slot: usize,
        carried: BTreeMap<String, OwnedFd>,
    ) -> Result<(), ApplyError> {
        let (Some(member), Some(chain)) = (job.members.get(slot), &mut self.chain) else {
            return Ok(());
        };
        let request = Request {
            bytes: member.object.bytes(),
            program: &member.program,
            hook: job.spot.hook,
            config: &member.config,
            carried,
            frags: job.frags,
        };
        let refused = |error| refusal(member, error);
        let how = chain.dispatcher.extension(chain.place_of(slot)).map_err(refused)?;
        let prepared = load::prepare(request).map_err(refused)?;
        load::place_tails(&prepared, how).map_err(refused)?;
        let wrapper = chain.wrapped(job, slot, &prepared)?;
        let program = load::finish(&wrapper, how).map_err(refused)?;
        chain.members.push(Loaded { program, maps: prepared.maps });
        Ok(())
    }

    fn load_dispatcher(&mut self, job: &Job<'_>) -> Result<(), ApplyError> {
        let there = find(job.spot.libxdp_root, job.spot.interface)?;
        let own = own_programs(job.spot.dir)?;
        let (replaced, version, dev_bound, members) = match there {
            None => (None, job.libxdp_version, false, Vec::new()),
            Some(there) => {
                let Config { version, dev_bound, slots, .. } = there.config;
                let theirs = there.members.into_iter().zip(slots);
                let theirs = theirs.filter(|(member, _)| !own.contains(&member.id)).collect();
                (Some(there.dispatcher), version, dev_bound, theirs)
            }
        };
        let unfit = |why| ApplyError::BackendUnavailable { backend: Backend::Libxdp, why };
        if dev_bound {
            return Err(unfit(Unfit::DeviceBound));
        }
        let (theirs, slots): (Vec<Member>, Vec<Slot>) = members.into_iter().unzip();
        fit::room(job.record.members.len(), slots.len()).map_err(unfit)?;
        let (places, config) = config(job, version, &slots);
        let dispatcher = dispatcher::load(&config).map_err(ApplyError::Dispatcher)?;
        let members = Vec::with_capacity(MEMBERS_MAX);
        let counters = Counters::prepare(job)?;
        self.chain = Some(Building { dispatcher, places, counters, members, theirs, replaced });
        Ok(())
    }

    fn built(&self) -> Built<'_> {
        let Some(chain) = &self.chain else { return Built::default() };
        Built {
            dispatcher: Some(&chain.dispatcher.program),
            members: chain
                .members
                .iter()
                .map(|loaded| BuiltMember { program: Some(&loaded.program), maps: &loaded.maps })
                .collect(),
            shared: chain.shared(),
            notes: Vec::new(),
        }
    }

    fn pin_beside(&self, job: &Job<'_>) -> Result<(), ApplyError> {
        let Some(chain) = &self.chain else { return Ok(()) };
        let root = Root::at(job.spot.libxdp_root);
        let ifindex = job.spot.interface.index;
        let members = chain.in_order().ok_or(ApplyError::Dispatcher(LoadError::Damaged))?;
        chain.dispatcher.pin(&root, ifindex, &members).map_err(|source| {
            let path = root.chain(ifindex, chain.dispatcher.id).path().to_owned();
            ApplyError::Pin { path, source }
        })
    }

    fn unpin_beside(&self, job: &Job<'_>) {
        let Some(chain) = &self.chain else { return };
        let root = Root::at(job.spot.libxdp_root);
        // What stays is swept: the generation's folder names it.
        let _ = root.lock().and_then(|lock| {
            root.chain(job.spot.interface.index, chain.dispatcher.id).remove(lock.as_ref())
        });
    }
}

impl Building {
    /// A member inside a generated function of the right type, which counts for it and lets the chain
    /// go on where it only observes. Its tail calls' programs go with it.
    fn wrapped(
        &self,
        job: &Job<'_>,
        slot: usize,
        member: &Prepared,
    ) -> Result<Prepared, ApplyError> {
        let Some(record) = job.record.members.get(slot) else {
            return Err(ApplyError::Dispatcher(LoadError::Damaged));
        };
        let step = fused::step(record, member);
        let name = &member.name;
        let main = match &self.counters {
            Some(counters) => {
                let places = counters.places().map_err(ApplyError::Dispatcher)?;
                walk::wrapped_counted(MAIN, PLACE, slot, step, places)
            }
            None => walk::wrapped(MAIN, PLACE, step),
        };
        let label = format!("{}/{}", record.policy, record.name);
        let part = Part {
            label: &label,
            license: License::Says(&member.license),
            instructions: &member.instructions,
            func_info: &member.func_info,
            btf: member.types.as_ref().map(|types| types.bytes.as_slice()),
            stacks: &[],
        };
        let counting = self.counters.iter().flat_map(Counters::parts);
        let parts: Vec<Part<'_>> = std::iter::once(part).chain(counting).collect();
        let joined = fuse::fuse(&parts, &main, Form::Called).map_err(ApplyError::Fuse)?;
        generated(job.spot.hook, job.frags, name.clone(), joined).map_err(ApplyError::Dispatcher)
    }

    /// The pins of what belongs to the chain.
    fn shared(&self) -> Vec<(&'static str, &OwnedFd)> {
        let maps = self.counters.iter().flat_map(Counters::shared);
        let replaced = self.replaced.iter().map(|program| (REPLACED_PIN, program));
        maps.chain(replaced).collect()
    }

    /// The slot of one of ours.
    fn place_of(&self, member: usize) -> usize {
        let is_it = |place: &Place| matches!(place, Place::Ours { index, .. } if *index == member);
        self.places.iter().position(is_it).unwrap_or(usize::MAX)
    }

    /// Everybody's programs, slot by slot; none if one of ours was not loaded.
    fn in_order(&self) -> Option<Vec<BorrowedFd<'_>>> {
        self.places
            .iter()
            .map(|place| match place {
                Place::Ours { index, .. } => Some(self.members.get(*index)?.program.as_fd()),
                Place::Theirs { index } => Some(self.theirs.get(*index)?.program.as_fd()),
            })
            .collect()
    }
}

/// Everybody's place, and the block that says so.
fn config(job: &Job<'_>, version: Version, theirs: &[Slot]) -> (Vec<Place>, Config) {
    let ours = &job.record.members;
    let wishes: Vec<u32> = ours.iter().map(|member| member.priority).collect();
    let priorities: Vec<u32> = theirs.iter().map(|slot| slot.run_priority).collect();
    let places = order::merged(&wishes, &priorities);
    let flags = if job.frags == Frags::With { FLAG_FRAGS } else { 0 };
    let slots: Vec<Slot> = places
        .iter()
        .filter_map(|place| match place {
            Place::Ours { index, run_priority } => {
                let actions = actions(ours.get(*index)?);
                Some(Slot { actions, run_priority: *run_priority, flags })
            }
            Place::Theirs { index } => theirs.get(*index).copied(),
        })
        .collect();
    let frags = !slots.is_empty() && slots.iter().all(|slot| slot.flags & FLAG_FRAGS != 0);
    (places, Config { version, frags, dev_bound: false, slots })
}
