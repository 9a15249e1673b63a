//! Whether a package may be loaded and a policy revision acted on: signatures, the node's own policy, floors.
//! It refuses to know sockets, files, clocks, the kernel and databases; bytes and `now` are arguments.
//!
//! [`VerifiedPackage`], [`VerifiedObject`] and [`VerifiedRevision`] are made here only, after every check.

pub mod approval;
pub mod assignment;
pub mod attestation;
pub mod delegated;
pub mod floors;
pub mod log;
pub mod note;
pub mod policy;
pub mod refusal;
pub mod revocation;
pub mod set;
pub mod signed;
pub mod tiles;
pub mod tuf;
pub mod verified;
pub mod verify;

pub use approval::{
    Approval, ApprovalRefusal, VerifiedApproval, verify_approval, verify_approvals,
};
pub use assignment::{
    Assignment, AssignmentRefusal, VerifiedAssignment, accept_unsigned, verify_assignment,
};
pub use attestation::{AttestationRefusal, AttestationRule, VerifiedOnRule};
pub use delegated::RepositoryRefusal;
pub use floors::Floors;
pub use log::{LogEvidence, LogMemory, LogPolicy, LogRefusal, VerifiedCheckpoint};
pub use note::NoteKey;
pub use policy::{NodePolicy, OnRevoke, PolicyError};
pub use refusal::Refusal;
pub use revocation::{
    Lift, Revocation, RevocationRefusal, Revoker, Severity, VerifiedRevocation, verify_revocation,
};
pub use set::{PolicySet, SetRefusal, VerifiedSet, verify_set};
pub use signed::NotSigned;
pub use verified::{LocallyTrusted, VerifiedObject, VerifiedPackage, VerifiedRevision};
pub use verify::{Beside, UnixSeconds, Wanted, check_revoked, verify_package, verify_revision};
