//! The session with the server: one long poll after another, and the reports. Refuses to know what
//! a desired state means: it hands over what arrives, and waits longer after every failure.

use crate::backoff::Backoff;
use crate::explain::explain;
use crate::facts::chance;
use skep_api::client::Client;
use skep_api::v1::operators::NoticesSeen;
use skep_api::v1::sync::{DesiredState, Have, Report, SyncRequest, WAIT_SECS_MAX};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep};

/// Shortest time from one poll to the next. A server that answers at once with nothing new, by fault or
/// malice, costs this node one call in this time and no more.
const POLL_PERIOD_MIN: Duration = Duration::from_secs(1);
/// Shortest time between two reports: whatever moves, a node sends at most one a second.
const REPORT_PERIOD_MIN: Duration = Duration::from_secs(1);

/// How the server can be reached right now, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Contact {
    /// Not tried yet.
    None,
    /// The last call was answered.
    Fine,
    /// The last call failed; what it said.
    Lost(String),
}

/// What the node has looked at, and does not need to be told again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// The newest state.
    pub have: Option<Have>,
    /// What was signed beside it.
    pub notices: NoticesSeen,
}

/// A desired state that arrived, and the way to say that it was looked at: the next poll waits for it,
/// so that it asks with what the node knows by then.
pub struct Offered {
    pub state: DesiredState,
    pub looked_at: oneshot::Sender<()>,
}

/// The half of the session that waits for desired states.
pub struct Poll {
    pub client: Client,
    /// Longest wait of one poll, in seconds.
    pub wait_secs: u32,
    /// What the node looked at.
    pub have: watch::Receiver<Known>,
    pub offers: mpsc::Sender<Offered>,
    pub contact: watch::Sender<Contact>,
}

impl Poll {
    /// Polls until the agent stops listening.
    pub async fn run(self) {
        let mut backoff = Backoff::default();
        // The last state that arrived: a server that sends the same one over and over is asked less and less often.
        let mut last = None;
        while !self.offers.is_closed() {
            let began = Instant::now();
            let Known { have, notices } = *self.have.borrow();
            let wait_secs = spread(self.wait_secs, chance());
            let request = SyncRequest { have, wait_secs, notices: Some(notices) };
            match self.client.sync(&request).await {
                Ok(None) => {
                    backoff.succeeded();
                    self.heard(Contact::Fine);
                    sleep(POLL_PERIOD_MIN.saturating_sub(began.elapsed())).await;
                }
                Ok(Some(state)) => {
                    self.heard(Contact::Fine);
                    let notices = state.notices.as_ref().map(|notices| notices.seen());
                    let arrived = Some((state.generation, state.digest, notices));
                    if !self.hand_over(state).await {
                        return;
                    }
                    if arrived == last {
                        sleep(backoff.failed(chance())).await;
                    } else {
                        backoff.succeeded();
                        last = arrived;
                    }
                }
                Err(error) => {
                    self.heard(Contact::Lost(explain(&error)));
                    sleep(backoff.failed(chance())).await;
                }
            }
        }
    }

    /// Gives whether the agent still listens.
    async fn hand_over(&self, state: DesiredState) -> bool {
        let (looked_at, done) = oneshot::channel();
        let sent = self.offers.send(Offered { state, looked_at }).await.is_ok();
        sent && done.await.is_ok()
    }

    fn heard(&self, now: Contact) {
        self.contact.send_if_modified(|before| {
            if *before == now {
                return false;
            }
            match &now {
                Contact::Lost(why) => tracing::warn!(
                    server = self.client.server(),
                    "The server does not answer ({why}). What runs stays as it is; trying again."
                ),
                Contact::Fine => {
                    tracing::info!(server = self.client.server(), "The server answers.");
                }
                Contact::None => {}
            }
            *before = now;
            true
        });
    }
}

/// The half of the session that tells the server what runs. Only the newest report counts: one that could not be
/// sent is replaced by the next. What a server was told right before it died it may have forgotten, so that the newest is
/// sent once more when it was lost; a refusal is not, because it is about a state that the server may have left since.
pub struct Reports {
    pub client: Client,
    pub newest: watch::Receiver<Option<Report>>,
    pub contact: watch::Receiver<Contact>,
}

impl Reports {
    /// Sends until the agent stops.
    pub async fn run(mut self) {
        let mut backoff = Backoff::default();
        while self.has_to_send().await {
            loop {
                let Some(report) = self.newest.borrow_and_update().clone() else { break };
                match self.client.report(&report).await {
                    Ok(()) => {
                        backoff.succeeded();
                        sleep(REPORT_PERIOD_MIN).await;
                        break;
                    }
                    Err(error) => {
                        tracing::debug!("A report was not taken: {}", explain(&error));
                        sleep(backoff.failed(chance())).await;
                    }
                }
            }
        }
    }

    /// Waits until there is something to send; `false` when the agent stops.
    async fn has_to_send(&mut self) -> bool {
        loop {
            tokio::select! {
                changed = self.newest.changed() => return changed.is_ok(),
                changed = self.contact.changed() => {
                    let is_lost = matches!(*self.contact.borrow_and_update(), Contact::Lost(_));
                    let refuses = |report: &Option<Report>| {
                        report.as_ref().is_some_and(|report| report.refusal.is_some())
                    };
                    if changed.is_err() || is_lost && !refuses(&self.newest.borrow()) {
                        return changed.is_ok();
                    }
                }
            }
        }
    }
}

/// The wait of one poll: the wanted one, less up to a fifth, so that polls of many nodes do not end together.
fn spread(wait_secs: u32, chance: u8) -> u32 {
    let wait = wait_secs.min(WAIT_SECS_MAX);
    wait - wait / 5 * u32::from(chance) / 255
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn waits_are_spread_by_a_fifth_and_never_exceed_the_limit(wait in 0u32..1000, chance in any::<u8>()) {
            let spread = spread(wait, chance);
            let most = wait.min(WAIT_SECS_MAX);
            prop_assert!(spread <= most && spread >= most - most / 5);
        }
    }
}
