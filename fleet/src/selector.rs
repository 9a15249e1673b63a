//! Which nodes a policy is for: labels and expressions over them. Refuses to know where labels come from.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a node says of itself, as `key = value`.
pub type Labels = BTreeMap<String, String>;

/// Most labels a node may have: enough for every fact and a few dozen of the operator's own.
pub const LABELS_MAX: usize = 128;
/// Most conditions in one selector. A selector is read by people; more than this is a mistake.
pub const CONDITIONS_MAX: usize = 64;

/// A condition over labels. The empty selector matches **no** node: a forgotten selector must not
/// reach the whole fleet. `everyNode: true` is the explicit way to say "all".
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Selector {
    /// Every one of these labels must have exactly this value.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub match_labels: Labels,
    /// Every one of these must hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub match_expressions: Vec<Expression>,
    /// Matches whatever the labels are; cannot be combined with conditions.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub every_node: bool,
}

/// One condition over one label.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expression {
    pub key: String,
    pub operator: Operator,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
}

/// How an [`Expression`] looks at its label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Operator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
}

/// Why a selector was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SelectorError {
    #[error(
        "The selector is empty and would match no node. Give matchLabels or matchExpressions, or say everyNode: true."
    )]
    Empty,
    #[error("The selector says everyNode together with conditions. Keep one of the two.")]
    EveryNodeAndConditions,
    #[error("The selector has {found} conditions; at most {CONDITIONS_MAX} are allowed.")]
    TooMany { found: usize },
    #[error(
        "The expression on '{key}' uses {operator:?} with {found} values; In and NotIn need at least one, Exists and DoesNotExist need none."
    )]
    Values { key: String, operator: Operator, found: usize },
}

impl Selector {
    /// Selects by one label.
    #[must_use]
    pub fn label(key: &str, value: &str) -> Self {
        Self { match_labels: Labels::from([(key.to_owned(), value.to_owned())]), ..Self::default() }
    }

    /// Refuses selectors that mean nothing or contradict themselves.
    ///
    /// # Errors
    /// [`SelectorError`] says which rule is broken.
    pub fn check(&self) -> Result<(), SelectorError> {
        let conditions = self.match_labels.len() + self.match_expressions.len();
        match (self.every_node, conditions) {
            (true, 1..) => return Err(SelectorError::EveryNodeAndConditions),
            (false, 0) => return Err(SelectorError::Empty),
            (_, found) if found > CONDITIONS_MAX => return Err(SelectorError::TooMany { found }),
            _ => {}
        }
        for e in &self.match_expressions {
            let wants_values = matches!(e.operator, Operator::In | Operator::NotIn);
            if wants_values == e.values.is_empty() {
                return Err(SelectorError::Values {
                    key: e.key.clone(),
                    operator: e.operator,
                    found: e.values.len(),
                });
            }
        }
        Ok(())
    }

    /// Whether a node with these labels is meant.
    #[must_use]
    pub fn matches(&self, labels: &Labels) -> bool {
        if self.every_node {
            return true;
        }
        if self.match_labels.is_empty() && self.match_expressions.is_empty() {
            return false;
        }
        self.match_labels.iter().all(|(k, v)| labels.get(k) == Some(v))
            && self.match_expressions.iter().all(|e| e.holds(labels))
    }
}

impl Expression {
    fn holds(&self, labels: &Labels) -> bool {
        let value = labels.get(&self.key);
        match self.operator {
            Operator::In => value.is_some_and(|v| self.values.contains(v)),
            Operator::NotIn => value.is_none_or(|v| !self.values.contains(v)),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[track_caller]
    fn check(selector: &str, on: &[(&str, &str)], expected: bool) {
        let selector: Selector = serde_json::from_str(selector).unwrap();
        assert_eq!(selector.matches(&labels(on)), expected, "{selector:?} on {on:?}");
    }

    #[test]
    fn labels_and_expressions_must_all_hold() {
        check(r#"{"matchLabels":{"role":"edge"}}"#, &[("role", "edge"), ("zone", "a")], true);
        check(r#"{"matchLabels":{"role":"edge","zone":"b"}}"#, &[("role", "edge")], false);
        let in_zone = r#"{"matchExpressions":[{"key":"zone","operator":"In","values":["a","b"]}]}"#;
        check(in_zone, &[("zone", "b")], true);
        check(in_zone, &[], false);
        let not_in = r#"{"matchExpressions":[{"key":"zone","operator":"NotIn","values":["a"]}]}"#;
        check(not_in, &[], true);
        check(not_in, &[("zone", "a")], false);
        check(r#"{"matchExpressions":[{"key":"x","operator":"Exists"}]}"#, &[("x", "")], true);
        check(r#"{"matchExpressions":[{"key":"x","operator":"DoesNotExist"}]}"#, &[], true);
    }

    #[test]
    fn an_empty_selector_matches_nothing_and_is_refused() {
        check("{}", &[("role", "edge")], false);
        assert_eq!(Selector::default().check(), Err(SelectorError::Empty));
        check(r#"{"everyNode":true}"#, &[], true);
    }

    #[test]
    fn contradictions_are_refused() {
        let both: Selector =
            serde_json::from_str(r#"{"everyNode":true,"matchLabels":{"a":"b"}}"#).unwrap();
        assert_eq!(both.check(), Err(SelectorError::EveryNodeAndConditions));
        let no_values: Selector =
            serde_json::from_str(r#"{"matchExpressions":[{"key":"a","operator":"In"}]}"#).unwrap();
        assert!(matches!(no_values.check(), Err(SelectorError::Values { .. })));
        assert!(serde_json::from_str::<Selector>(r#"{"matchLabel":{"a":"b"}}"#).is_err());
    }
}
