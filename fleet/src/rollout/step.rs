//! `step(state, event, now) → (state, effects)`: what each event means. Time is an argument, and never runs backwards
//! whatever it is given. Refuses to know who sends events.

use super::advance::{Work, asks_for_data, failed};
use super::event::{Effect, Event, Joining, Measured, Said, Seen, StepError, Surroundings};
use super::gate::{Gate, NoData, Verdict, evaluate};
use super::state::{Because, BlockedOn, PauseReason, Phase, Rollout, Stage, Target, TargetState};
use crate::ids::NodeName;
use skep_artifact::digest::Digest;
use std::collections::BTreeSet;

/// What becomes of a rollout when something happens. A state that equals the one before means that nothing did, and the
/// event need not be kept.
///
/// # Errors
/// [`StepError`] when an operator's wish means nothing in this state.
pub fn step(state: &Rollout, event: &Event, now: i64) -> Result<(Rollout, Vec<Effect>), StepError> {
    let mut next = state.clone();
    let now = now.max(state.clock);
    next.clock = now;
    let mut work = Work { it: &mut next, now, effects: Vec::new() };
    work.take(event)?;
    let effects = work.effects;
    next.clock = state.clock;
    if next != *state {
        next.clock = now;
    }
    Ok((next, effects))
}

/// The state after a list of events; what is refused changed nothing then and changes nothing now.
#[must_use]
pub fn replay<'a>(first: Rollout, events: impl IntoIterator<Item = (&'a Event, i64)>) -> Rollout {
    events.into_iter().fold(first, |state, (event, at)| match step(&state, event, at) {
        Ok((next, _)) => next,
        Err(_) => state,
    })
}

