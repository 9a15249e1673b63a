//! Looking at an offered state: what operators signed beside it, its number, the server's assignment, each revision.
//! Refuses to touch a chain.

use super::{Node, NodeError, Offer};
use crate::envelope::{self, Judge};
use crate::ledger::{Ledger, OperatorLedger};
use crate::notices::{self, Taken};
use crate::reconcile::{Candidate, accept, judge};
use skep_api::v1::nodes::Refused;
use skep_api::v1::operators::NoticesSeen;
use skep_api::v1::sync::{DesiredState, Have};
use skep_artifact::digest::Digest;
use skep_fleet::PolicyName;
use skep_trust::VerifiedSet;
use std::collections::BTreeSet;

/// What of an offered state may be followed.
struct Followed {
    next: Ledger,
    have: Have,
    refused: Vec<Refused>,
    omitted: Vec<PolicyName>,
    left_out: Vec<String>,
}

impl Node {
    /// What was seen of sets, approvals and revocations since the agent started.
    #[must_use]
    pub fn notices_seen(&self) -> NoticesSeen {
        let revocations = self.ledger.operators.revocations_seen;
        NoticesSeen { digest: self.notices, revocations }
    }

    /// Looks at an offered state: takes denials first, judges its number and assignment, verifies each revision,
    /// remembers what is accepted. Changes nothing in the kernel.
    ///
    /// # Errors
    /// [`NodeError::Ledger`] when the disk refuses: then nothing of the offer is accepted.
    pub fn offer(&mut self, offered: &DesiredState, now: i64) -> Result<(), NodeError> {
        let mut next = self.ledger.clone();
        let mut refused = Vec::new();
        if let Some(notices) = &offered.notices {
            let taken = notices::take(&self.parts.policy, &next.floors, &next.operators, notices);
            refused.extend(taken.refused.iter().cloned());
            next = after_notices(next, taken);
            self.notices = Some(notices.digest);
        }
        match self.follow(&next, offered, now) {
            Ok(followed) => {
                refused.extend(followed.refused);
                self.say(offered, &followed.have, &refused, &followed.omitted);
                self.remember(followed.next)?;
                let seen = Some(followed.have);
                let (omitted, left_out) = (followed.omitted, followed.left_out);
                self.offer = Offer { seen, refused, omitted, left_out };
            }
            Err(error) => {
                tracing::warn!(generation = %offered.generation, code = error.code, "{}", error.message);
                // Denials and the operators' epoch count, whatever came beside them.
                self.remember(next)?;
                // A set that was refused already says more than that the server follows it.
                let follows = matches!(
                    error.code.as_str(),
                    "assignment.set_not_signed" | "assignment.epoch_not_signed"
                );
                let at = if follows { refused.len() } else { 0 };
                refused.insert(at, error);
                self.offer.refused = refused;
            }
        }
        self.verify_accepted();
        // Whatever could not be fetched for the state before may be there now.
        self.fetched.clear();
        Ok(())
    }

    /// What of a state is followed, on top of what its notices said.
    fn follow(
        &self,
        ledger: &Ledger,
        offered: &DesiredState,
        now: i64,
    ) -> Result<Followed, Refused> {
        let policy = &self.parts.policy;
        let have = judge(ledger.newest, offered).map_err(|error| Refused {
            code: error.code().to_owned(),
            message: error.to_string(),
        })?;
        notices::require_set(policy, &ledger.floors)?;
        let (floors, operators) = (&ledger.floors, &ledger.operators);
        let judge = Judge { policy, floors, operators, seat: self.seat() };
        let read = envelope::read_all(&judge, &offered.policies);
        let signed: BTreeSet<Digest> = read.payloads.iter().copied().collect();
        // Where nobody may sign, nothing is accepted, and each revision is refused with advice on whom to accept.
        let assignment = match policy.operator() {
            None => None,
            Some(_) => notices::judge_assignment(
                &self.parts.me,
                offered.assignment.as_deref(),
                offered.generation.0,
                &signed,
                &ledger.floors,
                now,
            )?,
        };
        let set = notices::set_of(policy, &ledger.floors, &ledger.operators);
        let (candidates, too_low) = high_enough(read.candidates, set.as_ref());
        let acceptance = accept(&ledger.accepted, &candidates);
        let mut next = ledger.clone();
        if let Some(assignment) = &assignment {
            next.floors = next.floors.raise_assignment(assignment);
            next.operators.fallen_back.clone_from(&assignment.assignment().fallback);
        }
        next.newest = Some(have);
        next.accepted = acceptance.accepted;
        next.envelopes.extend(read.envelopes);
        next.prune();
        let labels = &self.parts.labels;
        let lacking = set.as_ref().map(|set| notices::left_out(set, labels, &read.offered));
        let lacking = lacking.unwrap_or_default();
        let left_out = lacking.iter().map(|lacking| lacking.policy.clone()).collect();
        let lacking = lacking.iter().map(notices::say_lacking);
        let all = read.refused.into_iter().chain(acceptance.refused).chain(too_low).chain(lacking);
        let refused = all.collect();
        Ok(Followed { next, have, refused, omitted: acceptance.omitted, left_out })
    }

    fn say(
        &self,
        offered: &DesiredState,
        have: &Have,
        refused: &[Refused],
        omitted: &[PolicyName],
    ) {
        for refusal in refused {
            tracing::warn!(code = refusal.code, "A policy was refused: {}", refusal.message);
        }
        for policy in omitted {
            tracing::warn!(%policy, "The server left policy {policy} out without a signed removal; it stays in force.");
        }
        tracing::info!(
            generation = %have.generation,
            "Looked at generation {}: {} policies, {} refused.",
            have.generation, offered.policies.len(), refused.len()
        );
    }
}

/// A new epoch, signed by operators, begins generations anew; what runs by an older one is ours all the same.
fn after_notices(mut ledger: Ledger, taken: Taken) -> Ledger {
    let Taken { floors, operators, .. } = taken;
    if floors.epoch() > ledger.floors.epoch() {
        let newest = ledger.newest.map_or(0, |have| have.generation.0);
        let superseded = ledger.operators.superseded.max(newest);
        ledger.newest = None;
        ledger.applied = None;
        ledger.operators = OperatorLedger { superseded, ..operators };
    } else {
        ledger.operators = operators;
    }
    ledger.floors = floors;
    ledger
}

fn high_enough(
    candidates: Vec<Candidate>,
    set: Option<&VerifiedSet>,
) -> (Vec<Candidate>, Vec<Refused>) {
    let mut too_low = Vec::new();
    let mut kept = Vec::new();
    for candidate in candidates {
        let found = candidate.accepted.revision;
        match set.and_then(|set| set.lowest(candidate.name.as_str())) {
            Some(lowest) if found < lowest => {
                too_low.push(notices::say_too_low(&candidate.name, found, lowest));
            }
            _ => kept.push(candidate),
        }
    }
    (kept, too_low)
}
