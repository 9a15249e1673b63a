//! Every way a package or a policy revision can be refused, each with a stable code and a sentence that says what, why and what to do.
//! It refuses to know how the checks are made.

mod codes;

use skep_artifact::dsse::DsseError;
use skep_artifact::layout::LayoutError;
use skep_artifact::role::RoleError;
use skep_artifact::{Digest, Hook, KeyId, Namespace};

use crate::attestation::AttestationRefusal;
use crate::delegated::RepositoryRefusal;
use crate::log::LogRefusal;
use crate::revocation::Severity;
use crate::signed::Keys;
use crate::verify::Wanted;
use codes::{content_code, envelope_code, role_code};

/// Why something is not loaded or acted on. Each variant names an attack, or the slip that looks like one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The policy accepts nothing from this namespace.
    #[error(
        "Refused: {package} comes from the namespace {}, which the node policy does not list. \
         Add a [[namespace]] table with the publisher's keys to the node policy.",
        package.name.namespace()
    )]
    NamespaceNotAllowed {
        /// What was wanted.
        package: Box<Wanted>,
    },
    /// Known to be bad.
    #[error(
        "Refused: {package} was revoked by its {by}: {reason} (severity {severity}). Apply a policy with a version that is not revoked."
    )]
    Revoked {
        /// What was wanted.
        package: Box<Wanted>,
        /// Who said so: `publisher`, `operator` or `emergency key`.
        by: &'static str,
        /// Why, as they wrote it.
        reason: String,
        /// How bad.
        severity: Severity,
    },
    /// None of the accepted keys signed.
    #[error(
        "Refused: {package} is signed by {}, which the node policy does not accept for {}/*. \
         Add the key to the node policy, or ask the publisher.",
        Keys(untrusted), package.name.namespace()
    )]
    SignatureUntrusted {
        /// What was wanted.
        package: Box<Wanted>,
        /// The keys that are named as signers.
        untrusted: Vec<KeyId>,
    },
    /// Some accepted keys signed, but not enough.
    #[error(
        "Refused: {package} is signed by {valid} of the keys the node policy accepts, which asks for {threshold}. \
         Ask the publisher for the missing signatures."
    )]
    ThresholdNotMet {
        /// What was wanted.
        package: Box<Wanted>,
        /// Accepted keys that signed.
        valid: usize,
        /// How many must.
        threshold: usize,
    },
    /// The namespace's role file is refused for another reason.
    #[error(
        "Refused: {package}: the role file of its namespace cannot be trusted: {why}. Fetch it again; if it stays so, tell the publisher."
    )]
    Role {
        /// What was wanted.
        package: Box<Wanted>,
        /// Why.
        why: Box<RoleError>,
    },
    /// The registry's repository does not vouch for it.
    #[error("Refused: {package}: {why}.")]
    Repository {
        /// What was wanted.
        package: Box<Wanted>,
        /// Why.
        why: Box<RepositoryRefusal>,
    },
    /// The role file has expired: somebody withholds newer ones, or the publisher is late.
    #[error(
        "Refused: {package}: the role file of its namespace expired at {expires}. \
         What runs keeps running; ask the publisher to sign a new one."
    )]
    RoleExpired {
        /// What was wanted.
        package: Box<Wanted>,
        /// When it expired.
        expires: String,
    },
    /// An older role file than one accepted before.
    #[error(
        "Refused: {package}: the role file of {namespace} has version {found}, and this node accepted version {floor} before. \
         Somebody may be hiding newer versions; fetch it from another source."
    )]
    RoleRollback {
        /// What was wanted.
        package: Box<Wanted>,
        /// Whose role.
        namespace: Namespace,
        /// Its version.
        found: u64,
        /// The version accepted before.
        floor: u64,
    },
    /// The publisher's role does not list the version.
    #[error(
        "Refused: {package} is not listed in version {role_version} of its namespace's role file. The publisher has not published it, or has taken it back."
    )]
    NotListed {
        /// What was wanted.
        package: Box<Wanted>,
        /// The role's version.
        role_version: u64,
    },
    /// The publisher signed another digest than the operator asks for.
    #[error("Refused: {package} is {signed} by its publisher's signature, and {} was asked for. Apply the policy again so that it names the published digest.", package.index)]
    DigestNotSigned {
        /// What was wanted.
        package: Box<Wanted>,
        /// The digest the publisher signed.
        signed: Digest,
    },
    /// The publisher signed another length.
    #[error("Refused: {package}: its index has {found} bytes, and its publisher signed {signed}.")]
    LengthNotSigned {
        /// What was wanted.
        package: Box<Wanted>,
        /// Bytes signed.
        signed: u64,
        /// Bytes found.
        found: u64,
    },
    /// The content is refused.
    #[error("Refused: {package}: {why}. Fetch it again; if it stays so, tell the publisher.")]
    Content {
        /// What was wanted.
        package: Box<Wanted>,
        /// Why.
        why: Box<LayoutError>,
    },
    /// A package under another one's name.
    #[error(
        "Refused: {package}: the signed digest holds {found} instead. The publisher has mixed up two packages."
    )]
    OtherPackage {
        /// What was wanted.
        package: Box<Wanted>,
        /// Name and version of what it is.
        found: String,
    },
    /// The role says other hooks or architectures than the package has.
    #[error(
        "Refused: {package}: the role file says its {what} are other than the package's. The publisher must sign it again."
    )]
    RoleContradicts {
        /// What was wanted.
        package: Box<Wanted>,
        /// `hooks` or `architectures`.
        what: &'static str,
    },
    /// A hook the policy does not allow to this namespace.
    #[error("Refused: {package} wants to run on {hook}, which the node policy does not allow to {}/*. Add the hook to its [[namespace]] table if you mean to.", package.name.namespace())]
    HookNotAllowed {
        /// What was wanted.
        package: Box<Wanted>,
        /// The hook.
        hook: Hook,
    },
    /// A helper the policy refuses to this namespace.
    #[error("Refused: {package}: its program {program} calls {helper}, which the node policy refuses to {}/*.", package.name.namespace())]
    HelperRefused {
        /// What was wanted.
        package: Box<Wanted>,
        /// The program.
        program: String,
        /// The helper.
        helper: String,
    },
    /// More instructions than the policy allows.
    #[error(
        "Refused: {package}: its program {program} has {instructions} instructions, and the node policy allows {limit}."
    )]
    TooManyInstructions {
        /// What was wanted.
        package: Box<Wanted>,
        /// The program.
        program: String,
        /// Its instructions.
        instructions: u32,
        /// The limit.
        limit: u32,
    },
    /// Larger maps than the policy allows.
    #[error(
        "Refused: {package}: its maps hold {bytes} bytes when full, and the node policy allows {limit}."
    )]
    TooMuchMapMemory {
        /// What was wanted.
        package: Box<Wanted>,
        /// Bytes of all maps of an object.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// Its place in the transparency log is not proved.
    #[error(
        "Refused: {package}: {why}. What runs keeps running; compare the log's checkpoint with that of others (`skep log verify`)."
    )]
    Log {
        /// What was wanted.
        package: Box<Wanted>,
        /// Why.
        why: Box<LogRefusal>,
    },
    /// A statement that the policy asks for is missing or wrong.
    #[error(
        "Refused: {package}: the node policy asks for {kind}, and {why}. `skep attest list` shows what came with it."
    )]
    Attestation {
        /// What was wanted.
        package: Box<Wanted>,
        /// What the policy asks for.
        kind: String,
        /// Why it is not met.
        why: Box<AttestationRefusal>,
    },
    /// The policy names no operator.
    #[error(
        "Refused: the node policy names no operator, so that no policy revision is accepted. This one is signed by {}; if that is your operator, add an [operator] table with its public key to the node policy (`skep key show` prints both).",
        Keys(untrusted)
    )]
    NoOperator {
        /// The keys that are named as signers.
        untrusted: Vec<KeyId>,
    },
    /// None of the operator's keys signed.
    #[error(
        "Refused: the policy revision is signed by {}, which the node policy does not accept as an operator. Sign it with an operator's key, or add the key to the node policy.",
        Keys(untrusted)
    )]
    RevisionUntrusted {
        /// The keys that are named as signers.
        untrusted: Vec<KeyId>,
    },
    /// Not enough of the operator's keys signed.
    #[error(
        "Refused: the policy revision is signed by {valid} of the operator's keys, and the node policy asks for {threshold}. Collect the missing signatures."
    )]
    RevisionThreshold {
        /// Operator keys that signed.
        valid: usize,
        /// How many must.
        threshold: usize,
    },
    /// The envelope is refused for another reason.
    #[error("Refused: the policy revision cannot be trusted: {why}. Apply the policy again.")]
    Envelope {
        /// Why.
        why: Box<DsseError>,
    },
    /// The payload has no name and revision.
    #[error(
        "Refused: the signed policy revision cannot be read: {reason}. Apply the policy again."
    )]
    RevisionMalformed {
        /// What is wrong.
        reason: String,
    },
    /// An older revision than one accepted before.
    #[error(
        "Refused: revision {found} of the policy {policy} is older than revision {floor}, which this node accepted before. To go back, apply the older content as a new revision."
    )]
    RevisionRollback {
        /// The policy.
        policy: String,
        /// Its revision.
        found: u64,
        /// The revision accepted before.
        floor: u64,
    },
    /// Two contents under one number.
    #[error("Refused: revision {revision} of the policy {policy} is {}, and this node accepted {} under that number before. Somebody signed two; apply the policy again as a new revision.", found.short(), accepted.short())]
    RevisionEquivocation {
        /// The policy.
        policy: String,
        /// The revision.
        revision: u64,
        /// Digest accepted before.
        accepted: Digest,
        /// Digest of this one.
        found: Digest,
    },
}

