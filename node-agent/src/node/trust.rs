//! What the registry's trust metadata means for a node: whose word counts, what time it is at least, and an alarm when
//! it is no longer fresh. Refuses to fetch and to verify metadata.

use super::Node;
use crate::explain::explain;
use crate::ledger::Ledger;
use crate::notices;
use crate::tuf::Heard;
use skep_api::v1::nodes::Refused;

/// How the metadata is doing.
#[derive(Debug, Default)]
pub(super) struct Trusting {
    problem: Option<Refused>,
    /// Said since the last pass, when it is not fresh.
    stale: Option<String>,
}

impl Node {
    /// Takes note of a refresh.
    pub fn heard(&mut self, heard: Heard) {
        self.trusting.problem = heard.problem;
        self.offered_roles.extend(heard.roles);
        if let Some(delegations) = heard.delegations {
            self.parts.policy = self.parts.policy.with_delegations(delegations);
        }
        self.prepared = None;
        self.take_waiting_revocations();
    }

    /// Changes when a revocation came whose signers are not known; 0 while none waits.
    #[must_use]
    pub fn revocations_waiting(&self) -> u64 {
        let operators = &self.ledger.operators;
        if operators.waiting.is_empty() { 0 } else { operators.revocations_seen }
    }

    /// Takes revocations whose signers are known only now.
    fn take_waiting_revocations(&mut self) {
        let operators = &self.ledger.operators;
        if operators.waiting.is_empty() {
            return;
        }
        let taken = notices::take_waiting(&self.parts.policy, &self.ledger.floors, operators);
        if taken.operators.waiting.is_empty() {
            self.offer.refused.retain(|refusal| !refusal.code.starts_with("revocation."));
        }
        let next =
            Ledger { floors: taken.floors, operators: taken.operators, ..self.ledger.clone() };
        if let Err(error) = self.remember(next) {
            tracing::error!("{}", explain(&error));
        }
    }

    /// Trusted time: the clock of this host, and never before what somebody trusted to tell the time has signed.
    pub(super) fn trusted_time(&self, clock: i64) -> i64 {
        let floor = self.parts.policy.delegations().map_or(0, |known| known.time_floor());
        clock.max(floor)
    }

    /// Looks whether anything new would be accepted on the metadata's word.
    pub(super) fn look_at_trust(&mut self, now: i64) {
        let policy = &self.parts.policy;
        self.trusting.stale = match (policy.trust_root(), policy.delegations()) {
            (None, _) => None,
            (Some(_), None) => {
                Some("The registry's trust metadata has not been read yet.".to_owned())
            }
            (Some(_), Some(known)) => (now >= known.fresh_until()).then(|| {
                format!("The registry's trust metadata is not fresh: {}.", known.why_not_fresh())
            }),
        };
    }

    /// What the summary says about it.
    pub(super) fn trust_notes(&self) -> Vec<String> {
        let stale =
            self.trusting.stale.as_ref().map(|why| {
                format!("ALARM: {why} What runs keeps running; nothing new is accepted.")
            });
        let problem = self.trusting.problem.as_ref().map(|p| format!("{} ({})", p.message, p.code));
        stale.into_iter().chain(problem).collect()
    }

    /// Until when the metadata is fresh, in seconds since 1970: 0 before it was read, `None` when the policy trusts no root.
    #[must_use]
    pub fn trust_fresh_until(&self) -> Option<i64> {
        self.parts.policy.trust_root()?;
        Some(self.parts.policy.delegations().map_or(0, |known| known.fresh_until().max(0)))
    }
}
