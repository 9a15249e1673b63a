//! Revocations: known bad content, named by its publisher or by an operator. One emergency key may deny; allowing again
//! needs the threshold.
//! It refuses to know what becomes of content that runs: the node policy's `on-revoke` says that.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use skep_artifact::dsse::{
    Envelope, REVOCATION_LIFT_PAYLOAD_TYPE as LIFT_TYPE, REVOCATION_PAYLOAD_TYPE as TYPE,
};
use skep_artifact::limits::LINE_CHARS_MAX;
use skep_artifact::{Digest, KeyId, PackageName, PublicKey, Version};

use crate::delegated;
use crate::floors::Floors;
use crate::policy::{NodePolicy, Signers};
use crate::signed::{self, Codes, NotSigned, Opened, check_text, codes};
use crate::verify::{UnixSeconds, Wanted};

/// Versions and digests of one revocation: a package with more bad versions is revoked in several.
pub const REVOKED_MAX: usize = 256;
/// Revocations a node remembers. They are kept for ever, each some hundred bytes: a million packages with one bad
/// version in two hundred.
pub const REVOCATIONS_MAX: usize = 5000;
const CODES: Codes = codes!("revocation");

/// How bad it is, for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// A nuisance.
    Low,
    /// Should be replaced soon.
    Medium,
    /// Should be replaced now.
    High,
    /// Must not run.
    Critical,
}

/// What is signed to say that versions of a package are known to be bad.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revocation {
    /// The package.
    pub package: PackageName,
    /// Its bad versions, whatever their bytes.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub versions: BTreeSet<Version>,
    /// Its bad indexes, whatever their version.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub digests: BTreeSet<Digest>,
    /// Why, in one line.
    pub reason: String,
    /// How bad.
    pub severity: Severity,
    /// When it was signed.
    pub issued_at: UnixSeconds,
}

/// What is signed to take a revocation back. It names the document, so that replaying the document undoes nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lift {
    /// The package of the revocation.
    pub package: PackageName,
    /// The digest of the revocation's signed bytes.
    pub revocation: Digest,
    /// Why, in one line.
    pub reason: String,
    /// When it was signed.
    pub issued_at: UnixSeconds,
}

/// Who revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Revoker {
    /// Enough of the namespace's keys.
    Publisher,
    /// One of the operator's keys.
    Operator,
    /// One of the node policy's emergency keys.
    Emergency,
}

/// A revocation, or the lift of one, whose signatures count on this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VerifiedRevocation {
    /// Deny this.
    Deny {
        /// What is denied.
        revocation: Revocation,
        /// The digest of the signed bytes.
        digest: Digest,
        /// Who said so.
        by: Revoker,
        /// The keys that signed.
        signed_by: Vec<KeyId>,
    },
    /// Allow it again.
    Allow {
        /// What is allowed.
        lift: Lift,
        /// Whose threshold said so.
        by: Revoker,
        /// The keys that signed.
        signed_by: Vec<KeyId>,
    },
}

/// A revocation as a node remembers it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KnownRevocation {
    /// What was signed.
    #[serde(flatten)]
    pub revocation: Revocation,
    /// Who said so.
    pub by: Revoker,
    /// Whether it was taken back.
    #[serde(default)]
    pub lifted: bool,
}

/// Why a revocation is not followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RevocationRefusal {
    /// Its signatures or its form.
    #[error(
        "Refused: a revocation cannot be trusted: {0}. It must be signed by the publisher's keys, an operator or an emergency key of the node policy."
    )]
    NotSigned(#[from] NotSigned),
    /// A lift of what this node does not know.
    #[error("Refused: {package}: a revocation that this node does not know ({}) is taken back.", revocation.short())]
    NothingToLift {
        /// The package.
        package: PackageName,
        /// What is to be lifted.
        revocation: Digest,
    },
    /// A lift by somebody who may not take back what another said.
    #[error(
        "Refused: {package}: the publisher takes back what an operator revoked. Only enough operators may."
    )]
    LiftNotAllowed {
        /// The package.
        package: PackageName,
    },
    /// More than a node remembers.
    #[error(
        "Refused: this node remembers {REVOCATIONS_MAX} revocations and takes no more. Find out who signs so many."
    )]
    TooMany,
}

impl RevocationRefusal {
    /// A stable code for programs. It never changes its meaning.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotSigned(why) => why.code(&CODES),
            Self::NothingToLift { .. } => "revocation.nothing_to_lift",
            Self::LiftNotAllowed { .. } => "revocation.lift_not_allowed",
            Self::TooMany => "revocation.too_many",
        }
    }
}

/// Verifies a revocation, or the lift of one, before it is followed.
pub fn verify_revocation(
    policy: &NodePolicy,
    envelope: &[u8],
    floors: &Floors,
) -> Result<VerifiedRevocation, RevocationRefusal> {
    let form = Envelope::parse(envelope).map_err(NotSigned::from)?;
    if form.payload_type() == LIFT_TYPE {
        return verify_lift(policy, envelope, form.unverified_payload(), floors);
    }
    // Which keys count depends on whose package it is; nothing else of it is believed yet.
    let claimed = match form.payload_type() {
        TYPE => Some(Revocation::read_unverified(form.unverified_payload())?),
        _ => None,
    };
    let who = Accepted::of(policy, claimed.as_ref().map(|claimed| &claimed.package));
    let Opened { document: revocation, digest, signed_by } =
        signed::open::<Revocation>(envelope, TYPE, &who.everybody(), 1)?;
    let by = who.denied_by(&signed_by)?;
    if floors.revoked.len() >= REVOCATIONS_MAX && !floors.revoked.contains_key(&digest) {
        return Err(RevocationRefusal::TooMany);
    }
    Ok(VerifiedRevocation::Deny { revocation, digest, by, signed_by })
}