impl Refusal {
    /// A stable code for programs. It never changes its meaning.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NamespaceNotAllowed { .. } => "package.namespace_not_allowed",
            Self::Revoked { .. } => "package.revoked",
            Self::SignatureUntrusted { .. } => "package.signature_untrusted",
            Self::ThresholdNotMet { .. } => "package.threshold_not_met",
            Self::Role { why, .. } => role_code(why),
            Self::Repository { why, .. } => why.code(),
            Self::RoleExpired { .. } => "package.role_expired",
            Self::RoleRollback { .. } => "package.rollback",
            Self::NotListed { .. } => "package.not_listed",
            Self::DigestNotSigned { .. } => "package.digest_not_signed",
            Self::LengthNotSigned { .. } => "package.length_not_signed",
            Self::Content { why, .. } => content_code(why),
            Self::OtherPackage { .. } => "package.mix_and_match",
            Self::RoleContradicts { .. } => "package.role_contradicts_package",
            Self::HookNotAllowed { .. } => "package.hook_not_allowed",
            Self::HelperRefused { .. } => "package.helper_refused",
            Self::TooManyInstructions { .. } => "package.instructions_over_limit",
            Self::TooMuchMapMemory { .. } => "package.map_memory_over_limit",
            Self::Log { why, .. } => why.code(),
            Self::Attestation { why, .. } => why.code(),
            Self::NoOperator { .. } => "policy.no_operator",
            Self::RevisionUntrusted { .. } => "policy.signature_untrusted",
            Self::RevisionThreshold { .. } => "policy.threshold_not_met",
            Self::Envelope { why } => envelope_code(why),
            Self::RevisionMalformed { .. } => "policy.malformed",
            Self::RevisionRollback { .. } => "policy.rollback",
            Self::RevisionEquivocation { .. } => "policy.equivocation",
        }
    }
}
