//! One node: its header, facts, chains with their members, and the policies that want them.
//! It refuses to know how it is polled.

use crate::view::chain::Amounts;
use crate::view::feed::{Freshness, Measure};
use crate::view::nodes::{self, StateMark};
use crate::view::package::Fact;
use crate::view::{format, link};
use crate::words;
use skep_api::v1::chains::{ChainStatus, MemberStatus};
use skep_api::v1::nodes::NodeDetail;
use skep_api::v1::policies::{PolicyInfo, PolicyList};

/// The top of the page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    pub name: String,
    pub state: StateMark,
    /// Kernel, chains, generation.
    pub facts: Vec<String>,
    pub last_seen_at: Option<i64>,
    /// Code and message of the refusal of the newest generation.
    pub refusal: Option<(String, String)>,
}

/// One member of a chain as a row of the table below the picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberRow {
    pub order: String,
    pub name: String,
    pub package: String,
    pub package_href: String,
    pub program: String,
    pub mode: String,
    pub proceed_on: String,
    /// Packets now, per second; a dash while unknown.
    pub rate: String,
    pub packets: String,
    pub bytes: String,
    pub verdicts: String,
    pub missed: String,
    /// What a packet costs; a dash while none was timed.
    pub time: String,
    /// The policy that wants it, and whether that is what runs.
    pub wanted: Wanted,
}

/// What a policy says about a running member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// The policies could not be read.
    Unknown { policy: String },
    /// The newest revision wants exactly this.
    Same { policy: String, revision: u64 },
    /// The newest revision wants something else.
    Other { policy: String, revision: u64, what: String },
    /// No policy asks for it any more.
    Nobody { policy: String },
}

/// One policy that selects the node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyRow {
    pub name: String,
    pub revision: String,
    pub attach: String,
    pub programs: String,
    pub applied_by: String,
    pub applied_at: i64,
    pub digest: String,
    pub digest_short: String,
}

/// The heading of one chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainHead {
    /// Stable while the chain stays on its hook; usable as an element id.
    pub id: String,
    pub title: String,
    pub backend: String,
    pub backend_reason: String,
    pub generation: String,
    pub applied_at: i64,
}

/// The top of the page.
#[must_use]
pub fn header(detail: &NodeDetail) -> Header {
    let node = &detail.summary;
    let facts = [
        words::kernel(&node.kernel),
        node.arch.clone(),
        format::counted(u64::from(node.chains), "chain", "chains"),
        words::generation(&nodes::generations(node)),
    ];
    Header {
        name: node.name.to_string(),
        state: nodes::state_mark(node.state),
        facts: facts.into_iter().filter(|fact| !fact.is_empty()).collect(),
        last_seen_at: node.last_seen_at,
        refusal: node.refusal.as_ref().map(|r| (r.code.clone(), r.message.clone())),
    }
}

/// The sentence about old numbers, with the moment they are from; `None` while they are of now.
#[must_use]
pub fn stale(freshness: Freshness) -> Option<(&'static str, Option<i64>)> {
    match freshness {
        Freshness::Live => None,
        Freshness::Quiet { since } => Some((words::QUIET_SINCE, Some(since))),
        Freshness::NodeSilent { since } => Some((words::NODE_SILENT_SINCE, Some(since))),
        Freshness::PageSilent { since } => Some((words::PAGE_SILENT_SINCE, Some(since))),
        Freshness::Never => Some((words::NEVER_REPORTED, None)),
    }
}

/// What is known of the machine.
#[must_use]
pub fn facts(detail: &NodeDetail) -> Vec<Fact> {
    let facts = &detail.facts;
    let fact = |label, value: &str| Fact { label, value: value.to_owned(), hover: String::new() };
    let mut all = vec![
        fact(words::LABEL_HOST, &facts.hostname),
        fact(words::LABEL_KERNEL_RELEASE, &facts.kernel),
        fact(words::LABEL_ARCH, &facts.arch),
        fact(words::LABEL_AGENT, &facts.agent_version),
        fact(words::LABEL_INTERFACES, &facts.interfaces.join(", ")),
        fact(words::LABEL_LABELS, &nodes::labels(&detail.summary)),
    ];
    all.retain(|fact| !fact.value.is_empty());
    all
}

