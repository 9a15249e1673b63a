//! What polling a node has brought so far: the newest answer, a short history for rates, and what went wrong.
//! It refuses to poll; it is told what came and when.

use crate::view::chain::{self, Amounts};
use crate::view::load::Failure;
use skep_api::v1::chains::{ChainStatus, MemberStatus};
use skep_api::v1::nodes::{NodeDetail, NodeState};
use std::collections::VecDeque;

/// Rates are taken over this many seconds: report times are whole seconds, so a shorter window would
/// err by more than a tenth.
const RATE_WINDOW_SECS: i64 = 10;
/// Most reports kept: a window of one report a second, and one more to measure from.
const REPORTS_MAX: usize = 12;
/// A report older than this many seconds is shown as old. Agents report every few seconds while
/// packets flow.
const REPORT_OLD_SECS: i64 = 20;

/// The state of a node page.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Feed {
    newest: Option<NodeDetail>,
    /// Moment of the newest answer, by the browser's clock, in seconds since 1970.
    answered_at: i64,
    failure: Option<Failure>,
    /// Older reports with different times, oldest first; the newest report is the last.
    reports: VecDeque<Report>,
}

#[derive(Debug, Clone, PartialEq)]
struct Report {
    at: i64,
    chains: Vec<ChainStatus>,
}

/// How much the numbers on the page can be trusted to be of now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// The newest report is young.
    Live,
    /// The node is connected and has had nothing to report since then.
    Quiet { since: i64 },
    /// The registry has not heard of the node since then.
    NodeSilent { since: i64 },
    /// This page has not reached the registry since then.
    PageSilent { since: i64 },
    /// The node has never reported.
    Never,
}

impl Feed {
    /// Takes an answer that came at `at`.
    pub fn answered(&mut self, detail: NodeDetail, at: i64) {
        if let Some(reported_at) = detail.reported_at {
            let newer = self.reports.back().is_none_or(|last| last.at < reported_at);
            if newer {
                self.reports.push_back(Report { at: reported_at, chains: detail.chains.clone() });
            }
            let keep_from = reported_at - RATE_WINDOW_SECS;
            while self.reports.len() > REPORTS_MAX
                || (self.reports.len() > 2 && self.reports[1].at <= keep_from)
            {
                self.reports.pop_front();
            }
        }
        self.newest = Some(detail);
        self.answered_at = at;
        self.failure = None;
    }

    /// Takes the news that no answer came. What was known stays.
    pub fn failed(&mut self, failure: Failure) {
        self.failure = Some(failure);
    }

    /// The newest answer, if there ever was one.
    #[must_use]
    pub fn newest(&self) -> Option<&NodeDetail> {
        self.newest.as_ref()
    }

    /// Why the last question was not answered.
    #[must_use]
    pub fn failure(&self) -> Option<&Failure> {
        self.failure.as_ref()
    }

    /// How old what is shown is. Uses the server's clock for the node and the browser's for the page,
    /// never one against the other.
    #[must_use]
    pub fn freshness(&self) -> Freshness {
        let Some(detail) = &self.newest else { return Freshness::Never };
        if self.failure.is_some() {
            return Freshness::PageSilent { since: self.answered_at };
        }
        let Some(reported_at) = detail.reported_at else { return Freshness::Never };
        if detail.summary.state == NodeState::Unreachable {
            return Freshness::NodeSilent {
                since: detail.summary.last_seen_at.unwrap_or(reported_at),
            };
        }
        if detail.now - reported_at > REPORT_OLD_SECS {
            return Freshness::Quiet { since: reported_at };
        }
        Freshness::Live
    }

    /// Packets per second of every member of a chain of the newest answer; `None` until two reports of
    /// the same chain can be compared. A quiet node has rates of zero: it would have reported otherwise.
    #[must_use]
    pub fn rates(&self, chain: &ChainStatus) -> Option<Vec<Amounts>> {
        if matches!(self.freshness(), Freshness::Quiet { .. }) {
            return Some(chain.members.iter().map(|_| Amounts::default()).collect());
        }
        let newest = self.reports.back()?;
        let (then, before) = self
            .reports
            .iter()
            .filter(|report| report.at < newest.at)
            .find_map(|report| Some((report.at, same_chain(&report.chains, chain)?)))?;
        #[expect(clippy::cast_precision_loss, reason = "a few seconds")]
        let secs = (newest.at - then) as f64;
        let pairs = before.members.iter().zip(&chain.members);
        pairs.map(|(b, a)| Amounts::per_second(&b.counters, &a.counters, secs)).collect()
    }

