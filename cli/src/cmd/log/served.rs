//! Whether a registry shows what its log says and nothing else: versions and what became of them, keys, trust documents,
//! revocations, and, for who may read them, policies. Refuses to know how entries are proved.

use skep_api::client::{Client, ClientError};
use skep_api::reason::code;
use skep_api::v1::packages::{PAGE_MAX, PackageDetail, PackageQuery, VersionSummary};
use skep_artifact::digest::Digest;
use skep_artifact::key::PublicKey;
use skep_artifact::log::{Entry, Event};
use skep_artifact::name::{Namespace, PackageName, Version};
use std::collections::{BTreeMap, BTreeSet};

/// Largest trust document that is read for its digest.
const DOCUMENT_BYTES_MAX: usize = skep_api::v1::trust::DOCUMENT_BYTES_MAX;

/// What the log says up to now: the last word on everything.
#[derive(Debug, Default)]
pub(super) struct Said {
    packages: BTreeMap<PackageName, PackageSaid>,
    namespaces: BTreeMap<Namespace, (Vec<PublicKey>, u32)>,
    trust: BTreeMap<String, (u64, Digest)>,
    revocations: BTreeSet<Digest>,
    policies: BTreeMap<(String, String), (u64, Digest)>,
}

#[derive(Debug, Default)]
struct PackageSaid {
    versions: BTreeMap<Version, VersionSaid>,
    deprecated: Option<String>,
    tombstone: bool,
}

#[derive(Debug, Default)]
struct VersionSaid {
    index: Option<Digest>,
    yanked: bool,
    deprecated: Option<String>,
}

/// Where the registry and its log differ, each in a sentence.
#[derive(Debug, Default)]
pub(super) struct Differences {
    pub(super) found: Vec<String>,
    /// What could not be compared, and why.
    pub(super) left_out: Vec<String>,
}

impl Said {
    /// Takes one more entry in.
    pub(super) fn hear(&mut self, entry: &Entry) {
        match &entry.event {
            Event::Publish { package, version, index, .. } => {
                self.version(package, version).index = Some(*index);
            }
            Event::Yank { package, version, yanked, .. } => {
                self.version(package, version).yanked = *yanked;
            }
            Event::Deprecate { package, version, message } => {
                let said = (!message.is_empty()).then(|| message.clone());
                match version {
                    Some(version) => self.version(package, version).deprecated = said,
                    None => self.package(package).deprecated = said,
                }
            }
            Event::Tombstone { package, .. } => self.package(package).tombstone = true,
            Event::Revoke { document, .. } => {
                self.revocations.insert(*document);
            }
            Event::Delegation { namespace, keys, threshold, .. } => {
                self.namespaces.insert(namespace.clone(), (keys.clone(), *threshold));
            }
            Event::Trust { role, namespace: None, version, document } => {
                self.trust.insert(role.clone(), (*version, *document));
            }
            Event::Policy { what, name, revision, envelope } => {
                self.policies.insert((what.clone(), name.clone()), (*revision, *envelope));
            }
            Event::Trust { .. } | Event::Attestation { .. } | Event::Rollout { .. } => {}
        }
    }

    fn package(&mut self, name: &PackageName) -> &mut PackageSaid {
        self.packages.entry(name.clone()).or_default()
    }

    fn version(&mut self, name: &PackageName, version: &Version) -> &mut VersionSaid {
        self.package(name).versions.entry(version.clone()).or_default()
    }

    /// Compares with what the registry serves now.
    ///
    /// # Errors
    /// A registry that fails.
    pub(super) async fn compared(&self, client: &Client) -> Result<Differences, ClientError> {
        let mut differences = Differences::default();
        self.compare_packages(client, &mut differences.found).await?;
        self.compare_namespaces(client, &mut differences.found).await?;
        self.compare_trust(client, &mut differences.found).await?;
        self.compare_revocations(client, &mut differences.found).await?;
        match self.compare_policies(client, &mut differences.found).await {
            Err(ClientError::Refused { status: 401 | 403, .. }) => {
                let why = "policies and policy sets: they need a token that may read the fleet";
                differences.left_out.push(why.to_owned());
            }
            other => other?,
        }
        Ok(differences)
    }

