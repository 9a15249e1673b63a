//! The calls about rollouts and freezes. Refuses to know what they mean.

use super::{Client, ClientError};
use crate::v1::rollouts::{FreezeList, RolloutDetail, RolloutList, RolloutWish, SetFreeze};
use reqwest::Method;
use skep_fleet::PolicyName;
use skep_fleet::rollout::Freeze;

impl Client {
    /// Every rollout, the newest of each policy first.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn rollouts(&self) -> Result<RolloutList, ClientError> {
        self.get("/v1/rollouts").await
    }

    /// One rollout.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn rollout(
        &self,
        policy: &PolicyName,
        revision: u64,
    ) -> Result<RolloutDetail, ClientError> {
        self.get(&format!("/v1/rollouts/{policy}/{revision}")).await
    }

    /// Wishes something of a rollout.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn wish_of_rollout(
        &self,
        policy: &PolicyName,
        revision: u64,
        wish: &RolloutWish,
    ) -> Result<RolloutDetail, ClientError> {
        self.post(&format!("/v1/rollouts/{policy}/{revision}/wishes"), wish).await
    }

    /// Times in which rollouts stand still.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn freezes(&self) -> Result<FreezeList, ClientError> {
        self.get("/v1/freezes").await
    }

    /// Sets a freeze.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn set_freeze(&self, freeze: &Freeze) -> Result<(), ClientError> {
        let wish = SetFreeze { freeze: freeze.clone() };
        self.told(Method::POST, "/v1/freezes", &wish).await
    }

    /// Takes a freeze away.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn remove_freeze(&self, name: &str) -> Result<(), ClientError> {
        self.done(Method::DELETE, &format!("/v1/freezes/{name}")).await
    }
}
