//! Why a policy document, a signed revision or a version range is refused, in words for its author.

use super::{BoundsError, INTERFACE_PATTERNS_MAX, PROGRAMS_MAX, REVISION_BYTES_MAX};
use crate::ids::{MemberName, PolicyName};
use crate::selector::SelectorError;
use skep_artifact::hook::{Hook, Verdict};
use skep_artifact::name::PackageName;

/// Why a document or a revision was refused.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    #[error("Policy {policy} has a selector that cannot be used.")]
    Selector { policy: PolicyName, source: SelectorError },
    #[error(
        "Policy {policy} names no programs. Give it at least one, or remove the policy with `skep policy remove {policy}`."
    )]
    NoPrograms { policy: PolicyName },
    #[error("Policy {policy} is a tombstone and yet names {found} programs.")]
    TombstoneWithPrograms { policy: PolicyName, found: usize },
    #[error("Policy {policy} names {found} programs; at most {PROGRAMS_MAX} are allowed.")]
    TooManyPrograms { policy: PolicyName, found: usize },
    #[error(
        "Policy {policy} has {found} interface patterns; 1 to {INTERFACE_PATTERNS_MAX} are allowed, and at least one must include."
    )]
    Interfaces { policy: PolicyName, found: usize },
    #[error(
        "Policy {policy} uses the member name {member} twice. Names order the chain, so each is used once."
    )]
    DuplicateMember { policy: PolicyName, member: MemberName },
    #[error("Policy {policy} asks for {asked}, which {hook} does not have. {advice}")]
    ForeignHow { policy: PolicyName, asked: String, hook: Hook, advice: &'static str },
    #[error("Policy {policy} cannot be used: {source}.")]
    Bounds { policy: PolicyName, source: BoundsError },
    #[error("Policy {policy} has revision 0; revisions start at 1.")]
    RevisionZero { policy: PolicyName },
    #[error("Policy {policy}, member {member} cannot be used.")]
    Member { policy: PolicyName, member: MemberName, source: Box<MemberError> },
    #[error(
        "A policy revision of {found} bytes is too large; at most {REVISION_BYTES_MAX} are allowed."
    )]
    TooLarge { found: usize },
    #[error("The policy revision cannot be read.")]
    Json { source: serde_json::Error },
}

/// Why one member of a policy was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MemberError {
    #[error(
        "No published version of {range} can be installed. `skep info {package}` lists what there is."
    )]
    NoSuchPackage { range: String, package: PackageName },
    #[error("{package} {version} has no program for {hook}{asked}. It has: {has}.")]
    NoSuchProgram { package: PackageName, version: String, hook: Hook, asked: String, has: String },
    #[error(
        "{package} {version} has several programs for {hook} ({has}). Say which with `program:`."
    )]
    WhichProgram { package: PackageName, version: String, hook: Hook, has: String },
    #[error("proceedOn names '{verdict}', which {hook} does not have. It has: {has}.")]
    ForeignVerdict { verdict: Verdict, hook: Hook, has: String },
}

/// Why a `package@range` was refused.
#[derive(Debug, thiserror::Error)]
pub enum RangeError {
    #[error("'{text}' is not a package and a version range. Write it like skep/firewall@^1.4.")]
    Name { text: String, source: skep_artifact::name::NameError },
    #[error(
        "'{text}' does not hold a version range that can be read. Write it like ^1.4, =1.4.2 or >=1, <2."
    )]
    Versions { text: String, source: semver::Error },
}