/// Probed features: name, `yes` or why not.
#[must_use]
pub fn features(detail: &NodeDetail) -> Vec<(String, bool, String)> {
    let row = |f: &skep_api::v1::nodes::Feature| {
        let text = if f.supported { words::YES.to_owned() } else { words::no_because(&f.reason) };
        (f.name.clone(), f.supported, text)
    };
    detail.facts.features.iter().map(row).collect()
}

/// The heading of one chain.
#[must_use]
pub fn chain_head(chain: &ChainStatus) -> ChainHead {
    let hook = chain.hook.as_str();
    ChainHead {
        id: format!("chain-{}-{hook}", chain.interface),
        title: format!("{} · {}", chain.interface, [hook, &chain.attach_mode].join(" ").trim()),
        backend: words::backend(&chain.backend),
        backend_reason: chain.backend_reason.clone(),
        generation: words::generation(&chain.generation.to_string()),
        applied_at: chain.applied_at,
    }
}

/// The members of a chain as rows.
#[must_use]
pub fn member_rows(
    chain: &ChainStatus,
    amounts: &[Amounts],
    measure: Measure,
    policies: Option<&PolicyList>,
) -> Vec<MemberRow> {
    let row = |(i, member): (usize, &MemberStatus)| {
        let rate = match (measure, amounts.get(i)) {
            (Measure::PerSecond, Some(now)) => format::rate(now.packets),
            (Measure::PerSecond, None) | (Measure::Total, _) => "—".to_owned(),
        };
        let package = member.package.to_string();
        MemberRow {
            order: member.priority.to_string(),
            name: member.name.clone(),
            package_href: link::version(&package, &member.version.to_string()),
            package: format!("{package} {}", member.version),
            program: member.program.clone(),
            mode: member.mode.to_string(),
            proceed_on: member.proceed_on.to_string(),
            rate,
            packets: format::count(member.counters.packets),
            bytes: format::bytes(member.counters.bytes),
            verdicts: verdicts(member),
            missed: format::count(member.counters.missed),
            time: amounts
                .get(i)
                .and_then(|now| now.ns_per_packet)
                .map_or_else(|| "—".to_owned(), format::nanoseconds),
            wanted: wanted(member, policies),
        }
    };
    chain.members.iter().enumerate().map(row).collect()
}

fn verdicts(member: &MemberStatus) -> String {
    let one = |v: &skep_api::v1::chains::VerdictCount| {
        format!("{} {}", v.verdict, format::count(v.packets))
    };
    member.counters.verdicts.iter().map(one).collect::<Vec<_>>().join(" · ")
}

fn wanted(member: &MemberStatus, policies: Option<&PolicyList>) -> Wanted {
    let policy = member.policy.clone();
    let Some(list) = policies else { return Wanted::Unknown { policy } };
    let same_policy = |p: &&PolicyInfo| p.revision.name.as_str() == policy;
    let Some(info) = list.policies.iter().find(same_policy) else {
        return Wanted::Nobody { policy };
    };
    let revision = info.revision.revision;
    let same_member = |p: &&skep_fleet::policy::PinnedProgram| p.name.as_str() == member.name;
    let Some(program) = info.revision.programs.iter().find(same_member) else {
        return Wanted::Nobody { policy };
    };
    if program.index == member.index && program.program == member.program {
        return Wanted::Same { policy, revision };
    }
    Wanted::Other { policy, revision, what: format!("{} {}", program.package, program.version) }
}

/// The policies that select this node.
#[must_use]
pub fn policy_rows(node: &str, policies: &PolicyList) -> Vec<PolicyRow> {
    let selects = |p: &&PolicyInfo| p.nodes.iter().any(|name| name == node);
    policies.policies.iter().filter(selects).map(policy_row).collect()
}

