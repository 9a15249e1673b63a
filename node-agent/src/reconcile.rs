//! PURE: from what was offered, accepted, wanted and seen to what happens next. Refuses to know
//! files, sockets, clocks and the kernel; everything is an argument.

use crate::ledger::{Accepted, Place};
use skep_api::v1::nodes::Refused;
use skep_api::v1::sync::{DesiredState, Have, POLICIES_MAX};
use skep_artifact::digest::Digest;
use skep_fleet::plan::{Step, WantedChain, plan};
use skep_fleet::{Generation, ObservedChain, PolicyName};
use std::collections::{BTreeMap, BTreeSet};

/// Why a desired state was refused before any signature was looked at. What runs stays.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OfferError {
    #[error(
        "The server offered generation {offered}, but this node already has generation {have}. An older state is never applied; look for a second server or a restored backup."
    )]
    Older { have: Generation, offered: Generation },
    #[error(
        "The server offered generation {generation} a second time with other content ({offered} instead of {have}). A number is used once; look for a second server or a restored backup."
    )]
    Reused { generation: Generation, have: Digest, offered: Digest },
    #[error(
        "The offered state says its digest is {said}, but its policies have {found}. It was changed on the way."
    )]
    Digest { said: Digest, found: Digest },
    #[error("The offered state holds {found} policies; a node takes at most {POLICIES_MAX}.")]
    TooMany { found: usize },
}

impl OfferError {
    /// The stable reason code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Older { .. } => "state.rollback",
            Self::Reused { .. } => "state.equivocation",
            Self::Digest { .. } => "state.digest_mismatch",
            Self::TooMany { .. } => "state.too_many_policies",
        }
    }
}

/// Judges number and content of an offered state. The same state again is fine.
///
/// # Errors
/// [`OfferError`] names what is wrong with it.
pub fn judge(newest: Option<Have>, offered: &DesiredState) -> Result<Have, OfferError> {
    let generation = offered.generation;
    if offered.policies.len() > POLICIES_MAX {
        return Err(OfferError::TooMany { found: offered.policies.len() });
    }
    let digest = DesiredState::digest_of(&offered.policies);
    if digest != offered.digest {
        return Err(OfferError::Digest { said: offered.digest, found: digest });
    }
    match newest {
        Some(have) if generation < have.generation => {
            Err(OfferError::Older { have: have.generation, offered: generation })
        }
        Some(have) if generation == have.generation && digest != have.digest => {
            Err(OfferError::Reused { generation, have: have.digest, offered: digest })
        }
        _ => Ok(Have { generation, digest }),
    }
}

/// A revision whose signatures were verified, before it is compared with what the node has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    pub name: PolicyName,
    pub accepted: Accepted,
}

/// What became of the revisions of an offered state.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Acceptance {
    /// The newest revision of every policy the node ever accepted.
    pub accepted: BTreeMap<PolicyName, Accepted>,
    pub refused: Vec<Refused>,
    /// Policies the server left out without a tombstone. The node keeps them: a server must not be
    /// able to take a firewall off by forgetting it.
    pub omitted: Vec<PolicyName>,
}

/// Takes what is newer, refuses what is older, keeps what was left out.
#[must_use]
pub fn accept(known: &BTreeMap<PolicyName, Accepted>, candidates: &[Candidate]) -> Acceptance {
    let mut result = Acceptance { accepted: known.clone(), ..Acceptance::default() };
    let mut in_order: Vec<&Candidate> = candidates.iter().collect();
    in_order.sort_by_key(|c| (&c.name, c.accepted.revision, c.accepted.payload));
    for candidate in in_order {
        match result.accepted.get(&candidate.name) {
            Some(have) if candidate.accepted.revision < have.revision => {
                result.refused.push(rollback(candidate, have));
            }
            Some(have)
                if candidate.accepted.revision == have.revision
                    && candidate.accepted.payload != have.payload =>
            {
                result.refused.push(equivocation(candidate));
            }
            _ => {
                result.accepted.insert(candidate.name.clone(), candidate.accepted);
            }
        }
    }
    let named: BTreeSet<&PolicyName> = candidates.iter().map(|c| &c.name).collect();
    let left_out = known.iter().filter(|(name, have)| !have.removed && !named.contains(name));
    result.omitted = left_out.map(|(name, _)| name.clone()).collect();
    result
}

fn rollback(candidate: &Candidate, have: &Accepted) -> Refused {
    let (name, offered, have) = (&candidate.name, candidate.accepted.revision, have.revision);
    Refused {
        code: "policy.rollback".to_owned(),
        message: format!(
            "Policy {name} was offered at revision {offered}, but this node already accepted revision {have}. An older revision is never applied again; sign a newer one."
        ),
    }
}

fn equivocation(candidate: &Candidate) -> Refused {
    let (name, revision) = (&candidate.name, candidate.accepted.revision);
    Refused {
        code: "policy.equivocation".to_owned(),
        message: format!(
            "Policy {name} was offered twice at revision {revision} with different content, both signed. Find out who signed the second one, then sign a newer revision."
        ),
    }
}