fn verify_lift(
    policy: &NodePolicy,
    envelope: &[u8],
    unverified: &[u8],
    floors: &Floors,
) -> Result<VerifiedRevocation, RevocationRefusal> {
    let claimed = Lift::read_unverified(unverified)?;
    let who = Accepted::of(policy, Some(&claimed.package));
    let Opened { document: lift, signed_by, .. } =
        signed::open::<Lift>(envelope, LIFT_TYPE, &who.everybody(), 1)?;
    let by = who.allowed_by(&signed_by)?;
    let Lift { package, revocation, .. } = lift.clone();
    match floors.revoked.get(&revocation) {
        Some(known) if known.revocation.package == package => match (known.by, by) {
            (Revoker::Operator | Revoker::Emergency, Revoker::Publisher) => {
                Err(RevocationRefusal::LiftNotAllowed { package })
            }
            _ => Ok(VerifiedRevocation::Allow { lift, by, signed_by }),
        },
        _ => Err(RevocationRefusal::NothingToLift { package, revocation }),
    }
}

/// Whose signatures count on what concerns one package.
struct Accepted<'a> {
    publisher: Option<(&'a [PublicKey], usize)>,
    operator: Option<(&'a [PublicKey], usize)>,
    emergency: &'a [PublicKey],
}

impl<'a> Accepted<'a> {
    fn of(policy: &'a NodePolicy, package: Option<&PackageName>) -> Self {
        let publisher = package.and_then(|package| publisher(policy, package));
        let operator = policy.operator();
        Self {
            publisher: publisher.map(|signers| (&signers.keys[..], signers.threshold)),
            operator: operator.map(|signers| (&signers.keys[..], signers.threshold)),
            emergency: policy.emergency(),
        }
    }

    fn everybody(&self) -> Vec<PublicKey> {
        let publisher = self.publisher.map_or(&[][..], |(keys, _)| keys);
        let operator = self.operator.map_or(&[][..], |(keys, _)| keys);
        [publisher, operator, self.emergency].concat()
    }

    /// Who says no: one operator or emergency key is enough, a publisher needs the threshold.
    fn denied_by(&self, signed_by: &[KeyId]) -> Result<Revoker, NotSigned> {
        if self.operator.is_some_and(|(keys, _)| count(keys, signed_by) > 0) {
            return Ok(Revoker::Operator);
        }
        if count(self.emergency, signed_by) > 0 {
            return Ok(Revoker::Emergency);
        }
        enough(self.publisher, signed_by).map(|()| Revoker::Publisher)
    }

    /// Who says yes again: always a threshold.
    fn allowed_by(&self, signed_by: &[KeyId]) -> Result<Revoker, NotSigned> {
        if enough(self.operator, signed_by).is_ok() {
            return Ok(Revoker::Operator);
        }
        enough(self.publisher, signed_by).map(|()| Revoker::Publisher)
    }
}

/// Who signs for a package's namespace: pinned keys, or those the trusted root's offline role delegates it to.
fn publisher<'a>(policy: &'a NodePolicy, package: &PackageName) -> Option<&'a Signers> {
    let rule = policy.namespace(package.namespace())?;
    let (name, version) = (package.clone(), Version::new(0, 0, 0));
    delegated::signers(policy, rule, &Wanted { name, version, index: Digest::of(b"") }).ok()
}

fn enough(signers: Option<(&[PublicKey], usize)>, by: &[KeyId]) -> Result<(), NotSigned> {
    let (valid, threshold) =
        signers.map_or((0, 1), |(keys, threshold)| (count(keys, by), threshold));
    if valid >= threshold { Ok(()) } else { Err(NotSigned::Threshold { valid, threshold }) }
}

fn count(keys: &[PublicKey], signed_by: &[KeyId]) -> usize {
    let ids: BTreeSet<KeyId> = keys.iter().map(PublicKey::key_id).collect();
    signed_by.iter().filter(|id| ids.contains(id)).count()
}

impl Revocation {
    /// Reads a revocation as it stands in an envelope, without looking at signatures: for a server that stores it.
    pub fn read_unverified(payload: &[u8]) -> Result<Self, NotSigned> {
        let revocation: Self = signed::read(payload)?;
        revocation.check()?;
        Ok(revocation)
    }

    /// Whether it is about this version or these bytes.
    pub fn covers(&self, wanted: &Wanted) -> bool {
        self.package == wanted.name
            && (self.versions.contains(&wanted.version) || self.digests.contains(&wanted.index))
    }

    fn check(&self) -> Result<(), NotSigned> {
        check_text("reason", &self.reason, LINE_CHARS_MAX)?;
        let named = self.versions.len() + self.digests.len();
        if named == 0 || named > REVOKED_MAX {
            let reason =
                format!("it names {named} versions and digests; 1 to {REVOKED_MAX} are read");
            return Err(NotSigned::Malformed { reason });
        }
        Ok(())
    }
}

impl Lift {
    /// Reads a lift as it stands in an envelope, without looking at signatures: for a server that stores it.
    pub fn read_unverified(payload: &[u8]) -> Result<Self, NotSigned> {
        let lift: Self = signed::read(payload)?;
        check_text("reason", &lift.reason, LINE_CHARS_MAX)?;
        Ok(lift)
    }
}

impl std::fmt::Display for Severity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        })
    }
}