    /// Rates where they are known, totals where not.
    #[must_use]
    pub fn amounts(&self, chain: &ChainStatus) -> (Vec<Amounts>, Measure) {
        match self.rates(chain) {
            Some(rates) => (rates, Measure::PerSecond),
            None => (chain::totals(chain), Measure::Total),
        }
    }
}

/// What the numbers of a picture are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// Packets per second over the last seconds.
    PerSecond,
    /// Packets since the chain went live.
    Total,
}

/// The chain of an older report whose counters continue in this one.
fn same_chain<'c>(chains: &'c [ChainStatus], chain: &ChainStatus) -> Option<&'c ChainStatus> {
    let same_member = |(a, b): (&MemberStatus, &MemberStatus)| {
        a.program_id == b.program_id && a.name == b.name && a.policy == b.policy
    };
    chains.iter().find(|old| {
        old.interface == chain.interface
            && old.hook == chain.hook
            && old.generation == chain.generation
            && old.applied_at == chain.applied_at
            && old.members.len() == chain.members.len()
            && old.members.iter().zip(&chain.members).all(same_member)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::samples;

    /// The sample node as it reports at `at`, `packets` after the start.
    fn report(at: i64, packets: u64) -> NodeDetail {
        let mut detail = samples::node();
        detail.reported_at = Some(at);
        detail.now = at + 1;
        detail.chains[0].members[0].counters.packets += packets;
        detail.chains[0].members[0].counters.verdicts[0].packets += packets;
        detail
    }

    #[test]
    fn rates_come_from_two_reports_of_the_same_chain() {
        let mut feed = Feed::default();
        feed.answered(report(100, 0), 5000);
        let chain = |feed: &Feed| feed.newest().unwrap().chains[0].clone();
        assert_eq!(feed.amounts(&chain(&feed)).1, Measure::Total);
        feed.answered(report(100, 0), 5002);
        assert_eq!(feed.rates(&chain(&feed)), None);
        feed.answered(report(104, 400), 5004);
        assert_eq!(feed.rates(&chain(&feed)).unwrap()[0].packets, 100.0);
        assert_eq!(feed.amounts(&chain(&feed)).1, Measure::PerSecond);
    }

    #[test]
    fn rates_look_back_ten_seconds_not_further() {
        let mut feed = Feed::default();
        for (at, packets) in [(100, 0), (102, 0), (104, 0), (112, 0), (114, 1000)] {
            feed.answered(report(at, packets), at);
        }
        let chain = feed.newest().unwrap().chains[0].clone();
        // Measured from the report at 104, the youngest that is ten seconds old.
        assert_eq!(feed.rates(&chain).unwrap()[0].packets, 100.0);
    }

    #[test]
    fn a_replaced_chain_starts_over() {
        let mut feed = Feed::default();
        feed.answered(report(100, 500), 1);
        let mut swapped = report(103, 0);
        swapped.chains[0].generation += 1;
        feed.answered(swapped, 4);
        let chain = feed.newest().unwrap().chains[0].clone();
        assert_eq!(feed.rates(&chain), None);
        let mut later = report(105, 20);
        later.chains[0].generation += 1;
        feed.answered(later, 6);
        let chain = feed.newest().unwrap().chains[0].clone();
        assert_eq!(feed.rates(&chain).unwrap()[0].packets, 10.0);
    }

    #[test]
    fn what_was_known_stays_when_the_registry_is_gone() {
        let mut feed = Feed::default();
        assert_eq!(feed.freshness(), Freshness::Never);
        feed.answered(report(100, 0), 5000);
        assert_eq!(feed.freshness(), Freshness::Live);
        feed.failed(Failure::Unreachable);
        assert_eq!(feed.freshness(), Freshness::PageSilent { since: 5000 });
        assert!(feed.newest().is_some());
        feed.answered(report(102, 0), 5010);
        assert_eq!(feed.freshness(), Freshness::Live);
    }

    #[test]
    fn an_idle_node_is_quiet_and_an_unreachable_one_is_silent() {
        let mut idle = report(100, 0);
        idle.now = 200;
        let mut feed = Feed::default();
        feed.answered(idle.clone(), 1);
        assert_eq!(feed.freshness(), Freshness::Quiet { since: 100 });
        assert_eq!(feed.rates(&idle.chains[0]).unwrap()[0].packets, 0.0);
        idle.summary.state = NodeState::Unreachable;
        idle.summary.last_seen_at = Some(110);
        feed.answered(idle, 3);
        assert_eq!(feed.freshness(), Freshness::NodeSilent { since: 110 });
    }

    #[test]
    fn history_is_bounded() {
        let mut feed = Feed::default();
        for at in 0..1000 {
            feed.answered(report(at, 0), at);
        }
        assert!(feed.reports.len() <= REPORTS_MAX);
    }
}
