//! Several servers on one database: taking over what another server changed, and what nodes told it.
//! Refuses to decide anything: what another server wrote is done as it wrote it.

use super::offers::{HeldPolicy, Offers};
use super::{ControlError, Fleet, documents, write};
use crate::clock;
use crate::live::{Desired, Node};
use crate::store::StoreError;
use crate::store::fleet_clock::{FleetNews, FleetStamp};
use std::sync::Arc;

/// How far back to look for what nodes told other servers, in seconds: those write every five, and
/// clocks differ.
const HEARSAY_SECS: i64 = 20;

impl Fleet {
    /// Takes over what other servers changed.
    ///
    /// # Errors
    /// [`ControlError`]; what was known before goes on.
    pub async fn follow(&self) -> Result<(), ControlError> {
        let mut stamp = self.changing.lock().await;
        self.catch_up(&mut stamp).await
    }

    /// [`Fleet::follow`], for whoever changes the fleet and must know the newest before.
    pub(super) async fn catch_up(&self, stamp: &mut FleetStamp) -> Result<(), ControlError> {
        if !self.store.is_shared() {
            return Ok(());
        }
        let Some(news) = self.store.fleet_news(*stamp).await? else { return Ok(()) };
        let FleetNews { stamp: newest, policies: changed, nodes, documents } = news;
        let mut policies = self.policies().clone();
        for policy in changed {
            policies.insert(policy.revision.name.clone(), HeldPolicy::new(policy));
        }
        let mut offers = Offers::default();
        let mut wanted = Vec::with_capacity(nodes.len());
        for node in nodes {
            let seen = node.policies.iter().cloned().collect();
            let offer = offers.get(&policies, &node.name, &node.labels, &seen)?;
            if offer.choice != node.wanted.digest {
                // Servers of two versions may put an offer together differently. The number is the other's; counting
                // it up here would have the two count against each other.
                tracing::warn!(node = %node.name, "another server wants something else of node {}", node.name);
            }
            let desired = Desired { generation: node.wanted.generation, offer };
            wanted.push((node, desired));
        }
        *write(&self.policies) = policies;
        for (node, desired) in wanted {
            let known = self.roster().by_name.get(&node.name).cloned();
            match known {
                Some(known)
                    if known.credential.same_as(&node.credential)
                        && known.labels == node.labels =>
                {
                    known.want(desired);
                }
                known => {
                    let fresh = Arc::new(Node::new(node, desired));
                    if let Some(known) = known {
                        fresh.inherit(&known);
                    }
                    write(&self.roster).put(fresh);
                }
            }
        }
        if documents {
            let held = documents::Held::load(&self.store).await?;
            self.documents.send_replace(Arc::new(held));
        }
        *stamp = newest;
        Ok(())
    }

    /// Takes over what nodes told other servers.
    ///
    /// # Errors
    /// [`StoreError`]; it is looked for again next time.
    pub async fn hear_others(&self) -> Result<(), StoreError> {
        if !self.store.is_shared() {
            return Ok(());
        }
        for heard in self.store.hearsay(clock::now() - HEARSAY_SECS).await? {
            let node = self.roster().by_name.get(&heard.node).cloned();
            let Some(node) = node else { continue };
            if let Some(change) = node.heard_elsewhere(heard.last_seen_at, heard.report) {
                self.count_installs(&change);
            }
        }
        Ok(())
    }
}
