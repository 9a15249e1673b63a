//! PURE: policy sets, approvals, revocations and assignments as this node takes them: each verified by `trust` against the
//! node's own policy. Refuses to know what becomes of a chain, and where anything is kept.

use crate::envelope::{Judge, Seat};
use crate::ledger::OperatorLedger;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use skep_api::v1::nodes::Refused;
use skep_api::v1::operators::Notices;
use skep_artifact::digest::Digest;
use skep_artifact::dsse::Envelope;
use skep_artifact::key::PublicKey;
use skep_fleet::policy::ApprovalRule;
use skep_fleet::selector::{Labels, Selector};
use skep_fleet::{NodeName, PolicyName, PolicyRevision};
use skep_trust::assignment::Expected;
use skep_trust::set::Lacking;
use skep_trust::{
    Approval, Floors, NodePolicy, NotSigned, RevocationRefusal, VerifiedAssignment, VerifiedSet,
    accept_unsigned, verify_approvals, verify_assignment, verify_revocation, verify_set,
};
use std::collections::{BTreeMap, BTreeSet};

/// Approvals kept of one revision: more than operators have keys, for several waves.
const APPROVALS_KEPT_MAX: usize = 256;

/// Revocations that wait until their signers are known. A registry that sends more of them gains nothing: they are those
/// it could keep back as well.
const WAITING_MAX: usize = 64;

/// Who this node is to its server.
#[derive(Debug, Clone)]
pub struct Me {
    pub name: String,
    /// The key its server signs assignments with, as learned at enrolment; absent when it enrolled at an older server.
    pub server: Option<PublicKey>,
}

/// What notices came to.
#[derive(Debug)]
pub struct Taken {
    pub floors: Floors,
    pub operators: OperatorLedger,
    pub refused: Vec<Refused>,
}

/// Takes what counts of a set, of approvals and of revocations. A denial counts whatever else is wrong.
#[must_use]
pub fn take(
    policy: &NodePolicy,
    floors: &Floors,
    operators: &OperatorLedger,
    notices: &Notices,
) -> Taken {
    let mut taken =
        Taken { floors: floors.clone(), operators: operators.clone(), refused: Vec::new() };
    for envelope in &notices.revocations {
        take_revocation(policy, &mut taken, envelope);
    }
    // A server that was restored has fewer than it had; then it is asked for all of them again.
    taken.operators.revocations_seen = notices.revocations_in_all;
    // Where nobody may sign, each revision is refused with advice on whom to accept; the set would only say less.
    if let (Some(envelope), Some(_)) = (&notices.set, policy.operator()) {
        match decoded(envelope, "set.malformed").and_then(|bytes| {
            verify_set(policy, &bytes, &taken.floors)
                .map_err(|refusal| refused(refusal.code(), refusal.to_string()))
        }) {
            Ok(set) => {
                taken.floors = taken.floors.raise_set(&set);
                taken.operators.set = Some(envelope.clone());
            }
            Err(refusal) => taken.refused.push(refusal),
        }
    }
    keep_approvals(&mut taken.operators.approvals, &notices.approvals);
    taken
}

/// Looks again at revocations whose signers were not known, after the trust metadata was read anew. What still does not
/// count goes on waiting.
#[must_use]
pub fn take_waiting(policy: &NodePolicy, floors: &Floors, operators: &OperatorLedger) -> Taken {
    let (floors, mut operators) = (floors.clone(), operators.clone());
    let waiting = std::mem::take(&mut operators.waiting);
    let mut taken = Taken { floors, operators, refused: Vec::new() };
    for envelope in &waiting {
        take_revocation(policy, &mut taken, envelope);
    }
    taken
}

