//! Signed revisions on this node: reads and verifies envelopes against the node's own policy.
//! Refuses to know how revisions are compared (`reconcile`) and where they are kept (`ledger`).

use crate::ledger::{Accepted, Ledger, OperatorLedger};
use crate::notices::check_approvals;
use crate::reconcile::{Candidate, Decision, Wish};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use skep_api::v1::nodes::Refused;
use skep_artifact::digest::Digest;
use skep_artifact::dsse::Envelope;
use skep_fleet::selector::Labels;
use skep_fleet::{PolicyName, PolicyRevision};
use skep_trust::{Floors, NodePolicy, VerifiedRevision};
use std::collections::{BTreeMap, BTreeSet};

/// What a list of envelopes came to.
#[derive(Debug, Default)]
pub struct Read {
    pub candidates: Vec<Candidate>,
    pub refused: Vec<Refused>,
    /// Envelopes that verified, by digest, as received.
    pub envelopes: BTreeMap<Digest, String>,
    /// The revisions in them; of two of one policy the higher.
    pub revisions: BTreeMap<PolicyName, PolicyRevision>,
    /// Digests of the signed bytes of every envelope that can be read, refused ones included.
    pub payloads: Vec<Digest>,
    /// The highest revision of each policy in an envelope that can be read, refused ones included.
    pub offered: BTreeMap<PolicyName, u64>,
}

/// What revisions are judged by: the owner's policy, what may not be undone, what operators signed beside them, and who
/// this node is in a rollout.
#[derive(Clone, Copy)]
pub struct Judge<'a> {
    pub policy: &'a NodePolicy,
    pub floors: &'a Floors,
    pub operators: &'a OperatorLedger,
    pub seat: Seat<'a>,
}

/// A node as rollouts know it.
#[derive(Clone, Copy)]
pub struct Seat<'a> {
    pub name: &'a str,
    pub labels: &'a Labels,
}

/// The accepted revisions, looked at again.
#[derive(Debug, Default)]
pub struct Verified {
    pub revisions: BTreeMap<PolicyName, PolicyRevision>,
    /// Those that do not verify any more.
    pub refused: BTreeMap<PolicyName, Refused>,
}

/// Verifies every envelope on its own: one that is refused does not stop another.
#[must_use]
pub fn read_all(judge: &Judge<'_>, envelopes: &[String]) -> Read {
    let mut read = Read::default();
    for text in envelopes {
        let envelope = STANDARD.decode(text).ok().and_then(|bytes| Envelope::parse(&bytes).ok());
        if let Some(envelope) = envelope {
            let payload = envelope.unverified_payload();
            read.payloads.push(Digest::of(payload));
            if let Ok(revision) = PolicyRevision::from_json(payload) {
                let highest = read.offered.entry(revision.name).or_default();
                *highest = revision.revision.max(*highest);
            }
        }
        match read_one(judge, text) {
            Ok((_, revision, accepted)) => {
                read.envelopes.insert(accepted.envelope, text.clone());
                read.candidates.push(Candidate { name: revision.name.clone(), accepted });
                let newer = read.revisions.get(&revision.name);
                if newer.is_none_or(|have| have.revision < revision.revision) {
                    read.revisions.insert(revision.name.clone(), revision);
                }
            }
            Err(refused) => read.refused.push(refused),
        }
    }
    read
}

/// Verifies again what was accepted before, for instance after a restart with another node policy.
#[must_use]
pub fn verify_accepted(policy: &NodePolicy, ledger: &Ledger, seat: Seat<'_>) -> Verified {
    let (floors, operators) = (&ledger.floors, &ledger.operators);
    let judge = Judge { policy, floors, operators, seat };
    let mut verified = Verified::default();
    for (name, accepted) in &ledger.accepted {
        let envelope = ledger.envelopes.get(&accepted.envelope);
        let read = match envelope {
            Some(text) => read_one(&judge, text),
            None => Err(lost(name)),
        };
        match read {
            Ok((_, revision, _)) => {
                verified.revisions.insert(name.clone(), revision);
            }
            Err(refused) => {
                verified.refused.insert(name.clone(), refused);
            }
        }
    }
    verified
}

/// Raises the floors of every policy that runs wherever it is wanted, and forgets removed ones, whose
/// floors remember them. A policy that is refused anywhere keeps its floor, so that what it ran before may run again.
pub fn raise_floors(
    policy: &NodePolicy,
    ledger: &mut Ledger,
    decision: &Decision,
    wishes: &[Wish],
    seat: Seat<'_>,
) {
    let settled =
        |place| !decision.refused.contains_key(place) && !decision.pending.contains(place);
    if wishes.iter().any(|wish| !settled(&wish.place)) || !decision.steps.is_empty() {
        return;
    }
    let mut removed = BTreeSet::new();
    for (name, accepted) in &ledger.accepted {
        let known = ledger.floors.revisions.get(name.as_str());
        if known.is_none_or(|(revision, _)| *revision < accepted.revision) {
            let Some(text) = ledger.envelopes.get(&accepted.envelope) else { continue };
            let (floors, operators) = (&ledger.floors, &ledger.operators);
            let read = read_one(&Judge { policy, floors, operators, seat }, text);
            let Ok((verified, _, _)) = read else { continue };
            ledger.floors = ledger.floors.raise_revision(&verified);
        }
        if accepted.removed {
            removed.insert(name.clone());
        }
    }
    ledger.accepted.retain(|name, _| !removed.contains(name));
}

fn read_one(
    judge: &Judge<'_>,
    text: &str,
) -> Result<(VerifiedRevision, PolicyRevision, Accepted), Refused> {
    let bytes = STANDARD.decode(text).map_err(|e| {
        refused("policy.malformed", format!("A policy envelope is not base64 ({e})."))
    })?;
    let verified = skep_trust::verify_revision(judge.policy, &bytes, judge.floors)
        .map_err(|refusal| refused(refusal.code(), refusal.to_string()))?;
    let revision = PolicyRevision::from_json(verified.payload())
        .map_err(|e| refused("policy.malformed", e.to_string()))?;
    check_approvals(judge, &revision, verified.digest())?;
    let accepted = Accepted {
        revision: revision.revision,
        payload: verified.digest(),
        envelope: Digest::of(text.as_bytes()),
        removed: revision.removed,
    };
    // A rollout went back: what the operator signed into the revision runs instead of its own programs.
    let back = judge.operators.fallen_back.contains(&verified.digest());
    let revision = match back.then(|| revision.fallen_back()).flatten() {
        Some(fallen) => fallen,
        None => revision,
    };
    Ok((verified, revision, accepted))
}

fn lost(name: &PolicyName) -> Refused {
    refused(
        "policy.envelope_lost",
        format!(
            "The signed revision of policy {name} is no longer in the ledger; apply the policy again."
        ),
    )
}

fn refused(code: &str, message: String) -> Refused {
    Refused { code: code.to_owned(), message }
}
