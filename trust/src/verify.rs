//! The checks, in order: signatures, floors, expiry, content, the node's policy. The first that fails refuses.
//! It refuses to know where bytes come from, what time it is and what is done with the answer.

use std::fmt;

use serde::Deserialize;
use skep_artifact::dsse::{self, DsseError, Envelope, POLICY_PAYLOAD_TYPE};
use skep_artifact::json;
use skep_artifact::layout::{self, LayoutError, Package};
use skep_artifact::limits::MANIFEST_JSON_BYTES_MAX;
use skep_artifact::object::{MapFacts, ObjectFacts};
use skep_artifact::role::{Role, RoleError, Target, VerifiedRole};
use skep_artifact::{Digest, Hook, PackageName, Version};

use crate::delegated;
use crate::floors::Floors;
use crate::log::{LogEvidence, LogMemory};
use crate::policy::{NamespaceRule, NodePolicy};
use crate::refusal::Refusal;
use crate::revocation::Revoker;
use crate::verified::{Inner, Object, VerifiedPackage, VerifiedRevision};

/// Seconds since 1970-01-01 00:00 UTC.
pub type UnixSeconds = i64;

/// Characters of a policy's name.
const POLICY_NAME_CHARS_MAX: usize = 100;

/// What an operator's policy asks for: one version of one package, by digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The package.
    pub name: PackageName,
    /// The version.
    pub version: Version,
    /// The digest of its index.
    pub index: Digest,
}

/// What came with a package beside its content, and what it is held against.
#[derive(Debug, Clone, Default)]
pub struct Beside {
    /// Its claimed place in the transparency log.
    pub log: Option<LogEvidence>,
    /// What this node saw of the log.
    pub memory: LogMemory,
    /// DSSE envelopes about it.
    pub attestations: Vec<Vec<u8>>,
    /// The release of the kernel it is to run on.
    pub kernel: String,
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.version)
    }
}

/// Verifies a package before anything of it is loaded.
///
/// `role` is the namespace's role file, `fetched` gives blobs by digest, `now` limits a role's first acceptance:
/// a caller that accepted the package before passes the time of that.
pub fn verify_package(
    policy: &NodePolicy,
    role: &[u8],
    fetched: &dyn Fn(&Digest) -> Option<Vec<u8>>,
    wanted: &Wanted,
    floors: &Floors,
    now: UnixSeconds,
    beside: &Beside,
) -> Result<VerifiedPackage, Refusal> {
    let namespace = wanted.name.namespace();
    let rule = policy
        .namespace(namespace)
        .ok_or_else(|| Refusal::NamespaceNotAllowed { package: Box::new(wanted.clone()) })?;
    check_revoked(wanted, floors)?;
    let signers = delegated::signers(policy, rule, wanted)?;
    let verified = Role::verify(role, namespace, &signers.keys, signers.threshold)
        .map_err(|error| role_refusal(wanted, error))?;
    delegated::check_current(policy, wanted, verified.role(), now)?;
    check_role_age(wanted, verified.role(), floors, now)?;
    let target = find_target(wanted, verified.role())?;
    check_length(wanted, target, fetched)?;
    let package = layout::open(wanted.index, fetched).map_err(|why| Refusal::Content {
        package: Box::new(wanted.clone()),
        why: Box::new(why),
    })?;
    check_identity(wanted, target, &package)?;
    check_rule(wanted, rule, &package)?;
    check_beside(policy, rule, wanted, beside)?;
    let hooks = permitted(rule, &package);
    Ok(proof(wanted, target, &verified, hooks, package))
}

/// Verifies a policy revision before anything it says is acted on.
pub fn verify_revision(
    policy: &NodePolicy,
    envelope: &[u8],
    floors: &Floors,
) -> Result<VerifiedRevision, Refusal> {
    let Some(operator) = policy.operator() else {
        let untrusted = Envelope::parse(envelope).map_err(envelope_refusal)?.claimed_signers();
        return Err(Refusal::NoOperator { untrusted });
    };
    let verified = dsse::verify(envelope, POLICY_PAYLOAD_TYPE, &operator.keys, operator.threshold)
        .map_err(envelope_refusal)?;
    let signed_by = verified.signed_by().to_vec();
    let payload = verified.into_payload();
    let digest = Digest::of(&payload);
    let header: RevisionHeader = json::parse_into(&payload, MANIFEST_JSON_BYTES_MAX)
        .map_err(|error| Refusal::RevisionMalformed { reason: error.to_string() })?;
    let RevisionHeader { name, revision } = header;
    let chars = name.chars().count();
    if chars == 0 || chars > POLICY_NAME_CHARS_MAX || name.chars().any(char::is_control) {
        let reason = format!("its name has {chars} characters or a control character");
        return Err(Refusal::RevisionMalformed { reason });
    }
    if revision == 0 {
        return Err(Refusal::RevisionMalformed { reason: "revisions begin at 1".to_owned() });
    }
    match floors.revisions.get(&name) {
        Some((floor, _)) if revision < *floor => {
            Err(Refusal::RevisionRollback { policy: name, found: revision, floor: *floor })
        }
        Some((floor, accepted)) if revision == *floor && digest != *accepted => {
            Err(Refusal::RevisionEquivocation {
                policy: name,
                revision,
                accepted: *accepted,
                found: digest,
            })
        }
        _ => Ok(VerifiedRevision::new(name, revision, payload, digest, signed_by)),
    }
}

