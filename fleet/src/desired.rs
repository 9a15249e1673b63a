//! The chains that all policies together ask of one node. Refuses to know what runs there now.

use crate::how::How;
use crate::ids::{MemberName, PolicyName};
use crate::policy::PolicyRevision;
use crate::selector::Labels;
use serde::{Deserialize, Serialize};
use skep_artifact::config::ConfigValues;
use skep_artifact::digest::Digest;
use skep_artifact::hook::{Failure, Hook, Mode, VerdictSet};
use skep_artifact::name::PackageName;
use std::collections::BTreeMap;

/// The chain wanted on one (interface, hook), members in the order packets meet them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DesiredChain {
    pub interface: String,
    pub hook: Hook,
    pub members: Vec<DesiredMember>,
    /// What policies ask for beyond their members; those that leave it to the node are not named.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub asked: BTreeMap<PolicyName, How>,
}

impl DesiredChain {
    /// How the chain shall be built and attached: the wishes of its policies together.
    #[must_use]
    pub fn how(&self) -> How {
        How::together(self.asked.values())
    }
}

/// One program of a wanted chain, and the policy that wants it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DesiredMember {
    pub policy: PolicyName,
    pub name: MemberName,
    pub package: PackageName,
    pub version: semver::Version,
    pub index: Digest,
    pub program: String,
    pub priority: u32,
    pub proceed_on: VerdictSet,
    pub mode: Mode,
    pub failure: Failure,
    pub config: ConfigValues,
}

impl DesiredMember {
    /// The total order of a chain: (priority, policy name, member name). It depends on nothing
    /// that happened before, so it is the same on every node.
    #[must_use]
    pub fn order(&self) -> (u32, &PolicyName, &MemberName) {
        (self.priority, &self.policy, &self.name)
    }
}

/// Puts together what every policy that selects this node asks, for the interfaces it has.
///
/// Revisions of one policy are not merged: pass the newest of each.
#[must_use]
pub fn compose(
    revisions: &[PolicyRevision],
    labels: &Labels,
    interfaces: &[String],
) -> Vec<DesiredChain> {
    let mut chains: BTreeMap<(String, Hook), DesiredChain> = BTreeMap::new();
    for revision in revisions.iter().filter(|r| !r.removed && r.nodes.matches(labels)) {
        let wanted = interfaces.iter().filter(|i| revision.attach.interfaces.matches(i));
        for interface in wanted {
            let (hook, how) = (revision.attach.hook, revision.attach.how());
            let empty = || DesiredChain {
                interface: interface.clone(),
                hook,
                members: Vec::new(),
                asked: BTreeMap::new(),
            };
            let chain = chains.entry((interface.clone(), hook)).or_insert_with(empty);
            chain.members.extend(members_of(revision));
            if !how.is_default() {
                chain.asked.insert(revision.name.clone(), how);
            }
        }
    }
    let in_order = |mut chain: DesiredChain| {
        chain.members.sort_by(|a, b| a.order().cmp(&b.order()));
        chain
    };
    chains.into_values().map(in_order).collect()
}

fn members_of(revision: &PolicyRevision) -> impl Iterator<Item = DesiredMember> + '_ {
    revision.programs.iter().map(|program| DesiredMember {
        policy: revision.name.clone(),
        name: program.name.clone(),
        package: program.package.clone(),
        version: program.version.clone(),
        index: program.index,
        program: program.program.clone(),
        priority: program.priority,
        proceed_on: program.proceed_on,
        mode: program.mode,
        failure: program.failure,
        config: program.config.clone(),
    })
}
