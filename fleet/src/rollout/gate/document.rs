//! Gates as they are written: one flat list of words, of which only some belong together. Refuses to evaluate them.

use super::{ComparedTo, Gate, NoData, PACKETS_MIN_DEFAULT};
use crate::ids::MemberName;
use crate::rollout::units::{Allowance, UnitError};
use serde::{Deserialize, Serialize};

/// Longest PromQL query in bytes: longer ones belong into a recording rule.
pub const QUERY_BYTES_MAX: usize = 4096;

/// A gate as it is written. [`GateDocument::read`] says which of its parts belong together.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GateDocument {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub builtin: Option<Builtin>,
    /// The member whose counters are meant; all members of the policy when it names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<MemberName>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drop: Option<Bound<Allowance>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compared_to: Option<ComparedTo>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_packets: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promql: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_most: Option<Number>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_least: Option<Number>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_data: Option<NoData>,
}

/// What the agents' own counters can answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Builtin {
    Verdicts,
    Cost,
    Applied,
}

/// `{ atMost: +2% }`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Bound<T> {
    pub at_most: T,
}

/// A bound, with or without a unit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Number {
    Plain(f64),
    WithUnit(String),
}

impl GateDocument {
    /// What it means.
    ///
    /// # Errors
    /// Which of its parts do not belong together, in words.
    pub fn read(&self) -> Result<Gate, String> {
        let no_data = self.no_data.unwrap_or_default();
        let min_packets = self.min_packets.unwrap_or(PACKETS_MIN_DEFAULT);
        match (self.builtin, &self.promql) {
            (Some(Builtin::Verdicts), None) => {
                self.refuse(&[
                    ("atMost", self.at_most.is_some()),
                    ("atLeast", self.at_least.is_some()),
                ])?;
                let drop =
                    self.drop.ok_or("say how much it may drop: `drop: { atMost: +2% }`")?.at_most;
                let compared_to = self.compared_to.unwrap_or_default();
                Ok(Gate::Verdicts { of: self.of.clone(), drop, compared_to, min_packets, no_data })
            }
            (Some(Builtin::Cost), None) => {
                self.refuse(&[
                    ("drop", self.drop.is_some()),
                    ("atLeast", self.at_least.is_some()),
                    ("comparedTo", self.compared_to.is_some()),
                ])?;
                let Some(Number::WithUnit(text)) = &self.at_most else {
                    return Err("say how much a packet may cost: `atMost: 250ns`".to_owned());
                };
                let at_most = text.parse().map_err(|e: UnitError| e.to_string())?;
                Ok(Gate::Cost { of: self.of.clone(), at_most, min_packets, no_data })
            }
            (Some(Builtin::Applied), None) => {
                self.refuse(&[
                    ("drop", self.drop.is_some()),
                    ("atMost", self.at_most.is_some()),
                    ("comparedTo", self.compared_to.is_some()),
                    ("of", self.of.is_some()),
                    ("noData", self.no_data.is_some()),
                    ("minPackets", self.min_packets.is_some()),
                ])?;
                let Some(Number::WithUnit(text)) = &self.at_least else {
                    return Err("say how many nodes must run it: `atLeast: 99%`".to_owned());
                };
                let at_least = text.parse().map_err(|e: UnitError| e.to_string())?;
                Ok(Gate::Applied { at_least })
            }
            (None, Some(query)) => self.promql(query, no_data),
            _ => {
                Err("a gate is `builtin: verdicts`, `cost` or `applied`, or `promql: QUERY`"
                    .to_owned())
            }
        }
    }

    fn promql(&self, query: &str, no_data: NoData) -> Result<Gate, String> {
        self.refuse(&[
            ("drop", self.drop.is_some()),
            ("comparedTo", self.compared_to.is_some()),
            ("of", self.of.is_some()),
            ("minPackets", self.min_packets.is_some()),
        ])?;
        if query.trim().is_empty() || query.len() > QUERY_BYTES_MAX {
            return Err(format!("a query has 1 to {QUERY_BYTES_MAX} bytes"));
        }
        let plain = |number: &Option<Number>| match number {
            None => Ok(None),
            Some(Number::Plain(number)) if number.is_finite() => Ok(Some(*number)),
            Some(_) => Err("the bounds of a query are plain numbers".to_owned()),
        };
        let (at_most, at_least) = (plain(&self.at_most)?, plain(&self.at_least)?);
        if at_most.is_none() && at_least.is_none() {
            return Err("say what the query's value may be: `atMost` or `atLeast`".to_owned());
        }
        Ok(Gate::Promql { query: query.to_owned(), at_most, at_least, no_data })
    }

    fn refuse(&self, foreign: &[(&str, bool)]) -> Result<(), String> {
        match foreign.iter().find(|(_, there)| *there) {
            Some((name, _)) => Err(format!("`{name}` means nothing for this gate")),
            None => Ok(()),
        }
    }
}
