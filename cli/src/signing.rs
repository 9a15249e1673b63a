//! Revisions and the policy set over them, signed together: by one operator at once, or by several one after the other in
//! a file that travels between their machines. Refuses to know who asks for what.

use crate::exit::Ends;
use crate::project;
use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};
use skep_api::client::{Client, ClientError};
use skep_api::v1::operators::{HandIn, PolicySetInfo, StoredSet};
use skep_api::v1::policies::{ApplyReceipt, ApplyRequest, PolicyInfo};
use skep_artifact::dsse::{self, Envelope, POLICY_PAYLOAD_TYPE, SET_PAYLOAD_TYPE};
use skep_artifact::key::SecretKey;
use skep_fleet::policy::PolicyRevision;
use skep_trust::PolicySet;
use std::collections::BTreeMap;
use std::path::Path;

/// The environment of a registry whose operators named none.
const ENVIRONMENT_DEFAULT: &str = "default";
/// Largest file of signed policies: 16 revisions of the largest size, and their set.
const BUNDLE_BYTES_MAX: usize = 32 << 20;

/// Documents that were signed and not handed in yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Bundle {
    pub kind: BundleKind,
    /// Envelopes of policy revisions, base64.
    pub revisions: Vec<String>,
    /// The envelope of the policy set, base64; absent for a registry that keeps none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set: Option<String>,
}

/// The `kind` of a bundle file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum BundleKind {
    SignedPolicies,
}

/// What handing in came to.
pub(crate) struct HandedIn {
    pub receipts: Vec<ApplyReceipt>,
    pub set: Option<StoredSet>,
}

