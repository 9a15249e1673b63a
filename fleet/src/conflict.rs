//! What an operator should know before several programs share a hook. Warns; never refuses.

use crate::desired::{DesiredChain, DesiredMember};
use crate::how::{AttachMode, Backend, How};
use serde::Serialize;
use skep_artifact::hook::{Hook, Mode, VerdictSet};
use std::fmt;

/// One thing to look at before a chain is applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "conflict", rename_all = "kebab-case")]
pub enum Conflict {
    /// More members than the backend holds that the chain gets.
    TooManyMembers { interface: String, hook: Hook, found: usize, most: usize },
    /// A member goes on after fewer verdicts than the default, so that it hides packets from the
    /// members behind it, of another policy.
    HidesPackets { interface: String, hook: Hook, member: String, from: Vec<String> },
    /// Two policies seat a member with the same priority: the order is the policies' names.
    SamePriority { interface: String, hook: Hook, priority: u32, members: Vec<String> },
    /// The same package runs twice in one chain and keeps its state twice.
    SamePackageTwice { interface: String, hook: Hook, package: String, members: Vec<String> },
    /// Two policies ask for different backends or modes: the first one by name is followed.
    WishesDiffer {
        interface: String,
        hook: Hook,
        what: &'static str,
        taken: String,
        not: Vec<String>,
    },
}

/// Everything noteworthy about one composed chain.
#[must_use]
pub fn conflicts(chain: &DesiredChain) -> Vec<Conflict> {
    let members_max = chain.how().backend.members_max();
    let (interface, hook) = (&chain.interface, chain.hook);
    let mut found = Vec::new();
    if chain.members.len() > members_max {
        found.push(Conflict::TooManyMembers {
            interface: interface.clone(),
            hook,
            found: chain.members.len(),
            most: members_max,
        });
    }
    found.extend(wishes_differ(chain, "backend", |how| {
        (how.backend != Backend::Auto).then(|| how.backend.as_str())
    }));
    found.extend(wishes_differ(chain, "mode", |how| {
        (how.mode != AttachMode::Auto).then(|| how.mode.as_str())
    }));
    for (seat, member) in chain.members.iter().enumerate() {
        let behind = &chain.members[seat + 1..];
        found.extend(hides_packets(chain, member, behind));
        found.extend(same_priority(chain, seat));
        found.extend(same_package(chain, seat));
    }
    found
}

fn title(member: &DesiredMember) -> String {
    format!("{}/{}", member.policy, member.name)
}

fn hides_packets(
    chain: &DesiredChain,
    member: &DesiredMember,
    behind: &[DesiredMember],
) -> Option<Conflict> {
    let narrow = member.mode == Mode::Enforce
        && !VerdictSet::default_for(chain.hook).iter().all(|v| member.proceed_on.contains(v));
    let from: Vec<String> =
        behind.iter().filter(|other| other.policy != member.policy).map(title).collect();
    (narrow && !from.is_empty()).then(|| Conflict::HidesPackets {
        interface: chain.interface.clone(),
        hook: chain.hook,
        member: title(member),
        from,
    })
}

fn same_priority(chain: &DesiredChain, seat: usize) -> Option<Conflict> {
    let member = &chain.members[seat];
    let first = chain.members[..seat].iter().all(|m| m.priority != member.priority);
    let sharing: Vec<&DesiredMember> =
        chain.members[seat..].iter().filter(|m| m.priority == member.priority).collect();
    let policies_differ = sharing.iter().any(|m| m.policy != member.policy);
    (first && policies_differ).then(|| Conflict::SamePriority {
        interface: chain.interface.clone(),
        hook: chain.hook,
        priority: member.priority,
        members: sharing.into_iter().map(title).collect(),
    })
}

fn same_package(chain: &DesiredChain, seat: usize) -> Option<Conflict> {
    let member = &chain.members[seat];
    let same = |m: &&DesiredMember| m.package == member.package && m.program == member.program;
    let first = !chain.members[..seat].iter().any(|m| same(&m));
    let members: Vec<String> = chain.members[seat..].iter().filter(same).map(title).collect();
    (first && members.len() > 1).then(|| Conflict::SamePackageTwice {
        interface: chain.interface.clone(),
        hook: chain.hook,
        package: member.package.to_string(),
        members,
    })
}

fn wishes_differ(
    chain: &DesiredChain,
    what: &'static str,
    wish: impl Fn(&How) -> Option<&'static str>,
) -> Option<Conflict> {
    let mut asked =
        chain.asked.iter().filter_map(|(policy, how)| Some((policy.to_string(), wish(how)?)));
    let (policy, word) = asked.next()?;
    let said = |policy: &str, word: &str| format!("{word} (asked for by {policy})");
    let not: Vec<String> =
        asked.filter(|(_, other)| *other != word).map(|(p, other)| said(&p, other)).collect();
    (!not.is_empty()).then(|| Conflict::WishesDiffer {
        interface: chain.interface.clone(),
        hook: chain.hook,
        what,
        taken: said(&policy, word),
        not,
    })
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooManyMembers { interface, hook, found, most } => write!(
                f,
                "{interface} {hook}: {found} members, but a chain holds at most {most}. The node will refuse this chain and keep the old one."
            ),
            Self::HidesPackets { interface, hook, member, from } => write!(
                f,
                "{interface} {hook}: {member} can end the chain on packets it lets pass, before {} see them.",
                from.join(", ")
            ),
            Self::SamePriority { interface, hook, priority, members } => write!(
                f,
                "{interface} {hook}: {} share priority {priority}; the names of their policies decide the order.",
                members.join(", ")
            ),
            Self::WishesDiffer { interface, hook, what, taken, not } => write!(
                f,
                "{interface} {hook}: policies ask for different {what}s; the node takes {taken}, not {}.",
                not.join(", ")
            ),
            Self::SamePackageTwice { interface, hook, package, members } => write!(
                f,
                "{interface} {hook}: {package} runs more than once ({}), each with state of its own.",
                members.join(", ")
            ),
        }
    }
}
