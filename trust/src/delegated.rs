//! One step of verifying a package: who signs for its namespace by the registry's repository, and whether that is fresh.
//! It refuses to know how the repository was read. Keys pinned in the node's policy need none of this to sign.

use skep_artifact::Namespace;
use skep_artifact::role::Role;

use crate::policy::{NamespaceRule, NodePolicy, Signers};
use crate::refusal::Refusal;
use crate::tuf::{DelegationFault, Withheld};
use crate::verify::{UnixSeconds, Wanted};

/// Why the registry's repository does not vouch for a package.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RepositoryRefusal {
    /// The policy trusts a root, and its repository was never read.
    #[error(
        "the registry's trust metadata has not been read yet, so nobody is known to sign for {namespace}. The agent reads it as soon as the registry answers"
    )]
    Unknown {
        /// Whose package.
        namespace: Namespace,
    },
    /// Nobody delegates the namespace.
    #[error(
        "the registry's offline role does not delegate {namespace} to anybody. Ask the registry's trust keepers to (`skep trust delegate {namespace}`), or pin the publisher's keys in the node policy"
    )]
    NotDelegated {
        /// Whose package.
        namespace: Namespace,
    },
    /// Whoever signed up first has the name.
    #[error(
        "{namespace} was claimed by sign-up, which proves nothing about who owns it. Pin its keys in the node policy, or wait until the registry's offline role takes it over"
    )]
    SelfService {
        /// Whose package.
        namespace: Namespace,
    },
    /// The delegation is not one that is followed.
    #[error("the delegation of {namespace} is refused: {why}. Tell the registry's trust keepers")]
    Delegation {
        /// Whose package.
        namespace: Namespace,
        /// Why.
        why: DelegationFault,
    },
    /// The repository is not fresh: somebody withholds what is new, or its keepers are late.
    #[error(
        "the registry's trust metadata is not fresh: {reason}. What runs keeps running; nothing new is accepted until the registry shows newer metadata"
    )]
    NotFresh {
        /// Which role, and when it expired.
        reason: String,
    },
    /// The role file is another than the snapshot names.
    #[error(
        "the role file of {namespace} has version {found}, and the registry's snapshot names version {pinned}. Fetch it again"
    )]
    OtherRole {
        /// Whose role.
        namespace: Namespace,
        /// Its version.
        found: u64,
        /// The version named; 0 when none is.
        pinned: u64,
    },
}

impl RepositoryRefusal {
    /// A stable code for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unknown { .. } => "package.repository_unknown",
            Self::NotDelegated { .. } => "package.namespace_not_delegated",
            Self::SelfService { .. } => "package.self_service_not_pinned",
            Self::Delegation { why: DelegationFault::Overreaches { .. }, .. } => {
                "package.delegation_overreaches"
            }
            Self::Delegation { why: DelegationFault::NotTerminating, .. } => {
                "package.delegation_not_terminating"
            }
            Self::Delegation { .. } => "package.delegation_refused",
            Self::NotFresh { .. } => "package.repository_not_fresh",
            Self::OtherRole { .. } => "package.role_not_current",
        }
    }
}

/// Who must sign: the keys the policy pins, else those the offline role delegates to.
pub(crate) fn signers<'a>(
    policy: &'a NodePolicy,
    rule: &'a NamespaceRule,
    wanted: &Wanted,
) -> Result<&'a Signers, Refusal> {
    if let Some(pinned) = &rule.signers {
        return Ok(pinned);
    }
    let namespace = wanted.name.namespace().clone();
    let Some(delegations) = policy.delegations() else {
        return Err(refuse(wanted, RepositoryRefusal::Unknown { namespace }));
    };
    delegations.of(&namespace).map(|delegation| &delegation.signers).map_err(|withheld| {
        let why = match withheld {
            Withheld::NotDelegated => RepositoryRefusal::NotDelegated { namespace },
            Withheld::SelfService => RepositoryRefusal::SelfService { namespace },
            Withheld::Fault(why) => RepositoryRefusal::Delegation { namespace, why },
        };
        refuse(wanted, why)
    })
}

/// Whether the repository vouches for the role file now. `now` is the time of acceptance, as for expiry: what was
/// accepted under an earlier timestamp is judged by what was known then.
pub(crate) fn check_current(
    policy: &NodePolicy,
    wanted: &Wanted,
    role: &Role,
    now: UnixSeconds,
) -> Result<(), Refusal> {
    if policy.trust_root().is_none() {
        return Ok(());
    }
    let namespace = wanted.name.namespace().clone();
    let Some(delegations) = policy.delegations() else {
        return Err(refuse(wanted, RepositoryRefusal::Unknown { namespace }));
    };
    // Accepted before the newest timestamp was signed: nothing it names was known then.
    if now < delegations.time_floor() {
        return Ok(());
    }
    if now >= delegations.fresh_until() {
        let reason = delegations.why_not_fresh().to_owned();
        return Err(refuse(wanted, RepositoryRefusal::NotFresh { reason }));
    }
    let (found, pinned) = (role.version(), delegations.pin(&namespace).unwrap_or(0));
    if found != pinned {
        return Err(refuse(wanted, RepositoryRefusal::OtherRole { namespace, found, pinned }));
    }
    Ok(())
}

fn refuse(wanted: &Wanted, why: RepositoryRefusal) -> Refusal {
    Refusal::Repository { package: Box::new(wanted.clone()), why: Box::new(why) }
}
