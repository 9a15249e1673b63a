//! The calls about policy sets, approvals and revocations. Refuses to know what they mean.

use super::{Client, ClientError};
use crate::v1::operators::{
    ApprovalInfo, ApprovalList, HandIn, PolicySetInfo, RevocationInfo, RevocationList, StoredSet,
};

impl Client {
    /// The policy set, and what nodes accepted.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn policy_set(&self) -> Result<PolicySetInfo, ClientError> {
        self.get("/v1/policy-set").await
    }

    /// Hands in a signed policy set.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn hand_in_set(&self, set: &HandIn) -> Result<StoredSet, ClientError> {
        self.post("/v1/policy-set", set).await
    }

    /// Approvals of the newest revisions.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn approvals(&self) -> Result<ApprovalList, ClientError> {
        self.get("/v1/approvals").await
    }

    /// Hands in a signed approval.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn approve(&self, approval: &HandIn) -> Result<ApprovalInfo, ClientError> {
        self.post("/v1/approvals", approval).await
    }

    /// Every revocation, oldest first.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn revocations(&self) -> Result<RevocationList, ClientError> {
        self.get("/v1/revocations").await
    }

    /// Hands in a signed revocation, or the lift of one.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn revoke(&self, revocation: &HandIn) -> Result<RevocationInfo, ClientError> {
        self.post("/v1/revocations", revocation).await
    }
}
