//! Whose claims they are: `providers.toml` as types, and whether a job is the one that was meant.
//! Pure: refuses to know how the claims were verified.

use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// Most claims a trusted publisher names, and their longest text: a handful, with room.
pub const CLAIMS_MAX: usize = 16;
const CLAIM_CHARS_MAX: usize = 500;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Derived {
    claim: String,
    after: String,
    before: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Context {
    claim: String,
    #[serde(default)]
    equals: Vec<String>,
    starts: Option<String>,
    ends: Option<String>,
}

/// What is known about the tokens of a CI system.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provider {
    required: Vec<String>,
    #[serde(default)]
    derived: BTreeMap<String, Derived>,
    #[serde(default)]
    refused: Vec<Context>,
}

static PROVIDERS: LazyLock<BTreeMap<String, Provider>> =
    LazyLock::new(|| toml::from_str(include_str!("providers.toml")).unwrap_or_default());

/// Why a provider or the claims of a publisher cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProviderError {
    #[error("'{name}' is not a known provider; there are {known}")]
    Unknown { name: String, known: String },
    #[error("the claim {claim} must be named, or strangers could match")]
    Missing { claim: String },
    #[error(
        "a publisher names at most {CLAIMS_MAX} claims of {CLAIM_CHARS_MAX} characters, none empty"
    )]
    Claims,
}

/// Why a job may not publish.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JobError {
    #[error("jobs with {claim} '{value}' do not publish")]
    Context { claim: String, value: String },
    #[error("no trusted publisher of it matches this job")]
    NoMatch,
}

impl Provider {
    /// The provider of this name.
    ///
    /// # Errors
    /// [`ProviderError::Unknown`].
    pub fn named(name: &str) -> Result<Self, ProviderError> {
        PROVIDERS.get(name).cloned().ok_or_else(|| {
            let known: Vec<&str> = PROVIDERS.keys().map(String::as_str).collect();
            ProviderError::Unknown { name: name.to_owned(), known: known.join(", ") }
        })
    }

    /// Refuses claims that would let strangers match.
    ///
    /// # Errors
    /// [`ProviderError`].
    pub fn check(&self, claims: &BTreeMap<String, String>) -> Result<(), ProviderError> {
        let fits = |text: &String| (1..=CLAIM_CHARS_MAX).contains(&text.chars().count());
        let all = claims.iter().all(|(name, value)| fits(name) && fits(value));
        if claims.len() > CLAIMS_MAX || !all {
            return Err(ProviderError::Claims);
        }
        match self.required.iter().find(|claim| !claims.contains_key(*claim)) {
            Some(claim) => Err(ProviderError::Missing { claim: claim.clone() }),
            None => Ok(()),
        }
    }

    /// Refuses jobs in whose context nobody publishes.
    ///
    /// # Errors
    /// [`JobError::Context`].
    pub fn refuse_context(&self, said: &Map<String, Value>) -> Result<(), JobError> {
        for context in &self.refused {
            let Some(value) = said.get(&context.claim) else { continue };
            let text = as_text(value).unwrap_or_default();
            let meant = context.equals.contains(&text)
                || context.starts.as_ref().is_some_and(|start| text.starts_with(start))
                || context.ends.as_ref().is_some_and(|end| text.ends_with(end));
            if meant {
                return Err(JobError::Context { claim: context.claim.clone(), value: text });
            }
        }
        Ok(())
    }

    /// Whether the job is the one a publisher names: every claim it names is said, exactly.
    #[must_use]
    pub fn matches(&self, said: &Map<String, Value>, named: &BTreeMap<String, String>) -> bool {
        !named.is_empty()
            && named.iter().all(|(claim, value)| self.said(said, claim).as_ref() == Some(value))
    }

    fn said(&self, said: &Map<String, Value>, claim: &str) -> Option<String> {
        let Some(derived) = self.derived.get(claim) else {
            return as_text(said.get(claim)?);
        };
        let text = as_text(said.get(&derived.claim)?)?;
        let (_, rest) = text.split_once(&derived.after)?;
        let (part, _) = rest.rsplit_once(&derived.before)?;
        Some(part.to_owned())
    }
}

/// Texts, numbers and truths; lists and objects match nothing.
fn as_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn said(changes: &[(&str, Value)]) -> Map<String, Value> {
        let mut claims = json!({
            "sub": "repo:acme/ebpf:environment:release",
            "repository": "acme/ebpf",
            "repository_owner_id": 4711,
            "workflow_ref": "acme/ebpf/.github/workflows/release.yml@refs/tags/v1",
            "environment": "release",
            "event_name": "push",
            "ref": "refs/tags/v1",
        });
        let map = claims.as_object_mut().unwrap();
        for (name, value) in changes {
            map.insert((*name).to_owned(), value.clone());
        }
        map.clone()
    }

    fn named(claims: &[(&str, &str)]) -> BTreeMap<String, String> {
        claims.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn every_named_claim_has_to_be_said_exactly() {
        let github = Provider::named("github").unwrap();
        let meant = [("repository", "acme/ebpf"), ("workflow", "release.yml")];
        let matches = |extra: &[(&str, &str)], said: &Map<String, Value>| {
            github.matches(said, &named(&[&meant[..], extra].concat()))
        };
        assert!(matches(&[], &said(&[])));
        assert!(matches(
            &[("environment", "release"), ("repository_owner_id", "4711")],
            &said(&[])
        ));
        assert!(!matches(&[("environment", "staging")], &said(&[])));
        assert!(!matches(&[("actor", "anna")], &said(&[])), "not said at all");
        for (claim, value) in [
            ("repository", json!("acme/ebpf2")),
            ("repository", json!("Acme/ebpf")),
            ("repository", json!(["acme/ebpf"])),
            ("repository", Value::Null),
            ("workflow_ref", json!("acme/ebpf/.github/workflows/other.yml@refs/tags/v1")),
            ("workflow_ref", json!("acme/ebpf/.github/workflows/release.yml")),
        ] {
            assert!(!matches(&[], &said(&[(claim, value.clone())])), "{claim} {value}");
        }
        assert!(!github.matches(&said(&[]), &BTreeMap::new()), "nothing named is nobody meant");
    }

    #[test]
    fn what_a_pull_request_runs_does_not_publish() {
        let github = Provider::named("github").unwrap();
        github.refuse_context(&said(&[])).unwrap();
        for (claim, value) in [
            ("event_name", "pull_request"),
            ("event_name", "pull_request_target"),
            ("event_name", "workflow_run"),
            ("ref", "refs/pull/7/merge"),
            ("sub", "repo:acme/ebpf:pull_request"),
        ] {
            assert!(github.refuse_context(&said(&[(claim, json!(value))])).is_err(), "{value}");
        }
        let gitlab = Provider::named("gitlab").unwrap();
        let merge = json!({ "pipeline_source": "merge_request_event" });
        assert!(gitlab.refuse_context(merge.as_object().unwrap()).is_err());
    }

    #[test]
    fn a_publisher_that_strangers_could_match_is_refused() {
        let github = Provider::named("github").unwrap();
        let missing = github.check(&named(&[("repository", "acme/ebpf")]));
        assert_eq!(missing, Err(ProviderError::Missing { claim: "workflow".into() }));
        let empty = named(&[("repository", ""), ("workflow", "x")]);
        assert_eq!(github.check(&empty), Err(ProviderError::Claims));
        github.check(&named(&[("repository", "a/b"), ("workflow", "x.yml")])).unwrap();
        assert!(Provider::named("nobody").is_err());
    }
}
