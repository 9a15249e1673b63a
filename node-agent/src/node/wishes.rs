//! What the accepted policies ask of each place of this host, verified and encoded from their own envelopes.
//! Refuses to decide what becomes of a wish, and to touch a chain.

use super::{Node, NodeError, Prepared};
use crate::envelope::{self, Judge};
use crate::interfaces;
use crate::ledger::Place;
use crate::observe::Seen;
use crate::prepare::{Learned, Ready, Shelf};
use crate::reconcile::{Obstacle, Wish};
use skep_api::v1::nodes::Refused;
use skep_fleet::plan::Step;
use skep_fleet::{DesiredChain, PolicyRevision, compose};

impl Node {
    fn wanted_chains(&self, interfaces: &[String]) -> Vec<DesiredChain> {
        let revisions: Vec<PolicyRevision> = self.revisions.values().cloned().collect();
        compose(&revisions, &self.parts.labels, interfaces)
    }

    /// The chain that last ran well at a place, composed anew from its own envelopes.
    pub(super) fn good_chain(&self, place: &Place) -> Option<(DesiredChain, u64)> {
        let good = self.ledger.good.get(place)?;
        let envelopes = good.envelopes.iter().filter_map(|d| self.ledger.envelopes.get(d));
        let envelopes: Vec<String> = envelopes.cloned().collect();
        let (floors, operators) = (&self.ledger.floors, &self.ledger.operators);
        let judge = Judge { policy: &self.parts.policy, floors, operators, seat: self.seat() };
        let read = envelope::read_all(&judge, &envelopes);
        let revisions: Vec<PolicyRevision> = read.revisions.into_values().collect();
        let chains =
            compose(&revisions, &self.parts.labels, std::slice::from_ref(&place.interface));
        let chain = chains.into_iter().find(|c| c.hook == place.hook)?;
        Some((chain, good.generation))
    }

    /// Works out what is wanted, unless nothing changed since it was last worked out.
    pub(super) fn prepare(&mut self, seen: &Seen, now: i64) -> Result<(), NodeError> {
        let interfaces = interfaces::list().map_err(|source| NodeError::Interfaces { source })?;
        if self.prepared.as_ref().is_some_and(|p| p.interfaces == interfaces) {
            return Ok(());
        }
        let shelf = self.shelf(now);
        let mut learned = Learned::from_floors(self.ledger.floors.clone());
        let generation = self.generation();
        let (mut wishes, mut revoked) = (Vec::new(), Vec::new());
        for desired in self.wanted_chains(&interfaces) {
            let place = Place { interface: desired.interface.clone(), hook: desired.hook };
            let cleaned = self.cleaned(desired.clone());
            revoked.extend(cleaned.revoked);
            // Nothing is left of it: it is wanted no more, and what runs there is taken off.
            let Some(chain) = cleaned.chain else { continue };
            let wanted = if seen.local.contains(&place) {
                Err(Obstacle::Refused(local_program(&place)))
            } else if let Some(refused) = cleaned.refused {
                Err(Obstacle::Refused(refused))
            } else {
                shelf.chain(&chain, generation, &mut learned).map(|ready| ready.wanted)
            };
            // What last ran well there comes before what the revision names: it is known to work on this host.
            let good = self.good_chain(&place);
            let named = self.fallen_back_chain(&desired).map(|chain| (chain, generation));
            let fallback = good.into_iter().chain(named).find_map(|(chain, generation)| {
                shelf.chain(&chain, generation, &mut learned).ok().map(|ready| ready.wanted)
            });
            wishes.push(Wish { place, wanted, fallback });
        }
        self.prepared = Some(Prepared { interfaces, wishes, learned, revoked });
        Ok(())
    }

    /// Verifies and encodes once more the chain a swap puts in place, right before it is loaded.
    pub(super) fn ready_for(&self, step: &Step, now: i64) -> Option<Ready> {
        let Step::SwapChain { interface, hook, members, how, .. } = step else { return None };
        let place = Place { interface: interface.clone(), hook: *hook };
        let wanted = self.wanted_chains(std::slice::from_ref(interface));
        let wanted = wanted.into_iter().find(|c| c.hook == *hook);
        let named = wanted.as_ref().and_then(|chain| self.fallen_back_chain(chain));
        let wanted = wanted.and_then(|chain| self.cleaned(chain).chain);
        let numbered = |chain| (chain, self.generation());
        let either = wanted.map(numbered).into_iter().chain(self.good_chain(&place));
        let either = either.chain(named.map(numbered));
        let shelf = self.shelf(now);
        let mut learned = Learned::from_floors(self.ledger.floors.clone());
        either
            .filter_map(|(desired, generation)| {
                shelf.chain(&desired, generation, &mut learned).ok()
            })
            .find(|ready| ready.wanted.members == *members && ready.wanted.how == *how)
    }

    fn shelf(&self, now: i64) -> Shelf<'_> {
        Shelf {
            policy: &self.parts.policy,
            cache: &self.parts.cache,
            ledger: &self.ledger,
            offered_roles: &self.offered_roles,
            offered_evidence: &self.offered_evidence,
            memory: self.log_memory(),
            fetched: &self.fetched,
            now,
        }
    }
}

fn local_program(place: &Place) -> Refused {
    Refused {
        code: "chain.local_program".to_owned(),
        message: format!(
            "{place} runs a chain that a person put there by hand. Take it off with `skep-agent detach {} {}` first.",
            place.interface, place.hook
        ),
    }
}