impl Work<'_> {
    fn take(&mut self, event: &Event) -> Result<(), StepError> {
        match event {
            Event::Plan { nodes } => self.plan(nodes)?,
            Event::Start { by, hash, glass } => self.start(by, *hash, glass.as_deref())?,
            Event::Join { nodes } => self.join(nodes),
            Event::Leave { node } => {
                self.it.targets.remove(node);
            }
            Event::Seen { nodes } => nodes.iter().for_each(|seen| self.seen(seen)),
            Event::Approved { wave, keys } => {
                if !self.it.phase.is_final() && self.it.plan.waves.iter().any(|w| w.name == *wave) {
                    self.it.approvals.entry(wave.clone()).or_default().extend(keys.iter().cloned());
                }
            }
            Event::Measured(measured) => self.measured(measured),
            Event::Tick(around) => {
                self.advance(around);
                return Ok(());
            }
            Event::Pause { by, why } => self.ask_to_pause(by, why)?,
            Event::Resume { by } => self.resume(by)?,
            Event::Retry { by } => self.retry(by)?,
            Event::Promote { by } => self.promote(by)?,
            Event::Cancel { by, why } => self.cancel(by, why)?,
            Event::Rollback { by, why } => self.ask_to_roll_back(by, why)?,
            Event::Supersede { by } => {
                if self.it.phase.is_final() {
                    return Err(self.wrong_phase("superseded"));
                }
                self.enter(Phase::Superseded { by: *by });
                self.tell(
                    "superseded",
                    format!("revision {by} takes over; each node goes there from what it has"),
                    &[],
                );
            }
            Event::BreakGlass(because) => self.break_glass(because)?,
        }
        self.look_around();
        Ok(())
    }

    /// What it waits for now. What is around is not known here; the next tick says more.
    fn look_around(&mut self) {
        let gate = matches!(self.it.phase, Phase::Running { stage: Stage::Gate, .. });
        let stale = match &self.it.blocked_on {
            BlockedOn::Window { .. } | BlockedOn::Freeze { .. } | BlockedOn::Kernels { .. } => {
                false
            }
            BlockedOn::Gate { .. } => !gate,
            _ => true,
        };
        let running = matches!(self.it.phase, Phase::Running { .. });
        if stale || !running {
            self.it.blocked_on =
                super::blocked::blocked_on(self.it, &Surroundings::default(), self.now);
        }
    }

    fn wrong_phase(&self, wish: &'static str) -> StepError {
        StepError::Phase { phase: self.it.phase.word(), wish }
    }

    fn plan(&mut self, nodes: &[Joining]) -> Result<(), StepError> {
        if !matches!(self.it.phase, Phase::Draft | Phase::Planned { .. }) {
            return Err(self.wrong_phase("planned"));
        }
        self.it.targets.clear();
        self.add(nodes);
        let hash = self.it.hash();
        self.enter(Phase::Planned { hash });
        Ok(())
    }

    fn add(&mut self, nodes: &[Joining]) {
        for Joining { member, before } in nodes {
            let it = &mut *self.it;
            let wave = it.plan.wave_of(&it.policy, it.to, &member.name, &member.labels);
            let per = it.plan.waves.get(wave).and_then(|wave| wave.per.as_ref());
            let domain = per.and_then(|per| member.labels.get(&per.label).cloned());
            let target = Target {
                wave,
                domain,
                class: member.class.clone(),
                before: *before,
                state: TargetState::Waiting,
                attempt: 0,
                silent: false,
            };
            it.targets.entry(member.name.clone()).or_insert(target);
        }
    }

    /// A late joiner waits for its turn in its own wave, under the same limits as everybody.
    fn join(&mut self, nodes: &[Joining]) {
        if self.it.phase.is_final() {
            return;
        }
        self.add(nodes);
        if matches!(self.it.phase, Phase::Planned { .. }) {
            self.it.phase = Phase::Planned { hash: self.it.hash() };
        }
    }

    fn start(
        &mut self,
        by: &str,
        named: Option<Digest>,
        glass: Option<&str>,
    ) -> Result<(), StepError> {
        let Phase::Planned { hash: found } = self.it.phase else {
            return Err(self.wrong_phase("started"));
        };
        if let Some(named) = named.filter(|named| *named != found) {
            return Err(StepError::OtherPlan { found, named });
        }
        self.it.started_at = Some(self.now);
        self.tell("started", format!("started by {by}"), &[]);
        if let Some(why) = glass {
            self.break_glass(&Because { by: by.to_owned(), why: why.to_owned() })?;
        }
        self.next_wave(0);
        Ok(())
    }

    fn seen(&mut self, Seen { node, said }: &Seen) {
        if matches!(self.it.phase, Phase::Draft) {
            return;
        }
        let (holds, now) = (self.it.holds(node), self.now);
        let Some(target) = self.it.targets.get_mut(node) else { return };
        target.silent = *said == Said::Silent;
        let next = match (&target.state, said) {
            // Only what it was offered last counts: an older word says nothing about it.
            (TargetState::Dispatched { .. } | TargetState::Owed, Said::Runs(what))
                if Some(*what) == holds =>
            {
                TargetState::Applied { at: now }
            }
            (TargetState::Reverting { .. }, Said::Runs(what)) if Some(*what) == holds => {
                TargetState::Reverted { at: now }
            }
            (
                TargetState::Dispatched { .. } | TargetState::Applied { .. },
                Said::Refuses { offered, code, message },
            ) if Some(*offered) == holds => TargetState::Failed {
                at: now,
                code: code.clone(),
                message: message.clone(),
                excused: false,
            },
            // It found its way by itself.
            (TargetState::Failed { .. }, Said::Runs(what)) if Some(*what) == holds => {
                TargetState::Applied { at: now }
            }
            _ => return,
        };
        target.state = next;
    }

    fn measured(&mut self, measured: &Measured) {
        let Phase::Running { wave, stage } = self.it.phase else { return };
        if measured.wave != wave || stage == Stage::Dispatch && self.it.reached != Some(wave) {
            return;
        }
        let mut undecided = None;
        let gates: Vec<Gate> = self.it.plan.gates.clone();
        for (place, gate) in gates.iter().enumerate().filter(|(_, gate)| asks_for_data(gate)) {
            // Before the bake is over nothing is missing yet.
            let asked = if stage == Stage::Gate { gate.clone() } else { patient(gate) };
            match evaluate(&asked, place, &measured.seen) {
                Verdict::Fail { why } => {
                    let message = format!("gate '{gate}' failed: {why}");
                    let mut samples = measured.seen.treated.clone();
                    samples.extend(measured.seen.untreated.iter().cloned());
                    self.tell("gate-failed", message.clone(), &samples);
                    let content = self.it.content;
                    self.effects.push(Effect::MarkBad { content, why: message.clone() });
                    return self.fail(message, &samples);
                }
                Verdict::Hold { why } => {
                    undecided.get_or_insert(BlockedOn::Gate { gate: gate.to_string(), why });
                }
                Verdict::Pass { .. } => {}
            }
        }
        if stage != Stage::Gate {
            return;
        }
        let kernels = matches!(self.it.blocked_on, BlockedOn::Kernels { .. });
        match undecided {
            Some(why) => self.it.blocked_on = why,
            // What is around is known at the next tick only.
            None if kernels => {}
            None => {
                self.tell("gate-passed", self.passed(measured), &measured.seen.treated);
                self.next_wave(wave + 1);
            }
        }
    }

    fn passed(&self, measured: &Measured) -> String {
        let gates = self.it.plan.gates.iter().enumerate();
        let said = gates.map(|(at, gate)| evaluate(gate, at, &measured.seen).why().to_owned());
        said.collect::<Vec<_>>().join("; ")
    }

    fn ask_to_pause(&mut self, by: &str, why: &str) -> Result<(), StepError> {
        match self.it.phase {
            Phase::Running { .. } | Phase::AwaitingApproval { .. } => {
                self.pause(PauseReason::Asked, format!("{by}: {why}"), &[]);
                Ok(())
            }
            _ => Err(self.wrong_phase("paused")),
        }
    }

    /// Goes on where it stood. What failed until now is excused: somebody looked at it.
    fn resume(&mut self, by: &str) -> Result<(), StepError> {
        let Phase::Paused { reason, wave, stage, .. } = self.it.phase.clone() else {
            return Err(self.wrong_phase("resumed"));
        };
        if reason == PauseReason::RollbackLate {
            return Err(StepError::Phase { phase: "rolling back", wish: "resumed" });
        }
        if reason == PauseReason::KnownBad && self.it.glass.is_none() {
            return Err(StepError::Phase {
                phase: "known to be bad",
                wish: "resumed without breaking the glass",
            });
        }
        self.excuse();
        let stage = if reason == PauseReason::Asked && stage < Stage::Bake {
            stage
        } else {
            Stage::Dispatch
        };
        self.enter(Phase::Running { wave, stage });
        if super::blocked::approvals_lack(self.it, wave).is_some() {
            self.enter(Phase::AwaitingApproval { wave });
        }
        self.tell("resumed", format!("resumed by {by}"), &[]);
        Ok(())
    }

    fn excuse(&mut self) {
        for target in self.it.targets.values_mut() {
            if let TargetState::Failed { excused, .. } = &mut target.state {
                *excused = true;
            }
        }
    }

    fn retry(&mut self, by: &str) -> Result<(), StepError> {
        if !matches!(self.it.phase, Phase::Running { .. } | Phase::Paused { .. }) {
            return Err(self.wrong_phase("retried"));
        }
        let failed: BTreeSet<NodeName> = failed(self.it);
        if failed.is_empty() {
            return Err(StepError::NothingFailed);
        }
        for node in &failed {
            if let Some(target) = self.it.targets.get_mut(node) {
                target.state = TargetState::Again;
                target.attempt = target.attempt.saturating_add(1);
            }
        }
        if let Phase::Paused { wave, .. } = self.it.phase {
            self.enter(Phase::Running { wave, stage: Stage::Dispatch });
        }
        self.tell("retried", format!("{} nodes try again, asked by {by}", failed.len()), &[]);
        Ok(())
    }

    fn promote(&mut self, by: &str) -> Result<(), StepError> {
        let (wave, stage) = match self.it.phase {
            Phase::Running { wave, stage } | Phase::Paused { wave, stage, .. } => (wave, stage),
            _ => return Err(self.wrong_phase("promoted")),
        };
        if self.it.targets.values().any(|t| matches!(t.state, TargetState::Reverting { .. })) {
            return Err(self.wrong_phase("promoted"));
        }
        if stage == Stage::Dispatch {
            return Err(StepError::StillDispatching);
        }
        self.excuse();
        self.tell("promoted", format!("promoted by {by}, past what the wave's gates say"), &[]);
        self.next_wave(wave + 1);
        Ok(())
    }

    fn cancel(&mut self, by: &str, why: &str) -> Result<(), StepError> {
        if self.it.phase.is_final() || matches!(self.it.phase, Phase::RollingBack { .. }) {
            return Err(self.wrong_phase("cancelled"));
        }
        let why = format!("{by}: {why}");
        self.tell("cancelled", format!("{why}; every node keeps what it has"), &[]);
        self.enter(Phase::Cancelled { why });
        Ok(())
    }

    fn ask_to_roll_back(&mut self, by: &str, why: &str) -> Result<(), StepError> {
        match self.it.phase {
            Phase::Draft
            | Phase::Planned { .. }
            | Phase::RollingBack { .. }
            | Phase::RolledBack { .. }
            | Phase::Superseded { .. } => Err(self.wrong_phase("rolled back")),
            _ if !self.it.reversible => Err(StepError::NothingToFallBackTo),
            _ => {
                self.roll_back(format!("{by}: {why}"), &[]);
                Ok(())
            }
        }
    }

    fn break_glass(&mut self, because: &Because) -> Result<(), StepError> {
        if self.it.phase.is_final() {
            return Err(self.wrong_phase("let past a freeze"));
        }
        self.it.glass = Some(because.clone());
        let Because { by, why } = because;
        self.tell(
            "glass-broken",
            format!("{by} lets it pass freezes, windows and what is known to be bad: {why}"),
            &[],
        );
        Ok(())
    }
}

/// The same gate, which waits where it has no data.
fn patient(gate: &Gate) -> Gate {
    let mut gate = gate.clone();
    match &mut gate {
        Gate::Verdicts { no_data, .. }
        | Gate::Cost { no_data, .. }
        | Gate::Promql { no_data, .. } => {
            *no_data = NoData::Hold;
        }
        Gate::Applied { .. } => {}
    }
    gate
}
