//! Properties of plans, on a hook made of plain data: every prefix leaves a whole chain, a plan
//! carried out leaves nothing to plan, and nothing is removed that a packet may still be inside.

use std::collections::BTreeMap;

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::{Just, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest};
use skep_artifact::Digest;
use skep_artifact::hook::{Failure, Hook, Mode, VerdictSet};

use super::{
    Blocked, ForeignProgram, How, Live, Seen, SeenFolder, SeenMap, Step, Wanted, WantedMember, plan,
};
use crate::chain::{Counting, Foreign, Gap, HookPoint, XdpModeChoice};
use crate::kernel::netlink::XdpMode;
use crate::kernel::objects::MapShape;
use crate::kinds::Backend;
use crate::load::{DeclaredMap, Outline};
use crate::meaning::MapTypes;
use crate::record::{ChainRecord, MemberRecord};

/// A hook, its pins, and what a plan has prepared so far.
#[derive(Debug, Clone)]
struct World {
    /// The running dispatcher.
    live: Option<u32>,
    folders: BTreeMap<u64, SeenFolder>,
    foreign: Vec<ForeignProgram>,
    loaded: Vec<usize>,
    dispatcher: Option<usize>,
    settled: bool,
    next_id: u32,
}

const LINK: u32 = 5;

impl World {
    fn seen(&self) -> Seen {
        Seen {
            live: self.live.map(|program_id| Live { program_id, how: How::Link { id: LINK } }),
            folders: self.folders.values().cloned().collect(),
            foreign: self.foreign.clone(),
            ..Seen::default()
        }
    }

    fn running(&self) -> Option<&SeenFolder> {
        self.folders.values().find(|folder| folder.dispatcher_id == self.live)
    }

    /// Performs a step as the executor would; a step that cannot be done is a fault of the plan.
    fn perform(&mut self, step: &Step, wanted: &Wanted) -> Result<(), String> {
        let ok = match step {
            Step::LoadMember { slot, .. } => {
                self.loaded.push(*slot);
                true
            }
            Step::LoadDispatcher { members, .. } => {
                self.dispatcher = Some(*members);
                self.loaded.len() == *members
            }
            Step::Pin { folder } => {
                let new = SeenFolder {
                    number: *folder,
                    dispatcher_id: Some(self.next_id),
                    record: Some(wanted.record.clone()),
                    intact: true,
                    maps: Vec::new(),
                };
                self.dispatcher == Some(wanted.record.members.len())
                    && self.folders.insert(*folder, new).is_none()
            }
            Step::TakeOver { program } => {
                self.foreign.retain(|other| other != program);
                self.live.is_none()
            }
            Step::Attach { folder } => {
                let free = wanted.record.backend == Backend::Tcx || self.foreign.is_empty();
                let before = self.live.replace(self.next_id);
                free && before.is_none() && self.folders.contains_key(folder)
            }
            Step::Leave { .. } => false,
            Step::Switch { how, from, folder } => {
                self.settled = false;
                let before = self.live.replace(self.next_id);
                *how == How::Link { id: LINK }
                    && before == Some(*from)
                    && self.folders.contains_key(folder)
            }
            Step::Settle => {
                self.settled = true;
                true
            }
            Step::Renumber { folder, generation } => {
                let record = self.folders.get_mut(folder).and_then(|f| f.record.as_mut());
                record.map(|record| record.generation = *generation).is_some()
            }
            Step::RemoveOld { folder } => {
                let old = self.folders.remove(folder);
                self.settled && old.is_some_and(|old| old.dispatcher_id != self.live)
            }
        };
        if ok { Ok(()) } else { Err(format!("{step:?} cannot be done in {self:?}")) }
    }
}

fn members() -> impl Strategy<Value = Vec<MemberRecord>> {
    let member = (0u8..3, 0u8..2, any::<bool>(), 0u32..2);
    btree_map(0u8..5, member, 0..5).prop_map(|members| {
        members
            .into_iter()
            .map(|(name, (object, config, observe, priority))| MemberRecord {
                policy: "p".to_owned(),
                name: format!("m{name}"),
                program: "f".to_owned(),
                package: None,
                version: None,
                index_digest: None,
                object: Digest::of(&[object]),
                priority,
                proceed_on: VerdictSet::default_for(Hook::Xdp),
                mode: if observe { Mode::Observe } else { Mode::Enforce },
                failure: Failure::Closed,
                config_digest: Digest::of(&[config]),
            })
            .collect()
    })
}

fn record(backend: Backend) -> impl Strategy<Value = ChainRecord> {
    (0u64..3, members()).prop_map(move |(generation, members)| ChainRecord {
        record_version: 1,
        generation,
        backend,
        why: "of a test".to_owned(),
        dispatcher: Digest::of(b"d"),
        counting: Counting::On,
        members,
    })
}

fn shape() -> impl Strategy<Value = MapShape> {
    (1u32..4, 1u32..3).prop_map(|(kind, max_entries)| MapShape {
        kind,
        key_size: 4,
        value_size: 8,
        max_entries,
        flags: 0,
    })
}

/// What the value of a map is: two meanings of one size, or none told.
fn types() -> impl Strategy<Value = MapTypes> {
    prop_oneof![Just(None), Just(Some("{src @0 u32, }")), Just(Some("{dst @0 u32, }"))]
        .prop_map(|value| MapTypes { key: None, value: value.map(str::to_owned) })
}

