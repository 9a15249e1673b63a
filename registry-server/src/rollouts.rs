//! Driving rollouts: what nodes say and count becomes events. One server at a time does it; that two believe they do is
//! harmless, since every change counts the fleet's clock. Refuses to decide what an event means.

pub mod observe;
pub mod prometheus;

use crate::app::App;
use crate::clock;
use crate::control::ControlError;
use crate::store::StoreError;
use observe::Baselines;
use prometheus::Prometheus;
use skep_fleet::ids::PolicyName;
use skep_fleet::rollout::event::Surroundings;
use skep_fleet::rollout::{Event, Freeze, Gate, Phase, Rollout, Stage, claims};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How often rollouts are looked at: a person who watches sees it move, and a bad version is noticed within a report's
/// five seconds and one more.
pub const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long a driver that says nothing more is believed to drive, in seconds: three of SQLite's busy time-outs.
const LEASE_SECS: i64 = 15;

/// What one server knows that drives.
pub struct Driver {
    /// Its name in the database.
    name: String,
    baselines: BTreeMap<PolicyName, Baselines>,
    prometheus: Option<Prometheus>,
}

impl Driver {
    /// A driver of this process.
    #[must_use]
    pub fn new(prometheus: Option<Prometheus>) -> Self {
        let mut random = [0; 16];
        // Without randomness two servers may have one name; then both drive, which is harmless.
        let _ = getrandom::fill(&mut random);
        Self { name: hex::encode(random), baselines: BTreeMap::new(), prometheus }
    }

    /// Looks at every rollout once.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not say who drives; it is tried again next time.
    pub async fn look(&mut self, app: &App) -> Result<(), StoreError> {
        let all = app.fleet.newest_rollouts();
        let names: BTreeSet<&PolicyName> =
            all.iter().filter(|it| moves(it)).map(|it| &it.policy).collect();
        self.baselines.retain(|policy, _| names.contains(policy));
        if names.is_empty()
            || !app.store.take_rollout_lease(&self.name, clock::now(), LEASE_SECS).await?
        {
            return Ok(());
        }
        let freezes = app.store.freezes().await?;
        let bad: BTreeSet<_> = app.store.known_bad().await?.into_iter().collect();
        for it in all.iter().filter(|it| moves(it)) {
            let known_bad = bad.contains(&it.content);
            if let Err(error) = self.drive(app, it, &freezes, known_bad).await {
                let (policy, revision) = (&it.policy, it.to);
                tracing::error!(%policy, revision, "the rollout of {policy} r{revision} could not go on: {error}");
            }
        }
        Ok(())
    }

    async fn drive(
        &mut self,
        app: &App,
        it: &Rollout,
        freezes: &[Freeze],
        known_bad: bool,
    ) -> Result<(), ControlError> {
        let values = self.ask(it).await;
        let baselines = self.baselines.entry(it.policy.clone()).or_default();
        baselines.look(&app.fleet, it);
        let baselines = &*baselines;
        let events = |it: &Rollout| {
            let others = app.fleet.newest_rollouts();
            let around = Surroundings {
                held: claims::held_by_others(it, &others),
                freezes: freezes.to_vec(),
                known_bad,
                proven: BTreeSet::new(),
            };
            let mut events = observe::news(&app.fleet, it);
            events.extend(baselines.measured(&app.fleet, it, &values));
            events.push(Event::Tick(around));
            events
        };
        app.fleet.change_rollout(&it.policy, it.to, &events).await.map(|_| ())
    }

    /// The answers to the queries of a wave that is watched.
    async fn ask(&self, it: &Rollout) -> Vec<(usize, Option<f64>)> {
        let watched = matches!(it.phase, Phase::Running { stage: Stage::Bake | Stage::Gate, .. });
        let mut values = Vec::new();
        for (place, gate) in it.plan.gates.iter().enumerate().filter(|_| watched) {
            if let Gate::Promql { query, .. } = gate {
                values.push((place, self.ask_one(query).await));
            }
        }
        values
    }

    async fn ask_one(&self, query: &str) -> Option<f64> {
        let Some(prometheus) = &self.prometheus else {
            tracing::warn!("a gate asks Prometheus, and this server knows none: see --prometheus");
            return None;
        };
        match prometheus.value(query).await {
            Ok(value) => value,
            Err(error) => {
                tracing::warn!(query, "Prometheus did not answer a gate's query: {error}");
                None
            }
        }
    }
}

/// Whether time and nodes mean anything to it. One that stands still waits for its deadline.
fn moves(it: &Rollout) -> bool {
    !it.phase.is_final()
}
