//! Reads the registry's TUF repository: fetches what the pure client asks for, keeps what verified, and tells the node.
//! Refuses to judge: `trust` does.

mod fetch;
mod kept;

pub use fetch::{Mirror, SourceError, drive};
pub use kept::{Kept, KeptError};

use crate::backoff::Backoff;
use crate::cache::Cache;
use crate::explain::explain;
use crate::facts::{self, chance};
use crate::fetch::Needed;
use skep_api::v1::nodes::Refused;
use skep_artifact::digest::Digest;
use skep_artifact::name::Namespace;
use skep_trust::NodePolicy;
use skep_trust::tuf::{Answers, Delegations, SELF_SERVICE, Session, Stored, TufError};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// How often the repository is read while nothing new is wanted: a publisher's change is known within five
/// minutes, and a day's timestamp is renewed long before it expires.
const REFRESH_PERIOD: Duration = Duration::from_secs(300);

/// What a refresh came to.
pub struct Heard {
    /// What the repository says; `None` when it said nothing new that is whole.
    pub delegations: Option<Arc<Delegations>>,
    /// Role files as the snapshot names them, in the cache.
    pub roles: BTreeMap<Namespace, Digest>,
    /// Why the refresh was refused, or did not come to its end.
    pub problem: Option<Refused>,
}

/// Refreshes again and again until the agent stops.
pub struct Refresher {
    pub mirror: Mirror,
    pub cache: Cache,
    pub policy: NodePolicy,
    /// The root the node's policy names.
    pub root: Vec<u8>,
    pub kept: Kept,
    pub needed: watch::Receiver<Needed>,
    pub heard: mpsc::Sender<Heard>,
}

impl Refresher {
    /// Runs until the agent stops.
    pub async fn run(mut self) {
        let mut stored = self.kept.load(&self.root).unwrap_or_else(|error| {
            tracing::warn!("{} It is read anew from the registry.", explain(&error));
            Stored::default()
        });
        let mut backoff = Backoff::default();
        loop {
            self.needed.borrow_and_update();
            let (heard, next) = self.refresh(&stored, facts::now()).await;
            let fine = heard.problem.is_none();
            if next != stored {
                if let Err(error) = self.kept.store(&self.root, &next) {
                    tracing::error!("{}", explain(&error));
                }
                stored = next;
            }
            if self.heard.send(heard).await.is_err() {
                return;
            }
            let wait = if fine {
                backoff.succeeded();
                REFRESH_PERIOD
            } else {
                backoff.failed(chance())
            };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                changed = self.needed.changed() => if changed.is_err() { return },
            }
        }
    }

    /// One refresh, and the roles of the namespaces the policy names.
    async fn refresh(&self, stored: &Stored, clock: i64) -> (Heard, Stored) {
        let now = clock.max(stored.time_floor());
        let (heard, next) = self.refresh_at(stored, now).await;
        // A root that takes the timestamp's key back takes back what it said about the time.
        let later = clock.max(next.time_floor());
        if heard.problem.is_some() && later < now {
            return self.refresh_at(&next, later).await;
        }
        (heard, next)
    }

    async fn refresh_at(&self, stored: &Stored, now: i64) -> (Heard, Stored) {
        let mut answers = Answers::new();
        let driven = drive(&self.mirror, &mut answers, |answers| {
            Session { root: &self.root, stored, answers, now }.refresh()
        });
        let (result, mut next) = match driven.await {
            Ok(driven) => driven,
            Err(error) => return (problem(error.code(), &explain(&error)), stored.clone()),
        };
        if let Err(error) = result {
            next.files.retain(|name, _| is_of_the_repository(name));
            return (refused(&error), next);
        }
        let roles = self.roles(&mut answers, &mut next, now).await;
        let (delegations, problem) = match Delegations::read(&next) {
            Ok(read) => (Some(Arc::new(read)), None),
            Err(error) => (None, refused(&error).problem),
        };
        (Heard { delegations, roles, problem }, next)
    }

    /// Looks for the role of each namespace the policy names. What is wrong with one stops no other.
    async fn roles(
        &self,
        answers: &mut Answers,
        next: &mut Stored,
        now: i64,
    ) -> BTreeMap<Namespace, Digest> {
        let mut roles = BTreeMap::new();
        for namespace in self.policy.namespaces() {
            let stored = next.clone();
            // No such package: the walk along the delegations is what is wanted.
            let path = format!("{namespace}/-/-");
            let driven = drive(&self.mirror, answers, |answers| {
                Session { root: &self.root, stored: &stored, answers, now }.find(&path)
            });
            let found = match driven.await {
                Ok((result, found)) => {
                    if let Err(error) = result {
                        tracing::warn!(
                            code = error.code(),
                            "The role of {namespace} cannot be trusted: {error}."
                        );
                    }
                    found
                }
                Err(error) => {
                    tracing::warn!(
                        "The role of {namespace} could not be read. {}",
                        explain(&error)
                    );
                    continue;
                }
            };
            let selfservice = format!("{SELF_SERVICE}.json");
            if let Some(bytes) = found.files.get(&selfservice) {
                next.files.insert(selfservice.clone(), bytes.clone());
                next.whole.insert(selfservice, bytes.clone());
            }
            let Some(bytes) = found.files.get(&format!("{namespace}.json")) else { continue };
            let digest = Digest::of(bytes);
            match self.cache.put(&digest, bytes) {
                Ok(()) => {
                    roles.insert(namespace.clone(), digest);
                }
                Err(error) => tracing::warn!("{}", explain(&error)),
            }
        }
        next.files.retain(|name, _| is_of_the_repository(name));
        next.whole.retain(|name, _| is_of_the_repository(name));
        roles
    }
}

/// Role files of namespaces are in the cache; here is only what leads to them.
fn is_of_the_repository(name: &str) -> bool {
    let known = ["root", "timestamp", "snapshot", "targets", SELF_SERVICE];
    name.strip_suffix(".json").is_some_and(|role| known.contains(&role))
}

fn refused(error: &TufError) -> Heard {
    let message = format!(
        "The registry's trust metadata is refused: {error}. What runs keeps running; nothing new is accepted on its word."
    );
    problem(error.code(), &message)
}

fn problem(code: &str, message: &str) -> Heard {
    tracing::warn!(code, "{message}");
    let problem = Some(Refused { code: code.to_owned(), message: message.to_owned() });
    Heard { delegations: None, roles: BTreeMap::new(), problem }
}
