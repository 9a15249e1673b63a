//! Enrolling nodes, and the tokens with which they do. Refuses to know what is wanted of them
//! beyond the first generation.

use super::offers::Offers;
use super::{ATTEMPTS_MAX, ControlError, Fleet, LABEL_BYTES_MAX, write};
use crate::clock;
use crate::live::{Desired, Node};
use crate::secret::{Kind, Secret, SecretHash};
use crate::store::StoreError;
use crate::store::fleet_clock::FleetStamp;
use crate::store::nodes::{StoredNode, StoredNodeToken};
use skep_api::v1::nodes::{EnrolRequest, EnrolResponse};
use skep_fleet::ids::{Generation, NodeName};
use skep_fleet::selector::{LABELS_MAX, Labels};
use std::sync::Arc;

/// An enrolment whose token was found good.
struct Wish {
    token: StoredNodeToken,
    name: NodeName,
    labels: Labels,
    instance: SecretHash,
    credential: Secret,
}

impl Fleet {
    /// Enrols a node, or gives a known one (same name, same instance) a fresh credential.
    ///
    /// # Errors
    /// [`ControlError`]; nothing changed then.
    pub async fn enrol(&self, request: EnrolRequest) -> Result<EnrolResponse, ControlError> {
        let EnrolRequest { token, name, labels, instance } = request;
        let token = self.node_token(&token).await?;
        let instance = SecretHash::of_instance(&instance);
        let labels = merged(labels, &token.labels)?;
        let credential = Secret::draw(Kind::NodeCredential)?;
        let wish = Wish { token, name, labels, instance, credential };
        let mut stamp = self.changing.lock().await;
        for _ in 0..ATTEMPTS_MAX {
            self.catch_up(&mut stamp).await?;
            match self.try_enrol(&wish, &mut stamp).await {
                Err(ControlError::Store(StoreError::Moved)) => {}
                enrolled => return enrolled,
            }
        }
        Err(StoreError::Moved.into())
    }

    async fn try_enrol(
        &self,
        wish: &Wish,
        stamp: &mut FleetStamp,
    ) -> Result<EnrolResponse, ControlError> {
        let Wish { token, name, labels, instance, credential } = wish;
        let earlier = self.roster().by_name.get(name).cloned();
        if earlier.as_ref().is_some_and(|node| !node.instance.same_as(instance)) {
            return Err(ControlError::NameTaken { name: name.clone() });
        }
        let desired = self.desired_of(name, labels, earlier.as_deref())?;
        let node = StoredNode {
            name: name.clone(),
            instance: *instance,
            credential: credential.hash(),
            node_token: token.hash.id(),
            labels: labels.clone(),
            wanted: desired.wanted(),
            last_seen_at: None,
            report: None,
            policies: desired.offer.policies.iter().cloned().collect(),
        };
        self.keep(&node, token, earlier.as_deref(), stamp).await?;
        let node = Arc::new(Node::new(node, desired));
        if let Some(earlier) = &earlier {
            node.inherit(earlier);
        }
        write(&self.roster).put(node);
        tracing::info!(node = %name, "node {name} is enrolled");
        Ok(EnrolResponse {
            name: name.clone(),
            credential: credential.reveal().to_owned(),
            labels: labels.clone(),
            server_key: Some(self.key.public()),
        })
    }

    /// A repeated enrolment costs no use of the token; a used-up token still serves the node that
    /// used it, whose answer may have been lost.
    async fn keep(
        &self,
        node: &StoredNode,
        token: &StoredNodeToken,
        earlier: Option<&Node>,
        stamp: &mut FleetStamp,
    ) -> Result<(), ControlError> {
        let now = clock::now();
        let repeats = earlier.is_some_and(|e| e.node_token == node.node_token);
        if repeats || (earlier.is_some() && token.uses_left > 0) {
            *stamp = self.store.renew_node(node, now, *stamp).await?;
            return Ok(());
        }
        if earlier.is_none()
            && let Some(counted) = self.store.add_node(node, now, *stamp).await?
        {
            *stamp = counted;
            return Ok(());
        }
        Err(ControlError::TokenRefused)
    }

    async fn node_token(&self, text: &str) -> Result<StoredNodeToken, ControlError> {
        let hash = SecretHash::of_text(Kind::NodeToken, text).ok_or(ControlError::TokenRefused)?;
        let stored = self.store.node_token(&hash.id()).await?;
        let valid = |t: &StoredNodeToken| t.hash.same_as(&hash) && t.expires_at > clock::now();
        stored.filter(valid).ok_or(ControlError::TokenRefused)
    }

    fn desired_of(
        &self,
        name: &NodeName,
        labels: &Labels,
        earlier: Option<&Node>,
    ) -> Result<Desired, ControlError> {
        let now = earlier.map(Node::desired);
        let seen = now.as_ref().map(|d| d.offer.policies.clone()).unwrap_or_default();
        let offer = Offers::default().get(&self.policies(), name, labels, &seen)?;
        let generation = match now {
            Some(now) if now.offer.choice == offer.choice => now.generation,
            Some(now) => Generation(now.generation.0 + 1),
            None => Generation(1),
        };
        Ok(Desired { generation, offer })
    }

    /// Makes a token with which `uses` nodes may enrol.
    ///
    /// # Errors
    /// [`ControlError`].
    pub async fn create_node_token(
        &self,
        labels: Labels,
        uses: u32,
        expires_at: i64,
        by: &str,
    ) -> Result<Secret, ControlError> {
        let labels = merged(labels, &Labels::new())?;
        let secret = Secret::draw(Kind::NodeToken)?;
        let token = StoredNodeToken {
            hash: secret.hash(),
            labels,
            uses_left: uses,
            created_at: clock::now(),
            expires_at,
            created_by: by.to_owned(),
        };
        self.store.add_node_token(&token).await?;
        Ok(secret)
    }
}

/// A node's own labels under those of its token, which win.
fn merged(own: Labels, tokens: &Labels) -> Result<Labels, ControlError> {
    let mut labels = own;
    labels.extend(tokens.iter().map(|(key, value)| (key.clone(), value.clone())));
    let too_long = |text: &String| text.is_empty() || text.len() > LABEL_BYTES_MAX;
    let bad = labels.iter().any(|(key, value)| too_long(key) || value.len() > LABEL_BYTES_MAX);
    if bad || labels.len() > LABELS_MAX {
        return Err(ControlError::Labels { found: labels.len() });
    }
    Ok(labels)
}
