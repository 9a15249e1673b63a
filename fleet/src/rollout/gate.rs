//! Gates: what must hold before the next wave. Pure sums over what was observed; data that is missing is said to be
//! missing and never passes by itself. Refuses to know who observes, and how.

mod document;

pub use document::{Bound, Builtin, GateDocument, Number, QUERY_BYTES_MAX};

use super::units::{Allowance, Nanos, Share};
use crate::ids::{MemberName, NodeName};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Packets below which a share of them says nothing: one drop in a hundred is the smallest step anybody gates on.
pub const PACKETS_MIN_DEFAULT: u64 = 100;
/// What treated nodes are compared to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ComparedTo {
    /// Nodes of the rollout that have the revision before, in the same time; where every node is treated, what they
    /// counted before.
    #[default]
    Untreated,
    /// The same nodes, before they got the revision.
    Before,
}

/// What a gate does without data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NoData {
    /// Wait, and stop when the bake is over.
    #[default]
    Hold,
    Pass,
    Fail,
}

/// A gate, understood.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(
    tag = "gate",
    rename_all = "lowercase",
    rename_all_fields = "camelCase",
    deny_unknown_fields
)]
pub enum Gate {
    Verdicts {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        of: Option<MemberName>,
        drop: Allowance,
        compared_to: ComparedTo,
        min_packets: u64,
        no_data: NoData,
    },
    Cost {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        of: Option<MemberName>,
        at_most: Nanos,
        min_packets: u64,
        no_data: NoData,
    },
    Applied {
        at_least: Share,
    },
    Promql {
        query: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at_most: Option<f64>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at_least: Option<f64>,
        no_data: NoData,
    },
}

/// What one member of one node counted while it was watched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Sample {
    pub node: NodeName,
    pub member: MemberName,
    pub packets: u64,
    pub dropped: u64,
    /// Nanoseconds of the timed packets together.
    pub ns: u64,
    pub timed: u64,
}

/// Everything that was observed for the gates of a wave.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Observations {
    /// Nodes that run the revision, since it runs there.
    pub treated: Vec<Sample>,
    /// Nodes of the rollout that run what was before, since the wave began.
    pub untreated: Vec<Sample>,
    /// The treated nodes, before they got it.
    pub before: Vec<Sample>,
    /// The answers to the gates' queries, by the gate's place in the plan; absent without an answer.
    pub values: Vec<(usize, Option<f64>)>,
}

/// What a gate says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "lowercase")]
pub enum Verdict {
    Pass {
        why: String,
    },
    /// Not decided: wait.
    Hold {
        why: String,
    },
    Fail {
        why: String,
    },
}

impl Verdict {
    /// The sentence.
    #[must_use]
    pub fn why(&self) -> &str {
        match self {
            Self::Pass { why } | Self::Hold { why } | Self::Fail { why } => why,
        }
    }

    fn without_data(rule: NoData, why: String) -> Self {
        match rule {
            NoData::Hold => Self::Hold { why },
            NoData::Pass => Self::Pass { why: format!("{why}, which this gate lets pass") },
            NoData::Fail => Self::Fail { why: format!("{why}, which this gate does not let pass") },
        }
    }
}

/// Sums of samples.
#[derive(Default, Clone, Copy)]
struct Sum {
    packets: u64,
    dropped: u64,
    ns: u64,
    timed: u64,
}

fn sum(samples: &[Sample], of: Option<&MemberName>) -> Sum {
    let meant = samples.iter().filter(|sample| of.is_none_or(|of| *of == sample.member));
    meant.fold(Sum::default(), |sum, sample| Sum {
        packets: sum.packets.saturating_add(sample.packets),
        dropped: sum.dropped.saturating_add(sample.dropped),
        ns: sum.ns.saturating_add(sample.ns),
        timed: sum.timed.saturating_add(sample.timed),
    })
}

