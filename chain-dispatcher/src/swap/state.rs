//! Everything new that a plan loads, and what becomes of each map's state on the way: carried over,
//! migrated as the package declares, begun anew, or lost, which blocks the plan. Pure.

use super::carry::{Carry, whether_carried};
use super::{
    Blocked, LostMap, Restarted, SeenFolder, SeenMap, Step, Wanted, WantedMember, migrate,
};
use crate::chain::LostState;
use crate::load::DeclaredMap;
use crate::record::MemberRecord;

/// `BPF_MAP_TYPE_PERF_EVENT_ARRAY`, `BPF_MAP_TYPE_RINGBUF`: what they hold is on its way to a reader,
/// and no state.
const EVENTS: [u32; 2] = [4, 27];

/// The steps that load a chain, and those that copy state into it once it is pinned.
pub(super) struct Loading {
    /// In the order in which they can be done.
    pub(super) steps: Vec<Step>,
    pub(super) migrations: Vec<Step>,
}

/// A member beside what runs in its seat.
struct Seat<'a> {
    slot: usize,
    record: &'a MemberRecord,
    wanted: &'a WantedMember,
    running: Option<(&'a SeenFolder, &'a MemberRecord)>,
}

/// Everything new, in the order in which it can be loaded.
pub(super) fn load_steps(
    wanted: &Wanted,
    running: Option<&SeenFolder>,
) -> Result<Loading, Blocked> {
    let backend = wanted.record.backend;
    let dispatcher = Step::LoadDispatcher { backend, members: wanted.record.members.len() };
    let (mut steps, mut migrations) = (Vec::new(), Vec::new());
    for (slot, (record, member)) in wanted.record.members.iter().zip(&wanted.members).enumerate() {
        let seat = Seat::find(slot, record, member, running);
        let state = seat.state();
        if let (Some(map), LostState::Refuse) = (state.lost, wanted.lost_state) {
            let (policy, member) = (record.policy.clone(), record.name.clone());
            return Err(Blocked::State(LostMap { policy, member, map }));
        }
        steps.push(Step::LoadMember {
            slot,
            policy: record.policy.clone(),
            name: record.name.clone(),
            program: record.program.clone(),
            object: record.object,
            carried: state.carried,
            restarted: state.restarted,
        });
        migrations.extend(state.migrated);
    }
    let at = if backend.build().dispatcher_first() { 0 } else { steps.len() };
    steps.insert(at, dispatcher);
    Ok(Loading { steps, migrations })
}

/// What becomes of the maps of one member.
#[derive(Default)]
struct State {
    carried: Vec<String>,
    restarted: Vec<Restarted>,
    migrated: Vec<Step>,
    /// The first of `restarted` whose content somebody declared and will miss.
    lost: Option<Restarted>,
}

impl<'a> Seat<'a> {
    fn find(
        slot: usize,
        record: &'a MemberRecord,
        wanted: &'a WantedMember,
        running: Option<&'a SeenFolder>,
    ) -> Self {
        let running = running.and_then(|folder| {
            let members = &folder.record.as_ref()?.members;
            let same =
                |old: &&MemberRecord| (&old.policy, &old.name) == (&record.policy, &record.name);
            Some((folder, members.iter().find(same)?))
        });
        Self { slot, record, wanted, running }
    }

    fn state(&self) -> State {
        let mut state = State::default();
        let declared = &self.wanted.outline.maps;
        for map in declared.iter().filter(|map| !self.wanted.config_maps.contains(&map.name)) {
            self.decide(map, &mut state);
        }
        state
    }

    fn decide(&self, declared: &DeclaredMap, state: &mut State) {
        let Some((_, old)) = self.running else { return };
        let migration = self.wanted.migrations.get(&declared.name);
        let live = self.live(&declared.name);
        let before = match live.map(|live| whether_carried(declared, live, old, self.record)) {
            Some(Carry::Yes) => return state.carried.push(declared.name.clone()),
            Some(Carry::Fresh) => return,
            Some(Carry::No(why)) => Some(why),
            None => None,
        };
        let from = migration.map(|declares| declares.from.as_ref().unwrap_or(&declared.name));
        let why = match (migration, from.and_then(|from| self.live(from)), before) {
            (Some(migration), Some(live), _) => match migrate::copies(declared, live, migration) {
                Ok(fields) => {
                    let (map, from) = (declared.name.clone(), live.map.clone());
                    let (policy, name) = (self.record.policy.clone(), self.record.name.clone());
                    let slot = self.slot;
                    state.migrated.push(Step::Migrate { slot, policy, name, map, from, fields });
                    return;
                }
                Err(why) => format!("it cannot be migrated: {why}"),
            },
            (_, _, Some(why)) => why,
            (_, _, None) => return,
        };
        let restarted = Restarted { map: declared.name.clone(), why };
        if !declared.section && !EVENTS.contains(&declared.shape.kind) && state.lost.is_none() {
            state.lost = Some(restarted.clone());
        }
        state.restarted.push(restarted);
    }

    /// A map of the version that runs in this seat.
    fn live(&self, name: &str) -> Option<&'a SeenMap> {
        let (folder, _) = self.running?;
        let mine = (&self.record.policy, &self.record.name);
        folder.maps.iter().find(|map| (&map.policy, &map.member) == mine && map.map == name)
    }
}
