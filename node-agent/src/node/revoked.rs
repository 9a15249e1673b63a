//! What becomes of chains that revoked content is part of, as the node's owner decided: kept, replaced or taken off.
//! Refuses to know how content comes to be revoked.

use super::Node;
use crate::ledger::Place;
use skep_api::v1::nodes::Refused;
use skep_api::v1::operators::RevokedHere;
use skep_fleet::{DesiredChain, DesiredMember, PolicyName, PolicyRevision, compose};
use skep_trust::revocation::KnownRevocation;
use skep_trust::{OnRevoke, Wanted};
use std::collections::BTreeSet;

/// A wanted chain after revoked content was dealt with.
pub(super) struct Cleaned {
    /// The chain without it; nothing when nothing is left of it.
    pub(super) chain: Option<DesiredChain>,
    /// What was found, and what becomes of it.
    pub(super) revoked: Vec<RevokedHere>,
    /// Why nothing of the chain may be loaded, when revoked content is kept in it.
    pub(super) refused: Option<Refused>,
}

impl Node {
    /// Takes revoked content out of a chain, as far as the node's owner wants that.
    pub(super) fn cleaned(&self, desired: DesiredChain) -> Cleaned {
        let place = Place { interface: desired.interface.clone(), hook: desired.hook };
        let bad: Vec<&DesiredMember> =
            desired.members.iter().filter(|member| self.revocation_of(member).is_some()).collect();
        if bad.is_empty() {
            return Cleaned { chain: Some(desired), revoked: Vec::new(), refused: None };
        }
        let replaced = self.replaceable(&bad, &desired);
        let mut chain = if replaced.is_empty() {
            Some(desired.clone())
        } else {
            self.with_fallbacks_of(&place, &|policy| replaced.contains(policy))
        };
        let (mut revoked, mut refused) = (Vec::new(), None);
        for member in bad {
            let Some(known) = self.revocation_of(member) else { continue };
            let action = match self.parts.policy.on_revoke(member.package.namespace(), desired.hook)
            {
                OnRevoke::Fallback if replaced.contains(&member.policy) => "replaced",
                OnRevoke::Detach => "taken off",
                OnRevoke::Fallback | OnRevoke::Keep => "kept",
            };
            let here = said(&place, member, known, action);
            if action == "kept" {
                refused = refused.or_else(|| Some(refusal(&here)));
            }
            revoked.push(here);
        }
        if let Some(chain) = &mut chain {
            let hook = chain.hook;
            chain.members.retain(|member| {
                self.revocation_of(member).is_none()
                    || self.parts.policy.on_revoke(member.package.namespace(), hook)
                        != OnRevoke::Detach
            });
        }
        let chain = chain.filter(|chain| !chain.members.is_empty());
        Cleaned { chain, revoked, refused }
    }

    /// Policies whose revoked members give way to the fallback their revision names. Revoked content is never a fallback.
    fn replaceable(&self, bad: &[&DesiredMember], desired: &DesiredChain) -> BTreeSet<PolicyName> {
        let falls_back = |member: &&&DesiredMember| {
            let namespace = member.package.namespace();
            self.parts.policy.on_revoke(namespace, desired.hook) == OnRevoke::Fallback
        };
        let clean = |policy: &PolicyName| {
            let fallen = self.revisions.get(policy).and_then(PolicyRevision::fallen_back);
            fallen.is_some_and(|revision| {
                revision.programs.iter().all(|program| {
                    let (name, version) = (program.package.clone(), program.version.clone());
                    let wanted = Wanted { name, version, index: program.index };
                    self.ledger.floors.revocation_of(&wanted).is_none()
                })
            })
        };
        let policies = bad.iter().filter(falls_back).map(|member| member.policy.clone());
        policies.filter(clean).collect()
    }

    /// The chain of a place with the fallbacks of some policies in the place of their programs.
    pub(super) fn with_fallbacks_of(
        &self,
        place: &Place,
        which: &dyn Fn(&PolicyName) -> bool,
    ) -> Option<DesiredChain> {
        let fall = |revision: &PolicyRevision| match which(&revision.name) {
            true => revision.fallen_back().unwrap_or_else(|| revision.clone()),
            false => revision.clone(),
        };
        let revisions: Vec<PolicyRevision> = self.revisions.values().map(fall).collect();
        let interface = std::slice::from_ref(&place.interface);
        let chains = compose(&revisions, &self.parts.labels, interface);
        chains.into_iter().find(|chain| chain.hook == place.hook)
    }

    /// The chain of a place as every policy falls back that may; nothing when none of them names a fallback.
    pub(super) fn fallen_back_chain(&self, desired: &DesiredChain) -> Option<DesiredChain> {
        let place = Place { interface: desired.interface.clone(), hook: desired.hook };
        let chain = self.with_fallbacks_of(&place, &|_| true)?;
        (chain.members != desired.members).then_some(chain)
    }

    fn revocation_of(&self, member: &DesiredMember) -> Option<&KnownRevocation> {
        let (name, version) = (member.package.clone(), member.version.clone());
        self.ledger.floors.revocation_of(&Wanted { name, version, index: member.index })
    }
}

fn said(
    place: &Place,
    member: &DesiredMember,
    known: &KnownRevocation,
    action: &str,
) -> RevokedHere {
    RevokedHere {
        place: place.to_string(),
        package: format!("{} {}", member.package, member.version),
        reason: known.revocation.reason.clone(),
        severity: known.revocation.severity.to_string(),
        action: action.to_owned(),
    }
}

/// The sentence with which revoked content is reported.
pub(super) fn refusal(here: &RevokedHere) -> Refused {
    let RevokedHere { place, package, reason, severity, action } = here;
    let what = match action.as_str() {
        "replaced" => "Its policy's signed fallback runs instead.",
        "taken off" => "It was taken off, as the node policy's on-revoke says.",
        _ => {
            "What runs there is kept, as the node policy's on-revoke says; it is not loaded again."
        }
    };
    Refused {
        code: "package.revoked".to_owned(),
        message: format!(
            "{place}: {package} was revoked: {reason} (severity {severity}). {what} Apply a version that is not revoked."
        ),
    }
}
