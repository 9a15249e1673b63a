//! Publishing: upload what the registry lacks, sign the namespace's next role, hand both in.
//! Refuses to know how a package is built and where keys lie.
//!
//! What is signed here makes every version in the role file true. So the newest role of the
//! registry is built upon only when one of the publisher's own keys, or of a co-maintainer named on
//! the command line, signed it: a registry that puts versions of its own into it is noticed.

use crate::exit::Ends;
use crate::limits::{PUBLISH_ATTEMPTS_MAX, ROLE_VALID_SECS};
use crate::output::Output;
use crate::render::units;
use crate::uploading;
use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use skep_api::client::Client;
use skep_api::reason::code;
use skep_api::v1::namespaces::NamespaceInfo;
use skep_api::v1::packages::{PublishReceipt, PublishRequest};
use skep_artifact::key::{PublicKey, SecretKey};
use skep_artifact::layout::{Blob, PackageBlobs};
use skep_artifact::limits::MANIFEST_JSON_BYTES_MAX;
use skep_artifact::manifest::Manifest;
use skep_artifact::name::Namespace;
use skep_artifact::role::{Role, RoleError, Target};

/// One version on its way into the registry.
pub(crate) struct Publication<'a> {
    pub client: &'a Client,
    pub manifest: &'a Manifest,
    pub blobs: &'a PackageBlobs,
    pub keys: &'a [SecretKey],
    /// Public keys of others whose role files are built upon.
    pub cosigners: &'a [PublicKey],
}

/// Why nothing was signed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PublishingError {
    #[error(
        "{} may sign for {namespace}, and {needed} must. Pass the others with --key, or use --partial FILE and let them sign on their own machines; `skep namespace show {namespace}` lists who may.",
        units::plural(*have, "key of yours", "keys of yours")
    )]
    TooFewKeys { namespace: Namespace, have: usize, needed: u32 },
    #[error(
        "The newest role file of {namespace} was not signed by you. If a co-maintainer published it, pass their public key with --cosigner; otherwise somebody put versions into your namespace."
    )]
    ForeignRole { namespace: Namespace, source: RoleError },
    #[error(
        "{package} {version} is published already, as {index}. A published version never changes: raise `version` in skep.toml."
    )]
    Exists { package: String, version: String, index: String },
    #[error("The role file of {namespace} could not be signed.")]
    Role { namespace: Namespace, source: RoleError },
}

