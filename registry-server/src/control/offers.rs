//! What a node is offered: which policies, as one list of envelopes. Refuses to know which nodes
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
use skep_fleet::selector::Labels;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// The newest revision of every policy.
pub(super) type Policies = BTreeMap<PolicyName, Arc<HeldPolicy>>;

/// A policy in memory.
pub(super) struct HeldPolicy {
    pub(super) stored: StoredPolicy,
    /// The envelope as nodes get it.
    pub(super) base64: String,
    /// Of the signed bytes: what approvals and assignments name.
    pub(super) payload: Digest,
}

impl HeldPolicy {
    pub(super) fn new(stored: StoredPolicy) -> Arc<Self> {
        let base64 = BASE64.encode(&stored.envelope);
        // What is stored was read once already; what could not be read would be refused by every node.
        let payload = Envelope::parse(&stored.envelope)
            .map_or_else(|_| Digest::of(b""), |read| Digest::of(read.unverified_payload()));
        Arc::new(Self { stored, base64, payload })
    }

    /// Whether the policy is for a node with these labels, removed or not: the policy set names it either way.
    pub(super) fn concerns(&self, labels: &Labels) -> bool {
        self.stored.revision.nodes.matches(labels)
    }

    /// Whether the policy asks a node with these labels for anything.
    pub(super) fn selects(&self, labels: &Labels) -> bool {
        !self.stored.revision.removed && self.stored.revision.nodes.matches(labels)
    }
}

/// Offers by the policies in them: nodes that want the same share one.
#[derive(Default)]
pub(super) struct Offers {
    made: HashMap<BTreeSet<PolicyName>, Arc<Offer>>,
}

impl Offers {
    /// What a node is offered: the newest revision of every policy that selects it, and of every
    /// policy it was told about before, so that it learns of a removal from the operator's signature.
    pub(super) fn get(
        &mut self,
        policies: &Policies,
        node: &NodeName,
        labels: &Labels,
        seen: &BTreeSet<PolicyName>,
    ) -> Result<Arc<Offer>, ControlError> {
        let meant = policies.iter().filter(|(n, p)| p.concerns(labels) || seen.contains(*n));
        let names: BTreeSet<PolicyName> = meant.map(|(name, _)| name.clone()).collect();
        if let Some(offer) = self.made.get(&names) {
            return Ok(offer.clone());
        }
        let held = names.iter().filter_map(|name| policies.get(name));
        let envelopes: Vec<String> = held.map(|policy| policy.base64.clone()).collect();
        let bytes: usize = envelopes.iter().map(|envelope| envelope.len() + 3).sum();
        if names.len() > POLICIES_MAX || bytes > DESIRED_BYTES_MAX / 2 {
            let policies = names.len();
            return Err(ControlError::TooMuch { node: node.clone(), policies, bytes });
        }
        let digest = DesiredState::digest_of(&envelopes);
        let json = serde_json::to_string(&envelopes).and_then(RawValue::from_string);
        let envelopes = json.map_err(|e| StoreError::Corrupt {
            what: "list of envelopes",
            reason: e.to_string(),
        })?;
        let held = names.iter().filter_map(|name| policies.get(name));
        let revisions = held.map(|policy| policy.payload).collect();
        let offer = Arc::new(Offer { digest, policies: names.clone(), envelopes, revisions });
        self.made.insert(names, offer.clone());
        Ok(offer)
    }
}
