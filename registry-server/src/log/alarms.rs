//! Compares what nodes saw of the log with what it is: a node that is ahead of it or saw another history raises an
//! alarm, and so does one that refuses what it is shown. Refuses to know how reports travel.

use super::{Log, LogError};
use crate::clock;
use skep_api::v1::log::{LogAlarm, LogSeen};
use skep_fleet::ids::NodeName;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// What each node last said, so that a report that says the same costs no database.
#[derive(Default)]
pub struct Views {
    last: Mutex<HashMap<NodeName, (LogSeen, Standing)>>,
}

/// Whether an alarm stands for a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Quiet,
    Alarmed,
}

impl Log {
    /// Compares a node's view with the log, and raises or clears its alarm.
    ///
    /// # Errors
    /// [`LogError::Store`].
    pub async fn heard(&self, node: &NodeName, seen: &LogSeen) -> Result<(), LogError> {
        let known = |(before, _): &(LogSeen, Standing)| before == seen;
        if self.views().get(node).is_some_and(known) {
            return Ok(());
        }
        let standing = match self.compare(seen).await? {
            None => {
                self.store.clear_log_alarm(node).await?;
                Standing::Quiet
            }
            Some((code, message)) => {
                let (size, root, since) = (seen.size, seen.root, clock::now());
                let alarm = LogAlarm { node: node.clone(), code, message, size, root, since };
                self.store.raise_log_alarm(&alarm).await?;
                tracing::error!(node.id = %node, code = alarm.code, log.size = size,
                    "node {node} does not see this registry's log: {}", alarm.message);
                Standing::Alarmed
            }
        };
        self.views().insert(node.clone(), (seen.clone(), standing));
        Ok(())
    }

    fn views(&self) -> std::sync::MutexGuard<'_, HashMap<NodeName, (LogSeen, Standing)>> {
        self.views.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nodes for which an alarm stands, as far as this server heard of them since it started.
    #[must_use]
    pub fn alarmed(&self) -> usize {
        self.views().values().filter(|(_, standing)| *standing == Standing::Alarmed).count()
    }

    async fn compare(&self, seen: &LogSeen) -> Result<Option<(String, String)>, LogError> {
        let alarm = |code: &str, message: String| Ok(Some((code.to_owned(), message)));
        if seen.origin != self.public.name() {
            let (theirs, ours) = (&seen.origin, self.public.name());
            let message = format!("It follows the log {theirs}, and this registry keeps {ours}.");
            return alarm("log.other_origin", message);
        }
        let size = self.store.log_size().await?;
        if seen.size > size {
            let message = format!(
                "It saw {} entries, and this log has {size}. The registry lost entries: it was restored from a backup, or the node was shown another log.",
                seen.size
            );
            return alarm("log.node_ahead", message);
        }
        let root = self.store.log_root(seen.size).await?;
        if root != seen.root {
            let message = format!(
                "Its root of {} entries is {}, and this log's is {}. The node was shown another history.",
                seen.size,
                seen.root.short(),
                root.short()
            );
            return alarm("log.split_view", message);
        }
        Ok(seen.refused.as_ref().map(|refused| (refused.code.clone(), refused.message.clone())))
    }

    /// Every alarm that stands.
    ///
    /// # Errors
    /// [`LogError::Store`].
    pub async fn alarms(&self) -> Result<Vec<LogAlarm>, LogError> {
        Ok(self.store.log_alarms().await?)
    }
}
