//! A package with everything it is verified with: its blobs and its namespace's role file. Refuses to
//! know whom to trust.

use crate::archive::{Archive, Listed};
use crate::attesting;
use crate::download::{self, Blobs};
use crate::exit::Ends;
use crate::output::Output;
use crate::render::life;
use crate::resolve::Reference;
use crate::seen_log::{self, SeenLog};
use crate::settings::Settings;
use skep_api::client::Client;
use skep_api::v1::attestations::DSSE_TYPE;
use skep_api::v1::log::LogProof;
use skep_artifact::digest::Digest;
use skep_artifact::json;
use skep_artifact::layout;
use skep_artifact::limits::MANIFEST_JSON_BYTES_MAX;
use skep_artifact::manifest::Arch;
use skep_trust::{
    Beside, Floors, LogMemory, LogPolicy, NodePolicy, Refusal, VerifiedPackage, Wanted,
    verify_package,
};

/// The namespace's role file beside a package on disk: its signature. `skep sign` and `skep pull` write it.
pub(crate) const ROLE_FILE: &str = "skep.role.json";

/// A package, not yet verified.
pub(crate) struct Bundle {
    pub wanted: Wanted,
    /// Signed by the publisher, or not: verifying tells.
    pub role: Vec<u8>,
    pub blobs: Blobs,
    /// What came with it, for policies that ask for more than signatures.
    pub beside: Beside,
}

/// The release of the kernel of this host, as `uname -r` says it; empty where programs are never run.
fn this_kernel() -> String {
    #[cfg(feature = "local")]
    return rustix::system::uname().release().to_string_lossy().into_owned();
    #[cfg(not(feature = "local"))]
    String::new()
}

impl Bundle {
    /// Every check that a node makes before it loads a package, by a policy and a clock.
    ///
    /// # Errors
    /// [`Refusal`] names the check.
    pub(crate) fn verify(&self, policy: &NodePolicy, now: i64) -> Result<VerifiedPackage, Refusal> {
        let fetched = |digest: &Digest| self.blobs.get(digest);
        let floors = Floors::default();
        let beside = Beside { kernel: this_kernel(), ..self.beside.clone() };
        verify_package(policy, &self.role, &fetched, &self.wanted, &floors, now, &beside)
    }

    /// Proves that the package is in the registry's log, which must continue what was seen here before, and keeps the
    /// proof for policies that ask for it.
    ///
    /// # Errors
    /// The check that refused, or a registry that fails.
    pub(crate) async fn prove(
        &mut self,
        client: &Client,
        settings: &Settings,
        policy: &NodePolicy,
        out: Output,
    ) -> anyhow::Result<u64> {
        let named = policy.log().map(LogPolicy::key);
        let mut log = SeenLog::open(client, settings, named, out).await?;
        if let Some(policy) = policy.log() {
            log = log.under(policy);
        }
        self.beside.attestations = attesting::envelopes(client, &self.wanted).await?;
        let evidence = log.prove(client, &self.wanted).await?;
        let index = evidence.index;
        self.beside.log = Some(evidence);
        self.beside.memory = log.memory;
        Ok(index)
    }

    /// The documents hang on the index by small manifests that follow from it. They are made here
    /// rather than downloaded, because nobody signed them.
    pub(crate) fn complete(&mut self, package: &VerifiedPackage) {
        let readme = layout::open(package.index_digest(), &|digest| self.blobs.get(digest))
            .ok()
            .and_then(|opened| opened.readme);
        let claims = &package.manifest().objects;
        let verified = |arch: &[Arch]| arch.first().and_then(|arch| package.object(arch.as_str()));
        let objects: Vec<_> =
            claims.iter().filter_map(|c| Some((c.path.as_str(), verified(&c.arch)?))).collect();
        let objects: Vec<(&str, &[u8])> =
            objects.iter().map(|(path, object)| (*path, object.bytes())).collect();
        let Ok(rebuilt) = layout::build(package.manifest(), &objects, readme.as_deref()) else {
            return;
        };
        if rebuilt.index.digest == package.index_digest() {
            for blob in rebuilt.referrers {
                self.blobs.add(blob.bytes);
            }
        }
    }

    /// A package out of an archive.
    ///
    /// # Errors
    /// A document that names what it must not, or what the archive lacks.
    pub(crate) fn from_archive(archive: &Archive, listed: &Listed) -> anyhow::Result<Self> {
        let Listed { name, version, index, log, attestations } = listed.clone();
        let role = archive.roles.get(name.namespace()).cloned().unwrap_or_default();
        let blobs = download::collect(index, &|digest| archive.get(digest))?;
        let log = log.and_then(|digest| archive.get(&digest)).map(|bytes| {
            let proof: LogProof = json::parse_into(&bytes, MANIFEST_JSON_BYTES_MAX)
                .map_err(|error| Ends::refused("Its log proof cannot be read.", error))?;
            seen_log::evidence(&proof).map_err(seen_log::refused)
        });
        let log = log.transpose()?;
        let envelopes = attestations.iter().filter(|said| said.media_type == DSSE_TYPE);
        let attestations = envelopes.filter_map(|said| archive.get(&said.content)).collect();
        let beside = Beside { log, attestations, ..Beside::default() };
        Ok(Self { wanted: Wanted { name, version, index }, role, blobs, beside })
    }

    /// Takes the checkpoint that came with it as the first one seen, for a policy that asks for a log: where no
    /// network reaches, its signatures are what is left to check.
    ///
    /// # Errors
    /// A checkpoint that the policy's log did not sign, or too few of its witnesses.
    pub(crate) fn see(&mut self, policy: &NodePolicy) -> anyhow::Result<()> {
        if let (Some(log), Some(evidence)) = (policy.required_log(), &self.beside.log) {
            let checkpoint = log.verify(&evidence.checkpoint).map_err(seen_log::refused)?;
            let seen = LogMemory::default().advance(&checkpoint, &[]);
            self.beside.memory = seen.map_err(seen_log::refused)?;
        }
        Ok(())
    }

    /// Downloads a package from a registry; the newest version when none is named.
    ///
    /// # Errors
    /// A registry that fails or lacks it, or bytes that are not what was asked for.
    pub(crate) async fn from_registry(
        client: &Client,
        reference: &Reference,
        out: Output,
    ) -> anyhow::Result<Self> {
        let name = &reference.name;
        let version = match &reference.version {
            Some(version) => version.clone(),
            None => client.package(name).await?.summary.version,
        };
        let detail = client.version(name, &version).await?;
        for warning in life::warnings(&detail) {
            out.say(&warning);
        }
        let role = client.role(name.namespace(), MANIFEST_JSON_BYTES_MAX).await?.ok_or_else(|| {
            Ends::refusal(format!("The registry has no role file of {}, so nothing says that {name} {version} is genuine.", name.namespace()))
        })?;
        let bar = out.transfer("downloading", detail.summary.size_bytes);
        let blobs = download::download(client, name, detail.summary.index, &bar).await?;
        bar.finish_and_clear();
        let wanted = Wanted { name: name.clone(), version, index: detail.summary.index };
        Ok(Self { wanted, role: role.to_vec(), blobs, beside: Beside::default() })
    }
}
