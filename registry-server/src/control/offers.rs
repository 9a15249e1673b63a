//! What a node is offered: which revision of which policies, as one list of envelopes. Refuses to know which nodes
//! there are.

use super::ControlError;
use crate::live::Offer;
use crate::store::StoreError;
use crate::store::policies::StoredPolicy;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::value::RawValue;
use skep_api::v1::sync::{DESIRED_BYTES_MAX, DesiredState, POLICIES_MAX};
use skep_artifact::digest::Digest;
use skep_artifact::dsse::Envelope;
use skep_fleet::ids::{NodeName, PolicyName};
use skep_fleet::rollout::Held;
use skep_fleet::selector::Labels;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// The newest revision of every policy.
pub(super) type Policies = BTreeMap<PolicyName, Arc<HeldPolicy>>;

/// A policy in memory.
pub(super) struct HeldPolicy {
    pub(super) stored: StoredPolicy,
    /// The newest revision as nodes get it.
    pub(super) newest: Arc<Envelopes>,
    /// The revisions before, by their numbers.
    earlier: BTreeMap<u64, Arc<Envelopes>>,
}

/// One signed revision as nodes get it.
pub(super) struct Envelopes {
    pub(super) base64: String,
    /// Of the signed bytes: what approvals and assignments name.
    pub(super) payload: Digest,
}

/// What a node is offered of a policy.
pub(super) struct Choice {
    pub(super) has: Held,
    /// Grows when the node shall try the same once more.
    attempt: u32,
    envelope: Arc<Envelopes>,
}

impl Envelopes {
    fn of(envelope: &[u8]) -> Arc<Self> {
        // What is stored was read once already; what could not be read would be refused by every node.
        let payload = Envelope::parse(envelope)
            .map_or_else(|_| Digest::of(b""), |read| Digest::of(read.unverified_payload()));
        Arc::new(Self { base64: BASE64.encode(envelope), payload })
    }
}

impl HeldPolicy {
    pub(super) fn new(stored: StoredPolicy) -> Arc<Self> {
        let newest = Envelopes::of(&stored.envelope);
        let earlier = stored.earlier.iter();
        let earlier = earlier.map(|e| (e.revision.revision, Envelopes::of(&e.envelope))).collect();
        Arc::new(Self { stored, newest, earlier })
    }

    /// The same revision, whose rollout went on.
    pub(super) fn with(&self, stored: StoredPolicy) -> Arc<Self> {
        Arc::new(Self { stored, newest: self.newest.clone(), earlier: self.earlier.clone() })
    }

    /// Whether the policy is for a node with these labels, removed or not: the policy set names it either way.
    pub(super) fn concerns(&self, labels: &Labels) -> bool {
        self.stored.revision.nodes.matches(labels)
    }

    /// Whether the policy asks a node with these labels for anything.
    pub(super) fn selects(&self, labels: &Labels) -> bool {
        !self.stored.revision.removed && self.stored.revision.nodes.matches(labels)
    }

    /// What a node is offered of it: the newest revision, or while that is rolled out what the rollout says. Nothing for
    /// a node that the first rollout did not reach.
    pub(super) fn choice(&self, node: &NodeName, labels: &Labels) -> Option<Choice> {
        let number = self.stored.revision.revision;
        let newest = Held { revision: number, fallback: false };
        let (has, attempt) = match self.stored.rollout.as_ref().map(|rollout| &rollout.state) {
            None => (newest, 0),
            Some(rollout) => match rollout.targets.get(node) {
                Some(target) => (rollout.holds(node)?, target.attempt),
                None => (rollout.newcomer(node, labels)?, 0),
            },
        };
        let earlier = self.earlier.get(&has.revision).filter(|_| has.revision != number);
        let envelope = earlier.unwrap_or(&self.newest).clone();
        // One that is not kept any more is no choice.
        let has = if earlier.is_none() && has.revision != number { newest } else { has };
        Some(Choice { has, attempt, envelope })
    }
}

/// One policy of an offer, what is chosen of it, and how often that was tried.
type Chosen = (PolicyName, Held, u32);

/// Offers by what is in them: nodes that want the same share one.
#[derive(Default)]
pub(super) struct Offers {
    made: HashMap<Vec<Chosen>, Arc<Offer>>,
}

impl Offers {
    /// What a node is offered: a revision of every policy that selects it, and of every policy it was told about
    /// before, so that it learns of a removal from the operator's signature.
    pub(super) fn get(
        &mut self,
        policies: &Policies,
        node: &NodeName,
        labels: &Labels,
        seen: &BTreeSet<PolicyName>,
    ) -> Result<Arc<Offer>, ControlError> {
        let meant = policies.iter().filter(|(n, p)| p.concerns(labels) || seen.contains(*n));
        let chosen: Vec<(&PolicyName, Choice)> =
            meant.filter_map(|(name, held)| Some((name, held.choice(node, labels)?))).collect();
        let key: Vec<Chosen> =
            chosen.iter().map(|(name, c)| ((*name).clone(), c.has, c.attempt)).collect();
        if let Some(offer) = self.made.get(&key) {
            return Ok(offer.clone());
        }
        let offer = Arc::new(offer_of(node, &chosen)?);
        self.made.insert(key, offer.clone());
        Ok(offer)
    }
}

fn offer_of(node: &NodeName, chosen: &[(&PolicyName, Choice)]) -> Result<Offer, ControlError> {
    let envelopes: Vec<String> =
        chosen.iter().map(|(_, choice)| choice.envelope.base64.clone()).collect();
    let bytes: usize = envelopes.iter().map(|envelope| envelope.len() + 3).sum();
    if chosen.len() > POLICIES_MAX || bytes > DESIRED_BYTES_MAX / 2 {
        let policies = chosen.len();
        return Err(ControlError::TooMuch { node: node.clone(), policies, bytes });
    }
    let digest = DesiredState::digest_of(&envelopes);
    let json = serde_json::to_string(&envelopes).and_then(RawValue::from_string);
    let envelopes =
        json.map_err(|e| StoreError::Corrupt { what: "list of envelopes", reason: e.to_string() })?;
    let back = chosen.iter().filter(|(_, choice)| choice.has.fallback);
    Ok(Offer {
        digest,
        choice: choice_digest(digest, chosen),
        policies: chosen.iter().map(|(name, _)| (*name).clone()).collect(),
        envelopes,
        revisions: chosen.iter().map(|(_, choice)| choice.envelope.payload).collect(),
        fallback: back.map(|(_, choice)| choice.envelope.payload).collect(),
    })
}

/// What tells two wishes apart, where the same envelopes may mean another thing. The digest of the envelopes where they
/// do not, as it always was.
fn choice_digest(envelopes: Digest, chosen: &[(&PolicyName, Choice)]) -> Digest {
    let plain = |choice: &Choice| !choice.has.fallback && choice.attempt == 0;
    if chosen.iter().all(|(_, choice)| plain(choice)) {
        return envelopes;
    }
    let mut lines = format!("{envelopes}\n");
    for (name, choice) in chosen.iter().filter(|(_, choice)| !plain(choice)) {
        lines.push_str(&format!("{name} {} {}\n", choice.has.fallback, choice.attempt));
    }
    Digest::of(lines.as_bytes())
}
