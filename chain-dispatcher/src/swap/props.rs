//! Properties of plans, on a hook made of plain data: every prefix leaves a whole chain, a plan
//! carried out leaves nothing to plan, and nothing is removed that a packet may still be inside.

mod world;

use std::collections::BTreeMap;

use proptest::collection::{btree_map, btree_set, vec};
use proptest::option;
use proptest::prelude::{Just, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest};
use proptest::sample::select;
use skep_artifact::Digest;
use skep_artifact::config::EncodedConfig;
use skep_artifact::hook::{Failure, Hook, Mode, VerdictSet};
use skep_trust::LocallyTrusted;

use super::{Blocked, ForeignProgram, Live, SeenFolder, SeenMap, Step, Wanted, WantedMember, plan};
use crate::chain::{
    Counting, Foreign, Gap, HookPoint, Loadable, LostState, Member, XdpModeChoice, in_order,
};
use crate::kernel::netlink::XdpMode;
use crate::kernel::objects::MapShape;
use crate::kinds::Backend;
use crate::load::{DeclaredMap, Outline};
use crate::meaning::MapTypes;
use crate::record::{ChainRecord, MemberRecord};
use world::{World, how, is_tc};

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
                keeps_length: true,
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
        notes: Vec::new(),
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
        .prop_map(|value| MapTypes { value: value.map(str::to_owned), ..MapTypes::default() })
}

fn mode() -> impl Strategy<Value = XdpModeChoice> {
    prop_oneof![
        3 => Just(XdpModeChoice::Auto),
        1 => Just(XdpModeChoice::Native),
        1 => Just(XdpModeChoice::Generic),
    ]
}

fn wanted(backend: Backend) -> impl Strategy<Value = Wanted> {
    let asked = (any::<bool>(), any::<bool>(), any::<bool>(), mode());
    (record(backend), shape(), types(), any::<bool>(), asked).prop_map(
        move |(record, shape, types, configured, (take_over, gap, lose, mode))| {
            let map = DeclaredMap {
                name: "state".to_owned(),
                shape,
                types,
                section: false,
                begins_filled: false,
            };
            let outline = Outline { frags: false, keeps_length: true, maps: vec![map] };
            let config_maps = if configured { vec!["state".to_owned()] } else { Vec::new() };
            let member = WantedMember { outline, config_maps, migrations: BTreeMap::new() };
            Wanted {
                members: vec![member; record.members.len()],
                record,
                foreign: if take_over { Foreign::TakeOver } else { Foreign::Refuse },
                mode: if is_tc(backend) { XdpModeChoice::Auto } else { mode },
                gap: if gap { Gap::Allow } else { Gap::Refuse },
                lost_state: if lose { LostState::Allow } else { LostState::Refuse },
            }
        },
    )
}

/// The number of the program that others have on the hook, if they have one.
const THEIRS: u32 = 900;

fn world(backend: Backend) -> impl Strategy<Value = World> {
    let running = option::of((record(backend), shape(), types(), 1u64..4, any::<bool>()));
    let there = (any::<bool>(), any::<bool>(), any::<bool>());
    (running, there).prop_map(move |(running, (foreign, libxdp, generic))| {
        let mut folders = BTreeMap::new();
        let live = running.as_ref().map(|_| Live { program_id: 100, how: how(backend) });
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
            let dispatcher_id = Some(100);
            let folder = SeenFolder { number, dispatcher_id, record: Some(record), intact, maps };
            folders.insert(number, folder);
        }
        // An XDP hook runs one program: ours or theirs.
        let foreign = foreign && (is_tc(backend) || live.is_none());
        let program = ForeignProgram {
            program_id: THEIRS,
            name: "theirs".to_owned(),
            link_id: None,
            mode: Some(XdpMode::Native),
            run_priority: None,
        };
        let member = ForeignProgram { program_id: THEIRS + 1, ..program.clone() };
        let shared = !is_tc(backend) && foreign || live.is_some() && backend == Backend::Libxdp;
        World {
            live,
            mode: if generic { XdpMode::Generic } else { XdpMode::Native },
            libxdp: (foreign && libxdp && !is_tc(backend)).then_some(THEIRS),
            others: (libxdp && shared).then_some(member).into_iter().collect(),
            foreign: foreign.then_some(program).into_iter().collect(),
            folders,
            loaded: Vec::new(),
            dispatcher: None,
            settled: false,
            next_id: 200,
        }
    })
}

/// Any backend runs, and any other one of the same kind of hook is wanted.
fn case() -> impl Strategy<Value = (World, Wanted)> {
    let tc: Vec<Backend> = Backend::ALL.into_iter().filter(|backend| is_tc(*backend)).collect();
    let xdp: Vec<Backend> = Backend::ALL.into_iter().filter(|backend| !is_tc(*backend)).collect();
    prop_oneof![(select(xdp.clone()), select(xdp)), (select(tc.clone()), select(tc)),]
        .prop_flat_map(|(runs, wants)| (world(runs), wanted(wants)))
        .prop_map(|(mut world, wanted)| {
            // tc has no modes; what the world calls one is not looked at.
            if is_tc(wanted.record.backend) {
                world.mode = XdpMode::Native;
            }
            (world, wanted)
        })
}