/// Why a wanted chain cannot be put in place now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Obstacle {
    /// A package is still being fetched.
    Pending,
    Refused(Refused),
}

/// What policies ask of one place.
#[derive(Debug, Clone, PartialEq)]
pub struct Wish {
    pub place: Place,
    pub wanted: Result<WantedChain, Obstacle>,
    /// What last ran there well; used only when nothing runs there and `wanted` cannot.
    pub fallback: Option<WantedChain>,
}

/// A chain of ours that runs.
#[derive(Debug, Clone, PartialEq)]
pub struct Running {
    pub chain: ObservedChain,
    /// Generation of the desired state that put it there.
    pub generation: u64,
}

/// A chain the kernel or the engine refused, and what it said. The same chain is not tried again
/// until something changes.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    pub place: Place,
    pub tried: WantedChain,
    pub refused: Refused,
}

/// Everything [`decide`] looks at.
pub struct View<'a> {
    pub wishes: &'a [Wish],
    pub running: &'a [Running],
    pub failures: &'a [Failure],
    /// Policies whose newest state (wanted or removed) this node knows and has verified.
    pub known: &'a BTreeSet<PolicyName>,
    /// Generation of the newest state of which anything was accepted.
    pub newest: u64,
    /// Whether a person took the chain off this place by hand.
    pub detached: &'a dyn Fn(&Place) -> bool,
}

/// What happens next.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Decision {
    pub steps: Vec<Step>,
    /// Places whose wanted chain is refused. What runs there stays.
    pub refused: BTreeMap<Place, Refused>,
    /// Places that wait for a package.
    pub pending: BTreeSet<Place>,
    pub notes: Vec<String>,
}

/// Decides place by place: one that is refused never stops another.
#[must_use]
pub fn decide(view: &View<'_>) -> Decision {
    let mut decision = Decision::default();
    let mut wanted: Vec<WantedChain> = Vec::new();
    let mut untouched = BTreeSet::new();
    for running in view.running {
        let place = place_of(&running.chain);
        if (view.detached)(&place) {
            continue;
        }
        if let Some(why) = hold(view, running) {
            decision.notes.push(format!("{place}: {why}"));
            untouched.insert(place);
        }
    }
    for wish in view.wishes {
        let place = &wish.place;
        if untouched.contains(place) {
            continue;
        }
        if (view.detached)(place) {
            decision.notes.push(format!(
                "{place}: detached by hand; `skep-agent resume` lets the agent attach again."
            ));
            continue;
        }
        match target(view, wish, &mut decision) {
            Some(chain) => wanted.push(chain),
            None => {
                untouched.insert(place.clone());
            }
        }
    }
    let seen = view.running.iter().map(|r| r.chain.clone());
    let running: Vec<ObservedChain> = seen.filter(|c| !untouched.contains(&place_of(c))).collect();
    decision.steps = plan(&wanted, &running);
    decision
}

/// The chain to put at a place, or nothing to leave it as it is.
fn target(view: &View<'_>, wish: &Wish, decision: &mut Decision) -> Option<WantedChain> {
    let place = &wish.place;
    let failed =
        |chain: &WantedChain| view.failures.iter().find(|f| f.place == *place && f.tried == *chain);
    let obstacle = match &wish.wanted {
        Ok(chain) => match failed(chain) {
            None => return Some(chain.clone()),
            Some(failure) => Obstacle::Refused(failure.refused.clone()),
        },
        Err(obstacle) => obstacle.clone(),
    };
    match obstacle {
        Obstacle::Pending => {
            decision.pending.insert(place.clone());
        }
        Obstacle::Refused(refused) => {
            decision.refused.insert(place.clone(), refused);
        }
    }
    let fallback = wish.fallback.as_ref().filter(|chain| failed(chain).is_none())?;
    let something_runs = view.running.iter().any(|r| place_of(&r.chain) == *place);
    if something_runs && !view.running.iter().any(|r| r.chain.serves(fallback)) {
        return None;
    }
    decision.notes.push(format!("{place}: runs what last ran there well."));
    Some(fallback.clone())
}

/// Why a running chain must not be touched, if it must not.
fn hold(view: &View<'_>, running: &Running) -> Option<String> {
    let strangers: BTreeSet<&str> = running
        .chain
        .members
        .iter()
        .filter(|m| !view.known.contains(&m.policy))
        .map(|m| m.policy.as_str())
        .collect();
    if !strangers.is_empty() {
        let names: Vec<&str> = strangers.into_iter().collect();
        return Some(format!(
            "runs members of policy {}, of which this node holds no verified revision; left as it is until one arrives.",
            names.join(", ")
        ));
    }
    (running.generation > view.newest).then(|| {
        format!(
            "runs generation {}, newer than generation {} in the ledger; left as it is until the server sends its state.",
            running.generation, view.newest
        )
    })
}

/// The place of a chain.
#[must_use]
pub fn place_of(chain: &ObservedChain) -> Place {
    Place { interface: chain.interface.clone(), hook: chain.hook }
}

#[cfg(test)]
mod tests;
