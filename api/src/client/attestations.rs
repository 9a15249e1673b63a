//! Calls about attestations. Refuses to verify what comes back: its callers do.

use super::{Client, ClientError, encode};
use crate::v1::attestations::{AddAttestation, Attestation, AttestationList, CosignSignature};
use skep_artifact::name::PackageName;

impl Client {
    /// Everything that is attested about a version.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn attestations(
        &self,
        name: &PackageName,
        version: &semver::Version,
    ) -> Result<AttestationList, ClientError> {
        self.get(&path(name, version)).await
    }

    /// The registry's own signature of a version, as cosign reads it.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn cosign_signature(
        &self,
        name: &PackageName,
        version: &semver::Version,
    ) -> Result<CosignSignature, ClientError> {
        let version = encode(&version.to_string());
        self.get(&format!("/v1/packages/{name}/{version}/cosign")).await
    }

    /// Says something about a version.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn add_attestation(
        &self,
        name: &PackageName,
        version: &semver::Version,
        new: &AddAttestation,
    ) -> Result<Attestation, ClientError> {
        self.post(&path(name, version), new).await
    }
}

fn path(name: &PackageName, version: &semver::Version) -> String {
    format!("/v1/packages/{name}/{}/attestations", encode(&version.to_string()))
}
