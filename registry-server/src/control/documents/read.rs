//! Reads what operators and publishers signed, as far as a server must: its form, what it names, who claims to have signed.
//! Refuses to decide whether it counts.

use super::{DocumentError, HeldApproval, HeldSet};
use crate::store::documents::Document;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use skep_api::v1::operators::{ApprovalInfo, RevocationInfo, StoredSet};
use skep_artifact::digest::Digest;
use skep_artifact::dsse::{
    APPROVAL_PAYLOAD_TYPE, Envelope, REVOCATION_LIFT_PAYLOAD_TYPE, REVOCATION_PAYLOAD_TYPE,
    SET_PAYLOAD_TYPE,
};
use skep_artifact::key::PublicKey;
use skep_artifact::log::Event;
use skep_artifact::name::PackageName;
use skep_trust::{Approval, Lift, NotSigned, PolicySet, Revocation};
use std::collections::BTreeMap;

fn opened(
    document: &Document,
    kinds: &[&str],
    wanted: &'static str,
) -> Result<Envelope, DocumentError> {
    let envelope =
        Envelope::parse(&document.envelope).map_err(|source| DocumentError::Envelope { source })?;
    if !kinds.contains(&envelope.payload_type()) {
        let found = envelope.payload_type().chars().take(100).collect();
        return Err(DocumentError::PayloadType { found, wanted });
    }
    if envelope.claimed_signers().is_empty() {
        return Err(DocumentError::Unsigned);
    }
    Ok(envelope)
}

fn signers(envelope: &Envelope) -> Vec<String> {
    envelope.claimed_signers().iter().map(ToString::to_string).collect()
}

fn form(source: NotSigned) -> DocumentError {
    DocumentError::Form { source }
}

pub(super) fn read_set(document: &Document) -> Result<HeldSet, DocumentError> {
    let envelope = opened(document, &[SET_PAYLOAD_TYPE], "a policy set")?;
    let set = PolicySet::read_unverified(envelope.unverified_payload()).map_err(form)?;
    let policies: BTreeMap<String, u64> = set.policies.clone();
    let info = StoredSet {
        environment: set.environment.clone(),
        epoch: set.epoch,
        version: set.version,
        policies,
        envelope: BASE64.encode(&document.envelope),
        applied_at: document.at,
        applied_by: document.by.clone(),
    };
    Ok(HeldSet { set, info })
}

pub(super) fn read_approval(document: &Document) -> Result<HeldApproval, DocumentError> {
    let envelope = opened(document, &[APPROVAL_PAYLOAD_TYPE], "an approval")?;
    let approval = Approval::read_unverified(envelope.unverified_payload()).map_err(form)?;
    let info = ApprovalInfo {
        policy: approval.policy,
        revision: approval.revision,
        wave: approval.wave,
        signed_by: signers(&envelope),
        envelope: BASE64.encode(&document.envelope),
        approved_at: document.at,
        approved_by: document.by.clone(),
    };
    Ok(HeldApproval { info, envelope: Digest::of(&document.envelope) })
}

/// A revocation, or the lift of one.
enum Said {
    Bad(Revocation),
    GoodAgain(Lift),
}

fn said(document: &Document) -> Result<(Envelope, Said), DocumentError> {
    let kinds = [REVOCATION_PAYLOAD_TYPE, REVOCATION_LIFT_PAYLOAD_TYPE];
    let envelope = opened(document, &kinds, "a revocation")?;
    let payload = envelope.unverified_payload();
    let said = if envelope.payload_type() == REVOCATION_PAYLOAD_TYPE {
        Said::Bad(Revocation::read_unverified(payload).map_err(form)?)
    } else {
        Said::GoodAgain(Lift::read_unverified(payload).map_err(form)?)
    };
    Ok((envelope, said))
}

pub(super) fn read_revocation(document: &Document) -> Result<RevocationInfo, DocumentError> {
    let (envelope, said) = said(document)?;
    let (package, versions, digests, reason, severity, lifts) = match said {
        Said::Bad(Revocation { package, versions, digests, reason, severity, .. }) => (
            package,
            versions.iter().map(ToString::to_string).collect(),
            digests.into_iter().collect(),
            reason,
            severity.to_string(),
            None,
        ),
        Said::GoodAgain(Lift { package, revocation, reason, .. }) => {
            (package, Vec::new(), Vec::new(), reason, String::new(), Some(revocation))
        }
    };
    Ok(RevocationInfo {
        digest: Digest::of(envelope.unverified_payload()),
        package: package.to_string(),
        versions,
        digests,
        reason,
        severity,
        lifts,
        signed_by: signers(&envelope),
        envelope: BASE64.encode(&document.envelope),
        revoked_at: document.at,
        revoked_by: document.by.clone(),
    })
}

/// The package that a revocation, or the lift of one, is about.
///
/// # Errors
/// [`DocumentError`] when it is neither.
pub fn revoked_package(envelope: &[u8]) -> Result<PackageName, DocumentError> {
    let document = Document { envelope: envelope.to_vec(), at: 0, by: String::new() };
    Ok(match said(&document)?.1 {
        Said::Bad(revocation) => revocation.package,
        Said::GoodAgain(lift) => lift.package,
    })
}

/// Whether as many of a namespace's keys signed a revocation, or the lift of one, as must sign for the namespace. Nodes
/// check it again; here it keeps who may only publish from filling every node's memory with what counts nowhere.
///
/// # Errors
/// [`DocumentError::NotByPublisher`].
pub fn check_publishers(
    envelope: &[u8],
    keys: &[PublicKey],
    threshold: u32,
) -> Result<(), DocumentError> {
    let refused = |source| DocumentError::NotByPublisher { source };
    let read = Envelope::parse(envelope).map_err(refused)?;
    let kind = read.payload_type().to_owned();
    let threshold = usize::try_from(threshold).unwrap_or(usize::MAX);
    read.verify(&kind, keys, threshold).map(drop).map_err(refused)
}

/// What the log says of a revocation.
pub(super) fn logged(document: &Document) -> Result<Event, DocumentError> {
    let (envelope, said) = said(document)?;
    let document = Digest::of(envelope.unverified_payload());
    Ok(match said {
        Said::Bad(Revocation { package, versions, digests, reason, .. }) => Event::Revoke {
            package,
            versions: versions.into_iter().collect(),
            digests: digests.into_iter().collect(),
            lifts: None,
            document,
            reason,
        },
        Said::GoodAgain(Lift { package, revocation, reason, .. }) => Event::Revoke {
            package,
            versions: Vec::new(),
            digests: Vec::new(),
            lifts: Some(revocation),
            document,
            reason,
        },
    })
}
