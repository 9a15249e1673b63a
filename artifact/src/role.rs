//! A namespace's role file: which digests are which versions, signed by the publisher.
//! Its form is a TUF 1.0 targets role. It refuses to know which keys a node accepts; the caller names them.
//!
//! Expiry is carried and handed out, not judged: only who knows the time may.

mod error;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::digest::Digest;
use crate::hook::Hook;
use crate::json::{self, JsonError};
use crate::key::{KeyId, PublicKey, SecretKey};
use crate::limits::{MANIFEST_JSON_BYTES_MAX, SIGNATURES_MAX, TARGETS_MAX};
use crate::manifest::Arch;
use crate::name::{Namespace, PackageName, Version};

pub use error::RoleError;

/// The TUF specification version we write.
const SPEC_VERSION: &str = "1.0.31";

/// One version of one package: which index it is, and what the publisher says about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The package.
    pub package: PackageName,
    /// The version.
    pub version: Version,
    /// Digest of the OCI index.
    pub index: Digest,
    /// Bytes of the OCI index.
    pub length: u64,
    /// A counter that only grows from release to release of a package, whatever semver says.
    pub release: u64,
    /// Hooks the version has programs for.
    pub hooks: Vec<Hook>,
    /// Architectures it serves.
    pub arch: Vec<Arch>,
}

/// A role file being written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    namespace: Namespace,
    version: u64,
    expires: String,
    targets: BTreeMap<String, Target>,
}

/// A role file whose signatures verified. Made only by [`Role::verify`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedRole {
    role: Role,
    signed_by: Vec<KeyId>,
}

#[derive(Serialize, Deserialize)]
struct RoleFile {
    signed: Value,
    signatures: Vec<SignatureJson>,
}

#[derive(Serialize, Deserialize)]
struct SignatureJson {
    keyid: KeyId,
    sig: String,
}

// Unknown fields are tolerated here, as TUF asks: they are covered by the signature all the same.
#[derive(Serialize, Deserialize)]
struct SignedJson {
    _type: String,
    spec_version: String,
    version: u64,
    expires: String,
    targets: BTreeMap<String, TargetJson>,
    #[serde(default, skip_serializing)]
    delegations: Option<Value>,
}

#[derive(Serialize, Deserialize)]
struct TargetJson {
    length: u64,
    hashes: HashesJson,
    custom: CustomJson,
}

#[derive(Serialize, Deserialize)]
struct HashesJson {
    sha256: String,
}

#[derive(Serialize, Deserialize)]
struct CustomJson {
    version: Version,
    release: u64,
    hooks: Vec<Hook>,
    arch: Vec<Arch>,
}

impl Role {
    /// An empty role of a namespace. `version` grows with every publish and begins at 1; `expires` is
    /// RFC 3339 in UTC with whole seconds, `YYYY-MM-DDTHH:MM:SSZ`.
    pub fn new(namespace: Namespace, version: u64, expires: &str) -> Result<Self, RoleError> {
        if version == 0 {
            return Err(RoleError::VersionZero);
        }
        check_expires(expires)?;
        Ok(Self { namespace, version, expires: expires.to_owned(), targets: BTreeMap::new() })
    }

    /// Adds a version, or replaces the entry of the same name and version.
    pub fn add(&mut self, target: Target) -> Result<(), RoleError> {
        if target.package.namespace() != &self.namespace {
            return Err(RoleError::Path { namespace: self.namespace.clone(), path: target.path() });
        }
        let mut targets = self.targets.clone();
        targets.insert(target.path(), target);
        check_targets(&targets)?;
        self.targets = targets;
        Ok(())
    }

    /// Signs the role with each key and returns the file's bytes (canonical JSON).
    pub fn sign(&self, keys: &[SecretKey]) -> Result<Vec<u8>, RoleError> {
        let signed = serde_json::to_value(self.to_json()).map_err(|error| {
            RoleError::Json(JsonError::Unwritable { reason: error.to_string() })
        })?;
        let message = json::canonical(&signed).map_err(RoleError::Json)?;
        let signature = |key: &SecretKey| SignatureJson {
            keyid: key.public().key_id(),
            sig: hex::encode(key.sign(&message)),
        };
        let file = RoleFile { signed, signatures: keys.iter().map(signature).collect() };
        json::canonical(&file).map_err(RoleError::Json)
    }

    /// Reads a role file and verifies it: the role of `namespace`, signed by at least `threshold` of `keys`.
    /// Signatures are checked before anything in the role is looked at.
    pub fn verify(
        bytes: &[u8],
        namespace: &Namespace,
        keys: &[PublicKey],
        threshold: usize,
    ) -> Result<VerifiedRole, RoleError> {
        let file: RoleFile =
            json::parse_into(bytes, MANIFEST_JSON_BYTES_MAX).map_err(RoleError::Json)?;
        if file.signatures.len() > SIGNATURES_MAX {
            return Err(RoleError::TooManySignatures { count: file.signatures.len() });
        }
        let mut seen = BTreeSet::new();
        let mut signatures = Vec::with_capacity(file.signatures.len());
        for signature in &file.signatures {
            if !seen.insert(signature.keyid) {
                return Err(RoleError::DuplicateKey { key_id: signature.keyid });
            }
            let bytes = hex::decode(&signature.sig)
                .map_err(|_| RoleError::BadSignature { key_id: signature.keyid })?;
            signatures.push((signature.keyid, bytes));
        }
        let message = json::canonical(&file.signed).map_err(RoleError::Json)?;
        let borrowed = signatures.iter().map(|(key_id, bytes)| (*key_id, bytes.as_slice()));
        let signed_by = crate::threshold::verify(&message, borrowed, keys, threshold)?;
        let role = Self::from_json(file.signed, namespace)?;
        Ok(VerifiedRole { role, signed_by })
    }

