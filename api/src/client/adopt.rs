//! Handing over packages that were signed for another registry. Refuses to know where they come from.

use super::{Client, ClientError};
use crate::v1::adopt::{AdoptReceipt, AdoptRequest};
use skep_artifact::name::Namespace;

impl Client {
    /// Makes uploaded blobs versions, under the role file that lists them.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn adopt(
        &self,
        namespace: &Namespace,
        request: &AdoptRequest,
    ) -> Result<AdoptReceipt, ClientError> {
        self.post(&format!("/v1/namespaces/{namespace}/adopt"), request).await
    }
}
