//! Making the repository's documents. A namespace's own role file is made by `artifact`.
//! It refuses to know who signs and how long anything should be valid: those are arguments.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use skep_artifact::{Digest, KeyId, Namespace, PublicKey};

use super::{Document, SELF_SERVICE, SELF_SERVICE_PATHS, paths_of, time_text};

/// The TUF specification version we write.
const SPEC_VERSION: &str = "1.0.31";
/// The field of a timestamp that says when it was signed. TUF has none; clients of others keep fields they do not know.
pub(super) const SIGNED_AT: &str = "x-skep-signed-at";

/// m of n keys for a role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleKeysDraft {
    /// The keys.
    pub keys: Vec<PublicKey>,
    /// How many of them must sign.
    pub threshold: usize,
}

/// The keys a server holds itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OnlineKeys {
    /// Signs snapshots.
    pub snapshot: PublicKey,
    /// Signs timestamps.
    pub timestamp: PublicKey,
    /// Signs the delegations of names claimed by sign-up.
    pub selfservice: PublicKey,
}

/// A root to be signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootDraft {
    /// 1 for the first one.
    pub version: u64,
    /// Seconds since 1970.
    pub expires_at: i64,
    /// Who signs roots.
    pub root: RoleKeysDraft,
    /// Who delegates namespaces.
    pub targets: RoleKeysDraft,
    /// Who signs snapshots.
    pub snapshot: RoleKeysDraft,
    /// Who signs timestamps.
    pub timestamp: RoleKeysDraft,
}

/// One namespace and who signs for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DelegationDraft {
    /// The namespace.
    pub namespace: Namespace,
    /// Its publisher's keys.
    pub signers: RoleKeysDraft,
}

/// A targets role to be signed: the offline one, or the self-service one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetsDraft {
    /// 1 for the first one.
    pub version: u64,
    /// Seconds since 1970.
    pub expires_at: i64,
    /// The namespaces it delegates.
    pub namespaces: Vec<DelegationDraft>,
    /// The key of the self-service role, in the offline role only.
    pub selfservice: Option<PublicKey>,
}

/// A file that a snapshot or timestamp names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// Its version.
    pub version: u64,
    /// Its bytes.
    pub length: u64,
    /// Their digest.
    pub digest: Digest,
}

/// Pins by role name, without `.json`.
pub type Pins = BTreeMap<String, Pin>;

impl RootDraft {
    /// The document, unsigned. `None` when the expiry is no time that can be written.
    pub fn document(&self) -> Option<Document> {
        let roles = [
            ("root", &self.root),
            ("targets", &self.targets),
            ("snapshot", &self.snapshot),
            ("timestamp", &self.timestamp),
        ];
        let keys = roles.iter().flat_map(|(_, role)| &role.keys);
        let listed: Map<String, Value> =
            roles.iter().map(|(name, role)| ((*name).to_owned(), role_json(role))).collect();
        Some(Document::unsigned(json!({
            "_type": "root",
            "spec_version": SPEC_VERSION,
            "version": self.version,
            "expires": time_text(self.expires_at)?,
            "consistent_snapshot": true,
            "keys": keys_json(keys),
            "roles": listed,
        })))
    }
}

impl TargetsDraft {
    /// The document, unsigned. `None` when the expiry is no time that can be written.
    pub fn document(&self) -> Option<Document> {
        let keys = self.namespaces.iter().flat_map(|d| &d.signers.keys).chain(&self.selfservice);
        let namespaces = self.namespaces.iter().map(|delegation| {
            let mut role = role_json(&delegation.signers);
            role["name"] = delegation.namespace.as_str().into();
            role["terminating"] = true.into();
            role["paths"] = json!([paths_of(&delegation.namespace)]);
            role
        });
        // Last, so that what the offline role says of a name always comes before.
        let selfservice = self.selfservice.iter().map(|key| {
            json!({ "name": SELF_SERVICE, "keyids": [key.key_id()], "threshold": 1,
                "terminating": false, "paths": [SELF_SERVICE_PATHS] })
        });
        Some(Document::unsigned(json!({
            "_type": "targets",
            "spec_version": SPEC_VERSION,
            "version": self.version,
            "expires": time_text(self.expires_at)?,
            "targets": {},
            "delegations": {
                "keys": keys_json(keys),
                "roles": namespaces.chain(selfservice).collect::<Vec<_>>(),
            },
        })))
    }
}

/// A snapshot, unsigned.
pub fn snapshot(version: u64, expires_at: i64, pins: &Pins) -> Option<Document> {
    let meta: Map<String, Value> =
        pins.iter().map(|(role, pin)| (format!("{role}.json"), pin_json(pin))).collect();
    Some(Document::unsigned(json!({
        "_type": "snapshot",
        "spec_version": SPEC_VERSION,
        "version": version,
        "expires": time_text(expires_at)?,
        "meta": meta,
    })))
}

/// A timestamp, unsigned. `now` goes into it: it is the one document that tells nodes what time it is.
pub fn timestamp(version: u64, now: i64, expires_at: i64, snapshot: &Pin) -> Option<Document> {
    let mut signed = json!({
        "_type": "timestamp",
        "spec_version": SPEC_VERSION,
        "version": version,
        "expires": time_text(expires_at)?,
        "meta": { "snapshot.json": pin_json(snapshot) },
    });
    signed[SIGNED_AT] = time_text(now)?.into();
    Some(Document::unsigned(signed))
}

fn pin_json(pin: &Pin) -> Value {
    json!({ "version": pin.version, "length": pin.length, "hashes": { "sha256": pin.digest.hex() } })
}

fn role_json(role: &RoleKeysDraft) -> Value {
    let mut ids: Vec<KeyId> = role.keys.iter().map(PublicKey::key_id).collect();
    ids.sort_unstable();
    ids.dedup();
    json!({ "keyids": ids, "threshold": role.threshold })
}

fn keys_json<'a>(keys: impl Iterator<Item = &'a PublicKey>) -> Value {
    let object = |key: &PublicKey| {
        json!({ "keytype": "ed25519", "scheme": "ed25519",
            "keyval": { "public": hex::encode(key.to_bytes()) } })
    };
    keys.map(|key| (key.key_id().hex(), object(key))).collect::<Map<_, _>>().into()
}
