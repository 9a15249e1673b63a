//! What time alone does to a rollout: nodes are given out within limits, waves follow each other, and what takes too long
//! stops and says why. Refuses to know operators' wishes (that is `step`).

use super::blocked;
use super::event::{Effect, Surroundings};
use super::gate::{Gate, Sample};
use super::plan::Order;
use super::room::Room;
use super::state::{BlockedOn, PauseReason, Phase, Rollout, Stage, TargetState};
use super::strategy::{FreezeRule, OnFailure};
use super::window;
use crate::ids::NodeName;
use std::collections::BTreeSet;

/// How long a state waits for a person: a week, in which everybody is at work once.
pub(super) const PATIENCE_SECS: i64 = 7 * 86_400;

/// A rollout that is being changed.
pub(super) struct Work<'a> {
    pub(super) it: &'a mut Rollout,
    pub(super) now: i64,
    pub(super) effects: Vec<Effect>,
}

/// Whether anything else may follow at once.
#[derive(PartialEq)]
enum Went {
    On,
    Nowhere,
}

impl Work<'_> {
    /// Time went by.
    pub(super) fn advance(&mut self, around: &Surroundings) {
        // Every pass but the last enters another stage, and there are four of them in a wave.
        let passes = self.it.plan.waves.len() * 5 + 5;
        let moved = (0..passes).take_while(|_| self.pass(around) == Went::On).count();
        debug_assert!(moved < passes, "a rollout that never comes to rest");
        self.it.blocked_on = blocked::blocked_on(self.it, around, self.now);
    }

    fn pass(&mut self, around: &Surroundings) -> Went {
        match self.it.phase.clone() {
            Phase::Draft | Phase::Planned { .. } if self.late() => {
                self.enter(Phase::Cancelled { why: "nobody started it in a week".to_owned() });
                Went::On
            }
            Phase::AwaitingApproval { wave }
                if blocked::approvals_lack(self.it, wave).is_none() =>
            {
                self.enter(Phase::Running { wave, stage: Stage::Dispatch });
                Went::On
            }
            Phase::AwaitingApproval { .. } if self.late() => {
                self.pause(PauseReason::ApprovalLate, "nobody approved in a week".to_owned(), &[]);
                Went::On
            }
            Phase::Running { wave, stage } => self.run(wave, stage, around),
            Phase::RollingBack { why } => self.roll_on(why),
            Phase::Paused { reason, why, .. } => self.stand(reason, why),
            _ => Went::Nowhere,
        }
    }

    fn run(&mut self, wave: usize, stage: Stage, around: &Surroundings) -> Went {
        let Failures { failed, allowed, first } = self.failures(wave);
        if failed > allowed {
            let many = format!("{failed} nodes failed, {allowed} may: {first}");
            self.fail(many, &[]);
            return Went::On;
        }
        if self.dispatch(wave, around) == Went::On {
            return Went::On;
        }
        match stage {
            Stage::Dispatch => self.after_dispatch(wave),
            Stage::Converge => self.converge(wave),
            Stage::Bake if self.late() => {
                self.enter(Phase::Running { wave, stage: Stage::Gate });
                Went::On
            }
            Stage::Gate if !self.it.plan.gates.iter().any(asks_for_data) => {
                self.finish_wave(wave, around)
            }
            Stage::Gate if self.late() => {
                let blocked = blocked::blocked_on(self.it, around, self.now);
                let why = match blocked {
                    BlockedOn::Gate { gate, why } => {
                        format!("the gate '{gate}' was not decided: {why}")
                    }
                    BlockedOn::Kernels { classes } => {
                        format!("nothing proved that it loads on {}", classes.join(", "))
                    }
                    _ => "the gates were not asked in time".to_owned(),
                };
                self.pause(PauseReason::GateUndecided, why, &[]);
                Went::On
            }
            Stage::Bake | Stage::Gate => Went::Nowhere,
        }
    }

    /// Offers the revision to as many waiting nodes as may change now. `On` when that paused the rollout.
    fn dispatch(&mut self, wave: usize, around: &Surroundings) -> Went {
        let waiting = self.waiting(wave);
        if waiting.is_empty() {
            return Went::Nowhere;
        }
        if self.it.glass.is_none() {
            if around.known_bad {
                let why = "what it runs was rolled back before".to_owned();
                self.pause(PauseReason::KnownBad, why, &[]);
                return Went::On;
            }
            let honours = self.it.plan.freeze == FreezeRule::Honours;
            let freeze = window::frozen(&around.freezes, self.it.policy.as_str(), self.now);
            let closed = window::opens_at(&self.it.plan.windows, self.now).is_some();
            if closed || (honours && freeze.is_some()) {
                return Went::Nowhere;
            }
        }
        let mut room = Room::of(self.it, self.now);
        for node in waiting {
            if room.is_full() {
                break;
            }
            let Some(target) = self.it.targets.get_mut(&node) else { continue };
            let at_most = self.it.plan.waves.get(target.wave).and_then(|wave| wave.per.as_ref());
            let domain = (target.wave, target.domain.clone());
            let busy = at_most.is_some_and(|per| room.in_domain(&domain) >= per.at_most);
            if target.silent || busy || around.held.contains(&node) {
                continue;
            }
            target.state = TargetState::Dispatched { at: self.now };
            room.take(domain);
            // What makes progress is not stuck.
            if matches!(self.it.phase, Phase::Running { stage: Stage::Dispatch, .. }) {
                self.it.since = self.now;
            }
            self.effects.push(Effect::Offer { node });
        }
        Went::Nowhere
    }

    /// Nodes of the waves so far that wait for their turn, in the order of the rollout.
    fn waiting(&self, wave: usize) -> Vec<NodeName> {
        let waits =
            |state: &TargetState| matches!(state, TargetState::Waiting | TargetState::Again);
        let it = &*self.it;
        let mut waiting: Vec<(usize, Order, &NodeName)> = (it.targets.iter())
            .filter(|(_, target)| target.wave <= wave && waits(&target.state))
            .map(|(node, target)| (target.wave, Order::of(&it.policy, it.to, node), node))
            .collect();
        waiting.sort_unstable();
        waiting.into_iter().map(|(_, _, node)| node.clone()).collect()
    }

    fn after_dispatch(&mut self, wave: usize) -> Went {
        let waits =
            |node: &NodeName| self.it.targets.get(node).is_some_and(|target| !target.silent);
        if !self.waiting(wave).iter().any(waits) {
            self.enter(Phase::Running { wave, stage: Stage::Converge });
            return Went::On;
        }
        if self.late() {
            let why = "some nodes could not be given the revision in time".to_owned();
            self.pause(PauseReason::ConvergeLate, why, &[]);
            return Went::On;
        }
        Went::Nowhere
    }

    fn converge(&mut self, wave: usize) -> Went {
        let Tally { size, applied, open } = self.tally(wave);
        if open == 0 {
            self.enter(Phase::Running { wave, stage: Stage::Bake });
            return Went::On;
        }
        if !self.late() {
            return Went::Nowhere;
        }
        // Who does not answer is unknown: neither failed, nor among those who must run it.
        if applied >= self.it.applied_at_least().ceil_of(size) {
            let message =
                format!("{open} nodes did not answer in time; {applied} of {size} run it");
            self.tell("went-on-without", message, &[]);
            self.enter(Phase::Running { wave, stage: Stage::Bake });
        } else {
            let why = format!("{open} of {size} nodes did not answer in time");
            self.pause(PauseReason::ConvergeLate, why, &[]);
        }
        Went::On
    }

    /// What follows a wave that passed.
    fn finish_wave(&mut self, wave: usize, around: &Surroundings) -> Went {
        if wave == 0 && !blocked::kernels_lack(self.it, &around.proven).is_empty() {
            if self.late() {
                let lack = blocked::kernels_lack(self.it, &around.proven).join(", ");
                let why = format!("nothing proved that it loads on {lack}");
                self.pause(PauseReason::GateUndecided, why, &[]);
                return Went::On;
            }
            return Went::Nowhere;
        }
        self.next_wave(wave + 1);
        Went::On
    }

    /// Begins a wave, or ends the rollout after the last. Waves without nodes are passed over.
    pub(super) fn next_wave(&mut self, wave: usize) {
        let has_nodes = |wave: &usize| self.it.targets.values().any(|target| target.wave == *wave);
        let Some(wave) = (wave..self.it.plan.waves.len()).find(has_nodes) else {
            return self.succeed();
        };
        self.it.reached = Some(self.it.reached.map_or(wave, |reached| reached.max(wave)));
        match blocked::approvals_lack(self.it, wave) {
            Some(_) => self.enter(Phase::AwaitingApproval { wave }),
            None => self.enter(Phase::Running { wave, stage: Stage::Dispatch }),
        }
        let (name, nodes) = (self.it.wave_name(wave).to_owned(), self.wave_size(wave));
        self.tell("wave", format!("wave {name} of {nodes} nodes begins"), &[]);
    }

    fn wave_size(&self, wave: usize) -> usize {
        self.it.targets.values().filter(|target| target.wave == wave).count()
    }

    fn succeed(&mut self) {
        let mut owed = 0;
        for target in self.it.targets.values_mut() {
            if matches!(target.state, TargetState::Waiting | TargetState::Again) {
                target.state = TargetState::Owed;
                owed += 1;
            }
        }
        let nodes = self.it.targets.len();
        self.enter(Phase::Succeeded);
        let rest = match owed {
            0 => String::new(),
            owed => format!("; {owed} were not heard of and get it when they come back"),
        };
        self.tell("succeeded", format!("all waves are through, {nodes} nodes{rest}"), &[]);
    }

    /// A failure, and what the strategy does then.
    pub(super) fn fail(&mut self, why: String, samples: &[Sample]) {
        match (self.it.plan.on_failure, self.it.reversible) {
            (OnFailure::Rollback, true) => self.roll_back(why, samples),
            (OnFailure::Rollback, false) => {
                self.pause(PauseReason::NothingToFallBackTo, why, samples);
            }
            (OnFailure::Hold, _) => self.pause(PauseReason::Failure, why, samples),
        }
    }

    /// Offers every node that was offered the revision what it falls back to, all at once: what they go back to is known
    /// to run, so that the limit of what is put at risk does not count.
    pub(super) fn roll_back(&mut self, why: String, samples: &[Sample]) {
        for (node, target) in &mut self.it.targets {
            if target.state.touched() && !matches!(target.state, TargetState::Reverted { .. }) {
                target.state = TargetState::Reverting { at: self.now };
                self.effects.push(Effect::Offer { node: node.clone() });
            }
        }
        self.tell("rolling-back", why.clone(), samples);
        self.enter(Phase::RollingBack { why });
    }

    fn reverting(&self) -> usize {
        let reverts = |state: &TargetState| matches!(state, TargetState::Reverting { .. });
        self.it.targets.values().filter(|target| reverts(&target.state)).count()
    }

    fn roll_on(&mut self, why: String) -> Went {
        match self.reverting() {
            0 => self.rolled_back(why),
            open if self.late() => {
                let late =
                    format!("{open} nodes did not confirm in time that they went back ({why})");
                self.pause(PauseReason::RollbackLate, late, &[]);
            }
            _ => return Went::Nowhere,
        }
        Went::On
    }

    fn rolled_back(&mut self, why: String) {
        self.enter(Phase::RolledBack { why });
        self.tell("rolled-back", "every node that had it went back".to_owned(), &[]);
    }

    fn stand(&mut self, reason: PauseReason, why: String) -> Went {
        let back = reason == PauseReason::RollbackLate;
        if back && self.reverting() == 0 {
            self.rolled_back(why);
            return Went::On;
        }
        if !self.late() {
            return Went::Nowhere;
        }
        let over = format!("nobody decided in a week: {why}");
        self.enter(if back {
            Phase::RolledBack { why: over }
        } else {
            Phase::Cancelled { why: over }
        });
        Went::On
    }

    /// Stops, and keeps why.
    pub(super) fn pause(&mut self, reason: PauseReason, why: String, samples: &[Sample]) {
        let (wave, stage) = match self.it.phase {
            Phase::Running { wave, stage } => (wave, stage),
            Phase::AwaitingApproval { wave } => (wave, Stage::Dispatch),
            _ => (self.it.reached.unwrap_or(0), Stage::Gate),
        };
        self.tell("paused", why.clone(), samples);
        self.enter(Phase::Paused { reason, why, wave, stage });
    }

    pub(super) fn enter(&mut self, phase: Phase) {
        self.it.phase = phase;
        self.it.since = self.now;
    }

    pub(super) fn tell(&mut self, what: &str, message: String, samples: &[Sample]) {
        self.it.keep(what, message.clone(), samples);
        self.effects.push(Effect::Tell { what: what.to_owned(), message });
    }

    fn late(&self) -> bool {
        self.it.deadline().is_some_and(|deadline| self.now >= deadline)
    }

    fn failures(&self, wave: usize) -> Failures {
        let so_far = || self.it.targets.iter().filter(|(_, target)| target.wave <= wave);
        let failed =
            |target: &TargetState| matches!(target, TargetState::Failed { excused: false, .. });
        let size = so_far().count();
        let first = so_far().find_map(|(node, target)| match &target.state {
            TargetState::Failed { code, message, excused: false, .. } => {
                Some(format!("{node} says {code}: {message}"))
            }
            _ => None,
        });
        Failures {
            failed: so_far().filter(|(_, target)| failed(&target.state)).count(),
            allowed: size - self.it.applied_at_least().ceil_of(size).min(size),
            first: first.unwrap_or_default(),
        }
    }

    fn tally(&self, wave: usize) -> Tally {
        let mut tally = Tally::default();
        for target in self.it.targets.values().filter(|target| target.wave <= wave) {
            tally.size += 1;
            match target.state {
                TargetState::Applied { .. } => tally.applied += 1,
                TargetState::Waiting | TargetState::Again | TargetState::Dispatched { .. } => {
                    tally.open += 1;
                }
                _ => {}
            }
        }
        tally
    }
}

struct Failures {
    failed: usize,
    allowed: usize,
    first: String,
}

#[derive(Default)]
struct Tally {
    size: usize,
    applied: usize,
    /// Without a result.
    open: usize,
}

/// Whether a gate needs more than the count of nodes.
pub(super) fn asks_for_data(gate: &Gate) -> bool {
    !matches!(gate, Gate::Applied { .. })
}

/// Names of failed nodes that nobody excused.
pub(super) fn failed(it: &Rollout) -> BTreeSet<NodeName> {
    let failed = |state: &TargetState| matches!(state, TargetState::Failed { .. });
    it.targets.iter().filter(|(_, t)| failed(&t.state)).map(|(node, _)| node.clone()).collect()
}
