//! How many nodes may still be given a revision now: the limits, counted. Refuses to choose among nodes.

use super::blocked;
use super::state::Rollout;
use std::collections::BTreeMap;

/// The period of `perMinute`.
const MINUTE: i64 = 60;

/// How many nodes may still be given out now.
pub(super) struct Room {
    unavailable: usize,
    limit: usize,
    recent: usize,
    per_minute: usize,
    domains: BTreeMap<(usize, Option<String>), usize>,
}

impl Room {
    pub(super) fn of(it: &Rollout, now: i64) -> Self {
        let mut domains = BTreeMap::new();
        for target in it.targets.values().filter(|target| target.state.in_flight()) {
            *domains.entry((target.wave, target.domain.clone())).or_default() += 1;
        }
        Self {
            unavailable: blocked::unavailable(it),
            limit: it.limit(),
            recent: blocked::given_out_since(it, now - MINUTE).len(),
            per_minute: it.plan.limits.per_minute.unwrap_or(usize::MAX),
            domains,
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.unavailable >= self.limit || self.recent >= self.per_minute
    }

    pub(super) fn in_domain(&self, domain: &(usize, Option<String>)) -> usize {
        self.domains.get(domain).copied().unwrap_or(0)
    }

    pub(super) fn take(&mut self, domain: (usize, Option<String>)) {
        self.unavailable += 1;
        self.recent += 1;
        *self.domains.entry(domain).or_default() += 1;
    }
}
