//! What was said and done about a version since it was published, as rows. It refuses to verify signatures: nodes do.

use crate::view::package::Fact;
use crate::view::{format, search};
use crate::words;
use skep_api::v1::attestations::{Attestation, AttestationList};
use skep_api::v1::life::{LifeAction, LifeEvent, LifeHistory};
use skep_api::v1::operators::{RevocationInfo, RevocationList};
use skep_api::v1::packages::VersionDetail;

/// Something that was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub what: String,
    pub why: String,
    pub at: i64,
    pub by: String,
}

/// Something that was said about the version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    pub predicate: String,
    pub signed_by: String,
    pub added_by: String,
    pub added_at: i64,
}

/// The tab.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Security {
    pub revocations: Vec<Event>,
    pub history: Vec<Event>,
    pub attestations: Vec<Said>,
}

/// Who signed, and where that is written down.
#[must_use]
pub fn keys(version: &VersionDetail) -> Vec<Fact> {
    let fact = |label, value: String| Fact { label, value, hover: String::new() };
    let index = &version.summary.index;
    let mut facts = vec![
        fact(words::LABEL_SIGNED_BY, version.signed_by.join(", ")),
        fact(words::LABEL_THRESHOLD, format::count(u64::from(version.threshold))),
        fact(words::LABEL_ROLE, words::role_version(version.role_version)),
        fact(words::LABEL_DIGEST, index.to_string()),
    ];
    if let Some(entry) = version.summary.log_index {
        facts.push(fact(words::LABEL_LOG, words::log_entry(&format::count(entry))));
    }
    facts
}

/// Everything that concerns this version.
#[must_use]
pub fn of(
    version: &VersionDetail,
    revocations: &RevocationList,
    history: &LifeHistory,
    attestations: &AttestationList,
) -> Security {
    let concerned =
        revocations.revocations.iter().filter(|revocation| concerns(revocation, version));
    let own = |event: &&LifeEvent| {
        event.version.as_ref().is_none_or(|named| *named == version.summary.version)
    };
    Security {
        revocations: concerned.map(revoked).collect(),
        history: history.events.iter().filter(own).map(done).collect(),
        attestations: attestations.attestations.iter().map(said).collect(),
    }
}

/// A revocation names versions, digests, or (naming neither) the whole package.
fn concerns(revocation: &RevocationInfo, version: &VersionDetail) -> bool {
    let whole = revocation.versions.is_empty() && revocation.digests.is_empty();
    let named = revocation.versions.contains(&version.summary.version.to_string());
    revocation.package == version.name.to_string()
        && (whole || named || revocation.digests.contains(&version.summary.index))
}

fn revoked(revocation: &RevocationInfo) -> Event {
    let what = match &revocation.lifts {
        Some(_) => words::REVOCATION_LIFTED.to_owned(),
        None => words::revoked(&revocation.severity),
    };
    let why = revocation.reason.clone();
    Event { what, why, at: revocation.revoked_at, by: search::short_keys(&revocation.signed_by) }
}

fn done(event: &LifeEvent) -> Event {
    let what = match event.action {
        LifeAction::Yank => words::DONE_YANK,
        LifeAction::Unyank => words::DONE_UNYANK,
        LifeAction::Deprecate => words::DONE_DEPRECATE,
        LifeAction::Undeprecate => words::DONE_UNDEPRECATE,
        LifeAction::Tombstone => words::DONE_TOMBSTONE,
    };
    let instead = event.replacement.as_ref().map(|name| words::instead(&name.to_string()));
    let why = format!("{} {}", event.message, instead.unwrap_or_default()).trim().to_owned();
    Event { what: what.to_owned(), why, at: event.at, by: event.by.clone() }
}

fn said(attestation: &Attestation) -> Said {
    Said {
        predicate: attestation.predicate_type.clone(),
        signed_by: search::short_keys(&attestation.signed_by),
        added_by: attestation.added_by.clone(),
        added_at: attestation.added_at,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::samples;

    fn revocation(package: &str, versions: &[&str]) -> RevocationInfo {
        RevocationInfo {
            digest: samples::digest(b"revocation"),
            package: package.to_owned(),
            versions: versions.iter().map(|v| (*v).to_owned()).collect(),
            digests: Vec::new(),
            reason: "It drops DNS.".to_owned(),
            severity: "high".to_owned(),
            lifts: None,
            signed_by: vec!["7c1f09aabb".to_owned()],
            envelope: String::new(),
            revoked_at: 1,
            revoked_by: "ci".to_owned(),
        }
    }

    fn life(events: Vec<LifeEvent>) -> LifeHistory {
        LifeHistory { name: "acme/ratelimit".parse().unwrap(), events }
    }

    #[test]
    fn only_what_concerns_this_version_is_shown() {
        let version = samples::version();
        let all = [
            revocation("acme/ratelimit", &["1.4.2"]),
            revocation("acme/ratelimit", &[]),
            revocation("acme/ratelimit", &["1.0.0"]),
            revocation("acme/other", &["1.4.2"]),
        ];
        let list = RevocationList { revocations: all.into() };
        let history = life(vec![]);
        let none = AttestationList { attestations: vec![] };
        let shown = of(&version, &list, &history, &none);
        assert_eq!(shown.revocations.len(), 2);
        assert_eq!(shown.revocations[0].what, "revoked, severity high");
    }

    #[test]
    fn the_history_of_other_versions_is_left_out() {
        let event = |version: Option<&str>, action| LifeEvent {
            action,
            version: version.map(|v| v.parse().unwrap()),
            message: "Old.".to_owned(),
            replacement: Some("acme/shaper".parse().unwrap()),
            at: 5,
            by: "ada".to_owned(),
        };
        let events = vec![
            event(Some("1.4.2"), LifeAction::Yank),
            event(Some("1.0.0"), LifeAction::Yank),
            event(None, LifeAction::Deprecate),
        ];
        let list = RevocationList { revocations: vec![] };
        let none = AttestationList { attestations: vec![] };
        let shown = of(&samples::version(), &list, &life(events), &none).history;
        let what: Vec<_> = shown.iter().map(|event| event.what.as_str()).collect();
        assert_eq!(what, [words::DONE_YANK, words::DONE_DEPRECATE]);
        assert_eq!(shown[1].why, "Old. Use acme/shaper instead.");
    }
}
