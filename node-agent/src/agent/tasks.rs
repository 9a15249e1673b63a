//! Tasks that the agent starts beside its loop, when its policy asks for them. Refuses to know what they bring.

use crate::cache::Cache;
use crate::config::Settings;
use crate::fetch::{AskedBeside, Needed};
use crate::log::{Checkpointed, Follower};
use crate::tuf::{Heard, Kept, Mirror, Refresher};
use skep_api::client::Client;
use tokio::sync::{mpsc, watch};

/// Starts following the transparency log, if the policy names one. Gives what packages must come with.
pub(super) fn follow_log(
    settings: &Settings,
    client: &Client,
    log_known: watch::Receiver<u64>,
    checkpoints: mpsc::Sender<Checkpointed>,
) -> AskedBeside {
    let log_witnesses = settings.policy.log().map(|log| log.quorum() as u64);
    if let Some(witnesses) = log_witnesses {
        let (client, known) = (client.clone(), log_known.clone());
        let poll_secs = settings.poll_secs;
        let follower = Follower { client, witnesses, poll_secs, known, checkpoints };
        tokio::spawn(follower.run());
    }
    AskedBeside { log_witnesses, log_known, attested: settings.policy.attested_namespaces() }
}

/// Starts reading the registry's trust metadata, if the policy trusts a root.
pub(super) fn refresh_trust(
    settings: &Settings,
    client: &Client,
    cache: &Cache,
    needed: &watch::Receiver<Needed>,
    heard: mpsc::Sender<Heard>,
) {
    let Some(root) = settings.root.clone() else { return };
    let refresher = Refresher {
        mirror: Mirror { client: client.clone(), folder: "/tuf".to_owned() },
        cache: cache.clone(),
        policy: settings.policy.clone(),
        root,
        kept: Kept::new(&settings.state),
        needed: needed.clone(),
        heard,
    };
    tokio::spawn(refresher.run());
}
