//! PURE: what a report says and when one is due. Refuses to know how it travels.

use crate::node::Summary;
use skep_api::v1::chains::{ChainStatus, MemberCounters};
use skep_api::v1::nodes::NodeFacts;
use skep_api::v1::sync::Report;
use std::time::Duration;

/// Shortest time between two reports that differ in counters alone.
pub const COUNTERS_PERIOD: Duration = Duration::from_secs(5);

/// Whether a report should go out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// Something changed that somebody waits for.
    Now,
    /// Only counters moved, and the last report is too young.
    Later,
    /// Nothing the server does not know.
    No,
}

/// Fills in a report.
#[must_use]
pub fn fill(summary: Summary, facts: NodeFacts, boot_id: String, seq: u64) -> Report {
    let Summary { seen, applied, refusal, chains, notes, interfaces: _, log, standing } = summary;
    let standing = Some(standing);
    Report { boot_id, seq, facts, seen, applied, refusal, chains, notes, log, standing }
}

/// Compares a report with the one sent before it, `age` ago.
#[must_use]
pub fn due(sent: Option<&Report>, age: Duration, next: &Report) -> Due {
    let Some(sent) = sent else { return Due::Now };
    if without_counters(sent) != without_counters(next) {
        return Due::Now;
    }
    match (sent.chains == next.chains, age >= COUNTERS_PERIOD) {
        (true, _) => Due::No,
        (false, true) => Due::Now,
        (false, false) => Due::Later,
    }
}

fn without_counters(report: &Report) -> Report {
    let chains = report.chains.iter().map(|chain| {
        let still = |m: &skep_api::v1::chains::MemberStatus| {
            let counters = MemberCounters::default();
            skep_api::v1::chains::MemberStatus { counters, ..m.clone() }
        };
        ChainStatus { members: chain.members.iter().map(still).collect(), ..chain.clone() }
    });
    Report { seq: 0, chains: chains.collect(), ..report.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use skep_api::v1::chains::MemberStatus;
    use skep_api::v1::nodes::Refused;
    use skep_artifact::digest::Digest;
    use skep_artifact::hook::{Failure, Hook, Mode, VerdictSet};

    fn report(seq: u64, packets: u64) -> Report {
        let member = MemberStatus {
            policy: "fw".to_owned(),
            name: "m".to_owned(),
            package: "skep/firewall".parse().unwrap(),
            version: semver::Version::new(1, 0, 0),
            index: Digest::of(b"index"),
            program: "xdp_firewall".to_owned(),
            program_id: 7,
            priority: 10,
            proceed_on: VerdictSet::default_for(Hook::Xdp),
            mode: Mode::Enforce,
            failure: Failure::Closed,
            counters: MemberCounters { packets, ..MemberCounters::default() },
        };
        let chain = ChainStatus {
            interface: "eth0".to_owned(),
            hook: Hook::Xdp,
            backend: "slots".to_owned(),
            backend_reason: String::new(),
            attach_mode: "native".to_owned(),
            generation: 1,
            applied_at: 0,
            members: vec![member],
        };
        let summary = Summary {
            seen: None,
            applied: None,
            refusal: None,
            chains: vec![chain],
            notes: vec![],
            interfaces: vec![],
            log: None,
            standing: skep_api::v1::operators::Standing::default(),
        };
        fill(summary, NodeFacts::default(), "boot".to_owned(), seq)
    }

    #[test]
    fn the_first_report_goes_out_at_once() {
        assert_eq!(due(None, Duration::ZERO, &report(1, 0)), Due::Now);
    }

    #[test]
    fn nothing_new_is_never_reported_again() {
        assert_eq!(due(Some(&report(1, 5)), Duration::from_secs(9999), &report(2, 5)), Due::No);
    }

    #[test]
    fn moving_counters_wait_for_their_period() {
        let young = COUNTERS_PERIOD - Duration::from_millis(1);
        assert_eq!(due(Some(&report(1, 5)), young, &report(2, 6)), Due::Later);
        assert_eq!(due(Some(&report(1, 5)), COUNTERS_PERIOD, &report(2, 6)), Due::Now);
    }

    #[test]
    fn a_refusal_goes_out_at_once() {
        let refusal = Refused { code: "policy.rollback".to_owned(), message: String::new() };
        let refused = Report { refusal: Some(refusal), ..report(2, 5) };
        assert_eq!(due(Some(&report(1, 5)), Duration::ZERO, &refused), Due::Now);
    }
}