/// The part of a revision that trust reads; the rest is for `fleet`, which trust does not know.
#[derive(Deserialize)]
struct RevisionHeader {
    name: String,
    revision: u64,
}

fn role_refusal(wanted: &Wanted, error: RoleError) -> Refusal {
    let package = Box::new(wanted.clone());
    match error {
        RoleError::Threshold { valid: 0, untrusted, .. } => {
            Refusal::SignatureUntrusted { package, untrusted }
        }
        RoleError::Threshold { valid, threshold, .. } => {
            Refusal::ThresholdNotMet { package, valid, threshold }
        }
        why => Refusal::Role { package, why: Box::new(why) },
    }
}

fn envelope_refusal(error: DsseError) -> Refusal {
    match error {
        DsseError::Threshold { valid: 0, untrusted, .. } => {
            Refusal::RevisionUntrusted { untrusted }
        }
        DsseError::Threshold { valid, threshold, .. } => {
            Refusal::RevisionThreshold { valid, threshold }
        }
        why => Refusal::Envelope { why: Box::new(why) },
    }
}

/// What is known to be bad stays bad, whoever signs it again.
pub fn check_revoked(wanted: &Wanted, floors: &Floors) -> Result<(), Refusal> {
    let Some(known) = floors.revocation_of(wanted) else { return Ok(()) };
    let by = match known.by {
        Revoker::Publisher => "publisher",
        Revoker::Operator => "operator",
        Revoker::Emergency => "emergency key",
    };
    let (reason, severity) = (known.revocation.reason.clone(), known.revocation.severity);
    Err(Refusal::Revoked { package: Box::new(wanted.clone()), by, reason, severity })
}

fn check_role_age(
    wanted: &Wanted,
    role: &Role,
    floors: &Floors,
    now: UnixSeconds,
) -> Result<(), Refusal> {
    let namespace = role.namespace();
    let floor = floors.roles.get(namespace).copied().unwrap_or(0);
    if role.version() < floor {
        return Err(Refusal::RoleRollback {
            package: Box::new(wanted.clone()),
            namespace: namespace.clone(),
            found: role.version(),
            floor,
        });
    }
    let malformed = |_| Refusal::Role {
        package: Box::new(wanted.clone()),
        why: Box::new(RoleError::Expires { found: role.expires().to_owned() }),
    };
    let expires = role.expires().parse::<jiff::Timestamp>().map_err(malformed)?;
    if expires.as_second() <= now {
        return Err(Refusal::RoleExpired {
            package: Box::new(wanted.clone()),
            expires: role.expires().to_owned(),
        });
    }
    Ok(())
}

fn find_target<'a>(wanted: &Wanted, role: &'a Role) -> Result<&'a Target, Refusal> {
    let missing =
        || Refusal::NotListed { package: Box::new(wanted.clone()), role_version: role.version() };
    let target = role.target(&wanted.name, &wanted.version).ok_or_else(missing)?;
    if target.index != wanted.index {
        return Err(Refusal::DigestNotSigned {
            package: Box::new(wanted.clone()),
            signed: target.index,
        });
    }
    Ok(target)
}

fn check_length(
    wanted: &Wanted,
    target: &Target,
    fetched: &dyn Fn(&Digest) -> Option<Vec<u8>>,
) -> Result<(), Refusal> {
    let missing = LayoutError::Missing { what: "the index", digest: wanted.index };
    let index = fetched(&wanted.index).ok_or_else(|| Refusal::Content {
        package: Box::new(wanted.clone()),
        why: Box::new(missing),
    })?;
    let (signed, found) = (target.length, index.len() as u64);
    if signed != found {
        return Err(Refusal::LengthNotSigned { package: Box::new(wanted.clone()), signed, found });
    }
    Ok(())
}

