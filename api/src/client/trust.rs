//! The registry's trust documents: showing, handing in, and the TUF repository's files. Refuses to verify anything.

use super::{ANSWER_BYTES_MAX, Client, ClientError};
use crate::v1::trust::{DocumentReceipt, TrustInfo};
use bytes::Bytes;
use reqwest::Method;
use serde::de::DeserializeOwned;
use skep_artifact::name::Namespace;

impl Client {
    /// What the registry's trust documents are, and its own keys.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn trust(&self) -> Result<TrustInfo, ClientError> {
        self.get("/v1/trust").await
    }

    /// Hands in a trust document: `role` is `root` or `targets`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn put_trust(
        &self,
        role: &str,
        bytes: Vec<u8>,
    ) -> Result<DocumentReceipt, ClientError> {
        self.post_bytes(&format!("/v1/trust/{role}"), bytes).await
    }

    /// Hands in a namespace's role file that lists the same versions as the one before.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn put_role(
        &self,
        namespace: &Namespace,
        bytes: Vec<u8>,
    ) -> Result<DocumentReceipt, ClientError> {
        self.post_bytes(&format!("/v1/namespaces/{namespace}/role"), bytes).await
    }

    async fn post_bytes<T: DeserializeOwned>(
        &self,
        path: &str,
        bytes: Vec<u8>,
    ) -> Result<T, ClientError> {
        let request = self
            .request(Method::POST, path)
            .header(reqwest::header::CONTENT_TYPE, "application/json")
            .body(bytes);
        let response = self.send(request).await?;
        self.json(response, ANSWER_BYTES_MAX).await
    }

    /// A file of the TUF repository, at most `limit` bytes; `None` when there is none of that name.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn tuf_file(&self, file: &str, limit: usize) -> Result<Option<Bytes>, ClientError> {
        self.file(&format!("/tuf/{file}"), limit).await
    }

    /// A file below the server's address, at most `limit` bytes; `None` when there is none.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn file(&self, path: &str, limit: usize) -> Result<Option<Bytes>, ClientError> {
        match self.send(self.request(Method::GET, path)).await {
            Ok(response) => self.read(response, limit).await.map(Some),
            Err(ClientError::Refused { status: 403 | 404, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
