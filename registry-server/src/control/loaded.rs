//! The fleet as it is read from the database when a server starts. Refuses to know what changes it afterwards.

use super::offers::{HeldPolicy, Offers, Policies};
use super::{ControlError, change};
use crate::live::{Desired, Node};
use crate::store::Store;
use crate::store::fleet_clock::FleetStamp;
use skep_fleet::ids::{Generation, NodeName};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// The enrolled nodes, by name and by credential.
#[derive(Default)]
pub(super) struct Roster {
    pub(super) by_name: BTreeMap<NodeName, Arc<Node>>,
    pub(super) by_credential: HashMap<[u8; 32], Arc<Node>>,
}

impl Roster {
    pub(super) fn put(&mut self, node: Arc<Node>) {
        if let Some(earlier) = self.by_name.insert(node.name.clone(), node.clone()) {
            self.by_credential.remove(earlier.credential.as_bytes());
        }
        self.by_credential.insert(*node.credential.as_bytes(), node);
    }
}

/// The fleet as the database has it, complete, and the change it is made of.
pub(super) struct Loaded {
    pub(super) stamp: FleetStamp,
    pub(super) policies: Policies,
    pub(super) roster: Roster,
}

impl Loaded {
    /// Reads everything, and gives a node whose desired state is not what the policies say the next generation.
    pub(super) async fn from(store: &Store) -> Result<Self, ControlError> {
        let mut stamp = store.fleet_stamp().await?;
        let held = store.policies().await?.into_iter().map(HeldPolicy::new);
        let policies: Policies = held.map(|p| (p.stored.revision.name.clone(), p)).collect();
        let mut offers = Offers::default();
        let (mut roster, mut changes) = (Roster::default(), Vec::new());
        for stored in store.nodes().await? {
            let seen = stored.policies.iter().cloned().collect();
            let offer = offers.get(&policies, &stored.name, &stored.labels, &seen)?;
            let mut generation = stored.wanted.generation;
            if offer.choice != stored.wanted.digest {
                generation = Generation(generation.0 + 1);
                changes.push(change(&stored.name, generation, &offer));
            }
            roster.put(Arc::new(Node::new(stored, Desired { generation, offer })));
        }
        if !changes.is_empty() {
            stamp = store.put_wanted(None, &[], &changes, stamp).await?;
        }
        Ok(Self { stamp, policies, roster })
    }
}