/// One policy as a row.
#[must_use]
pub fn policy_row(info: &PolicyInfo) -> PolicyRow {
    let attach = &info.revision.attach;
    let program =
        |p: &skep_fleet::policy::PinnedProgram| format!("{} ({} {})", p.name, p.package, p.version);
    PolicyRow {
        name: info.revision.name.to_string(),
        revision: format!("r{}", info.revision.revision),
        attach: format!("{} on {}", attach.hook, attach.interfaces.patterns.join(", ")),
        programs: info.revision.programs.iter().map(program).collect::<Vec<_>>().join(", "),
        applied_by: info.applied_by.clone(),
        applied_at: info.applied_at,
        digest: info.digest.to_string(),
        digest_short: info.digest.short(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::{chain, samples};

    #[test]
    fn the_header_says_state_kernel_and_generation() {
        let header = header(&samples::node());
        assert_eq!(header.name, "edge-07");
        assert_eq!(header.state.word, "healthy");
        assert_eq!(header.facts, ["Linux 6.12.117", "amd64", "1 chain", "generation 41"]);
    }

    #[test]
    fn a_chain_names_interface_hook_and_mode() {
        let head = chain_head(&samples::chain());
        assert_eq!(head.title, "eth0 · xdp native");
        assert_eq!(head.id, "chain-eth0-xdp");
        let tc = ChainStatus { attach_mode: String::new(), ..samples::chain() };
        assert_eq!(chain_head(&tc).title, "eth0 · xdp");
    }

    #[test]
    fn members_show_totals_and_rates_only_when_known() {
        let chain = samples::chain();
        let totals = chain::totals(&chain);
        let rows = member_rows(&chain, &totals, Measure::Total, None);
        assert_eq!(rows[0].rate, "—");
        assert_eq!(rows[0].packets, "1,000");
        assert_eq!(rows[0].verdicts, "pass 960 · drop 40");
        assert_eq!(rows[0].package_href, "/p/skep/firewall/1.4.2");
        let rows = member_rows(&chain, &totals, Measure::PerSecond, None);
        assert_eq!(rows[0].rate, "1.00 k/s");
    }

    #[test]
    fn a_member_is_compared_with_the_policy_that_wants_it() {
        let chain = samples::chain();
        let totals = chain::totals(&chain);
        let rows = |list: &PolicyList| member_rows(&chain, &totals, Measure::Total, Some(list));
        let mut list = samples::policies();
        assert_eq!(rows(&list)[0].wanted, Wanted::Same { policy: "edge".into(), revision: 12 });
        assert_eq!(rows(&list)[2].wanted, Wanted::Nobody { policy: "flows".into() });
        list.policies[0].revision.programs[0].index = samples::digest(b"newer");
        list.policies[0].revision.programs[0].version = semver::Version::new(1, 5, 0);
        let what = "skep/firewall 1.5.0".to_owned();
        let policy = "edge".to_owned();
        assert_eq!(rows(&list)[0].wanted, Wanted::Other { policy, revision: 12, what });
        list.policies[0].revision.programs.clear();
        assert_eq!(rows(&list)[0].wanted, Wanted::Nobody { policy: "edge".into() });
    }

    #[test]
    fn only_policies_that_select_the_node_are_shown() {
        let list = samples::policies();
        assert_eq!(policy_rows("edge-07", &list).len(), 1);
        assert_eq!(policy_rows("edge-07", &list)[0].attach, "xdp on eth*");
        assert!(policy_rows("core-01", &list).is_empty());
    }

    #[test]
    fn old_numbers_say_since_when() {
        assert_eq!(stale(Freshness::Live), None);
        assert_eq!(
            stale(Freshness::PageSilent { since: 7 }),
            Some((words::PAGE_SILENT_SINCE, Some(7)))
        );
        assert_eq!(stale(Freshness::Never), Some((words::NEVER_REPORTED, None)));
    }

    #[test]
    fn a_missing_feature_says_why() {
        let rows = features(&samples::node());
        assert_eq!(rows[0], ("xdp-native".into(), true, "yes".into()));
        assert_eq!(rows[1].2, "no: the kernel denies EXT programs");
    }
}
