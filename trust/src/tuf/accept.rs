//! What a registry takes from those who hold the offline keys: a root that follows the one it has, and targets by the root's keys.
//! It refuses to know who uploads: signatures decide, not accounts.

use std::collections::BTreeMap;

use sigstore_tuf::metadata::Metadata;
use sigstore_tuf::{Key, Root, Targets, TrustedMetadataSet};
use skep_artifact::{Namespace, PublicKey};

use super::client::check_form;
use super::delegations::Delegations;
use super::{OnlineKeys, ROOT_BYTES_MAX, SELF_SERVICE, TARGETS_BYTES_MAX, TufError};
use crate::policy::Signers;
use crate::verify::UnixSeconds;

/// Why an uploaded document is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AcceptError {
    /// It does not verify.
    #[error(transparent)]
    Tuf(#[from] TufError),
    /// The number that comes next is another.
    #[error("version {wanted} comes next, and this is version {found}")]
    Version {
        /// Its version.
        found: u64,
        /// The next one.
        wanted: u64,
    },
    /// Clients that stop for an expired document would stop at once.
    #[error("it expired already, at {expires}")]
    Expired {
        /// When.
        expires: String,
    },
    /// Clients find files under versioned names only.
    #[error("the root does not ask for consistent snapshots")]
    NotConsistent,
    /// The server could not sign with the keys it has.
    #[error("the {role} role is not given to this server's key alone, with a threshold of 1")]
    OnlineKey {
        /// `snapshot`, `timestamp` or `selfservice`.
        role: &'static str,
    },
    /// A delegation nobody would follow.
    #[error("the delegation of {name} is not one a node would follow: {reason}")]
    Delegation {
        /// The role's name.
        name: String,
        /// Why.
        reason: String,
    },
}

/// What an accepted targets role says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetsFacts {
    /// Its version.
    pub version: u64,
    /// When it expires.
    pub expires_at: UnixSeconds,
    /// Who signs for which namespace.
    pub namespaces: BTreeMap<Namespace, Signers>,
}

/// Takes a root: the first by its own signatures, each later one by those of the one before it as well.
/// `online` are the keys of the server, which must be able to sign under it.
pub fn accept_root(
    before: Option<&[u8]>,
    bytes: &[u8],
    online: &OnlineKeys,
    now: UnixSeconds,
) -> Result<u64, AcceptError> {
    check_size("root.json", bytes, ROOT_BYTES_MAX)?;
    let tuf = |error: sigstore_tuf::Error| TufError::of_library(&error, "root.json");
    let new = Metadata::<Root>::from_slice(bytes).map_err(tuf)?;
    let wanted = match before {
        None => 1,
        Some(before) => {
            let mut set = TrustedMetadataSet::from_root(before).map_err(tuf)?;
            let wanted = set.root().version + 1;
            if new.signed().version == wanted {
                set.update_root(bytes).map_err(tuf)?;
            }
            wanted
        }
    };
    let root = new.signed();
    if root.version != wanted {
        return Err(AcceptError::Version { found: root.version, wanted });
    }
    TrustedMetadataSet::from_root(bytes).map_err(tuf)?;
    not_expired(root.expires, now)?;
    if !root.consistent_snapshot {
        return Err(AcceptError::NotConsistent);
    }
    for (role, key) in [("snapshot", &online.snapshot), ("timestamp", &online.timestamp)] {
        let named = root.role(role).ok_or(AcceptError::OnlineKey { role })?;
        if named.threshold != 1 || !holds(&named.keyids, &root.keys, key) {
            return Err(AcceptError::OnlineKey { role });
        }
    }
    Ok(root.version)
}

/// Takes a targets role that follows the one before it, signed by the root's keys for it.
pub fn accept_targets(
    root: &[u8],
    before: Option<&[u8]>,
    bytes: &[u8],
    online: &OnlineKeys,
    now: UnixSeconds,
) -> Result<TargetsFacts, AcceptError> {
    check_size("targets.json", bytes, TARGETS_BYTES_MAX)?;
    let tuf = |error: sigstore_tuf::Error| TufError::of_library(&error, "targets.json");
    let set = TrustedMetadataSet::from_root(root).map_err(tuf)?;
    let new = Metadata::<Targets>::from_slice(bytes).map_err(tuf)?;
    let role = set.root().role("targets").ok_or_else(|| TufError::Malformed {
        file: "root.json".to_owned(),
        reason: "it names no targets role".to_owned(),
    })?;
    new.verify_threshold(&set.root().keys, role, "targets").map_err(tuf)?;
    let targets = new.signed();
    let before = before.map(Metadata::<Targets>::from_slice).transpose().map_err(tuf)?;
    let wanted = before.map_or(1, |before| before.signed().version + 1);
    if targets.version != wanted {
        return Err(AcceptError::Version { found: targets.version, wanted });
    }
    not_expired(targets.expires, now)?;
    if let Some(delegations) = &targets.delegations
        && let Some(role) = delegations.roles.iter().find(|role| role.name == SELF_SERVICE)
        && (role.threshold != 1 || !holds(&role.keyids, &delegations.keys, &online.selfservice))
    {
        return Err(AcceptError::OnlineKey { role: SELF_SERVICE });
    }
    let namespaces = Delegations::of_targets(targets)?;
    Ok(TargetsFacts {
        version: targets.version,
        expires_at: targets.expires.as_second(),
        namespaces,
    })
}

/// Who signs for which namespace by a targets role that was accepted once. Verifies nothing.
pub fn namespaces_of(targets: &[u8]) -> Result<BTreeMap<Namespace, Signers>, AcceptError> {
    let read = Metadata::<Targets>::from_slice(targets)
        .map_err(|error| TufError::of_library(&error, "targets.json"))?;
    Delegations::of_targets(read.signed())
}

/// The keys a root and the targets role give to the server, as far as they name keys of ours.
pub fn online_keys(root: &[u8]) -> Result<Vec<PublicKey>, TufError> {
    let tuf = |error: sigstore_tuf::Error| TufError::of_library(&error, "root.json");
    let set = TrustedMetadataSet::from_root(root).map_err(tuf)?;
    let ids = ["snapshot", "timestamp"].iter().filter_map(|role| set.root().role(role));
    let keys = ids.flat_map(|role| &role.keyids).filter_map(|id| set.root().keys.get(id));
    Ok(keys.filter_map(of_hex).collect())
}

fn of_hex(key: &Key) -> Option<PublicKey> {
    let mut bytes = [0; 32];
    hex::decode_to_slice(&key.keyval.public, &mut bytes).ok()?;
    PublicKey::from_bytes(&bytes).ok()
}

fn holds(ids: &[String], keys: &BTreeMap<String, Key>, key: &PublicKey) -> bool {
    ids.iter().filter_map(|id| keys.get(id)).any(|there| of_hex(there).as_ref() == Some(key))
}

fn check_size(file: &str, bytes: &[u8], limit: usize) -> Result<(), TufError> {
    if bytes.len() > limit {
        return Err(TufError::TooLarge { file: file.to_owned(), limit: limit as u64 });
    }
    check_form(file, bytes)
}

fn not_expired(expires: jiff::Timestamp, now: UnixSeconds) -> Result<(), AcceptError> {
    if expires.as_second() <= now {
        return Err(AcceptError::Expired { expires: expires.to_string() });
    }
    Ok(())
}