/// What one gate says to what was observed. `place` is its place in the plan. The share of nodes that applied is not
/// asked here: the rollout counts it.
#[must_use]
pub fn evaluate(gate: &Gate, place: usize, seen: &Observations) -> Verdict {
    match gate {
        Gate::Verdicts { of, drop, compared_to, min_packets, no_data } => {
            let treated = sum(&seen.treated, of.as_ref());
            verdicts(
                treated,
                reference(seen, of.as_ref(), *compared_to),
                *drop,
                *min_packets,
                *no_data,
            )
        }
        Gate::Cost { of, at_most, min_packets, no_data } => {
            cost(sum(&seen.treated, of.as_ref()), *at_most, *min_packets, *no_data)
        }
        Gate::Applied { at_least } => {
            Verdict::Pass { why: format!("{at_least} are counted by the rollout") }
        }
        Gate::Promql { at_most, at_least, no_data, .. } => {
            let value =
                seen.values.iter().find(|(of, _)| *of == place).and_then(|(_, value)| *value);
            promql(value.filter(|value| value.is_finite()), *at_most, *at_least, *no_data)
        }
    }
}

fn reference(seen: &Observations, of: Option<&MemberName>, to: ComparedTo) -> (Sum, &'static str) {
    match to {
        ComparedTo::Untreated if !seen.untreated.is_empty() => {
            (sum(&seen.untreated, of), "untreated nodes")
        }
        ComparedTo::Untreated | ComparedTo::Before => {
            (sum(&seen.before, of), "the same nodes before")
        }
    }
}

fn verdicts(
    treated: Sum,
    (reference, whose): (Sum, &str),
    drop: Allowance,
    min_packets: u64,
    no_data: NoData,
) -> Verdict {
    let min = min_packets.max(1);
    if treated.packets < min {
        let why = format!("only {} packets met the new version; {min} are needed", treated.packets);
        return Verdict::without_data(no_data, why);
    }
    let found = Share::of(treated.dropped, treated.packets);
    let (allowed, compared) = if drop.above {
        if reference.packets < min {
            let why = format!(
                "only {} packets of {whose} to compare with; {min} are needed",
                reference.packets
            );
            return Verdict::without_data(no_data, why);
        }
        let base = Share::of(reference.dropped, reference.packets);
        (Share(base.0.saturating_add(drop.share.0)), format!(", {whose} {base}"))
    } else {
        (drop.share, String::new())
    };
    let why = format!(
        "treated nodes drop {found} of {} packets{compared}; {drop} is allowed",
        treated.packets
    );
    if found > allowed { Verdict::Fail { why } } else { Verdict::Pass { why } }
}

fn cost(treated: Sum, at_most: Nanos, min_packets: u64, no_data: NoData) -> Verdict {
    let min = min_packets.max(1);
    if treated.timed < min {
        let why = format!("only {} packets were timed; {min} are needed", treated.timed);
        return Verdict::without_data(no_data, why);
    }
    let mean = Nanos(treated.ns / treated.timed);
    let why =
        format!("a packet costs {mean} in {} timed ones; {at_most} is allowed", treated.timed);
    if mean > at_most { Verdict::Fail { why } } else { Verdict::Pass { why } }
}

fn promql(
    value: Option<f64>,
    at_most: Option<f64>,
    at_least: Option<f64>,
    no_data: NoData,
) -> Verdict {
    let Some(value) = value else {
        return Verdict::without_data(no_data, "the query has no answer".to_owned());
    };
    let bounds = [
        at_most.map(|most| format!("at most {most}")),
        at_least.map(|least| format!("at least {least}")),
    ];
    let bounds: Vec<String> = bounds.into_iter().flatten().collect();
    let why = format!("the query says {value}; {} is allowed", bounds.join(" and "));
    let fits =
        at_most.is_none_or(|most| value <= most) && at_least.is_none_or(|least| value >= least);
    if fits { Verdict::Pass { why } } else { Verdict::Fail { why } }
}

impl fmt::Display for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of =
            |of: &Option<MemberName>| of.as_ref().map_or(String::new(), |of| format!(" of {of}"));
        match self {
            Self::Verdicts { of: member, drop, .. } => {
                write!(f, "drops{} at most {drop}", of(member))
            }
            Self::Cost { of: member, at_most, .. } => {
                write!(f, "cost{} at most {at_most}", of(member))
            }
            Self::Applied { at_least } => write!(f, "applied at least {at_least}"),
            Self::Promql { query, .. } => write!(f, "promql {query}"),
        }
    }
}