    /// The role as it stands in a file, without looking at signatures: for the publisher who adds a version to
    /// her own newest role, never for acting on.
    pub fn read_unverified(bytes: &[u8], namespace: &Namespace) -> Result<Self, RoleError> {
        let file: RoleFile =
            json::parse_into(bytes, MANIFEST_JSON_BYTES_MAX).map_err(RoleError::Json)?;
        Self::from_json(file.signed, namespace)
    }

    /// The same targets under the next version number and a new expiry.
    pub fn next(mut self, expires: &str) -> Result<Self, RoleError> {
        check_expires(expires)?;
        self.version = self.version.saturating_add(1);
        self.expires = expires.to_owned();
        Ok(self)
    }

    /// Whose role it is.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// The role's version number.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// When it expires, `YYYY-MM-DDTHH:MM:SSZ`.
    pub fn expires(&self) -> &str {
        &self.expires
    }

    /// Every version listed, by path.
    pub fn targets(&self) -> impl Iterator<Item = &Target> {
        self.targets.values()
    }

    /// One version.
    pub fn target(&self, package: &PackageName, version: &Version) -> Option<&Target> {
        self.targets.get(&format!("{package}/{version}"))
    }

    /// The release counter the next version of a package must have at least.
    pub fn next_release(&self, package: &PackageName) -> u64 {
        let releases =
            self.targets().filter(|target| &target.package == package).map(|target| target.release);
        releases.max().unwrap_or(0).saturating_add(1)
    }

    fn to_json(&self) -> SignedJson {
        let target = |target: &Target| TargetJson {
            length: target.length,
            hashes: HashesJson { sha256: target.index.hex() },
            custom: CustomJson {
                version: target.version.clone(),
                release: target.release,
                hooks: target.hooks.clone(),
                arch: target.arch.clone(),
            },
        };
        SignedJson {
            _type: "targets".to_owned(),
            spec_version: SPEC_VERSION.to_owned(),
            version: self.version,
            expires: self.expires.clone(),
            targets: self.targets.iter().map(|(path, t)| (path.clone(), target(t))).collect(),
            delegations: None,
        }
    }

    fn from_json(signed: Value, namespace: &Namespace) -> Result<Self, RoleError> {
        let signed: SignedJson = serde_json::from_value(signed)
            .map_err(|error| RoleError::Json(JsonError::Form { reason: error.to_string() }))?;
        if signed._type != "targets" {
            return Err(RoleError::Type { found: signed._type.chars().take(40).collect() });
        }
        if !signed.spec_version.starts_with("1.") {
            return Err(RoleError::SpecVersion {
                found: signed.spec_version.chars().take(40).collect(),
            });
        }
        if signed.delegations.is_some() {
            return Err(RoleError::Delegates);
        }
        if signed.targets.len() > TARGETS_MAX {
            return Err(RoleError::TooManyTargets { count: signed.targets.len() });
        }
        let mut role = Self::new(namespace.clone(), signed.version, &signed.expires)?;
        for (path, target) in signed.targets {
            let target = Target::from_json(&path, target, namespace)?;
            role.targets.insert(path, target);
        }
        check_targets(&role.targets)?;
        Ok(role)
    }
}

impl VerifiedRole {
    /// The role.
    pub fn role(&self) -> &Role {
        &self.role
    }

    /// The accepted keys that signed it.
    pub fn signed_by(&self) -> &[KeyId] {
        &self.signed_by
    }
}

impl Target {
    /// Its path in the role: `namespace/name/version`.
    pub fn path(&self) -> String {
        format!("{}/{}", self.package, self.version)
    }

    fn from_json(path: &str, json: TargetJson, namespace: &Namespace) -> Result<Self, RoleError> {
        let foreign = || RoleError::Path {
            namespace: namespace.clone(),
            path: path.chars().take(200).collect(),
        };
        let (package, version) = path.rsplit_once('/').ok_or_else(foreign)?;
        let package: PackageName = package.parse().map_err(|_| foreign())?;
        let version: Version = version.parse().map_err(|_| foreign())?;
        if package.namespace() != namespace {
            return Err(foreign());
        }
        if json.custom.version != version {
            return Err(RoleError::VersionMismatch {
                path: path.to_owned(),
                custom: json.custom.version,
            });
        }
        let CustomJson { release, hooks, arch, .. } = json.custom;
        let index = format!("sha256:{}", json.hashes.sha256)
            .parse()
            .map_err(|_| RoleError::Hash { path: path.to_owned() })?;
        Ok(Self { package, version, index, length: json.length, release, hooks, arch })
    }
}

fn check_targets(targets: &BTreeMap<String, Target>) -> Result<(), RoleError> {
    if targets.len() > TARGETS_MAX {
        return Err(RoleError::TooManyTargets { count: targets.len() });
    }
    let mut releases = BTreeSet::new();
    for target in targets.values() {
        if !releases.insert((&target.package, target.release)) {
            return Err(RoleError::ReleaseTwice {
                package: target.package.clone(),
                release: target.release,
            });
        }
    }
    Ok(())
}

fn check_expires(text: &str) -> Result<(), RoleError> {
    const PATTERN: &[u8] = b"dddd-dd-ddTdd:dd:ddZ";
    let matches = |(found, wanted): (u8, &u8)| {
        if *wanted == b'd' { found.is_ascii_digit() } else { found == *wanted }
    };
    if text.len() == PATTERN.len() && text.bytes().zip(PATTERN).all(matches) {
        return Ok(());
    }
    Err(RoleError::Expires { found: text.chars().take(40).collect() })
}

#[cfg(test)]
mod tests;
