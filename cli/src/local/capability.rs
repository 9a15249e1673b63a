//! Which rights a process needs to work on chains, and which it lacks. Refuses to know how rights are
//! given.

use rustix::thread::{CapabilitySet, capabilities};

/// A right that work on chains needs. The kernel takes `CAP_SYS_ADMIN` for the two younger ones.
struct Needed {
    name: &'static str,
    any_of: CapabilitySet,
    why: &'static str,
}

const NEEDED: [Needed; 4] = [
    Needed {
        name: "CAP_BPF",
        any_of: CapabilitySet::BPF.union(CapabilitySet::SYS_ADMIN),
        why: "loading programs",
    },
    Needed {
        name: "CAP_NET_ADMIN",
        any_of: CapabilitySet::NET_ADMIN,
        why: "attaching them to an interface",
    },
    Needed {
        name: "CAP_PERFMON",
        any_of: CapabilitySet::PERFMON.union(CapabilitySet::SYS_ADMIN),
        why: "reading what they point to",
    },
    Needed {
        name: "CAP_SYS_ADMIN",
        any_of: CapabilitySet::SYS_ADMIN,
        why: "looking up what others attached",
    },
];

/// This process may not do what was asked for.
#[derive(Debug, thiserror::Error)]
#[error(
    "{what} needs rights that this process does not have: {}. Run it as root (sudo), or give it the missing rights.",
    missing.join(", ")
)]
pub(crate) struct MissingRights {
    what: &'static str,
    missing: Vec<String>,
}

/// Checks the rights before anything is tried, so that the answer names them.
///
/// # Errors
/// [`MissingRights`] names each right and what it is for.
pub(crate) fn check(what: &'static str) -> Result<(), MissingRights> {
    // A kernel that does not tell is asked by trying.
    let Ok(sets) = capabilities(None) else { return Ok(()) };
    let missing = missing(sets.effective);
    if missing.is_empty() { Ok(()) } else { Err(MissingRights { what, missing }) }
}

fn missing(have: CapabilitySet) -> Vec<String> {
    let lacks = |needed: &&Needed| !have.intersects(needed.any_of);
    NEEDED.iter().filter(lacks).map(|n| format!("{} ({})", n.name, n.why)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_missing_right_is_named_once_with_what_it_is_for() {
        assert_eq!(missing(CapabilitySet::NET_ADMIN | CapabilitySet::SYS_ADMIN), [""; 0]);
        let almost = CapabilitySet::BPF | CapabilitySet::PERFMON | CapabilitySet::SYS_ADMIN;
        assert_eq!(missing(almost), ["CAP_NET_ADMIN (attaching them to an interface)"]);
        assert_eq!(missing(CapabilitySet::empty()).len(), 4);
    }
}
