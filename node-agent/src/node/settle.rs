//! After a pass: what is written down, and what is forgotten. Refuses to look at the kernel.

use super::{Node, NodeError};
use crate::cache::SPARE_BYTES_MAX;
use crate::envelope;
use crate::ledger::{Good, Place};
use crate::reconcile::{Failure, place_of};
use skep_artifact::digest::Digest;
use std::collections::BTreeSet;

impl Node {
    /// Writes down what was learned: what runs well where, which floors hold now, what is applied.
    pub(super) fn settle(&mut self, now: i64) -> Result<(), NodeError> {
        let Some(prepared) = &self.prepared else { return Ok(()) };
        let mut next = self.ledger.clone();
        next.roles.extend(prepared.learned.roles.clone());
        next.evidence.extend(prepared.learned.evidence.clone());
        next.floors = prepared.learned.floors.clone();
        let running =
            |place: &Place| self.pass.seen.running.iter().find(|r| place_of(&r.chain) == *place);
        let fine = prepared.wishes.iter().filter(|wish| {
            running(&wish.place)
                .is_some_and(|r| wish.wanted.as_ref().is_ok_and(|w| r.chain.serves(w)))
        });
        for wish in fine {
            let Some(running) = running(&wish.place) else { continue };
            let policies =
                running.chain.members.iter().filter_map(|m| next.accepted.get(&m.policy));
            let envelopes: BTreeSet<Digest> = policies.map(|a| a.envelope).collect();
            let before = next.good.get(&wish.place);
            if before.is_none_or(|g| g.envelopes != envelopes || g.generation != running.generation)
            {
                let good = Good { generation: running.generation, applied_at: now, envelopes };
                next.good.insert(wish.place.clone(), good);
            }
        }
        for index in &prepared.learned.verified {
            next.accepted_at.entry(*index).or_insert(now);
        }
        let complete = self.is_complete();
        if complete {
            next.applied = next.newest;
        }
        envelope::raise_floors(
            &self.parts.policy,
            &mut next,
            &self.pass.decision,
            &prepared.wishes,
            self.seat(),
        );
        if complete {
            let still = self.indexes_named();
            next.accepted_at.retain(|index, _| still.contains(index));
            next.evidence.retain(|index, _| still.contains(index));
        }
        next.prune();
        if next != self.ledger {
            let mut needed = prepared.learned.read.clone();
            needed.extend(next.roles.values().copied());
            needed.extend(next.evidence.values().flat_map(crate::evidence::Kept::blobs));
            self.remember(next)?;
            self.parts.cache.evict(&needed, SPARE_BYTES_MAX);
        }
        Ok(())
    }

    /// Keeps only failures of chains that are still wanted.
    pub(super) fn forget_failures(&mut self) {
        let Some(prepared) = &self.prepared else { return };
        let wanted = |failure: &Failure| {
            prepared.wishes.iter().any(|w| {
                w.place == failure.place
                    && (w.wanted.as_ref().is_ok_and(|c| *c == failure.tried)
                        || w.fallback.as_ref() == Some(&failure.tried))
            })
        };
        self.failures.retain(|(failure, _)| wanted(failure));
    }

    /// Packages that accepted or last good revisions name.
    fn indexes_named(&self) -> BTreeSet<Digest> {
        let accepted = self.revisions.values().flat_map(|r| r.programs.iter().map(|p| p.index));
        let good = self.ledger.good.keys().filter_map(|place| self.good_chain(place));
        let good = good.flat_map(|(chain, _)| chain.members.into_iter().map(|m| m.index));
        accepted.chain(good).collect()
    }

    /// Whether everything wanted runs: nothing refused, nothing waiting, nothing left to do.
    fn is_complete(&self) -> bool {
        let decision = &self.pass.decision;
        decision.refused.is_empty()
            && decision.pending.is_empty()
            && decision.steps.is_empty()
            && self.offer.refused.is_empty()
            && self.unverified.is_empty()
            && self.prepared.as_ref().is_none_or(|prepared| prepared.revoked.is_empty())
    }
}