fn check_identity(wanted: &Wanted, target: &Target, package: &Package) -> Result<(), Refusal> {
    let found = &package.manifest.package;
    if found.name != wanted.name || found.version != wanted.version {
        let found = format!("{} {}", found.name, found.version);
        return Err(Refusal::OtherPackage { package: Box::new(wanted.clone()), found });
    }
    let mut hooks = target.hooks.clone();
    hooks.sort_unstable();
    let mut archs = target.arch.clone();
    archs.sort_unstable();
    let contradicts =
        |what| Err(Refusal::RoleContradicts { package: Box::new(wanted.clone()), what });
    if hooks != package.manifest.hooks() {
        return contradicts("hooks");
    }
    if archs != package.manifest.archs() {
        return contradicts("architectures");
    }
    Ok(())
}

fn check_rule(wanted: &Wanted, rule: &NamespaceRule, package: &Package) -> Result<(), Refusal> {
    // A package may offer more hooks than it is allowed here; one that is allowed none is refused at once.
    let offered = package.manifest.hooks();
    if let (Some(hook), true) = (offered.first(), permitted(rule, package).is_empty()) {
        return Err(Refusal::HookNotAllowed { package: Box::new(wanted.clone()), hook: *hook });
    }
    package.objects.iter().try_for_each(|object| check_object(wanted, rule, &object.facts))
}

/// The log and the statements that the policy asks for.
fn check_beside(
    policy: &NodePolicy,
    rule: &NamespaceRule,
    wanted: &Wanted,
    beside: &Beside,
) -> Result<(), Refusal> {
    if let Some(log) = policy.required_log() {
        log.verify_published(&beside.memory, wanted, beside.log.as_ref()).map_err(|why| {
            Refusal::Log { package: Box::new(wanted.clone()), why: Box::new(why) }
        })?;
    }
    let refused = |kind: String, why| Refusal::Attestation {
        package: Box::new(wanted.clone()),
        kind,
        why: Box::new(why),
    };
    for needed in &rule.attestations {
        let kind = format!("an attestation of type {}", needed.predicates.join(" or "));
        needed.verify(wanted, &beside.attestations).map_err(|why| refused(kind, why))?;
    }
    if let Some(needed) = &rule.verified_on {
        needed
            .verify(wanted, &beside.attestations, &beside.kernel)
            .map_err(|why| refused("proof that a kernel verified it".to_owned(), why))?;
    }
    Ok(())
}

fn permitted(rule: &NamespaceRule, package: &Package) -> Vec<Hook> {
    package.manifest.hooks().into_iter().filter(|hook| rule.hooks.contains(hook)).collect()
}

/// Every program of an object is judged, not only those the manifest names: all of them are in the bytes.
fn check_object(wanted: &Wanted, rule: &NamespaceRule, facts: &ObjectFacts) -> Result<(), Refusal> {
    for program in &facts.programs {
        let called = program.helpers.iter().chain(&program.kfuncs);
        if let Some(helper) = called.into_iter().find(|helper| rule.refuse_helpers.contains(helper))
        {
            return Err(Refusal::HelperRefused {
                package: Box::new(wanted.clone()),
                program: program.name.clone(),
                helper: helper.clone(),
            });
        }
        if let Some(limit) = rule.max_instructions.filter(|limit| program.insns > *limit) {
            return Err(Refusal::TooManyInstructions {
                package: Box::new(wanted.clone()),
                program: program.name.clone(),
                instructions: program.insns,
                limit,
            });
        }
    }
    let bytes = facts.maps.iter().map(map_bytes).fold(0, u64::saturating_add);
    match rule.max_map_bytes.filter(|limit| bytes > *limit) {
        Some(limit) => {
            Err(Refusal::TooMuchMapMemory { package: Box::new(wanted.clone()), bytes, limit })
        }
        None => Ok(()),
    }
}

/// Bytes of a full map: keys and values rounded up to 8 as the kernel does, without its overhead.
fn map_bytes(map: &MapFacts) -> u64 {
    let rounded = |bytes: u32| u64::from(bytes).next_multiple_of(8);
    u64::from(map.max_entries).saturating_mul(rounded(map.key_size) + rounded(map.value_size))
}

fn proof(
    wanted: &Wanted,
    target: &Target,
    verified: &VerifiedRole,
    hooks: Vec<Hook>,
    package: Package,
) -> VerifiedPackage {
    let objects = package.objects.into_iter();
    VerifiedPackage::new(Inner {
        name: wanted.name.clone(),
        version: wanted.version.clone(),
        release: target.release,
        index_digest: package.index_digest,
        manifest: package.manifest,
        hooks,
        objects: objects.map(|o| Object { arch: o.arch, facts: o.facts, bytes: o.bytes }).collect(),
        signed_by: verified.signed_by().to_vec(),
        role_version: verified.role().version(),
    })
}