/// What the registry says of its policy set; nothing from a registry of the release before.
///
/// # Errors
/// Whatever else goes wrong.
pub(crate) async fn set_info(client: &Client) -> Result<Option<PolicySetInfo>, ClientError> {
    match client.policy_set().await {
        Ok(info) => Ok(Some(info)),
        Err(ClientError::Refused { status: 404, .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The set that follows from what the registry holds and what changes. Nothing when the newest one says the same.
pub(crate) fn next_set(
    info: &PolicySetInfo,
    held: &[PolicyInfo],
    changed: &[PolicyRevision],
    environment: Option<&str>,
) -> anyhow::Result<Option<PolicySet>> {
    let before = info.set.as_ref().map(read).transpose()?;
    let mut policies: BTreeMap<String, u64> = BTreeMap::new();
    let mut nodes = BTreeMap::new();
    if let Some(before) = &before {
        // What operators signed before stays named and is never lowered, whatever the registry shows today.
        policies.clone_from(&before.policies);
        nodes.clone_from(&before.nodes);
    }
    // While a revision goes out in waves, nodes have the one before: the set must not name what they cannot have yet. A
    // later one does.
    let floor = |policy: &PolicyInfo| policy.lowest.unwrap_or(policy.revision.revision);
    let held = held.iter().map(|policy| (&policy.revision, floor(policy)));
    let changed = changed.iter().filter(|revision| revision.rollout.is_none());
    for (revision, floor) in held.chain(changed.map(|revision| (revision, revision.revision))) {
        let name = revision.name.to_string();
        let known = policies.get(&name).copied();
        if floor == 0 || known.is_some_and(|known| known > floor) {
            continue;
        }
        policies.insert(name.clone(), floor);
        // The selector of a revision that is on its way counts once it is through.
        if floor == revision.revision || known.is_none() {
            nodes.insert(name, serde_json::to_value(&revision.nodes).context("writing JSON")?);
        }
    }
    let same = |before: &PolicySet| before.policies == policies && before.nodes == nodes;
    if policies.is_empty() || before.as_ref().is_some_and(same) {
        return Ok(None);
    }
    let named = environment.map(str::to_owned);
    let (environment, epoch, version) = match &before {
        Some(set) => (set.environment.clone(), set.epoch, set.version + 1),
        None => (named.clone().unwrap_or_else(|| ENVIRONMENT_DEFAULT.to_owned()), 1, 1),
    };
    if let Some(named) = named.filter(|named| *named != environment) {
        let message = format!(
            "This registry serves the environment {environment}, not {named}. Is it the registry you meant?"
        );
        return Err(Ends::refusal(message).into());
    }
    Ok(Some(PolicySet { environment, epoch, version, policies, nodes }))
}

/// The set in a registry's answer, as it was signed.
///
/// # Errors
/// When the answer holds none.
pub(crate) fn read(stored: &StoredSet) -> anyhow::Result<PolicySet> {
    let unreadable = "The registry's policy set cannot be read.";
    let bytes = BASE64.decode(&stored.envelope).context(unreadable)?;
    let envelope = Envelope::parse(&bytes).context(unreadable)?;
    PolicySet::read_unverified(envelope.unverified_payload()).context(unreadable)
}

impl Bundle {
    /// Signs revisions and the set over them.
    ///
    /// # Errors
    /// When one cannot be written.
    pub(crate) fn sign(
        revisions: &[PolicyRevision],
        set: Option<&PolicySet>,
        keys: &[SecretKey],
    ) -> anyhow::Result<Self> {
        let sealed = |revision: &PolicyRevision| -> anyhow::Result<String> {
            let envelope = dsse::sign(POLICY_PAYLOAD_TYPE, &revision.to_json()?, keys)
                .with_context(|| format!("Policy {} could not be signed.", revision.name))?;
            Ok(BASE64.encode(envelope))
        };
        let set = set.map(|set| seal(SET_PAYLOAD_TYPE, set, keys)).transpose()?;
        let revisions = revisions.iter().map(sealed).collect::<anyhow::Result<_>>()?;
        Ok(Self { kind: BundleKind::SignedPolicies, revisions, set })
    }

    /// Reads a bundle file.
    ///
    /// # Errors
    /// When it is none.
    pub(crate) fn load(path: &Path) -> anyhow::Result<Self> {
        let bytes = project::read_bytes(path, BUNDLE_BYTES_MAX)?;
        serde_json::from_slice(&bytes).with_context(|| {
            format!("{} is not a file that `skep apply --sign-only` wrote.", path.display())
        })
    }

    /// Writes a bundle file.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(crate) fn store(&self, path: &Path) -> anyhow::Result<()> {
        let text = serde_json::to_string_pretty(self).context("writing JSON")?;
        std::fs::write(path, text + "\n")
            .with_context(|| format!("{} cannot be written.", path.display()))
    }

    /// Adds signatures to everything in it.
    ///
    /// # Errors
    /// When an envelope cannot be read.
    pub(crate) fn countersign(&mut self, keys: &[SecretKey]) -> anyhow::Result<()> {
        for envelope in self.revisions.iter_mut().chain(&mut self.set) {
            let bytes = BASE64.decode(&*envelope).context("An envelope in it is not base64.")?;
            let signed = dsse::add_signatures(&bytes, keys)
                .context("An envelope in it could not be signed.")?;
            *envelope = BASE64.encode(signed);
        }
        Ok(())
    }

    /// What is in it, for whoever is asked to sign it.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) fn contents(&self) -> anyhow::Result<(Vec<PolicyRevision>, Option<PolicySet>)> {
        let payload = |text: &String| -> anyhow::Result<Vec<u8>> {
            let bytes = BASE64.decode(text).context("An envelope in it is not base64.")?;
            let envelope = Envelope::parse(&bytes).context("An envelope in it cannot be read.")?;
            Ok(envelope.unverified_payload().to_vec())
        };
        let revisions = self
            .revisions
            .iter()
            .map(|text| Ok(PolicyRevision::from_json(&payload(text)?)?))
            .collect::<anyhow::Result<_>>()?;
        let set = match &self.set {
            Some(text) => Some(PolicySet::read_unverified(&payload(text)?)?),
            None => None,
        };
        Ok((revisions, set))
    }

    /// Hands the revisions in, then the set over them: killed in between, the registry holds newer revisions than the
    /// set asks for, which every node takes.
    ///
    /// # Errors
    /// The registry's refusal, with the policy it was about; what was handed in before stays.
    pub(crate) async fn hand_in(&self, client: &Client) -> anyhow::Result<HandedIn> {
        let (revisions, _) = self.contents()?;
        let mut receipts = Vec::new();
        for (revision, envelope) in revisions.iter().zip(&self.revisions) {
            let request = ApplyRequest { envelope: envelope.clone() };
            let receipt = client.apply(&request).await.with_context(|| {
                let before: Vec<String> = receipts
                    .iter()
                    .map(|r: &ApplyReceipt| format!("{} r{}", r.policy, r.revision))
                    .collect();
                let before = match before.as_slice() {
                    [] => String::new(),
                    before => format!(" Applied before it: {}.", before.join(", ")),
                };
                format!(
                    "Policy {} revision {} was not applied.{before}",
                    revision.name, revision.revision
                )
            })?;
            receipts.push(receipt);
        }
        let set = match &self.set {
            Some(envelope) => {
                let given = HandIn { envelope: envelope.clone() };
                let told = client.hand_in_set(&given).await.context(
                    "The policies were applied and their policy set was not. Apply again: the set is signed anew.",
                )?;
                Some(told)
            }
            None => None,
        };
        Ok(HandedIn { receipts, set })
    }
}

/// Signs a document and returns its envelope in base64.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn seal(
    payload_type: &str,
    document: &impl Serialize,
    keys: &[SecretKey],
) -> anyhow::Result<String> {
    let payload = serde_json::to_vec(document).context("writing JSON")?;
    let envelope = dsse::sign(payload_type, &payload, keys).context("It could not be signed.")?;
    Ok(BASE64.encode(envelope))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(policies: &[(&str, u64)], version: u64) -> StoredSet {
        let policies: BTreeMap<String, u64> =
            policies.iter().map(|(name, revision)| ((*name).to_owned(), *revision)).collect();
        let set = PolicySet {
            environment: "prod".into(),
            epoch: 2,
            version,
            policies: policies.clone(),
            nodes: BTreeMap::new(),
        };
        let key = SecretKey::from_seed([7; 32]);
        let envelope = seal(SET_PAYLOAD_TYPE, &set, &[key]).unwrap();
        let (environment, applied_by) = ("prod".into(), "ada".into());
        StoredSet { environment, epoch: 2, version, policies, envelope, applied_at: 0, applied_by }
    }

    #[test]
    fn what_was_signed_before_stays_named_though_the_registry_hides_it() {
        let set = Some(stored(&[("guard", 5), ("limits", 2)], 7));
        let info = PolicySetInfo { set, ..PolicySetInfo::default() };
        assert_eq!(next_set(&info, &[], &[], None).unwrap(), None);
        let other = next_set(&info, &[], &[], Some("staging"));
        assert!(other.is_ok_and(|set| set.is_none()), "nothing is signed, so nothing is mixed up");
        assert_eq!(next_set(&PolicySetInfo::default(), &[], &[], None).unwrap(), None);
    }

    fn rolled_out(number: u64, lowest: Option<u64>) -> PolicyInfo {
        let text = format!(
            r#"{{"revision":{{"name":"guard","revision":{number},"nodes":{{"matchLabels":{{"role":"edge"}}}},
                "attach":{{"interfaces":{{"match":["eth0"]}},"hook":"xdp"}},"programs":[]}},
                "digest":"{}","envelope":"","applied_at":0,"applied_by":"ada","nodes":[]}}"#,
            skep_artifact::digest::Digest::of(b"")
        );
        PolicyInfo { lowest, ..serde_json::from_str(&text).unwrap() }
    }

    #[track_caller]
    fn check_floor(before: u64, held: u64, lowest: Option<u64>, expected: Option<u64>) {
        let set = (before > 0).then(|| stored(&[("guard", before)], 7));
        let info = PolicySetInfo { set, ..PolicySetInfo::default() };
        let next = next_set(&info, &[rolled_out(held, lowest)], &[], None).unwrap();
        assert_eq!(next.and_then(|set| set.policies.get("guard").copied()), expected);
    }

    #[test]
    fn a_set_names_no_revision_that_some_node_cannot_have_yet() {
        check_floor(0, 1, Some(0), None);
        check_floor(0, 1, None, Some(1));
        check_floor(1, 3, Some(2), Some(2));
        check_floor(3, 3, Some(2), None);
        check_floor(2, 3, None, Some(3));
    }

    #[test]
    fn a_second_signature_is_added_where_the_first_was() {
        let set = read(&stored(&[("guard", 5)], 7)).unwrap();
        let (a, b) = (SecretKey::from_seed([1; 32]), SecretKey::from_seed([2; 32]));
        let mut bundle = Bundle::sign(&[], Some(&set), std::slice::from_ref(&a)).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("signed.json");
        bundle.countersign(std::slice::from_ref(&b)).unwrap();
        bundle.store(&path).unwrap();
        let again = Bundle::load(&path).unwrap();
        assert_eq!(again, bundle);
        let bytes = BASE64.decode(again.set.as_ref().unwrap()).unwrap();
        let keys = [a.public(), b.public()];
        dsse::verify(&bytes, SET_PAYLOAD_TYPE, &keys, 2).unwrap();
        assert_eq!(again.contents().unwrap().1, Some(set));
    }
}
