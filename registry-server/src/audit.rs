//! Writing down who did what. Refuses to know why: whoever acts says it.

use crate::admit::Peer;
use crate::app::App;
use crate::clock;
use skep_api::v1::audit::AuditEntry;

/// Longest text kept of what the caller chose, in characters: a name and a version fit, a novel does not.
const TEXT_CHARS_MAX: usize = 300;

/// Something that happened, on its way into the log.
pub struct Event<'a> {
    pub actor: &'a str,
    /// One of `skep_api::v1::audit::action`.
    pub action: &'static str,
    pub namespace: Option<&'a str>,
    pub subject: &'a str,
    pub detail: String,
}

impl<'a> Event<'a> {
    /// Something outside of every namespace.
    #[must_use]
    pub fn new(actor: &'a str, action: &'static str, subject: &'a str) -> Self {
        Self { actor, action, namespace: None, subject, detail: String::new() }
    }

    /// The same inside a namespace.
    #[must_use]
    pub fn within(self, namespace: &'a str) -> Self {
        Self { namespace: Some(namespace), ..self }
    }

    /// The same with more to say.
    #[must_use]
    pub fn detail(self, detail: impl Into<String>) -> Self {
        Self { detail: detail.into(), ..self }
    }
}

/// Writes an event down. It has happened by now: a log that cannot be written is an error for the
/// operator and no answer for the caller.
pub async fn record(app: &App, peer: Peer, event: Event<'_>) {
    let short = |text: &str| text.chars().take(TEXT_CHARS_MAX).collect::<String>();
    let entry = AuditEntry {
        id: 0,
        at: clock::now(),
        actor: short(event.actor),
        action: event.action.to_owned(),
        namespace: event.namespace.map(short),
        subject: short(event.subject),
        detail: short(&event.detail),
        address: peer.address.to_string(),
    };
    if let Err(error) = app.store.add_audit(&entry).await {
        tracing::error!(
            "{} by {} on {} could not be written into the audit log: {error}",
            entry.action,
            entry.actor,
            entry.subject
        );
    }
}
