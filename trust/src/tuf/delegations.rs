//! What a refreshed repository says about namespaces: who signs for each, and until when that is fresh.
//! It refuses to know what a node makes of it; `delegated` of this crate does. One bad delegation spoils no other.

use std::collections::BTreeMap;

use sigstore_tuf::metadata::{DelegatedRole, Metadata, Role as _};
use sigstore_tuf::{Key, Root, Snapshot, Targets, Timestamp};
use skep_artifact::limits::SIGNATURES_MAX;
use skep_artifact::{Namespace, PublicKey};

use super::accept::AcceptError;
use super::client::{check_form, signed_at};
use super::{SELF_SERVICE, SELF_SERVICE_PATHS, Stored, TufError, is_reserved, paths_of};
use crate::policy::Signers;
use crate::verify::UnixSeconds;

/// Everything a node needs to know of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delegations {
    /// From then on nothing new is accepted by it.
    fresh_until: UnixSeconds,
    /// Which role expires then, or why it is not fresh at all.
    first_to_expire: String,
    /// When the timestamp says it was signed: time cannot be before.
    time_floor: UnixSeconds,
    root_version: u64,
    root_expires: UnixSeconds,
    timestamp_version: u64,
    offline: BTreeMap<Namespace, Result<Delegation, DelegationFault>>,
    selfservice: BTreeMap<Namespace, Result<Delegation, DelegationFault>>,
    pins: BTreeMap<Namespace, u64>,
}

/// Who signs for a namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delegation {
    /// Its publisher's keys.
    pub signers: Signers,
}

/// Why one delegation is not followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DelegationFault {
    /// Other paths than the namespace's.
    #[error("it is delegated the paths {paths:?} instead of its own")]
    Overreaches {
        /// The paths.
        paths: Vec<String>,
    },
    /// Later delegations could say something about its names as well.
    #[error("its delegation is not terminating, so that others could speak for it")]
    NotTerminating,
    /// A key that cannot be used, for instance of small order.
    #[error("one of its keys cannot be used: {reason}")]
    Key {
        /// Why.
        reason: String,
    },
    /// A threshold nobody can meet, or keys twice.
    #[error("it asks for {threshold} of {keys} different keys")]
    Threshold {
        /// Signatures asked for.
        threshold: usize,
        /// Different usable keys.
        keys: usize,
    },
    /// Delegated twice by one role.
    #[error("it is delegated twice")]
    Twice,
}

/// Why a repository gives a namespace no keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Withheld {
    /// Nobody delegates it.
    NotDelegated,
    /// Only the self-service role does: whoever signed up first.
    SelfService,
    /// Its delegation is not followed.
    Fault(DelegationFault),
}

impl Delegations {
    /// Reads what a whole refresh left behind. Expiry is read and not judged: what was accepted may run again.
    ///
    /// # Errors
    /// [`TufError`] when the files do not belong together: nobody but this client should have written them.
    pub fn read(stored: &Stored) -> Result<Self, TufError> {
        let whole = &stored.whole;
        let root: Metadata<Root> = parse(whole, "root.json")?;
        let timestamp: Metadata<Timestamp> = parse(whole, "timestamp.json")?;
        let snapshot: Metadata<Snapshot> = parse(whole, "snapshot.json")?;
        let targets: Metadata<Targets> = parse(whole, "targets.json")?;
        let (root, timestamp, snapshot) = (root.signed(), timestamp.signed(), snapshot.signed());
        let expiries = [
            ("root", root.expires()),
            ("timestamp", timestamp.expires()),
            ("snapshot", snapshot.expires()),
            ("targets", targets.signed().expires()),
        ];
        let (first, until) = expiries.into_iter().min_by_key(|(_, at)| *at).unwrap_or(expiries[0]);
        let newest = stored.files.get("root.json");
        let (fresh_until, first_to_expire) = if newest == whole.get("root.json") {
            (until.as_second(), format!("{first} expired at {until}"))
        } else {
            let reason = "there is a newer root, and nothing under it was seen since";
            (UnixSeconds::MIN, reason.to_owned())
        };
        let selfservice = self_service(whole, targets.signed())?;
        let pin = |(name, meta): (&String, &sigstore_tuf::MetaFile)| {
            let namespace = name.strip_suffix(".json")?.parse().ok()?;
            Some((namespace, meta.version))
        };
        Ok(Self {
            fresh_until,
            first_to_expire,
            time_floor: signed_at(timestamp).unwrap_or(0),
            root_version: root.version,
            root_expires: root.expires.as_second(),
            timestamp_version: timestamp.version,
            offline: delegations(targets.signed()),
            selfservice: selfservice.as_ref().map(delegations).unwrap_or_default(),
            pins: snapshot.meta.iter().filter_map(pin).collect(),
        })
    }

    /// Who signs for which namespace by a targets role, when every delegation in it is one that nodes follow.
    pub(super) fn of_targets(
        targets: &Targets,
    ) -> Result<BTreeMap<Namespace, Signers>, AcceptError> {
        let refused = |name: &str, reason: String| {
            let name = name.chars().take(80).collect();
            AcceptError::Delegation { name, reason }
        };
        let roles = targets.delegations.iter().flat_map(|d| &d.roles);
        for role in roles.filter(|role| role.name != SELF_SERVICE) {
            match role.name.parse::<Namespace>() {
                Ok(namespace) if !is_reserved(&namespace) => {}
                _ => {
                    return Err(refused(&role.name, "no namespace may be called so".to_owned()));
                }
            }
        }
        let each = delegations(targets).into_iter().map(|(namespace, read)| match read {
            Ok(delegation) => Ok((namespace, delegation.signers)),
            Err(fault) => Err(refused(namespace.as_str(), fault.to_string())),
        });
        each.collect()
    }