    async fn compare_packages(
        &self,
        client: &Client,
        found: &mut Vec<String>,
    ) -> Result<(), ClientError> {
        let mut query = PackageQuery { limit: Some(PAGE_MAX), ..PackageQuery::default() };
        loop {
            let page = client.packages(&query).await?;
            for listed in page.packages.iter().filter(|p| !self.packages.contains_key(&p.name)) {
                found.push(format!("{} is listed and was never published", listed.name));
            }
            query.after = page.next;
            if query.after.is_none() {
                break;
            }
        }
        for (name, said) in &self.packages {
            match client.package(name).await {
                Ok(_) if said.tombstone => {
                    found.push(format!("{name} was deleted by the log and is served"));
                }
                Ok(served) => said.compare(&served, found),
                Err(ClientError::Refused { body, .. })
                    if body.code == code::PACKAGE_TOMBSTONED && !said.tombstone =>
                {
                    found.push(format!("{name} is deleted and the log does not say so"));
                }
                Err(ClientError::Refused { status: 404 | 410, .. }) if said.tombstone => {}
                Err(ClientError::Refused { status: 404, .. }) => {
                    found.push(format!("{name} was published and is hidden"));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn compare_namespaces(
        &self,
        client: &Client,
        found: &mut Vec<String>,
    ) -> Result<(), ClientError> {
        for (name, (keys, threshold)) in &self.namespaces {
            let served = client.namespace(name).await?;
            if (&served.keys, served.threshold) != (keys, *threshold) {
                found.push(format!("{name}/* is signed by other keys than the log names"));
            }
        }
        Ok(())
    }

    async fn compare_trust(
        &self,
        client: &Client,
        found: &mut Vec<String>,
    ) -> Result<(), ClientError> {
        for role in ["root", "targets"] {
            let served = client.tuf_file(&format!("{role}.json"), DOCUMENT_BYTES_MAX).await?;
            let served = served.map(|bytes| Digest::of(&bytes));
            if served != self.trust.get(role).map(|(_, document)| *document) {
                found.push(format!("the {role} document is another than the log names"));
            }
        }
        Ok(())
    }

    async fn compare_revocations(
        &self,
        client: &Client,
        found: &mut Vec<String>,
    ) -> Result<(), ClientError> {
        let served = client.revocations().await?.revocations;
        let served: BTreeSet<Digest> = served.iter().map(|one| one.digest).collect();
        for digest in served.difference(&self.revocations) {
            found.push(format!("the revocation {} is not in the log", digest.short()));
        }
        for digest in self.revocations.difference(&served) {
            found.push(format!("the revocation {} is in the log and is hidden", digest.short()));
        }
        Ok(())
    }

    async fn compare_policies(
        &self,
        client: &Client,
        found: &mut Vec<String>,
    ) -> Result<(), ClientError> {
        let policies = client.policies().await?.policies.into_iter().map(|info| {
            let revision = (info.revision.revision, info.digest);
            (("revision".to_owned(), info.revision.name.to_string()), revision)
        });
        let mut served: BTreeMap<(String, String), (u64, Digest)> = policies.collect();
        if let Some(set) = client.policy_set().await?.set {
            use base64::Engine as _;
            let envelope = base64::engine::general_purpose::STANDARD.decode(&set.envelope);
            let digest = Digest::of(&envelope.unwrap_or_default());
            served.insert(("set".to_owned(), set.environment), (set.version, digest));
        }
        let said =
            self.policies.iter().filter(|((what, _), _)| what == "revision" || what == "set");
        let said: BTreeMap<_, _> = said.map(|(key, value)| (key.clone(), *value)).collect();
        let keys: BTreeSet<_> = served.keys().chain(said.keys()).collect();
        for key @ (what, name) in keys {
            match (said.get(key), served.get(key)) {
                (Some(said), Some(served)) if said == served => {}
                (Some((revision, _)), None) => {
                    found.push(format!("the policy {what} {name} {revision} is hidden"));
                }
                (_, Some((revision, _))) => {
                    found
                        .push(format!("the policy {what} {name} {revision} is not the log's last"));
                }
                (None, None) => {}
            }
        }
        Ok(())
    }
}

impl PackageSaid {
    fn compare(&self, served: &PackageDetail, found: &mut Vec<String>) {
        let name = &served.summary.name;
        if served.summary.deprecated.as_ref().map(|d| &d.message) != self.deprecated.as_ref() {
            found.push(format!("{name}: the deprecation is another than the log says"));
        }
        let shown: BTreeMap<&Version, &VersionSummary> =
            served.versions.iter().map(|version| (&version.version, version)).collect();
        for version in shown.keys().filter(|version| !self.versions.contains_key(version)) {
            found.push(format!("{name} {version} is served and was never published"));
        }
        for (version, said) in &self.versions {
            match shown.get(version) {
                None => found.push(format!("{name} {version} was published and is hidden")),
                Some(shown) => {
                    for what in said.differs_in(shown) {
                        found
                            .push(format!("{name} {version}: {what} is another than the log says"));
                    }
                }
            }
        }
    }
}

impl VersionSaid {
    fn differs_in(&self, shown: &VersionSummary) -> Vec<&'static str> {
        let deprecated = shown.deprecated.as_ref().map(|deprecated| &deprecated.message);
        let checks = [
            ("its content", Some(shown.index) == self.index),
            ("whether it is yanked", shown.yanked == self.yanked),
            ("its deprecation", deprecated == self.deprecated.as_ref()),
        ];
        checks.into_iter().filter(|(_, same)| !same).map(|(what, _)| what).collect()
    }
}