impl Publication<'_> {
    /// Uploads, signs and publishes.
    ///
    /// # Errors
    /// The check that refused, or the registry's own refusal.
    pub(crate) async fn publish(&self, now: i64, out: Output) -> anyhow::Result<PublishReceipt> {
        let namespace = self.manifest.package.name.namespace();
        let info = self.client.namespace(namespace).await.with_context(|| {
            format!("Nobody can publish into {namespace} before it is claimed: `skep namespace claim {namespace} --key PUBLIC_KEY`.")
        })?;
        self.check_keys(&info)?;
        // Refusals that need no upload come before it.
        self.next_role(now).await?;
        self.upload(out).await?;
        self.hand_in(now, out).await
    }

    /// Uploads, and gives the role file that lists the version, signed by as many keys as are here: others sign it elsewhere.
    ///
    /// # Errors
    /// As [`Publication::publish`].
    pub(crate) async fn draft(&self, now: i64, out: Output) -> anyhow::Result<Vec<u8>> {
        let role = self.next_role(now).await?;
        self.upload(out).await?;
        Ok(self.sign(&role)?)
    }

    /// Hands in the version with a role file that was signed elsewhere.
    ///
    /// # Errors
    /// The registry's own refusal.
    pub(crate) async fn publish_signed(
        &self,
        role: &[u8],
        out: Output,
    ) -> anyhow::Result<PublishReceipt> {
        let package = &self.manifest.package;
        self.upload(out).await?;
        let request = self.request(role);
        self.client
            .publish(&package.name, &request)
            .await
            .with_context(|| format!("{} {} was not published.", package.name, package.version))
    }

    fn request(&self, role: &[u8]) -> PublishRequest {
        let index = self.blobs.index.digest;
        let blobs = self.blobs.all().into_iter().map(|blob| blob.digest);
        PublishRequest {
            version: self.manifest.package.version.clone(),
            index,
            blobs: blobs.filter(|digest| *digest != index).collect(),
            role: BASE64.encode(role),
        }
    }

    fn check_keys(&self, info: &NamespaceInfo) -> anyhow::Result<()> {
        let mut ours: Vec<PublicKey> = self.keys.iter().map(SecretKey::public).collect();
        ours.sort_by_key(PublicKey::key_id);
        ours.dedup();
        let have = ours.iter().filter(|key| info.keys.contains(key)).count();
        if have as u64 >= u64::from(info.threshold) {
            return Ok(());
        }
        let namespace = info.name.clone();
        let error = PublishingError::TooFewKeys { namespace, have, needed: info.threshold };
        Err(Ends::refused("The package was not signed.", error).into())
    }

    async fn upload(&self, out: Output) -> anyhow::Result<()> {
        let mut missing: Vec<&Blob> = Vec::new();
        for blob in self.blobs.all() {
            if !self.client.has_blob(&blob.digest).await? {
                missing.push(blob);
            }
        }
        let total: u64 = missing.iter().map(|blob| blob.bytes.len() as u64).sum();
        if !out.is_lively() {
            let blobs = units::plural(missing.len(), "blob", "blobs");
            out.say(&format!("Uploading {blobs}, {}.", units::bytes(total)));
        }
        let bar = out.transfer("uploading", total);
        for blob in missing {
            uploading::upload(self.client, blob, &bar, out)
                .await
                .with_context(|| format!("{} was not uploaded.", blob.digest))?;
        }
        bar.finish_and_clear();
        Ok(())
    }

    async fn hand_in(&self, now: i64, out: Output) -> anyhow::Result<PublishReceipt> {
        let package = &self.manifest.package;
        let mut attempt = 1;
        loop {
            let role = self.next_role(now).await?;
            let request = self.request(&self.sign(&role)?);
            match self.client.publish(&package.name, &request).await {
                Ok(receipt) => return Ok(receipt),
                Err(error)
                    if error.code() == Some(code::ROLE_CONFLICT)
                        && attempt < PUBLISH_ATTEMPTS_MAX =>
                {
                    attempt += 1;
                    out.say("Somebody else published into the namespace just now; signing again on top of it.");
                }
                Err(error) => {
                    let what = format!("{} {} was not published.", package.name, package.version);
                    return Err(anyhow::Error::new(error).context(what));
                }
            }
        }
    }

    fn sign(&self, role: &Role) -> Result<Vec<u8>, PublishingError> {
        role.sign(self.keys).map_err(|source| self.role_error(source))
    }

    /// The role that follows the registry's newest, with this version in it.
    async fn next_role(&self, now: i64) -> anyhow::Result<Role> {
        let package = &self.manifest.package;
        let namespace = package.name.namespace();
        let failed = |source| self.role_error(source);
        let expires = expiry(now, ROLE_VALID_SECS)?;
        let newest = self.client.role(namespace, MANIFEST_JSON_BYTES_MAX).await?;
        let mut role = match newest {
            None => Role::new(namespace.clone(), 1, &expires).map_err(failed)?,
            Some(bytes) => self.own_role(&bytes)?.next(&expires).map_err(failed)?,
        };
        if let Some(there) = role.target(&package.name, &package.version) {
            let error = PublishingError::Exists {
                package: package.name.to_string(),
                version: package.version.to_string(),
                index: there.index.to_string(),
            };
            return Err(Ends::refused("Nothing was published.", error).into());
        }
        let target = Target {
            package: package.name.clone(),
            version: package.version.clone(),
            index: self.blobs.index.digest,
            length: self.blobs.index.bytes.len() as u64,
            release: role.next_release(&package.name),
            hooks: self.manifest.hooks(),
            arch: self.manifest.archs(),
        };
        role.add(target).map_err(failed)?;
        Ok(role)
    }

    /// The newest role, if one of us signed it.
    fn own_role(&self, bytes: &[u8]) -> anyhow::Result<Role> {
        let namespace = self.manifest.package.name.namespace();
        let own = self.keys.iter().map(SecretKey::public);
        let accepted: Vec<PublicKey> = own.chain(self.cosigners.iter().cloned()).collect();
        match Role::verify(bytes, namespace, &accepted, 1) {
            Ok(verified) => Ok(verified.role().clone()),
            Err(source) => {
                let namespace = namespace.clone();
                let error = PublishingError::ForeignRole { namespace, source };
                Err(Ends::refused("The package was not signed.", error).into())
            }
        }
    }

    fn role_error(&self, source: RoleError) -> PublishingError {
        PublishingError::Role { namespace: self.manifest.package.name.namespace().clone(), source }
    }
}

/// When a role that is signed now for so many seconds expires, as TUF writes it.
///
/// # Errors
/// When the clock is outside the years that can be written.
pub(crate) fn expiry(now: i64, valid_secs: i64) -> anyhow::Result<String> {
    let then = jiff::Timestamp::from_second(now.saturating_add(valid_secs))
        .context("The clock of this machine is far off; set it and try again.")?;
    Ok(then.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_expires_half_a_year_after_it_was_signed() {
        assert_eq!(expiry(0, ROLE_VALID_SECS).unwrap(), "1970-06-30T00:00:00Z");
        assert!(expiry(i64::MAX, ROLE_VALID_SECS).is_err());
    }
}
