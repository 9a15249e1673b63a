//! Yank, deprecate, delete, and what was done so far. Refuses to know what the caller is told about it.

use super::{ANSWER_BYTES_MAX, Client, ClientError, encode};
use crate::v1::life::{Deprecation, LifeHistory, LifeReceipt, Reason};
use reqwest::Method;
use serde::Serialize;
use skep_artifact::name::PackageName;

impl Client {
    /// Stops new uses of a version.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn yank(
        &self,
        name: &PackageName,
        version: &semver::Version,
        reason: &Reason,
    ) -> Result<LifeReceipt, ClientError> {
        self.put(&format!("{}/yank", address(name, Some(version))), reason).await
    }

    /// Lets a yanked version be picked again.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn unyank(
        &self,
        name: &PackageName,
        version: &semver::Version,
    ) -> Result<LifeReceipt, ClientError> {
        self.delete(&format!("{}/yank", address(name, Some(version)))).await
    }

    /// Warns whoever picks a version, or the whole package when none is named.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn deprecate(
        &self,
        name: &PackageName,
        version: Option<&semver::Version>,
        deprecation: &Deprecation,
    ) -> Result<LifeReceipt, ClientError> {
        self.put(&format!("{}/deprecation", address(name, version)), deprecation).await
    }

    /// Takes such a warning back.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn undeprecate(
        &self,
        name: &PackageName,
        version: Option<&semver::Version>,
    ) -> Result<LifeReceipt, ClientError> {
        self.delete(&format!("{}/deprecation", address(name, version))).await
    }

    /// Deletes a package for good. Nobody can use its name again; what runs goes on getting its bytes.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn tombstone(
        &self,
        name: &PackageName,
        reason: &Reason,
    ) -> Result<LifeReceipt, ClientError> {
        self.put(&format!("/v1/packages/{name}/tombstone"), reason).await
    }

    /// What was done to a package, newest first. Deleted packages have theirs, too.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn history(&self, name: &PackageName) -> Result<LifeHistory, ClientError> {
        self.get(&format!("/v1/packages/{name}/history")).await
    }

    async fn put(&self, path: &str, body: &impl Serialize) -> Result<LifeReceipt, ClientError> {
        let response = self.send(self.request(Method::PUT, path).json(body)).await?;
        self.json(response, ANSWER_BYTES_MAX).await
    }

    async fn delete(&self, path: &str) -> Result<LifeReceipt, ClientError> {
        let response = self.send(self.request(Method::DELETE, path)).await?;
        self.json(response, ANSWER_BYTES_MAX).await
    }
}

fn address(name: &PackageName, version: Option<&semver::Version>) -> String {
    match version {
        None => format!("/v1/packages/{name}"),
        Some(version) => format!("/v1/packages/{name}/{}", encode(&version.to_string())),
    }
}