fn wanted(backend: Backend) -> impl Strategy<Value = Wanted> {
    (record(backend), shape(), types(), any::<bool>(), any::<bool>()).prop_map(
        |(record, shape, types, configured, take_over)| {
            let map = DeclaredMap {
                name: "state".to_owned(),
                shape,
                types,
                section: false,
                begins_filled: false,
            };
            let outline = Outline { frags: false, maps: vec![map] };
            let config_maps = if configured { vec!["state".to_owned()] } else { Vec::new() };
            let member = WantedMember { outline, config_maps };
            Wanted {
                members: vec![member; record.members.len()],
                record,
                foreign: if take_over { Foreign::TakeOver } else { Foreign::Refuse },
                mode: XdpModeChoice::Auto,
                gap: Gap::Refuse,
            }
        },
    )
}

fn world(backend: Backend) -> impl Strategy<Value = World> {
    let foreign = ForeignProgram {
        program_id: 900,
        name: "theirs".to_owned(),
        link_id: None,
        mode: Some(XdpMode::Native),
        run_priority: None,
    };
    let foreign = vec(Just(foreign), 0..2);
    let running = option::of((record(backend), shape(), types(), 1u64..4, any::<bool>()));
    (running, foreign).prop_map(move |(running, foreign)| {
        let mut folders = BTreeMap::new();
        let live = running.as_ref().map(|_| 100);
        if let Some((record, shape, types, number, intact)) = running {
            let maps = record
                .members
                .iter()
                .map(|member| SeenMap {
                    policy: member.policy.clone(),
                    member: member.name.clone(),
                    map: "state".to_owned(),
                    shape,
                    types: types.clone(),
                })
                .collect();
            let folder =
                SeenFolder { number, dispatcher_id: live, record: Some(record), intact, maps };
            folders.insert(number, folder);
        }
        World {
            // An XDP link and a foreign XDP program exclude each other.
            foreign: if live.is_some() && backend == Backend::Slots { Vec::new() } else { foreign },
            live,
            folders,
            loaded: Vec::new(),
            dispatcher: None,
            settled: false,
            next_id: 200,
        }
    })
}

fn case() -> impl Strategy<Value = (World, Wanted)> {
    prop_oneof![Just(Backend::Slots), Just(Backend::Tcx)]
        .prop_flat_map(|backend| (world(backend), wanted(backend)))
}

fn at(wanted: &Wanted) -> HookPoint {
    let hook = if wanted.record.backend == Backend::Tcx { Hook::TcIngress } else { Hook::Xdp };
    HookPoint { interface: "eth0".to_owned(), hook }
}

proptest! {
    #[test]
    fn every_prefix_of_a_plan_leaves_a_whole_chain((mut world, wanted) in case()) {
        let old = world.running().and_then(|folder| folder.record.clone());
        match plan(&at(&wanted), &world.seen(), &wanted) {
            Err(Blocked::Gap(crossing)) => prop_assert!(false, "{crossing}"),
            Err(Blocked::Held(holder)) => {
                prop_assert!(world.live.is_none() && wanted.foreign == Foreign::Refuse);
                prop_assert_eq!(Some(&holder), world.foreign.first());
            }
            Ok(plan) => {
                for step in &plan.steps {
                    prop_assert_eq!(world.perform(step, &wanted), Ok(()));
                    let now = world.running().and_then(|folder| folder.record.as_ref());
                    prop_assert_eq!(now.is_some(), world.live.is_some(), "a dispatcher without its pins");
                    let whole = match now {
                        None => old.is_none(),
                        Some(now) => Some(now) == old.as_ref() || *now == wanted.record,
                    };
                    prop_assert!(whole, "{now:?}");
                }
                prop_assert_eq!(world.folders.len(), 1, "nothing is left behind");
            }
        }
    }

    #[test]
    fn a_plan_carried_out_leaves_nothing_to_plan((mut world, wanted) in case()) {
        if let Ok(first) = plan(&at(&wanted), &world.seen(), &wanted) {
            for step in &first.steps {
                prop_assert_eq!(world.perform(step, &wanted), Ok(()));
            }
            let second = plan(&at(&wanted), &world.seen(), &wanted);
            prop_assert_eq!(second.map(|plan| plan.steps), Ok(Vec::new()));
        }
    }

    #[test]
    fn state_is_carried_exactly_where_member_shape_and_meaning_agree((world, wanted) in case()) {
        let seen = world.seen();
        if let Ok(plan) = plan(&at(&wanted), &seen, &wanted) {
            for step in &plan.steps {
                let Step::LoadMember { slot, name, carried, restarted, .. } = step else { continue };
                let live = seen.running().and_then(|f| f.maps.iter().find(|map| map.member == *name));
                let new = &wanted.members[*slot];
                let shape = new.outline.maps[0].shape;
                let fresh = !new.config_maps.is_empty() || shape.kind == super::carry::PROG_ARRAY;
                let old = seen.running().and_then(|f| f.record.as_ref());
                let old = old.and_then(|old| old.members.iter().find(|m| m.name == *name));
                let object = wanted.record.members[*slot].object;
                let same_object = old.is_some_and(|old| old.object == object);
                let same = live.is_some_and(|live| {
                    live.shape == shape && (same_object || live.types == new.outline.maps[0].types)
                });
                prop_assert_eq!(!carried.is_empty(), same && !fresh);
                prop_assert_eq!(!restarted.is_empty(), live.is_some() && !same && !fresh);
            }
        }
    }
}