    /// Who signs for a namespace, by the offline role alone.
    ///
    /// # Errors
    /// [`Withheld`] says why nobody does.
    pub fn of(&self, namespace: &Namespace) -> Result<&Delegation, Withheld> {
        match (self.offline.get(namespace), self.selfservice.contains_key(namespace)) {
            (Some(Ok(delegation)), _) => Ok(delegation),
            (Some(Err(fault)), _) => Err(Withheld::Fault(fault.clone())),
            (None, true) => Err(Withheld::SelfService),
            (None, false) => Err(Withheld::NotDelegated),
        }
    }

    /// The namespaces the offline role delegates.
    pub fn namespaces(&self) -> impl Iterator<Item = &Namespace> {
        self.offline.keys()
    }

    /// The version of a namespace's role file that the snapshot names.
    pub fn pin(&self, namespace: &Namespace) -> Option<u64> {
        self.pins.get(namespace).copied()
    }

    /// From when on nothing new is accepted by it, in seconds since 1970.
    pub fn fresh_until(&self) -> UnixSeconds {
        self.fresh_until
    }

    /// Why it is not fresh after that.
    pub fn why_not_fresh(&self) -> &str {
        &self.first_to_expire
    }

    /// Time cannot be before this: somebody trusted to tell the time signed it then.
    pub fn time_floor(&self) -> UnixSeconds {
        self.time_floor
    }

    /// Version and expiry of the root, and the version of the timestamp, for people.
    pub fn versions(&self) -> (u64, UnixSeconds, u64) {
        (self.root_version, self.root_expires, self.timestamp_version)
    }
}

fn parse<T: sigstore_tuf::Role>(
    files: &BTreeMap<String, Vec<u8>>,
    file: &str,
) -> Result<Metadata<T>, TufError> {
    let bytes = files.get(file).ok_or_else(|| TufError::Missing { file: file.to_owned() })?;
    check_form(file, bytes)?;
    Metadata::from_slice(bytes).map_err(|error| TufError::of_library(&error, file))
}

/// The self-service role, if the offline one delegates it as it should and this client has fetched it.
fn self_service(
    whole: &BTreeMap<String, Vec<u8>>,
    targets: &Targets,
) -> Result<Option<Targets>, TufError> {
    let file = format!("{SELF_SERVICE}.json");
    let roles = targets.delegations.iter().flat_map(|d| &d.roles);
    let mut named = roles.filter(|role| role.name == SELF_SERVICE);
    let (Some(role), None, true) = (named.next(), named.next(), whole.contains_key(&file)) else {
        return Ok(None);
    };
    if role.paths.as_deref() != Some(&[SELF_SERVICE_PATHS.to_owned()]) {
        return Ok(None);
    }
    parse::<Targets>(whole, &file).map(|metadata| Some(metadata.into_signed()))
}

fn delegations(targets: &Targets) -> BTreeMap<Namespace, Result<Delegation, DelegationFault>> {
    let mut found = BTreeMap::new();
    let Some(delegations) = &targets.delegations else { return found };
    for role in &delegations.roles {
        let Ok(namespace) = role.name.parse::<Namespace>() else { continue };
        if is_reserved(&namespace) {
            continue;
        }
        let twice = found.contains_key(&namespace);
        let read = read_delegation(&namespace, role, &delegations.keys);
        found.insert(namespace, if twice { Err(DelegationFault::Twice) } else { read });
    }
    found
}

fn read_delegation(
    namespace: &Namespace,
    role: &DelegatedRole,
    keys: &BTreeMap<String, Key>,
) -> Result<Delegation, DelegationFault> {
    let paths = role.paths.clone().unwrap_or_default();
    if paths != [paths_of(namespace)] || role.path_hash_prefixes.is_some() {
        let shown = paths.iter().take(4).map(|path| path.chars().take(80).collect());
        return Err(DelegationFault::Overreaches { paths: shown.collect() });
    }
    if !role.terminating {
        return Err(DelegationFault::NotTerminating);
    }
    let threshold = role.threshold;
    if role.keyids.len() > SIGNATURES_MAX {
        return Err(DelegationFault::Threshold { threshold, keys: role.keyids.len() });
    }
    let mut signers: Vec<PublicKey> = Vec::new();
    for id in &role.keyids {
        let key = keys.get(id).ok_or_else(|| fault("a key id names no key"))?;
        let key = public_key(id, key)?;
        if signers.contains(&key) {
            return Err(DelegationFault::Threshold { threshold, keys: signers.len() });
        }
        signers.push(key);
    }
    if threshold == 0 || threshold > signers.len() {
        return Err(DelegationFault::Threshold { threshold, keys: signers.len() });
    }
    Ok(Delegation { signers: Signers { keys: signers, threshold } })
}

/// A key as the rest of us uses it. Its id must be the one we compute: two names for one key would let it sign twice.
fn public_key(id: &str, key: &Key) -> Result<PublicKey, DelegationFault> {
    if key.keytype != "ed25519" || key.scheme != "ed25519" {
        return Err(fault("only ed25519 keys sign for namespaces"));
    }
    let mut bytes = [0; 32];
    hex::decode_to_slice(&key.keyval.public, &mut bytes)
        .map_err(|_| fault("a public key is 64 hexadecimal digits"))?;
    let public = PublicKey::from_bytes(&bytes).map_err(|error| fault(&error.to_string()))?;
    if public.key_id().hex() == id { Ok(public) } else { Err(fault("a key has another key's id")) }
}

fn fault(reason: &str) -> DelegationFault {
    DelegationFault::Key { reason: reason.to_owned() }
}
