//! Browsing, uploading, publishing and downloading packages. Refuses to know what is verified afterwards.

use super::{ANSWER_BYTES_MAX, Client, ClientError, encode};
use crate::v1::facets::Facets;
use crate::v1::packages::{
    PackageDetail, PackagePage, PackageQuery, PublishReceipt, PublishRequest, VersionDetail,
};
use crate::v1::stats::PackageStats;
use bytes::Bytes;
use reqwest::Method;
use skep_artifact::digest::Digest;
use skep_artifact::name::PackageName;

impl Client {
    /// What the packages that a query finds can be narrowed by further.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn facets(&self, query: &PackageQuery) -> Result<Facets, ClientError> {
        let request = self.request(Method::GET, "/v1/facets").query(query);
        let response = self.send(request).await?;
        self.json(response, ANSWER_BYTES_MAX).await
    }

    /// Lists or searches packages.
    ///
    /// # Errors
    /// [`ClientError`], like every call of this client.
    pub async fn packages(&self, query: &PackageQuery) -> Result<PackagePage, ClientError> {
        let request = self.request(Method::GET, "/v1/packages").query(query);
        let response = self.send(request).await?;
        self.json(response, ANSWER_BYTES_MAX).await
    }

    /// One package with its versions.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn package(&self, name: &PackageName) -> Result<PackageDetail, ClientError> {
        self.get(&format!("/v1/packages/{name}")).await
    }

    /// How much a package is used.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn stats(&self, name: &PackageName) -> Result<PackageStats, ClientError> {
        self.get(&format!("/v1/packages/{name}/stats")).await
    }

    /// One version of a package.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn version(
        &self,
        name: &PackageName,
        version: &semver::Version,
    ) -> Result<VersionDetail, ClientError> {
        self.get(&format!("/v1/packages/{name}/{}", encode(&version.to_string()))).await
    }

    /// Publishes uploaded blobs as a version.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn publish(
        &self,
        name: &PackageName,
        request: &PublishRequest,
    ) -> Result<PublishReceipt, ClientError> {
        self.post(&format!("/v1/packages/{name}/versions"), request).await
    }

    /// Whether the registry has a blob already.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn has_blob(&self, digest: &Digest) -> Result<bool, ClientError> {
        match self.send(self.request(Method::HEAD, &format!("/v1/blobs/{digest}"))).await {
            Ok(_) => Ok(true),
            Err(ClientError::Refused { status: 404, .. }) => Ok(false),
            Err(e) => Err(e),
        }
    }

    /// Uploads a blob from a body of known length, which may report its own progress.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn put_blob(
        &self,
        digest: &Digest,
        body: impl Into<reqwest::Body>,
        len: u64,
    ) -> Result<(), ClientError> {
        let request = self
            .request(Method::PUT, &format!("/v1/blobs/{digest}"))
            .header(reqwest::header::CONTENT_LENGTH, len)
            .body(body);
        self.send(request).await.map(drop)
    }

    /// Downloads the bytes behind a digest of a package, at most `limit` of them. The caller
    /// compares the digest: this client trusts nobody.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn blob(
        &self,
        name: &PackageName,
        digest: &Digest,
        limit: usize,
    ) -> Result<Bytes, ClientError> {
        let path = format!("/v2/{name}/blobs/{digest}");
        let response = self.send(self.request(Method::GET, &path)).await?;
        self.read(response, limit).await
    }

    /// Downloads an OCI manifest or index by digest, at most `limit` bytes.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn manifest(
        &self,
        name: &PackageName,
        digest: &Digest,
        limit: usize,
    ) -> Result<Bytes, ClientError> {
        let path = format!("/v2/{name}/manifests/{digest}");
        let response = self.send(self.request(Method::GET, &path)).await?;
        self.read(response, limit).await
    }

    /// The OCI referrers of a digest, as the raw index.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn referrers(
        &self,
        name: &PackageName,
        digest: &Digest,
        limit: usize,
    ) -> Result<Bytes, ClientError> {
        let path = format!("/v2/{name}/referrers/{digest}");
        let response = self.send(self.request(Method::GET, &path)).await?;
        self.read(response, limit).await
    }
}
