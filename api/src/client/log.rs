//! Calls about the transparency log. Refuses to verify what comes back: its callers do.

use super::{ANSWER_BYTES_MAX, Client, ClientError, encode};
use crate::v1::log::{
    CheckpointAnswer, CheckpointQuery, Cosigned, LogAlarms, LogDescription, LogProof,
};
use bytes::Bytes;
use reqwest::Method;
use skep_artifact::name::PackageName;

impl Client {
    /// Which log the registry keeps.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn log(&self) -> Result<LogDescription, ClientError> {
        self.get("/v1/log").await
    }

    /// A checkpoint of the log, with the proof that it continues an earlier one.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn log_checkpoint(
        &self,
        query: &CheckpointQuery,
    ) -> Result<CheckpointAnswer, ClientError> {
        let request = self.request(Method::GET, "/v1/log/checkpoint").query(query);
        let response = self.send(request).await?;
        self.json(response, ANSWER_BYTES_MAX).await
    }

    /// The proof that a version's publication is in the log.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn log_proof(
        &self,
        name: &PackageName,
        version: &semver::Version,
        query: &CheckpointQuery,
    ) -> Result<LogProof, ClientError> {
        let path = format!("/v1/packages/{name}/{}/log", encode(&version.to_string()));
        let response = self.send(self.request(Method::GET, &path).query(query)).await?;
        self.json(response, ANSWER_BYTES_MAX).await
    }

    /// What lies below `/log/`: the checkpoint, or a tile, at most `limit` bytes.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn log_file(&self, path: &str, limit: usize) -> Result<Bytes, ClientError> {
        let response = self.send(self.request(Method::GET, &format!("/log/{path}"))).await?;
        self.read(response, limit).await
    }

    /// Hands in a checkpoint that a witness cosigned.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn cosign(&self, cosigned: &Cosigned) -> Result<(), ClientError> {
        let request = self.request(Method::POST, "/v1/log/cosignatures").json(cosigned);
        self.send(request).await.map(drop)
    }

    /// Nodes whose view of the log is not the registry's.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn log_alarms(&self) -> Result<LogAlarms, ClientError> {
        self.get("/v1/log/alarms").await
    }
}
