//! How a node is doing, in the words of a report. Refuses to change anything.

use super::{Node, revoked};
use crate::ledger::Place;
use crate::observe;
use skep_api::v1::chains::ChainStatus;
use skep_api::v1::log::LogSeen;
use skep_api::v1::nodes::Refused;
use skep_api::v1::operators::{SetSeen, Standing};
use skep_api::v1::sync::Have;

/// The state of a node as it reports it.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    pub seen: Option<Have>,
    pub applied: Option<Have>,
    pub refusal: Option<Refused>,
    pub chains: Vec<ChainStatus>,
    pub notes: Vec<String>,
    pub interfaces: Vec<String>,
    pub log: Option<LogSeen>,
    pub standing: Standing,
}

impl Node {
    /// The state as reports carry it, counters read now.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let decision = &self.pass.decision;
        let mut refused = self.offer.refused.clone();
        refused.extend(self.log_refused.clone());
        refused.extend(self.unverified.values().cloned());
        let found = self.prepared.as_ref().map(|prepared| prepared.revoked.as_slice());
        let acted = found.unwrap_or_default().iter().filter(|here| here.action != "kept");
        refused.extend(acted.map(revoked::refusal));
        refused.extend(decision.refused.iter().map(|(place, refusal)| Refused {
            code: refusal.code.clone(),
            message: with_place(place, &refusal.message),
        }));
        let mut notes = self.trust_notes();
        notes.extend(self.notes.iter().cloned());
        notes.extend(self.offer.omitted.iter().map(|policy| {
            format!(
                "The server left out policy {policy} without a signed removal; it stays in force."
            )
        }));
        notes.extend(decision.notes.iter().cloned());
        notes.extend(self.pass.seen.foreign.iter().cloned());
        notes.extend(
            refused.iter().skip(1).map(|r| format!("Also refused ({}): {}", r.code, r.message)),
        );
        Summary {
            seen: self.offer.seen.or(self.ledger.newest),
            applied: self.ledger.applied,
            refusal: refused.into_iter().next(),
            chains: observe::statuses(&self.parts.engine, &self.pass.seen, &self.ledger),
            notes,
            interfaces: self.pass.interfaces.clone(),
            log: self.log_seen(),
            standing: self.standing(),
        }
    }

    fn standing(&self) -> Standing {
        let floors = &self.ledger.floors;
        let mut accepted: std::collections::BTreeMap<String, u64> = floors
            .revisions
            .iter()
            .map(|(name, (revision, _))| (name.clone(), *revision))
            .collect();
        for (name, have) in &self.ledger.accepted {
            let revision = accepted.entry(name.to_string()).or_default();
            *revision = have.revision.max(*revision);
        }
        let revocations = floors.revoked.values().filter(|known| !known.lifted).count();
        Standing {
            set: floors.set.as_ref().map(|set| SetSeen {
                environment: set.environment.clone(),
                epoch: set.epoch,
                version: set.version,
            }),
            accepted,
            left_out: self.offer.left_out.clone(),
            revocations: u64::try_from(revocations).unwrap_or(u64::MAX),
            revoked: self.prepared.as_ref().map(|p| p.revoked.clone()).unwrap_or_default(),
            server_pinned: self.parts.me.server.is_some(),
        }
    }
}

fn with_place(place: &Place, message: &str) -> String {
    let place = place.to_string();
    if message.starts_with(&place) { message.to_owned() } else { format!("{place}: {message}") }
}
