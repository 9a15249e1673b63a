//! Follows the transparency log: asks for the newest checkpoint again and again, and hands over what comes. Refuses to
//! judge it; the node does.

use crate::backoff::Backoff;
use crate::explain::explain;
use crate::facts::chance;
use skep_api::client::Client;
use skep_api::v1::log::{CheckpointAnswer, CheckpointQuery};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::sleep;

/// Longest time from one look at the log to the next: a split view is noticed within it. 100,000 nodes then make some
/// 1,700 small calls a second.
const PERIOD_MAX: Duration = Duration::from_secs(60);

/// A checkpoint that arrived.
pub struct Checkpointed {
    /// Entries the node knew when it asked.
    pub from: u64,
    pub answer: CheckpointAnswer,
}

/// Asks for the newest checkpoint.
pub struct Follower {
    pub client: Client,
    /// Witnesses the policy asks for.
    pub witnesses: u64,
    /// Seconds of a long poll: the log is looked at as often, and at least every minute.
    pub poll_secs: u32,
    /// Entries the node knows.
    pub known: watch::Receiver<u64>,
    pub checkpoints: mpsc::Sender<Checkpointed>,
}

impl Follower {
    /// Asks until the agent stops listening.
    pub async fn run(self) {
        let mut backoff = Backoff::default();
        let period = Duration::from_secs(u64::from(self.poll_secs)).min(PERIOD_MAX);
        loop {
            let from = *self.known.borrow();
            let query = CheckpointQuery { from, witnesses: self.witnesses };
            match self.client.log_checkpoint(&query).await {
                Ok(answer) => {
                    backoff.succeeded();
                    if self.checkpoints.send(Checkpointed { from, answer }).await.is_err() {
                        return;
                    }
                    sleep(period - period / 5 * u32::from(chance()) / 255).await;
                }
                Err(error) => {
                    tracing::debug!("The log's checkpoint was not given: {}", explain(&error));
                    sleep(backoff.failed(chance()).min(period)).await;
                }
            }
        }
    }
}