fn take_revocation(policy: &NodePolicy, taken: &mut Taken, envelope: &str) {
    let bytes = match decoded(envelope, "revocation.malformed") {
        Ok(bytes) => bytes,
        Err(refusal) => return taken.refused.push(refusal),
    };
    match verify_revocation(policy, &bytes, &taken.floors) {
        Ok(verified) => taken.floors = taken.floors.raise_revocation(&verified),
        Err(refusal) => {
            taken.refused.push(refused(refusal.code(), refusal.to_string()));
            if policy.trust_root().is_some() && may_count_later(&refusal) {
                let waiting = &mut taken.operators.waiting;
                if waiting.len() >= WAITING_MAX {
                    waiting.remove(0);
                }
                waiting.push(envelope.to_owned());
            }
        }
    }
}

/// Whether other keys for the namespace could make it count, or a revocation before it that waits as well.
fn may_count_later(refusal: &RevocationRefusal) -> bool {
    match refusal {
        RevocationRefusal::NotSigned(why) => matches!(
            why,
            NotSigned::Nobody { .. } | NotSigned::Untrusted { .. } | NotSigned::Threshold { .. }
        ),
        RevocationRefusal::NothingToLift { .. } => true,
        RevocationRefusal::LiftNotAllowed { .. } | RevocationRefusal::TooMany => false,
    }
}

/// Sorts approvals by the revision they name. They are verified when they are needed.
fn keep_approvals(kept: &mut BTreeMap<Digest, BTreeSet<String>>, offered: &[String]) {
    for text in offered {
        let Some(revision) = approved_revision(text) else { continue };
        let of_revision = kept.entry(revision).or_default();
        if of_revision.len() < APPROVALS_KEPT_MAX {
            of_revision.insert(text.clone());
        }
    }
}

fn approved_revision(text: &str) -> Option<Digest> {
    let envelope = Envelope::parse(&STANDARD.decode(text).ok()?).ok()?;
    Approval::read_unverified(envelope.unverified_payload()).ok().map(|approval| approval.revision)
}

/// Refuses a revision that asks for approvals it does not have. A node finds its own wave from the signed plan, and no
/// wave up to it may lack any; without a plan every wave that asks must have been approved.
///
/// # Errors
/// The refusal, naming the wave.
pub fn check_approvals(
    judge: &Judge<'_>,
    revision: &PolicyRevision,
    payload: Digest,
) -> Result<(), Refused> {
    let Some(rule) = &revision.approval else { return Ok(()) };
    let policy = judge.policy;
    let texts = judge.operators.approvals.get(&payload).into_iter().flatten();
    let envelopes: Vec<Vec<u8>> = texts.filter_map(|text| STANDARD.decode(text).ok()).collect();
    for wave in waves_that_ask(revision, rule, judge.seat) {
        let wanted =
            Approval { policy: revision.name.to_string(), revision: payload, wave: wave.clone() };
        let of_wave: Vec<Vec<u8>> =
            envelopes.iter().filter(|bytes| is_of_wave(bytes, &wave)).cloned().collect();
        let needed = usize::try_from(rule.by).unwrap_or(usize::MAX);
        verify_approvals(policy, &of_wave, &wanted, needed)
            .map_err(|refusal| refused(refusal.code(), refusal.to_string()))?;
    }
    Ok(())
}

fn waves_that_ask(revision: &PolicyRevision, rule: &ApprovalRule, seat: Seat<'_>) -> Vec<String> {
    match (&revision.rollout, seat.name.parse::<NodeName>()) {
        (Some(plan), Ok(node)) => {
            let wave = plan.wave_of(&revision.name, revision.revision, &node, seat.labels);
            plan.asking(rule, wave).into_iter().map(str::to_owned).collect()
        }
        _ => rule.before.clone(),
    }
}

fn is_of_wave(bytes: &[u8], wave: &str) -> bool {
    let approval = Envelope::parse(bytes)
        .ok()
        .and_then(|envelope| Approval::read_unverified(envelope.unverified_payload()).ok());
    approval.is_some_and(|approval| approval.wave == wave)
}