fn at(wanted: &Wanted) -> HookPoint {
    let hook = if is_tc(wanted.record.backend) { Hook::TcIngress } else { Hook::Xdp };
    HookPoint { interface: "eth0".to_owned(), hook }
}

/// Whether the kernel keeps what runs and what is wanted apart.
fn apart(world: &World, wanted: &Wanted) -> bool {
    let backend = wanted.record.backend;
    world.live.is_some_and(|live| {
        live.how != how(backend) || !is_tc(backend) && !wanted.mode.allows(world.mode)
    })
}

proptest! {
    #[test]
    fn every_prefix_of_a_plan_leaves_a_whole_chain((mut world, wanted) in case()) {
        let old = world.running().and_then(|folder| folder.record.clone());
        let apart = apart(&world, &wanted);
        match plan(&at(&wanted), &world.seen(), &wanted) {
            Err(Blocked::State(lost)) => {
                prop_assert_eq!(wanted.lost_state, LostState::Refuse);
                let maps = world.running().map(|folder| folder.maps.clone()).unwrap_or_default();
                prop_assert!(maps.iter().any(|map| map.member == lost.member));
            }
            Err(Blocked::Gap(_)) => prop_assert!(apart && wanted.gap == Gap::Refuse),
            Err(Blocked::Held(holder)) => {
                if world.live.is_some() {
                    // Leaving a shared chain would leave the others on the hook.
                    prop_assert!(apart);
                    prop_assert_eq!(Some(&holder), world.others.first());
                } else {
                    prop_assert!(wanted.foreign == Foreign::Refuse);
                    let joins = world.libxdp.is_some() && wanted.record.backend == Backend::Libxdp;
                    prop_assert!(!joins || !wanted.mode.allows(world.mode));
                    prop_assert_eq!(Some(&holder), world.foreign.first());
                }
            }
            Ok(plan) => {
                let mut left = false;
                for step in &plan.steps {
                    prop_assert_eq!(world.perform(step, &wanted), Ok(()));
                    match step {
                        Step::Leave { .. } => left = true,
                        Step::Attach { .. } => left = false,
                        _ => {}
                    }
                    // The gap that was allowed ends with the very next step.
                    let allowed = apart && matches!(step, Step::Leave { .. });
                    prop_assert!(!left || allowed, "a gap that goes on");
                    let now = world.running().and_then(|folder| folder.record.as_ref());
                    prop_assert_eq!(now.is_some(), world.live.is_some(), "a dispatcher without its pins");
                    let whole = match now {
                        None => old.is_none() || left,
                        Some(now) => Some(now) == old.as_ref() || *now == wanted.record,
                    };
                    prop_assert!(whole, "{now:?}");
                }
                prop_assert_eq!(world.folders.len(), 1, "nothing is left behind");
                prop_assert_eq!(world.live.map(|live| live.how), Some(how(wanted.record.backend)));
                let live = plan.steps.iter().filter(|step| step.is_live()).count();
                prop_assert!(live <= 1, "one live change");
            }
        }
    }

    #[test]
    fn a_chain_runs_in_the_mode_that_was_asked_for((mut world, wanted) in case()) {
        if let Ok(plan) = plan(&at(&wanted), &world.seen(), &wanted) {
            for step in &plan.steps {
                prop_assert_eq!(world.perform(step, &wanted), Ok(()));
            }
            prop_assert!(is_tc(wanted.record.backend) || wanted.mode.allows(world.mode));
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
    fn the_order_of_a_chain_is_strict_and_forgets_how_it_was_written(
        ranks in btree_set((0u32..3, 0u8..3, 0u8..3), 0..8),
        shuffle in vec(any::<u64>(), 8),
    ) {
        let bytes = crate::support::object(Hook::Xdp).to_vec();
        let object = Loadable::Local(LocallyTrusted::by_explicit_consent(bytes).unwrap());
        let mut keyed: Vec<(u64, Member)> = ranks
            .iter()
            .zip(&shuffle)
            .map(|((priority, policy, name), key)| (*key, Member {
                policy: format!("p{policy}"),
                name: format!("m{priority}{name}"),
                program: "f".to_owned(),
                object: object.clone(),
                priority: *priority,
                proceed_on: VerdictSet::EMPTY,
                mode: Mode::Enforce,
                failure: Failure::Closed,
                config: EncodedConfig::default(),
                migrations: BTreeMap::new(),
            }))
            .collect();
        let rank = |member: &&Member| (member.priority, member.policy.clone(), member.name.clone());
        let members: Vec<Member> = keyed.iter().map(|(_, member)| member.clone()).collect();
        keyed.sort_by_key(|(key, _)| *key);
        let shuffled: Vec<Member> = keyed.into_iter().map(|(_, member)| member).collect();
        let one: Vec<_> = in_order(&members).iter().map(rank).collect();
        let other: Vec<_> = in_order(&shuffled).iter().map(rank).collect();
        prop_assert_eq!(&one, &other);
        prop_assert!(one.is_sorted_by(|a, b| a < b), "{one:?}");
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
