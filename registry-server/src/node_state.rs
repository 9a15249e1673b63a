//! How a node is doing, from what is known of it: a pure function. Refuses to know where its
//! arguments come from.

use skep_api::v1::nodes::NodeState;
use skep_api::v1::sync::WAIT_SECS_MAX;
use skep_fleet::ids::Generation;

/// A node that polls very often may still be silent this long, in seconds: a restart of its agent
/// takes that.
const SILENCE_SECS_MIN: i64 = 30;

/// What the server knows of one node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// When this server process started.
    pub started_at: i64,
    /// When the node last called; `None` when it never did.
    pub last_seen_at: Option<i64>,
    /// The longest wait it asked for in this server's lifetime; `None` when it has not polled yet.
    pub wait_secs: Option<u32>,
    /// Whether a long poll of it is parked here now.
    pub polling: bool,
    pub wanted: Generation,
    pub seen: Generation,
    pub applied: Generation,
    pub refusal: Refusal,
}

/// Whether the node's newest report says that it did not accept something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    None,
    Reported,
}

impl Known {
    /// One word for the node's state at `now`.
    #[must_use]
    pub fn state(&self, now: i64) -> NodeState {
        let Some(last_seen_at) = self.last_seen_at else { return NodeState::New };
        if !self.polling && now > self.silent_until(last_seen_at) {
            return NodeState::Unreachable;
        }
        match self.refusal {
            // Also of a node that is ahead of this server: it refuses to go back, and somebody should look.
            Refusal::Reported if self.seen >= self.wanted => NodeState::Refused,
            _ if self.applied >= self.wanted => NodeState::Healthy,
            _ => NodeState::Converging,
        }
    }

    /// Twice the wait the node asked for. After a start of the server nobody has polled yet, so
    /// everybody gets twice the longest wait from then on.
    fn silent_until(&self, last_seen_at: i64) -> i64 {
        match self.wait_secs {
            Some(wait) => last_seen_at + (2 * i64::from(wait)).max(SILENCE_SECS_MIN),
            None => last_seen_at.max(self.started_at) + 2 * i64::from(WAIT_SECS_MAX),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_000_000;

    fn known() -> Known {
        Known {
            started_at: NOW - 10_000,
            last_seen_at: Some(NOW - 5),
            wait_secs: Some(240),
            polling: true,
            wanted: Generation(7),
            seen: Generation(7),
            applied: Generation(7),
            refusal: Refusal::None,
        }
    }

    #[test]
    fn a_node_that_never_called_is_new() {
        let known = Known { last_seen_at: None, polling: false, ..known() };
        assert_eq!(known.state(NOW), NodeState::New);
    }

    #[test]
    fn a_node_that_is_ahead_of_a_restored_server_and_says_so_is_not_healthy() {
        let ahead = Known { wanted: Generation(6), refusal: Refusal::Reported, ..known() };
        assert_eq!(ahead.state(NOW), NodeState::Refused);
        assert_eq!(Known { refusal: Refusal::None, ..ahead }.state(NOW), NodeState::Healthy);
    }

    #[test]
    fn a_node_is_healthy_once_it_runs_what_is_wanted() {
        assert_eq!(known().state(NOW), NodeState::Healthy);
        let behind = Known { applied: Generation(6), ..known() };
        assert_eq!(behind.state(NOW), NodeState::Converging);
    }

    #[test]
    fn a_refusal_counts_only_for_the_newest_generation() {
        let refused = Known { applied: Generation(6), refusal: Refusal::Reported, ..known() };
        assert_eq!(refused.state(NOW), NodeState::Refused);
        let older = Known { seen: Generation(6), ..refused };
        assert_eq!(older.state(NOW), NodeState::Converging);
    }

    #[test]
    fn silence_is_allowed_for_twice_the_wait_and_a_parked_poll_is_no_silence() {
        let gone = Known { polling: false, last_seen_at: Some(NOW - 480), ..known() };
        assert_eq!(gone.state(NOW), NodeState::Healthy);
        assert_eq!(gone.state(NOW + 1), NodeState::Unreachable);
        let parked = Known { polling: true, ..gone };
        assert_eq!(parked.state(NOW + 1000), NodeState::Healthy);
        let quick = Known { wait_secs: Some(1), last_seen_at: Some(NOW - 30), ..gone };
        assert_eq!(quick.state(NOW), NodeState::Healthy);
        assert_eq!(quick.state(NOW + 1), NodeState::Unreachable);
    }

    #[test]
    fn after_a_restart_of_the_server_nobody_is_called_unreachable_too_early() {
        let old = Known {
            started_at: NOW - 100,
            last_seen_at: Some(NOW - 90_000),
            wait_secs: None,
            polling: false,
            ..known()
        };
        assert_eq!(old.state(NOW), NodeState::Healthy);
        assert_eq!(old.state(NOW + 381), NodeState::Unreachable);
    }
}