/// The accepted policy set, verified again.
#[must_use]
pub fn set_of(
    policy: &NodePolicy,
    floors: &Floors,
    operators: &OperatorLedger,
) -> Option<VerifiedSet> {
    let bytes = STANDARD.decode(operators.set.as_deref()?).ok()?;
    verify_set(policy, &bytes, floors).ok()
}

/// Refuses a state without any policy set on a node whose owner said which environment it is.
///
/// # Errors
/// `set.missing`.
pub fn require_set(policy: &NodePolicy, floors: &Floors) -> Result<(), Refused> {
    match (policy.environment(), &floors.set) {
        (Some(environment), None) => Err(refused(
            "set.missing",
            format!(
                "Refused: this node belongs to the environment {environment}, and no policy set of it was offered. Without one a server could leave policies out; apply the policies again, so that a set is signed."
            ),
        )),
        _ => Ok(()),
    }
}

/// Judges the assignment a state came with, or that it came with none. `signed` are the revisions in it that operators
/// signed, or that were refused one by one already.
///
/// # Errors
/// The refusal of `trust`: nothing of the state is followed then.
pub fn judge_assignment(
    me: &Me,
    envelope: Option<&str>,
    generation: u64,
    signed: &BTreeSet<Digest>,
    floors: &Floors,
    now: i64,
) -> Result<Option<VerifiedAssignment>, Refused> {
    let spoken =
        |refusal: skep_trust::AssignmentRefusal| refused(refusal.code(), refusal.to_string());
    let (Some(server), Some(envelope)) = (&me.server, envelope) else {
        return accept_unsigned(floors).map(|()| None).map_err(spoken);
    };
    let bytes = decoded(envelope, "assignment.malformed")?;
    let expected = Expected { server, node: &me.name, generation, signed };
    verify_assignment(&bytes, &expected, floors, now).map(Some).map_err(spoken)
}

/// Policies that the set names, that are for this node, and that the server left out of a state or keeps too old.
#[must_use]
pub fn left_out(
    set: &VerifiedSet,
    labels: &Labels,
    offered: &BTreeMap<PolicyName, u64>,
) -> Vec<Lacking> {
    let have = |policy: &str| {
        let name: PolicyName = policy.parse().ok()?;
        offered.get(&name).copied()
    };
    let concerns = |policy: &str| match set.selector(policy) {
        None => true,
        // A selector that cannot be read is not a reason to look away.
        Some(selector) => serde_json::from_value::<Selector>(selector.clone())
            .map_or(true, |selector| selector.matches(labels)),
    };
    set.lacking(&have, &concerns)
}

/// What a lacking policy is refused with, so that the state counts as refused and somebody looks.
#[must_use]
pub fn say_lacking(lacking: &Lacking) -> Refused {
    let Lacking { policy, wanted, have } = lacking;
    match have {
        None => refused(
            "set.policy_left_out",
            format!(
                "Refused: the signed policy set names policy {policy} for this node, and the server left it out. What runs is kept; look at the server, or apply the policy again."
            ),
        ),
        Some(have) => refused(
            "set.policy_outdated",
            format!(
                "Refused: the signed policy set asks for revision {wanted} of policy {policy}, and the server offers none newer than {have}. What runs is kept; look at the server, or apply the policy again."
            ),
        ),
    }
}

/// What a revision that the set left behind is refused with.
#[must_use]
pub fn say_too_low(policy: &PolicyName, found: u64, lowest: u64) -> Refused {
    refused(
        "set.revision_too_low",
        format!(
            "Refused: revision {found} of policy {policy} was offered, and the signed policy set accepts none below {lowest}. The server keeps the newer one back."
        ),
    )
}

fn decoded(text: &str, code: &str) -> Result<Vec<u8>, Refused> {
    STANDARD
        .decode(text)
        .map_err(|error| refused(code, format!("Refused: an envelope is not base64 ({error}).")))
}

fn refused(code: &str, message: String) -> Refused {
    Refused { code: code.to_owned(), message }
}
