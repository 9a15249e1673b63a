//! What the agent's loop answers on the local socket. Refuses to know how questions arrive.

use super::Agent;
use crate::detached;
use crate::drops;
use crate::explain::explain;
use crate::facts;
use crate::ledger::Place;
use crate::link::Contact;
use crate::socket::{Answer, Request, Status};
use std::collections::BTreeSet;
use std::time::Duration;

/// Longest time that somebody may have packets timed without asking again.
const TIMING_SECS_MAX: u32 = 3600;

impl Agent {
    pub(super) fn answer(&mut self, request: Request) -> Answer {
        match request {
            Request::Status => Answer::Status(Box::new(self.status())),
            Request::Chains => Answer::Chains {
                chains: self.node.summary().chains,
                trust_fresh_until: self.node.trust_fresh_until(),
            },
            Request::Plan => match self.node.plan(facts::now()) {
                Ok(decision) => Answer::Plan {
                    steps: decision.steps.iter().map(ToString::to_string).collect(),
                    notes: decision.notes,
                },
                Err(error) => refused("node.plan", &error),
            },
            Request::DetachAll => match detached::mark_all(&self.settings.state) {
                Ok(()) => self.detached(),
                Err(error) => refused("node.storage", &error),
            },
            Request::Detach { interface, hook } => {
                let place = Place { interface, hook };
                match detached::mark(&self.settings.state, place) {
                    Ok(()) => self.detached(),
                    Err(error) => refused("node.storage", &error),
                }
            }
            Request::Drops(_) => Answer::Drops { pin_root: self.settings.pin_root.clone() },
            Request::Time { interface, hook, one_in, secs } => {
                let time = Duration::from_secs(u64::from(secs.min(TIMING_SECS_MAX)));
                match self.node.time_for(&interface, hook, one_in, time) {
                    Ok(places) => Answer::Timed { places },
                    Err(error) => refused(drops::seeing_code(&error), &error),
                }
            }
            Request::Resume => match detached::lift(&self.settings.state) {
                Ok(()) => {
                    self.look_again();
                    Answer::Resumed
                }
                Err(error) => refused("node.storage", &error),
            },
        }
    }

    /// Takes off what the marker names, and says what went.
    fn detached(&mut self) -> Answer {
        let places = |agent: &Self| -> BTreeSet<Place> {
            let chains = agent.node.summary().chains;
            chains.into_iter().map(|c| Place { interface: c.interface, hook: c.hook }).collect()
        };
        let before = places(self);
        self.look_again();
        let after = places(self);
        Answer::Detached { places: before.difference(&after).cloned().collect() }
    }

    fn status(&self) -> Status {
        let summary = self.node.summary();
        let contact = match &*self.contact.borrow() {
            Contact::None => "The server was not called yet.".to_owned(),
            Contact::Fine => "The server answers.".to_owned(),
            Contact::Lost(why) => format!("The server does not answer: {why}"),
        };
        Status {
            name: self.settings.identity.name.to_string(),
            server: self.settings.identity.server.clone(),
            contact,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            seen: summary.seen,
            applied: summary.applied,
            refusal: summary.refusal,
            notes: summary.notes,
            chains: summary.chains.len(),
        }
    }
}

fn refused(code: &str, error: &dyn std::error::Error) -> Answer {
    Answer::Refused { code: code.to_owned(), message: explain(error) }
}
